# Starts the server with its password, which stands in a file in memory: arguments are seen by everybody in the pod.
set -eu
umask 077
password=$(sed 's/["\\]/\\&/g' "${PASSWORD_FILE:-/run/secrets/valkey/password}")
login=${LOGIN_FILE:-/run/valkey/login.conf}
printf 'requirepass "%s"\n' "$password" >"$login"
server=$(command -v valkey-server || command -v redis-server)
exec "$server" "${CONFIG_FILE:-/etc/valkey/valkey.conf}" --include "$login"

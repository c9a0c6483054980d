# Succeeds if the server answers; while it loads its data, it does not.
client=$(command -v valkey-cli || command -v redis-cli)
REDISCLI_AUTH=$(cat "${PASSWORD_FILE:-/run/secrets/valkey/password}")
export REDISCLI_AUTH
"$client" -p "${PORT:-6379}" ping | grep -q PONG

# Writes what RabbitMQ wants to own itself: its Erlang cookie, and the user whom it makes at every start.
set -eu
umask 077
cp /secrets/erlang-cookie /var/lib/rabbitmq/.erlang.cookie
chmod 600 /var/lib/rabbitmq/.erlang.cookie
password="$(sed 's/\\/\\\\/g; s/"/\\"/g' /secrets/password)"
cat > /definitions/definitions.json <<JSON
{
  "vhosts": [{"name": "/"}],
  "users": [{"name": "$USERNAME", "password": "$password", "tags": "management"}],
  "permissions": [{"user": "$USERNAME", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]
}
JSON

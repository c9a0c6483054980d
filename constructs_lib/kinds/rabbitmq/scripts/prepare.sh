# Writes what RabbitMQ wants to own itself: its Erlang cookie, and the users whom it makes at every start.
set -eu
umask 077
cp "$SECRETS/$COOKIE_KEY" /var/lib/rabbitmq/.erlang.cookie
chmod 600 /var/lib/rabbitmq/.erlang.cookie
definitions > /definitions/definitions.json

# Writes the definitions: exchanges, queues, bindings, policies, and users with the hashes of their passwords. Messages
# are not among them.
set -eu
# The first process of a container ends on a signal only if it says so.
trap 'exit 143' TERM
umask 077
# Each node of a cluster has all of them.
for node in $NODES; do
  if rabbitmqctl --quiet --longnames --node "$node" export_definitions "$DEFINITIONS" && [ -s "$DEFINITIONS" ]; then
    echo "wrote the definitions of $node ($(wc -c < "$DEFINITIONS") bytes)"
    exit 0
  fi
  rm -f "$DEFINITIONS"
done
echo "none of $NODES told its definitions" >&2
exit 1

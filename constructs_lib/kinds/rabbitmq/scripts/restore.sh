# Makes what a save has of definitions. What is there and not in the save stays, and so do messages. Last come the users
# as they are declared, because passwords may have changed since.
set -eu
# The first process of a container ends on a signal only if it says so.
trap 'exit 143' TERM
saved="$(find "$FETCHED" -name definitions.json -type f)"
# shellcheck disable=SC2086 # Names of nodes, without spaces.
set -- $NODES
for node in "$@"; do
  if rabbitmqctl --quiet --longnames --node "$node" await_startup --timeout 60; then
    # RabbitMQ leaves queues and bindings out without a word while nodes of the declared cluster are missing.
    if ! rabbitmqctl --quiet --longnames --node "$node" await_online_nodes "$#" --timeout "$PATIENCE"; then
      echo "not all of $NODES run: nothing was restored" >&2
      exit 1
    fi
    rabbitmqctl --quiet --longnames --node "$node" import_definitions "$saved"
    rabbitmqctl --quiet --longnames --node "$node" import_definitions "$DECLARED"
    echo "restored the definitions at $node"
    exit 0
  fi
done
echo "none of $NODES runs" >&2
exit 1

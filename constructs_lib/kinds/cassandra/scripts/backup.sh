# Looks after what the nodes of a ring have saved: every node has a save that is new enough, older ones are forgotten as
# declared, and what is there is checked.
# shellcheck disable=SC2154 # What it follows on is bucket.sh.
reached || {
  [ "$code" -ne 10 ] || echo "there is no $RESTIC_REPOSITORY: no node of the ring has ever been saved" >&2
  exit 1
}
# shellcheck disable=SC2086 # The options are ours.
locking forget --quiet --group-by host $KEEP_SAVES --prune
# All that is there is read once in a month, a part each time.
locking check --quiet --read-data-subset "$(($(date +%s) / 86400 % 30 + 1))/30"
call snapshots --compact
call snapshots --json > /tmp/saves.json
# Each save tells how many nodes its ring had.
jq --raw-output --argjson since "$(($(date +%s) - MAXIMUM_AGE))" --argjson nodes "$NODES" '
  map(. + {at: (.time[0:19] + "Z" | fromdate)})
  | ((max_by(.at).tags // []) | map(select(startswith("nodes=")) | .[6:] | tonumber) | max // 0) as $told
  | [.[] | select(.at >= $since).hostname] | unique
  | "\(length) of \([$nodes, $told] | max) nodes are saved: \(join(" "))"' /tmp/saves.json > /tmp/found
cat /tmp/found
read -r saved _ wanted _ < /tmp/found
if [ "$saved" -lt "$wanted" ]; then
  echo "a node has no save of the last $((MAXIMUM_AGE / 3600)) hours" >&2
  exit 1
fi

# Fetches what the nodes of a ring saved at the same time: the newest, or what was saved with the one of which SAVE has
# the id.
# shellcheck disable=SC2154 # What it follows on is bucket.sh.
reached || {
  [ "$code" -ne 10 ] || echo "there is no $RESTIC_REPOSITORY, so nothing was ever saved" >&2
  exit 1
}
call snapshots --compact
call snapshots --json > /tmp/saves.json
# Of each node the save that is nearest to that time; nodes that had none then were not yet, or no longer, in the ring.
jq --raw-output --arg save "$SAVE" --argjson every "$EVERY" '
  map(. + {at: (.time[0:19] + "Z" | fromdate)})
  | ((if $save == "latest" then max_by(.at) else map(select(.id | startswith($save)))[0] end)
     // error("there is no save \($save)")).at as $asked
  | map(. + {off: ((.at - $asked) | fabs)} | select(.off < $every / 2))
  | group_by(.hostname)[] | min_by(.off) | "\(.short_id) \(.hostname)"' /tmp/saves.json > /tmp/chosen
while read -r id node; do
  echo "fetching $id of $node"
  call restore "$id" --quiet --target "$FETCHED/$node" --verify
done < /tmp/chosen

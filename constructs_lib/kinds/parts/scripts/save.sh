# Saves the newest of some files to the bucket, forgets older saves as declared, and checks what is there.
# shellcheck disable=SC2154 # What it follows on is bucket.sh.
reached || [ "$code" -eq 10 ] || exit 1
if [ "$code" -eq 10 ]; then
  echo "there is no $RESTIC_REPOSITORY yet"
  call init
fi
newest=""
# The time is part of their names, so that the order of the names is theirs.
for file in $SAVED; do
  newest="$file"
done
if [ ! -s "$newest" ]; then
  echo "there is nothing to save: $newest" >&2
  exit 1
fi
locking backup --host "$STORE" "$newest"
# By store: each save has files of another name.
# shellcheck disable=SC2086 # The options are ours.
locking forget --quiet --group-by host $KEEP_SAVES --prune
# All that is there is read once in a month, a part each time.
locking check --quiet --read-data-subset "$(($(date +%s) / 86400 % 30 + 1))/30"
call snapshots --compact

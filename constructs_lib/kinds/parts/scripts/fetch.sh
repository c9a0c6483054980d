# Fetches a save from the bucket: the newest, or that of which SAVE has the id.
# shellcheck disable=SC2154 # What it follows on is bucket.sh.
reached || {
  [ "$code" -ne 10 ] || echo "there is no $RESTIC_REPOSITORY, so nothing was ever saved" >&2
  exit 1
}
call snapshots --compact
call restore "$SAVE" --host "$STORE" --target "$FETCHED" --verify

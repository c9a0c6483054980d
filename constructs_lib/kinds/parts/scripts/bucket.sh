# What every script that calls the bucket begins with. A repository there is encrypted with a password of its own; it
# holds the saves of one store.
set -eu
umask 077
# Where it stands beside programs of another image.
PATH="${TOOLS:+$TOOLS:}$PATH"
export RESTIC_PASSWORD_FILE="$BUCKET_FILES/password"
child=""
# The first process of a container ends on a signal only if it says so. restic gives its lock back when it is told.
trap '[ -z "$child" ] || { kill "$child" && wait "$child"; } || true; exit 143' TERM
call() {
  restic -o s3.bucket-lookup=path "$@" &
  child=$!
  code=0
  wait "$child" || code=$?
  child=""
  return "$code"
}
# Does something with the repository once nobody has it to himself, which exit code 11 tells. What was killed leaves its
# lock behind, and after half an hour that counts as left.
locking() {
  tries=0
  until call "$@"; do
    if [ "$code" -ne 11 ] || [ "$tries" -ge 40 ]; then
      return "$code"
    fi
    tries=$((tries + 1))
    call --quiet unlock || true
    sleep 60
  done
}
# Tells what is wrong, if anything is: restic repeats what fails for a quarter of an hour. 10 is a repository that is not
# there yet, and nothing else: neither a server that does not answer nor a key that it refuses.
reached() {
  # Each time: it may have been rotated.
  AWS_ACCESS_KEY_ID="$(cat "$BUCKET_FILES/access-key-id")"
  AWS_SECRET_ACCESS_KEY="$(cat "$BUCKET_FILES/secret-access-key")"
  export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
  code=0
  timeout "$PATIENCE" restic -o s3.bucket-lookup=path --no-lock cat config >/dev/null || code=$?
  case "$code" in
    0 | 10) ;;
    12) echo "the password is not the one with which $RESTIC_REPOSITORY was made" >&2 ;;
    *) echo "$RESTIC_REPOSITORY does not answer within $PATIENCE seconds, or refuses the key" >&2 ;;
  esac
  return "$code"
}

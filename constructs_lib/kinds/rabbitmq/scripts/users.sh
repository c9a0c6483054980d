# Brings the broker's users up to its declared clients. Running it again changes nothing, but that every password becomes
# the one of its Secret.
set -eu
# The first process of a container ends on a signal only if it says so.
trap 'exit 143' TERM
umask 077
login="$(printf '%s:%s' "$USERNAME" "$(cat "$SECRETS/$PASSWORD_KEY")" | base64 | tr -d '\n')"

# Calls the management API with what is in /tmp/body; the answer is in /tmp/answer. The image has no program for that.
request() {
  # shellcheck disable=SC3025 # It runs in bash.
  exec 3<> "/dev/tcp/$HOST/$PORT" || return 1
  {
    printf '%s /api/%s HTTP/1.0\r\nHost: %s\r\nAuthorization: Basic %s\r\n' "$1" "$2" "$HOST" "$login"
    printf 'Content-Type: application/json\r\nContent-Length: %s\r\n\r\n' "$(wc -c < /tmp/body | tr -d ' ')"
    cat /tmp/body
  } >&3
  cat <&3 > /tmp/answer
  exec 3>&-
  IFS=' ' read -r _ status _ < /tmp/answer || status=none
  case "$status" in
    2*) ;;
    *)
      echo "$1 /api/$2: $(tr -d '\r' < /tmp/answer | sed -n '1p; $p' | tr '\n' ' ')"
      return 1
      ;;
  esac
}
encoded() { printf '%s' "$1" | od -An -v -tx1 | tr -d '\n' | tr ' ' '%'; }

: > /tmp/body
until request GET whoami; do
  echo "waiting for $HOST:$PORT"
  sleep 5
done

definitions > /tmp/body
request POST definitions

# Whoever is no client any more has no user. One that is connected goes on until it ends, and cannot log in again; the
# next run removes it.
: > /tmp/body
request GET "connections?columns=user"
connected="$(grep -o '"user":"[^"]*"' /tmp/answer || true)"
request GET "users?columns=name"
grep -o '"name":"[^"]*"' /tmp/answer | cut -d '"' -f 4 > /tmp/users
while read -r user; do
  if [ "$user" = "$USERNAME" ] || cut -d ' ' -f 1 "$USERS/users" | grep -qxF -- "$user"; then
    continue
  fi
  if printf '%s\n' "$connected" | grep -qxF "\"user\":\"$user\""; then
    echo "$user is no client any more, and still connected: it cannot log in again"
    printf '{"password_hash": "", "tags": ""}' > /tmp/body
    request PUT "users/$(encoded "$user")"
  else
    echo "$user is no client any more: it is removed"
    : > /tmp/body
    request DELETE "users/$(encoded "$user")"
  fi
done < /tmp/users
echo "the users of $HOST are in place"

# Waits until every HOST:PORT in the arguments accepts a connection, with whatever the image has.
# The first process of a container ends on a signal only if it says so.
trap 'exit 143' TERM
# A connection whose packets are dropped is given up soon, because the next one may be answered.
limit=""
if command -v timeout >/dev/null 2>&1; then limit="timeout 2"; fi
reachable() {
  if command -v bash >/dev/null 2>&1; then
    $limit bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null
  elif command -v nc >/dev/null 2>&1; then
    # BusyBox knows no -z, and others know no -e.
    nc -z -w 2 "$1" "$2" 2>/dev/null || nc -w 2 "$1" "$2" -e true 2>/dev/null
  elif command -v node >/dev/null 2>&1; then
    node -e 'const s = require("net").connect({ host: process.argv[1], port: process.argv[2], timeout: 2000 });
      s.on("connect", () => process.exit(0)).on("error", () => process.exit(1)).on("timeout", () => process.exit(1));' \
      "$1" "$2"
  elif command -v python3 >/dev/null 2>&1; then
    python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)' "$1" "$2" 2>/dev/null
  else
    echo "This image has none of bash, nc, node and python3 to wait with; declare the service with a wait_image." >&2
    exit 1
  fi
}
# Not for ever: where a part of the system is down, the others must still be able to start and be moved.
deadline=$(($(date +%s) + ${WAIT_SECONDS:-120}))
for target in "$@"; do
  echo "waiting for $target"
  until reachable "${target%:*}" "${target##*:}"; do
    if [ "$(date +%s)" -ge "$deadline" ]; then
      echo "$target does not answer; starting all the same" >&2
      continue 2
    fi
    sleep 2
  done
  echo "$target accepts connections"
done

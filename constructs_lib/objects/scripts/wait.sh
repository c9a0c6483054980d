# Waits until every HOST:PORT in the arguments accepts a connection, with whatever the image has.
reachable() {
  if command -v bash >/dev/null 2>&1; then
    bash -c 'exec 3<>"/dev/tcp/$1/$2"' wait "$1" "$2" 2>/dev/null
  elif command -v nc >/dev/null 2>&1; then
    nc -z -w 2 "$1" "$2" 2>/dev/null
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
for target in "$@"; do
  echo "waiting for $target"
  until reachable "${target%:*}" "${target##*:}"; do sleep 2; done
  echo "$target accepts connections"
done

# Sends this node's keyspace to the bucket whenever it is time, for ever: a container that ended would take the node out
# of its Service. A snapshot is made of links to files that never change, so it costs no room and holds nobody up.
# shellcheck disable=SC2154 # What it follows on is bucket.sh.
pause() {
  sleep "$1" &
  child=$!
  wait "$child" || true
  child=""
}
# The files as they are, and with them what makes their tables: Cassandra writes schema.cql into each snapshot.
save() {
  code=0
  reached || [ "$code" -eq 10 ] || return 1
  # Two nodes of a ring may come at once, and one is enough to make it.
  if [ "$code" -eq 10 ]; then
    call init || reached || return 1
  fi
  # Who looks after the saves needs to know how many there should be.
  nodes="$(nodetool status | grep -c '^[UD][NLJM] ')" || return 1
  # One that was killed may have left it.
  nodetool clearsnapshot -t saved -- "$KEYSPACE" >/dev/null || return 1
  nodetool snapshot -t saved -- "$KEYSPACE" >/dev/null || return 1
  locking backup --quiet --host "$NODE" --tag "nodes=$nodes" --group-by host "$DATA/$KEYSPACE"/*/snapshots/saved
  done="$code"
  nodetool clearsnapshot -t saved -- "$KEYSPACE" >/dev/null || true
  return "$done"
}
while :; do
  pause "$((EVERY - ($(date +%s) - BEGIN) % EVERY))"
  tries=1
  until save; do
    if [ "$tries" -ge 5 ]; then
      echo "the save of $NODE failed; the next one comes in its time" >&2
      break
    fi
    echo "the save of $NODE failed, try $tries of 5" >&2
    tries=$((tries + 1))
    pause 300
  done
  [ "$tries" -ge 5 ] || echo "saved $KEYSPACE of $NODE"
done

# Brings the ring up to its roles, keyspace and tables. Running it again changes nothing.
set -eu
umask 077
password="$(cat "$PASSWORD_FILE")"
quoted="$(printf '%s' "$password" | sed "s/'/''/g")"

# cqlsh reads a password from a file that belongs to its user alone; on the command line everybody could see it.
credentials() { printf '[PlainTextAuthProvider]\nusername = %s\npassword = %s\n' "$2" "$3" > "/tmp/$1"; }
credentials own "$ROLE" "$password"
credentials built-in cassandra cassandra
query() { cqlsh --credentials "/tmp/$1" --no-color "$HOST" "$PORT" --execute "$2"; }

login=""
until [ -n "$login" ]; do
  for candidate in own built-in; do
    if query "$candidate" "SELECT release_version FROM system.local" >/dev/null 2>&1; then
      login="$candidate"
      break
    fi
  done
  [ -n "$login" ] || { echo "waiting for $HOST:$PORT"; sleep 5; }
done

# Roles are written to a quorum of the ring, so all of its nodes have to be there first.
until [ "$(query "$login" "SELECT peer FROM system.peers_v2" | grep -c '^ *[0-9a-f.:]*[.:]')" -ge $((NODES - 1)) ]; do
  echo "waiting for a ring of $NODES nodes"
  sleep 5
done

replication="{'class': 'NetworkTopologyStrategy', '$DATACENTER': $NODES}"
if [ "$login" = built-in ]; then
  # Replicated before the role is written, so that every node holds it.
  query built-in "ALTER KEYSPACE system_auth WITH replication = $replication;
    CREATE ROLE IF NOT EXISTS \"$ROLE\" WITH SUPERUSER = true AND LOGIN = true AND PASSWORD = '$quoted';"
fi
# A role cannot take away its own superuser status, so the new one does it; dropped, it would be made again.
discarded="$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
query own "ALTER KEYSPACE system_auth WITH replication = $replication;
  ALTER ROLE cassandra WITH SUPERUSER = false AND LOGIN = false AND PASSWORD = '$discarded';
  CREATE KEYSPACE IF NOT EXISTS $KEYSPACE WITH replication = $replication;
  ALTER KEYSPACE $KEYSPACE WITH replication = $replication;"
for file in "$@"; do
  echo "applying $file"
  cqlsh --credentials /tmp/own --no-color --keyspace "$KEYSPACE" --file "$file" "$HOST" "$PORT"
done
echo "the schema of $KEYSPACE is in place"

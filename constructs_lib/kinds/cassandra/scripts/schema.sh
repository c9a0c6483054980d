# Brings the ring up to its roles, keyspace and tables. Running it again changes nothing.
set -eu
# The first process of a container ends on a signal only if it says so.
trap 'exit 143' TERM
umask 077
password="$(cat "$PASSWORD_FILE")"
quoted="$(printf '%s' "$password" | sed "s/'/''/g")"

# cqlsh takes passwords from files that belong to its user alone; on the command line everybody could see them.
credentials() { printf '[PlainTextAuthProvider]\nusername = %s\npassword = %s\n' "$2" "$3" > "/tmp/$1"; }
credentials own "$ROLE" "$password"
credentials built-in cassandra cassandra
cql() {
  user="$1"
  shift
  cqlsh --credentials "/tmp/$user" --no-color "$@" "$HOST" "$PORT"
}
# cqlsh goes on after a statement that failed, so what depends on it comes in a call of its own.
run() {
  printf '%s\n' "$2" > /tmp/statements.cql
  cql "$1" --file /tmp/statements.cql
}

login=""
until [ -n "$login" ]; do
  for candidate in own built-in; do
    if answer="$(cql "$candidate" --execute "SELECT release_version FROM system.local" 2>&1)"; then
      login="$candidate"
      break
    fi
    echo "$HOST:$PORT has no $candidate login yet: $(printf '%s' "$answer" | tail -n 1)"
  done
  [ -n "$login" ] || sleep 5
done

# Roles are written to a quorum of the ring, so all of its nodes have to be there first.
until [ "$(cql "$login" --execute "SELECT peer FROM system.peers_v2" | grep -c '^ *[0-9a-f]*[.:][0-9a-f.:]*$')" \
  -ge $((NODES - 1)) ]; do
  echo "waiting for a ring of $NODES nodes"
  sleep 5
done

replication="{'class': 'NetworkTopologyStrategy', '$DATACENTER': $NODES}"
# A read of all copies brings the roles to nodes that hold none yet: no login could be made at those.
run "$login" "ALTER KEYSPACE system_auth WITH replication = $replication;
  CONSISTENCY ALL;
  SELECT * FROM system_auth.roles;" >/dev/null
if [ "$login" = built-in ]; then
  run built-in "CREATE ROLE IF NOT EXISTS \"$ROLE\" WITH SUPERUSER = true AND LOGIN = true AND PASSWORD = '$quoted';"
fi
# A role cannot take away its own superuser status, so the new one does it.
discarded="$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
run own "ALTER ROLE cassandra WITH SUPERUSER = false AND LOGIN = false AND PASSWORD = '$discarded';"
run own "CREATE KEYSPACE IF NOT EXISTS $KEYSPACE WITH replication = $replication;
  ALTER KEYSPACE $KEYSPACE WITH replication = $replication;"
for file in "$@"; do
  echo "applying $file"
  cql own --keyspace "$KEYSPACE" --file "$file"
done
echo "the schema of $KEYSPACE is in place"

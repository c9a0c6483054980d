# Brings the ring up to its roles, keyspace and tables. Running it again changes nothing, but that every password becomes
# the one of its Secret.
set -eu
# The first process of a container ends on a signal only if it says so.
trap 'exit 143' TERM
umask 077
password="$(cat "$PASSWORD_FILE")"
superuser_password="$(cat "$SUPERUSER_PASSWORD_FILE")"

# cqlsh takes passwords from files that belong to its user alone; on the command line everybody could see them.
credentials() { printf '[PlainTextAuthProvider]\nusername = %s\npassword = %s\n' "$2" "$3" > "/tmp/$1"; }
credentials own "$SUPERUSER" "$superuser_password"
credentials service "$ROLE" "$password"
credentials built-in cassandra cassandra
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/''/g")"; }
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
# Sets a password as one role, if the login of another does not have it. Cassandra 5 takes one of each role every five
# seconds.
set_password() {
  cql "$2" --execute "SELECT release_version FROM system.local" >/dev/null 2>&1 \
    || run "$1" "ALTER ROLE \"$3\" WITH PASSWORD = $4;" \
    || { sleep 5 && run "$1" "ALTER ROLE \"$3\" WITH PASSWORD = $4;"; }
}

# Older versions of this Job had one role: what the clients use was a superuser, and may still be one. No other role may
# read what is asked for here.
login=""
until [ -n "$login" ]; do
  for candidate in own built-in service; do
    if answer="$(cql "$candidate" --execute "SELECT salted_hash FROM system_auth.roles WHERE role = '$SUPERUSER'" 2>&1)"; then
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
  SELECT * FROM system_auth.roles;
  SELECT * FROM system_auth.role_permissions;" >/dev/null
if [ "$login" != own ]; then
  secret="$(quoted "$superuser_password")"
  run "$login" "CREATE ROLE IF NOT EXISTS \"$SUPERUSER\" WITH SUPERUSER = true AND LOGIN = true AND PASSWORD = $secret;"
  set_password "$login" own "$SUPERUSER" "$secret"
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

# The clients read and write rows. Tables are made here, so that they need no right to. What they need is given before
# anything is taken: programs of before go on.
secret="$(quoted "$password")"
run own "CREATE ROLE IF NOT EXISTS \"$ROLE\" WITH SUPERUSER = false AND LOGIN = true AND PASSWORD = $secret;"
run own "GRANT SELECT ON KEYSPACE $KEYSPACE TO \"$ROLE\";
  GRANT MODIFY ON KEYSPACE $KEYSPACE TO \"$ROLE\";"
run own "ALTER ROLE \"$ROLE\" WITH SUPERUSER = false AND LOGIN = true;"
set_password own service "$ROLE" "$secret"
# Whoever makes a keyspace, a table or a role may do everything with it, and keeps these rights.
cql own --execute "SELECT resource, permissions FROM system_auth.role_permissions WHERE role = '$ROLE'" > /tmp/rights
: > /tmp/statements.cql
while IFS='|' read -r resource permissions; do
  resource="$(printf '%s' "$resource" | tr -d ' ')"
  IFS=/ read -r kind first second << NAMES
$resource
NAMES
  # Names are of letters, digits and low lines, but for roles that somebody else made.
  case "$resource" in
    data) on="ALL KEYSPACES" ;;
    data/*/\*) on="ALL TABLES IN KEYSPACE \"$first\"" ;;
    data/*/*) on="TABLE \"$first\".\"$second\"" ;;
    data/*) on="KEYSPACE \"$first\"" ;;
    roles) on="ALL ROLES" ;;
    roles/*) on="ROLE \"${resource#roles/}\"" ;;
    functions) on="ALL FUNCTIONS" ;;
    # CQL knows a function by types that it calls otherwise; whoever made one keeps it.
    functions/*/*) continue ;;
    functions/*) on="ALL FUNCTIONS IN KEYSPACE \"$first\"" ;;
    mbean) on="ALL MBEANS" ;;
    mbean/*) on="MBEAN '${resource#mbean/}'" ;;
    # Lines of the table that are none of its rows.
    *) continue ;;
  esac
  for permission in $(printf '%s' "$permissions" | tr -d "{}',"); do
    case "$kind/$first/$second $permission" in
      "data/$KEYSPACE/ SELECT" | "data/$KEYSPACE/ MODIFY") ;;
      *) echo "REVOKE $permission ON $on FROM \"$ROLE\";" >> /tmp/statements.cql ;;
    esac
  done
done < /tmp/rights
if [ -s /tmp/statements.cql ]; then
  cat /tmp/statements.cql
  cql own --file /tmp/statements.cql
fi
echo "the schema of $KEYSPACE is in place"

# Puts the tables of a save into a ring of any size: each of them is emptied, and then gets what every node has saved of
# it. Before it is emptied, Cassandra makes a snapshot of it on each node by itself.
set -eu
# The first process of a container ends on a signal only if it says so.
trap 'exit 143' TERM
umask 077
password="$(cat "$PASSWORD_FILE")"
# cqlsh takes passwords from files that belong to its user alone.
printf '[PlainTextAuthProvider]\nusername = %s\npassword = %s\n' "$ROLE" "$password" > /tmp/own
cql() { cqlsh --credentials /tmp/own --no-color "$@" "$HOST" "$PORT"; }
until cql --execute "SELECT release_version FROM system.local" >/dev/null; do
  echo "waiting for $HOST:$PORT"
  sleep 5
done
find "$FETCHED" -type d -path "*/$KEYSPACE/*/snapshots/saved" | sort > /tmp/found
if [ ! -s /tmp/found ]; then
  echo "the save has no table of $KEYSPACE" >&2
  exit 1
fi
# The folder of a table is its name and its id.
table_of() {
  folder="${1%/snapshots/saved}"
  basename "${folder%-*}"
}
tables=""
while read -r saved; do
  table="$(table_of "$saved")"
  case " $tables " in
    *" $table "*) continue ;;
  esac
  tables="$tables $table"
  # Each statement says IF NOT EXISTS; what the schema made already stays as it is.
  cql --file "$saved/schema.cql" </dev/null
  cql --execute "TRUNCATE \"$KEYSPACE\".\"$table\"" </dev/null
done < /tmp/found
while read -r saved; do
  [ -n "$(find "$saved" -name '*-Data.db')" ] || continue
  table="$(table_of "$saved")"
  echo "loading $KEYSPACE.$table of ${saved#"$FETCHED/"}"
  # The loader takes the names of both from the folders.
  rm -rf "$FETCHED/loaded"
  mkdir -p "$FETCHED/loaded/$KEYSPACE"
  mv "$saved" "$FETCHED/loaded/$KEYSPACE/$table"
  sstableloader --no-progress --nodes "$STORAGE_HOST" --port "$PORT" --storage-port "$STORAGE_PORT" \
    --username "$ROLE" --password "$password" "$FETCHED/loaded/$KEYSPACE/$table" </dev/null
done < /tmp/found
echo "restored$tables of $KEYSPACE"

# Brings the database up to its schema. Running it again changes nothing: the schema says IF NOT EXISTS throughout.
set -eu
PGPASSWORD="$(cat "$PASSWORD_FILE")"
export PGPASSWORD
until pg_isready --quiet; do
  echo "waiting for $PGHOST:$PGPORT"
  sleep 2
done
tables="$(psql --no-psqlrc --quiet --tuples-only --no-align \
  --command "select count(*) from information_schema.tables where table_schema = 'public'")"
if [ "$tables" -gt 0 ]; then
  echo "dumping $PGDATABASE ($tables tables) before its schema is applied"
  pg_dump --format=custom --file "$BACKUPS/.partial"
  mv "$BACKUPS/.partial" "$BACKUPS/before-schema-$SCHEMA_DIGEST.dump"
fi
if [ -n "${SCHEMA:-}" ]; then
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --single-transaction --file "$SCHEMA"
fi
echo "the schema of $PGDATABASE is in place"

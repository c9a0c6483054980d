# Brings the database up to its schema. Running it again changes nothing: the schema says IF NOT EXISTS throughout.
set -eu
# The first process of a container ends on a signal only if it says so.
trap 'exit 143' TERM
PGPASSWORD="$(cat "$PASSWORD_FILE")"
export PGPASSWORD
until pg_isready --quiet; do
  echo "waiting for $PGHOST:$PGPORT"
  sleep 2
done
tables="$(psql --no-psqlrc --quiet --tuples-only --no-align --command \
  "select count(*) from information_schema.tables where table_schema not in ('information_schema', 'pg_catalog')")"
if [ "$tables" -gt 0 ]; then
  echo "dumping $PGDATABASE ($tables tables) before its schema is applied"
  # Not the name that the scheduled dump uses, which may run at the same time.
  pg_dump --format=custom --file "$BACKUPS/.before-schema.partial"
  mv "$BACKUPS/.before-schema.partial" "$BACKUPS/before-schema-$SCHEMA_DIGEST.dump"
  # shellcheck disable=SC2012 # The names are ours: digests, without spaces.
  ls -t "$BACKUPS"/before-schema-*.dump | tail -n +4 | while read -r old; do rm "$old"; done
fi
if [ -n "${SCHEMA:-}" ]; then
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --single-transaction --file "$SCHEMA"
fi
if [ -n "${METRICS_ROLE:-}" ]; then
  # PostgreSQL takes an empty password, too: nobody can log in with it, and psql goes on if a file is missing.
  if [ -z "$(cat "$METRICS_PASSWORD_FILE")" ]; then
    echo "there is no password in $METRICS_PASSWORD_FILE" >&2
    exit 1
  fi
  # It may read statistics, and no table. The password goes through no command line.
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set role="$METRICS_ROLE" <<'SQL'
\set given `cat "$METRICS_PASSWORD_FILE"`
select format('create role %I', :'role') where not exists (select from pg_roles where rolname = :'role') \gexec
alter role :"role" login password :'given';
grant pg_monitor to :"role";
SQL
fi
echo "the schema of $PGDATABASE is in place"

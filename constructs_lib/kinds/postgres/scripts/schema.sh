# Brings the server up to its roles, and the database up to its schema. Running it again changes nothing: the schema
# says IF NOT EXISTS throughout, and every password becomes the one of its Secret.
set -eu
# The first process of a container ends on a signal only if it says so.
trap 'exit 143' TERM
# A text that is cut off ends no transaction, so that each one below says itself when it ends.
role="$PGUSER"
temporary=role_conversion
# PostgreSQL takes an empty password, too: nobody can log in with it, and psql goes on if a file is missing.
for file in "$PASSWORD_FILE" "$SUPERUSER_PASSWORD_FILE" ${METRICS_PASSWORD_FILE:+"$METRICS_PASSWORD_FILE"}; do
  if [ -z "$(cat "$file")" ]; then
    echo "there is no password in $file" >&2
    exit 1
  fi
done
until pg_isready --quiet; do
  echo "waiting for $PGHOST:$PGPORT"
  sleep 2
done

log_in_as() {
  PGUSER="$1"
  PGPASSWORD="$(cat "$2")"
  export PGUSER PGPASSWORD
}
# Passwords go through no command line.
sql() {
  PGOPTIONS="--client-min-messages=warning" psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set role="$role" \
    --set superuser="$SUPERUSER" --set temporary="$temporary" "$@"
}

# The role of the clients may log in to its database, and owns the schema "public" there.
roles() {
  cat <<'SQL'
\set given `cat "$PASSWORD_FILE"`
select format('create role %I', :'role') where not exists (select from pg_roles where rolname = :'role') \gexec
alter role :"role" nosuperuser nocreatedb nocreaterole noreplication nobypassrls login password :'given';
revoke all on database :"DBNAME", postgres, template1 from public;
revoke all on database :"DBNAME" from :"role";
grant connect, temporary on database :"DBNAME" to :"role";
create schema if not exists public;
alter schema public owner to :"role";
revoke create on schema public from public;
SQL
}

# What belongs to the first superuser, and neither to PostgreSQL itself nor to an extension. What goes with a table, as
# its own sequences do, changes hands with it. Event triggers, publications, subscriptions, and servers of foreign data
# stay with a superuser.
belongings() {
  cat <<'SQL'
with owned (class, id) as (
  select 'pg_class'::regclass, oid from pg_class relation
  where relowner = 10 and relkind in ('r', 'p', 'v', 'm', 'f', 'S') and not exists (
    select from pg_depend
    where classid = 'pg_class'::regclass and objid = relation.oid and relkind = 'S'
      and refclassid = 'pg_class'::regclass and deptype in ('a', 'i'))
  union all select 'pg_proc'::regclass, oid from pg_proc where proowner = 10
  union all select 'pg_type'::regclass, oid from pg_type type
  where typowner = 10 and typtype in ('b', 'c', 'd', 'e', 'r')
    and not exists (select from pg_type element where element.typarray = type.oid)
    and not exists (select from pg_class where oid = typrelid and relkind <> 'c')
  union all select 'pg_namespace'::regclass, oid from pg_namespace where nspowner = 10
  union all select 'pg_operator'::regclass, oid from pg_operator where oprowner = 10
  union all select 'pg_opfamily'::regclass, oid from pg_opfamily where opfowner = 10
  union all select 'pg_opclass'::regclass, oid from pg_opclass where opcowner = 10
  union all select 'pg_collation'::regclass, oid from pg_collation where collowner = 10
  union all select 'pg_conversion'::regclass, oid from pg_conversion where conowner = 10
  union all select 'pg_ts_config'::regclass, oid from pg_ts_config where cfgowner = 10
  union all select 'pg_ts_dict'::regclass, oid from pg_ts_dict where dictowner = 10
  union all select 'pg_statistic_ext'::regclass, oid from pg_statistic_ext where stxowner = 10
  union all select 'pg_largeobject'::regclass, oid from pg_largeobject_metadata where lomowner = 10
)
select format('alter %s %s owner to %I', case type when 'statistics object' then 'statistics'
  when 'composite type' then 'type' else type end, identity, :'role')
from owned, pg_identify_object(class, id, 0)
-- The numbers below are those of objects that initdb makes, but a large object may have any; and of what is temporary,
-- each session sees to its own.
where (id >= 16384 or class = 'pg_largeobject'::regclass) and coalesce(schema, name, '') !~ '^pg_(toast|temp)' and not exists (
  select from pg_depend where classid = class and objid = id and deptype = 'e') \gexec
SQL
}

log_in_as "$SUPERUSER" "$SUPERUSER_PASSWORD_FILE"
if ! answer="$(sql --command 'select' 2>&1)"; then
  # Older versions of this Job had one login: what the clients use was the server's first superuser, which PostgreSQL
  # lets lose that status no more. So it becomes the superuser, and the clients get a role of the same name. Nobody
  # can rename itself: a third role does that, in one transaction.
  echo "$SUPERUSER cannot log in: $answer"
  log_in_as "$role" "$PASSWORD_FILE"
  if [ "$(sql --tuples-only --no-align --command "select oid from pg_roles where rolname = current_user")" != 10 ]; then
    echo "neither can the superuser of before: the password of $SUPERUSER is not the one in its Secret" >&2
    exit 1
  fi
  echo "$role becomes a role of its own, which owns what is in $PGDATABASE"
  sql <<'SQL'
\set given `cat "$SUPERUSER_PASSWORD_FILE"`
select format('create role %I', :'temporary') where not exists (select from pg_roles where rolname = :'temporary')
\gexec
alter role :"temporary" superuser login password :'given';
SQL
  log_in_as "$temporary" "$SUPERUSER_PASSWORD_FILE"
  {
    cat <<'SQL'
begin;
\set given `cat "$SUPERUSER_PASSWORD_FILE"`
alter role :"role" rename to :"superuser";
alter role :"superuser" password :'given';
SQL
    roles
    belongings
    echo 'commit;'
  } | sql
  log_in_as "$SUPERUSER" "$SUPERUSER_PASSWORD_FILE"
fi
# Sessions from before are those of a superuser still; their programs connect anew.
sql --output=/dev/null <<'SQL'
select pg_terminate_backend(pid) from pg_stat_activity
where usesysid = 10 and pid <> pg_backend_pid() and exists (select from pg_roles where rolname = :'temporary');
drop role if exists :"temporary";
SQL
{
  echo 'begin;'
  roles
  echo 'commit;'
} | sql

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
  # As the role of the clients, which owns what it makes. Only here, and seen by nobody else, may it make schemas.
  sql --set schema="$SCHEMA" <<'SQL'
begin;
grant create on database :"DBNAME" to :"role";
set session authorization :"role";
\i :schema
reset session authorization;
revoke create on database :"DBNAME" from :"role";
commit;
SQL
fi
if [ -n "${METRICS_ROLE:-}" ]; then
  # It may read statistics, and no table.
  sql --set metrics="$METRICS_ROLE" <<'SQL'
\set given `cat "$METRICS_PASSWORD_FILE"`
select format('create role %I', :'metrics') where not exists (select from pg_roles where rolname = :'metrics') \gexec
alter role :"metrics" login password :'given';
grant pg_monitor to :"metrics";
grant connect on database :"DBNAME" to :"metrics";
SQL
fi
echo "the schema of $PGDATABASE is in place"

# Puts the database back to what a save has of it, all of it or nothing. What is there now is dumped before.
set -eu
# The first process of a container ends on a signal only if it says so.
trap 'exit 143' TERM
PGPASSWORD="$(cat "$PASSWORD_FILE")"
export PGPASSWORD
until pg_isready --quiet; do
  echo "waiting for $PGHOST:$PGPORT"
  sleep 2
done
dump="$(find "$FETCHED" -name "*.dump" -type f)"
# The extensions stay: it takes more rights to make one than to use it.
pg_restore --list "$dump" | grep -v " COMMENT - EXTENSION " > "$FETCHED/list"
pg_restore --use-list "$FETCHED/list" --no-owner --file "$FETCHED/restored.sql" "$dump"
cat > "$FETCHED/emptied.sql" <<'SQL'
set client_min_messages = warning;
-- Schemas but those of PostgreSQL and of extensions, then what is in those; what an extension made is its own.
with kept as (
  select oid, nspname from pg_namespace
  where nspname !~ '^pg_' and nspname <> 'information_schema'
), shared as (
  select * from kept
  where nspname = 'public' or oid in (select extnamespace from pg_extension)
), made as (
  select classid, objid from pg_depend where deptype = 'e'
)
select 'drop schema if exists ' || quote_ident(nspname) || ' cascade'
  from kept where oid not in (select oid from shared)
union all
select format('drop %s if exists %I.%I cascade',
    case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
      when 'f' then 'foreign table' else 'table' end, nspname, relname)
  from pg_class join shared on shared.oid = relnamespace
  where relkind in ('r', 'p', 'v', 'm', 'S', 'f') and ('pg_class'::regclass, pg_class.oid) not in (select * from made)
union all
select format('drop routine if exists %s cascade', pg_proc.oid::regprocedure)
  from pg_proc join shared on shared.oid = pronamespace
  where ('pg_proc'::regclass, pg_proc.oid) not in (select * from made)
union all
select format('drop type if exists %I.%I cascade', nspname, typname)
  from pg_type join shared on shared.oid = typnamespace
  where typtype in ('d', 'e', 'r') and ('pg_type'::regclass, pg_type.oid) not in (select * from made)
\gexec
SQL
before="before-restore-$(date -u +%Y%m%dT%H%M%SZ).dump"
pg_dump --format=custom --file "$BACKUPS/.before-restore.partial"
mv "$BACKUPS/.before-restore.partial" "$BACKUPS/$before"
echo "wrote $before, which is what is replaced"
# As the role of the clients, which owns what it makes. Only here, and seen by nobody else, may it make schemas.
role="$PGUSER"
PGUSER="$SUPERUSER"
PGPASSWORD="$(cat "$SUPERUSER_PASSWORD_FILE")"
export PGUSER PGPASSWORD
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set role="$role" --set fetched="$FETCHED" --output /dev/null <<'SQL'
\set emptied :fetched /emptied.sql
\set restored :fetched /restored.sql
begin;
grant create on database :"DBNAME" to :"role";
set session authorization :"role";
\i :emptied
\i :restored
reset session authorization;
revoke create on database :"DBNAME" from :"role";
commit;
SQL
echo "restored $PGDATABASE from $(basename "$dump")"

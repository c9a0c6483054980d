# Dumps the database to the backup volume and keeps the newest dumps. Restore with pg_restore --clean --if-exists.
set -eu
PGPASSWORD="$(cat "$PASSWORD_FILE")"
export PGPASSWORD
pg_dump --format=custom --file "$BACKUPS/.scheduled.partial"
name="$PGDATABASE-$(date -u +%Y%m%dT%H%M%SZ).dump"
mv "$BACKUPS/.scheduled.partial" "$BACKUPS/$name"
echo "wrote $name ($(wc -c < "$BACKUPS/$name") bytes)"
# The time is part of the name, so the order of the names is the order of the dumps.
count=0
for dump in $(find "$BACKUPS" -maxdepth 1 -name "$PGDATABASE-[0-9]*.dump" | sort -r); do
  count=$((count + 1))
  if [ "$count" -gt "$KEEP" ]; then
    rm "$dump"
    echo "removed $(basename "$dump")"
  fi
done

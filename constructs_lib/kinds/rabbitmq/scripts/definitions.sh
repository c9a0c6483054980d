# Writes the users that the broker has, each with the password of its Secret, and what they may do.
escaped() {
  if [ -z "$(cat "$1")" ]; then
    echo "there is no password in $1" >&2
    return 1
  fi
  sed 's/\\/\\\\/g; s/"/\\"/g' "$1"
}
definitions() {
  password="$(escaped "$SECRETS/$PASSWORD_KEY")"
  printf '{"vhosts": [{"name": "/"}],\n"users": [{"name": "%s", "password": "%s", "tags": "%s"}' \
    "$USERNAME" "$password" "$TAGS"
  while read -r user key; do
    password="$(escaped "$SECRETS/$key")"
    printf ',\n{"name": "%s", "password": "%s", "tags": ""}' "$user" "$password"
  done < "$USERS/users"
  printf '],\n"permissions": %s}\n' "$(cat "$USERS/permissions.json")"
}

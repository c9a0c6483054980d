# The root file system is read-only: the configuration is copied to a volume, with authentication turned on.
set -eu
cp -R /etc/cassandra/. /conf/
# The last of two equal keys counts, whichever form the image's own file uses, and whether or not it ends its last line.
{
  echo
  cat "$OVERRIDES"
} >> /conf/cassandra.yaml

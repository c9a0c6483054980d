"""The kind traefik."""

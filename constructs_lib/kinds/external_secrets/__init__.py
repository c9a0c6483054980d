"""The kind external_secrets."""

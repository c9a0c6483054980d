"""The kind monitoring."""

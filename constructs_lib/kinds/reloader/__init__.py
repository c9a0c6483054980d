"""The kind reloader."""

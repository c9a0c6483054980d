"""The kind gateway."""

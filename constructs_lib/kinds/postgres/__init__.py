"""The kind postgres."""

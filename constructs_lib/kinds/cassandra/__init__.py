"""The kind cassandra."""

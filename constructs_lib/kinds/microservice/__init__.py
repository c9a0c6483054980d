"""The kind microservice."""

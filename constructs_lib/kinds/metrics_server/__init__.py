"""The kind metrics_server."""

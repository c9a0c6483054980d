"""The kind cert_manager."""

"""The kind ingress."""

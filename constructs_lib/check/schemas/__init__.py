"""Proof that the API server takes every object."""

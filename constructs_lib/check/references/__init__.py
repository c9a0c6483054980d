"""Proof that what objects refer to exists."""

"""Proof that the pods fit the nodes."""

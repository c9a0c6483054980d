"""Proof that the order of deployment can be carried out."""

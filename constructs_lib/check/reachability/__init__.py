"""Proof that declared calls get through, and no others."""

"""Proof that dashboards and rules have something to read."""

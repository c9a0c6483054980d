"""Proof that pods are what a cluster should run."""

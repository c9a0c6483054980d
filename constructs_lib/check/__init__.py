"""Proofs over a repository of manifests: what breaks deployments lies between objects, so all are read together."""

"""Publishes an environment: two commits and a push, after which Argo CD rolls out what changed, in order."""

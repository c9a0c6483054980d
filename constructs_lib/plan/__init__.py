"""Tells what Argo CD will do when one tree of manifests replaces another, and how dangerous that is."""

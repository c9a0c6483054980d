"""Tells what Argo CD will do when one tree of manifests takes the place of another, and how dangerous it is."""

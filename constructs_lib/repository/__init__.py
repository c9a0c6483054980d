"""Reads a repository of Kubernetes manifests, whoever wrote it: files, objects, and what Argo CD makes of them."""

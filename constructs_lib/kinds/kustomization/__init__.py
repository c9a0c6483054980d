"""The kind kustomization."""

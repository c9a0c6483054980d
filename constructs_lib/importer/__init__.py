"""What others have becomes a declaration: Compose files, manifests, rendered charts."""

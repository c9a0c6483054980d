"""Parts of Kubernetes objects that constructs share."""

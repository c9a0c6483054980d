"""How Argo CD addresses charts in OCI registries.

As ``IsHelmOciRepo`` in ``util/helm/client.go`` and ``IsOCI`` in ``pkg/apis/application/v1alpha1/types.go`` of Argo CD
3.6 decide.
"""

#: What addresses of registries begin with; for Argo CD, those of whole artifacts.
OCI = "oci://"


def registry(repository: str) -> str:
    """Return the address of a registry without its scheme: so Argo CD knows the repository of a chart in one."""
    return repository.removeprefix(OCI).rstrip("/")

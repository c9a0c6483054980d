"""Where each file lies in the repository, and which of them the generator owns."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from constructs_lib.kubernetes.manifest import Manifest

#: Not ``.auto.tfvars.json``: Terraform would load those of all environments at once.
INPUTS = "bootstrap/{module}/{environment}.tfvars.json"
K3D_CONFIG = "bootstrap/k3d/{environment}.yaml"


def project_file(environment: str, project: Manifest) -> str:
    """Return the path of an AppProject."""
    return f"argocd/{environment}/AppProject-{project['metadata']['name']}.yaml"


def application_file(environment: str, component: str) -> str:
    """Return the path of a component's Application."""
    return f"argocd/{environment}/Application-{component}.yaml"


def file_name(manifest: Manifest, namespace: str) -> str:
    """Return the name of an object's file; one outside of the component's namespace carries its own."""
    metadata = manifest["metadata"]
    other = metadata.get("namespace", namespace)
    suffix = "" if other == namespace else f".{other}"
    return f"{manifest['kind']}-{metadata['name'].replace(':', '-')}{suffix}.yaml"


def is_owned(path: str, owned: Iterable[str]) -> bool:
    """Tell whether a path is among what :func:`owned_paths` returned."""
    return any(path.startswith(part) if part.endswith("/") else fnmatchcase(path, part) for part in owned)


def owned_paths(environments: Iterable[str] | None = None) -> list[str]:
    """Return what the generator owns in the repository: folders (with a slash at the end) and patterns of files.

    By default that is everything, so that an environment that is no longer declared is removed.
    """
    folders, names = ["dist/", "argocd/"], ["*"]
    if environments is not None:
        names = list(environments)
        folders = [f"{folder}{name}/" for name in names for folder in folders]
    bootstrap = (INPUTS.replace("{module}", "argocd"), INPUTS.replace("{module}", "cluster"), K3D_CONFIG)
    return [*folders, *(path.format(environment=name) for name in names for path in bootstrap)]

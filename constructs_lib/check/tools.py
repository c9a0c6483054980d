"""What tools such as Kustomize, Flux and Helm change in a tree before it is deployed.

Without Applications, which would name the tool of a folder, the files themselves tell that one is used.
"""

from pathlib import PurePosixPath

from constructs_lib.check.model import ClusterModel

_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml")
#: The beginning of what tools replace: Flux and envsubst the first, Helm and Jinja the second.
_PLACEHOLDERS = ("${", "{{")


def patched(model: ClusterModel) -> frozenset[int]:
    """Return the ids of the manifests in which Kustomize may add what is missing."""
    if model.has_applications:
        kustomized = (known for known in model.all_applications if any(it.tool == "Kustomize" for it in known.sources))
        tools = set(map(id, kustomized))
        return frozenset(id(item.manifest) for application, item in model.deployed if id(application) in tools)
    folders = model.whole.once(_kustomized)
    items = (item for item in model.objects if not folders.isdisjoint(PurePosixPath(item.path).parents))
    return frozenset(id(item.manifest) for item in items) if folders else frozenset()


def _kustomized(model: ClusterModel) -> frozenset[PurePosixPath]:
    paths = map(PurePosixPath, model.snapshot.files)
    return frozenset(path.parent for path in paths if path.name in _KUSTOMIZATIONS)


def templates(model: ClusterModel) -> frozenset[str]:
    """Return the files that are templates of YAML."""
    files = {} if model.has_applications else model.snapshot.files
    return frozenset(path for path, content in files.items() if b"{{" in content)


def is_placeholder(text: str) -> bool:
    """Tell whether a text contains something that a tool replaces."""
    return any(placeholder in text for placeholder in _PLACEHOLDERS)

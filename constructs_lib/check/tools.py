"""What tools such as Kustomize, Flux and Helm change in a tree before it is deployed."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from constructs_lib.check.model import ClusterModel
from constructs_lib.repository.applications import ALL_OBJECTS

_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml")
#: The beginning of what tools replace: Flux and envsubst the first, Helm and Jinja the second.
_PLACEHOLDERS = ("${", "{{")


def patched(model: ClusterModel) -> frozenset[int]:
    """Return the ids of the manifests in which Kustomize may add what is missing."""
    found: set[int] = set()
    for application in model.all_applications:
        # Without Applications, a kustomization is used if it is there.
        folders = _folders(application.files, _KUSTOMIZATIONS) if application.name == ALL_OBJECTS else set()
        if folders or any(source.tool == "Kustomize" for source in application.sources):
            for other, item in model.deployed:
                if other is application and (not folders or not folders.isdisjoint(_above(item.path))):
                    found.add(id(item.manifest))
    return frozenset(found)


def templates(model: ClusterModel) -> frozenset[str]:
    """Return the files that are templates of YAML, in a tree without Applications, which would name the tool."""
    return frozenset(
        path
        for application in model.all_applications
        if application.name == ALL_OBJECTS
        for path, content in application.files.items()
        if b"{{" in content
    )


def is_placeholder(text: str) -> bool:
    """Tell whether a text contains something that a tool replaces."""
    return any(placeholder in text for placeholder in _PLACEHOLDERS)


def _folders(paths: Iterable[str], names: tuple[str, ...]) -> set[str]:
    return {posixpath.dirname(path) for path in paths if posixpath.basename(path) in names}


def _above(path: str) -> Iterator[str]:
    while path:
        path = posixpath.dirname(path)
        yield path

"""What an AppProject permits.

Facts from https://github.com/argoproj/argo-cd/blob/master/pkg/apis/application/v1alpha1/app_project_types.go
(``IsResourcePermitted``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from constructs_lib.argocd.objects import Object, mapping, sequence
from constructs_lib.repository.applications import glob

_HERE = {"server": "https://kubernetes.default.svc", "name": "in-cluster"}


def permits(project: Object, item: Object, destination: Mapping[str, Any]) -> bool:
    """Tell whether a project permits an object.

    Args:
        project: The AppProject.
        item: The object.
        destination: Where its Application deploys. A cluster that is named in another way than in the project is
            taken for one that the project permits.
    """
    scope = "namespaceResource" if item.namespace else "clusterResource"
    allowed, denied = project.spec.get(f"{scope}Whitelist"), project.spec.get(f"{scope}Blacklist")
    if allowed is None:
        if not item.namespace:
            return False
    elif not _listed(item, allowed):
        return False
    if _listed(item, denied):
        return False
    return not item.namespace or _reaches(project, item.namespace, destination)


def _listed(item: Object, entries: object) -> bool:
    return any(
        _matches(entry.get("group", ""), item.group)
        and _matches(entry.get("kind", ""), item.kind)
        and (not entry.get("name") or _matches(entry["name"], item.name))
        for entry in map(mapping, sequence(entries))
    )


def _reaches(project: Object, namespace: str, destination: Mapping[str, Any]) -> bool:
    cluster = {key: str(destination[key]) for key in ("server", "name") if destination.get(key)}
    if any(cluster.get(key) == value for key, value in _HERE.items()):
        cluster = _HERE
    found = False
    for entry in map(mapping, sequence(project.spec.get("destinations"))):
        there = [_matches(entry[key], cluster[key]) if key in cluster else True for key in _HERE if entry.get(key)]
        here = _matches(entry.get("namespace", ""), namespace)
        if any(there) and here:
            found = True
        elif any(there) and str(entry.get("namespace", "")).startswith("!"):
            return False
    return found


def _matches(pattern: object, text: str) -> bool:
    pattern = str(pattern)
    if pattern.startswith("!"):
        return not glob(pattern[1:]).fullmatch(text)
    return bool(glob(pattern).fullmatch(text))

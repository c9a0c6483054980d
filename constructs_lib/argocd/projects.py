"""What an AppProject permits: repositories, destinations and kinds.

As https://github.com/argoproj/argo-cd/blob/master/pkg/apis/application/v1alpha1/app_project_types.go decides
(``IsSourcePermitted``, ``isDestinationMatched``, ``IsGroupKindNamePermitted``), with ``NormalizeGitURL`` of
``util/git/git.go``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from constructs_lib.argocd.destination import HERE
from constructs_lib.argocd.globs import glob, path_match
from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import entries, mapping, sequence

GROUP = "argoproj.io"
#: Kinds that the library writes into namespaces. A project permits all of them in the component's own namespace, used
#: or not: if a kind left the project together with its last object, Argo CD would refuse to prune that object.
GIVEN_KINDS = {
    "": ("ConfigMap", "PersistentVolumeClaim", "Service", "ServiceAccount"),
    "apps": ("DaemonSet", "Deployment", "StatefulSet"),
    "autoscaling": ("HorizontalPodAutoscaler",),
    "batch": ("CronJob", "Job"),
    "cilium.io": ("CiliumNetworkPolicy",),
    "external-secrets.io": ("ExternalSecret", "SecretStore"),
    "networking.k8s.io": ("NetworkPolicy",),
    "policy": ("PodDisruptionBudget",),
    "rbac.authorization.k8s.io": ("Role", "RoleBinding"),
}
_SSH = re.compile(r"(ssh://)?[^/:]*@[^@]+")
_KEPT_IN_PATHS = "-_.~$&+,/:;=@"
_VALID_PATH = re.compile(r"[\w.~$&+,/:;=@!'()*\[\]%?#-]*", re.ASCII)
#: What is in no plain pattern.
_SPECIAL = re.compile(r"[]*?{}\\[!]")


class Project:
    """What an AppProject permits, such that asking takes no longer the more it lists."""

    def __init__(self, item: Object) -> None:
        """Read the AppProject."""
        self.item = item
        self.name = item.name
        self._repositories = [
            f"!{repository_name(text[1:])}" if text.startswith("!") else repository_name(text)
            for text in map(str, sequence(item.spec.get("sourceRepos")))
        ]
        self._destinations = [
            {key: str(entry.get(key) or "") for key in ("server", "name", "namespace")}
            for entry in map(mapping, sequence(item.spec.get("destinations")))
        ]
        self._clusters: dict[tuple[str, str], _Namespaces] = {}
        self._kinds = {
            field: None
            if item.spec.get(field) is None
            else _Kinds(item.spec[field], by_name=field.startswith("cluster"))
            for scope in ("cluster", "namespace")
            for field in (f"{scope}ResourceWhitelist", f"{scope}ResourceBlacklist")
        }

    def permits_repository(self, address: str) -> bool:
        """Tell whether it permits a repository."""
        name = repository_name(address)
        found = {pattern: _matches(pattern, name, "/") for pattern in self._repositories}
        return any(found.values()) and all(fits or not pattern.startswith("!") for pattern, fits in found.items())

    def permits_applications_of(self, namespace: str) -> bool:
        """Tell whether Applications of a namespace may name it: that of its own, and those that it lists.

        ``IsAppNamespacePermitted``. An entry between slashes is a regular expression, which is taken to fit. What names
        no namespace may be in any.
        """
        if not namespace or not self.item.namespace or namespace == self.item.namespace:
            return True
        listed = map(str, sequence(self.item.spec.get("sourceNamespaces")))
        return any(text.startswith("/") or glob(text, namespace) for text in listed)

    def permits(self, item: Object, destination: Mapping[str, Any]) -> bool:
        """Tell whether it permits an object."""
        return self.permits_kind(item) and (not item.namespace or self.permits_namespace(item.namespace, destination))

    def permits_kind(self, item: Object) -> bool:
        """Tell whether it permits the kind of an object: without lists, all that have a namespace and no others."""
        scope = "namespace" if item.namespace else "cluster"
        allowed, denied = self._kinds[f"{scope}ResourceWhitelist"], self._kinds[f"{scope}ResourceBlacklist"]
        permitted = item in allowed if allowed is not None else bool(item.namespace)
        return permitted and (denied is None or item not in denied)

    def permits_namespace(self, namespace: str, destination: Mapping[str, Any]) -> bool:
        """Tell whether it permits a namespace in the cluster of a destination.

        A cluster has a name and an address, and a destination tells one of them. Where the project lists the other,
        nobody can tell from a repository whether it is the same cluster: it is taken for the same.
        """
        return self._namespaces(destination).permit(namespace)

    def namespaces(self, destination: Mapping[str, Any]) -> list[str]:
        """Return the namespaces that it lists for the cluster of a destination."""
        return self._namespaces(destination).listed

    def others(self, homes: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
        """Yield where it lists namespaces of others, as a path in it, each with the first of these.

        Args:
            homes: The destinations of others, by their namespace.
        """
        for at, entry in entries(self.item.spec.get("destinations"), "spec.destinations"):
            pattern = str(entry.get("namespace") or "")
            # Everything at once is another matter.
            listed = [] if pattern == "*" else sorted(homes) if _SPECIAL.search(pattern) else [pattern]
            fits = (each for each in listed if each in homes and _matches(pattern, each))
            if found := next((each for each in fits if self.permits_namespace(each, homes[each])), None):
                yield f"{at}.namespace", found

    def _namespaces(self, destination: Mapping[str, Any]) -> _Namespaces:
        key = str(destination.get("server") or ""), str(destination.get("name") or "")
        if key not in self._clusters:
            is_here = key == ("", "") or key[0] == HERE["server"] or (not key[0] and key[1] == HERE["name"])
            cluster = HERE if is_here else dict(zip(("server", "name"), key, strict=True))
            self._clusters[key] = _Namespaces(self._destinations, cluster)
        return self._clusters[key]


class _Namespaces:
    """The namespaces that a project permits in one cluster."""

    def __init__(self, destinations: Sequence[Mapping[str, str]], cluster: Mapping[str, str]) -> None:
        self._entries = [
            (entry, _is_cluster(entry["server"], cluster["server"]), _is_cluster(entry["name"], cluster["name"]))
            for entry in destinations
        ]
        self.listed = [entry["namespace"] for entry, by_server, by_name in self._entries if by_server or by_name]
        refuses = any(text.startswith("!") for entry in destinations for text in entry.values())
        self._plain = frozenset(text for text in self.listed if not refuses and not _SPECIAL.search(text))

    def permit(self, namespace: str) -> bool:
        """Tell whether it permits one of them."""
        if namespace in self._plain:
            return True
        found = False
        for entry, by_server, by_name in self._entries:
            fits = _matches(entry["namespace"], namespace)
            refuses = {key for key, pattern in entry.items() if pattern.startswith("!")}
            if (by_server or by_name) and fits:
                found = True
            elif (
                ("name" in refuses and not by_name)
                or ("server" in refuses and not by_server and fits)
                or ("namespace" in refuses and by_server and not fits)
            ):
                return False
        return found


class _Kinds:
    """A list of kinds, with or without names."""

    def __init__(self, entries: object, *, by_name: bool) -> None:
        self._plain: set[tuple[str, str, str]] = set()
        self._others: list[tuple[str, str, str]] = []
        for entry in map(mapping, sequence(entries)):
            group, kind, name = (str(entry.get(key) or "") for key in ("group", "kind", "name"))
            listed = group, kind, name if by_name else ""
            if any(map(_SPECIAL.search, listed)):
                self._others.append(listed)
            else:
                self._plain.add(listed)

    def __contains__(self, item: Object) -> bool:
        own = item.group, item.kind
        return not self._plain.isdisjoint(((*own, ""), (*own, item.name))) or any(
            path_match(group, item.group) and path_match(kind, item.kind) and (not name or path_match(name, item.name))
            for group, kind, name in self._others
        )


def _is_cluster(pattern: str, known: str) -> bool:
    """Tell whether a pattern means a cluster; what is not known of the cluster may be anything that is listed."""
    return _matches(pattern, known) if known else bool(pattern)


def _matches(pattern: str, text: str, separator: str = "") -> bool:
    if pattern.startswith("!"):
        return not glob(pattern[1:], text, separator)
    return pattern == "*" or glob(pattern, text, separator)


def cluster_name(destination: object) -> str:
    """Return the cluster of a destination, by its address or its name; empty for the one in which Argo CD runs."""
    found = str(mapping(destination).get("server") or mapping(destination).get("name") or "").rstrip("/")
    return "" if found in HERE.values() else found


@lru_cache(maxsize=1024)
def repository_name(address: str) -> str:
    """Return what addresses of the same repository have in common."""
    name = address.strip().lower()
    if _SSH.fullmatch(name) and not name.startswith("ssh://"):
        name = "ssh://" + name.replace(":", "/", 1)
    scheme, separator, rest = name.removesuffix(".git").rpartition("://")
    host, slash, path = rest.partition("/")
    if not _VALID_PATH.fullmatch(path):
        # What no address may hold is escaped, and every star with it.
        path = quote(path, safe=_KEPT_IN_PATHS)
    return f"{scheme}{separator}{host}{slash}{path}".removeprefix("ssh://")

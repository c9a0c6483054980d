"""Which kinds a cluster serves, which ones older or newer clusters serve, and their schemas."""

import re
from collections.abc import Callable, Iterator
from functools import cache

from constructs_lib.argocd.objects import Object
from constructs_lib.check.bootstrap import version_number
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.schemas.faults import Fault
from constructs_lib.check.schemas.openapi import Gvk, Kubernetes, Schema, kubernetes, versions
from constructs_lib.text import closest

_NUMBER = re.compile(r"v(\d{1,9})")
#: Groups that Kubernetes had once; nobody else may have one of its names (KEP-1111 reserves k8s.io for it).
_FORMER_GROUPS = ("auditregistration.k8s.io", "extensions", "settings.k8s.io")


class Kinds:
    """The kinds of a tree: those of its version of Kubernetes, well-known ones, and those that it defines itself."""

    def __init__(self, model: ClusterModel) -> None:
        """Read the CustomResourceDefinitions of a tree."""
        self._kubernetes = kubernetes(model.cluster.kubernetes)
        self.version = self._kubernetes.version
        self._defined: dict[Gvk, Schema | None] = {}
        self._makers: dict[Gvk, Callable[[], Schema | None]] = {}
        self._served: dict[tuple[str, str], set[str]] = {}
        self._without_schema: dict[tuple[str, str], list[Object]] = {}
        deployed = [pair for pair in model.whole.deployed if pair[1].kind == "CustomResourceDefinition"]
        #: What is the same for two trees with the same kinds.
        self.key = self.version, tuple(application.files[item.path] for application, item in deployed)
        for _, definition in deployed:
            for gvk, make in self._kubernetes.defined(definition):
                self._makers[gvk] = make
                self._served.setdefault((gvk[0], gvk[2]), set()).add(gvk[1])

    def schema(self, item: Object) -> Schema | Fault | None:
        """Return the schema of an object, the fault that there is no such kind, or None if no schema is known."""
        gvk = _gvk(item)
        if gvk in self._makers and gvk not in self._defined:
            self._defined[gvk] = self._makers[gvk]()
        if schema := self._defined.get(gvk) or self._kubernetes.schema(gvk):
            return schema
        group, version, kind = gvk
        if group in self._kubernetes.groups or group in _FORMER_GROUPS:
            return self._missing(item, gvk)
        if (served := self._served.get((group, kind))) and version not in served:
            problem = f"The CustomResourceDefinition in the tree does not serve {version} of {kind}."
            fix = f"It serves {', '.join(sorted(served))}."
            return Fault("unknown-kind", "apiVersion", problem, fix)
        self._without_schema.setdefault((group, kind), []).append(item)
        return None

    def knows(self, item: Object) -> bool:
        """Tell whether there is a schema for the kind of an object, or should be one."""
        gvk = _gvk(item)
        groups = (*self._kubernetes.groups, *_FORMER_GROUPS)
        return gvk in self._makers or gvk[0] in groups or self._kubernetes.schema(gvk) is not None

    def _missing(self, item: Object, gvk: Gvk) -> Fault:
        kind = gvk[2]
        now = [_api_version(known) for known in _current(self._kubernetes, gvk)]
        name = item.manifest["apiVersion"]
        if (now or kind == "PodSecurityPolicy") and (last := _last_served(gvk, self.version)):
            problem = f"{kind} of {name} is not served since Kubernetes {last}."
            fix = f"Move to {now[0]}." if now else "Nothing replaced it."
            return Fault("removed-api-version", "apiVersion", problem, fix)
        if first := _first_served(gvk, self.version):
            problem = f"Kubernetes {self.version} has no {kind} of {name} yet."
            return Fault("unknown-kind", "apiVersion", problem, f"Kubernetes {first} has.")
        problem = f"There is no {kind} of {name}."
        if now:
            return Fault("unknown-kind", "apiVersion", problem, f"{now[0]} has it.")
        close = closest(kind, self._kubernetes.by_kind)
        fix = f"Did you mean {close} of {_api_version(self._kubernetes.by_kind[close][0])}?" if close else ""
        return Fault("unknown-kind", "kind", problem, fix)

    def deprecated(self, item: Object) -> Fault | None:
        """Return the fault that the API version of an object is deprecated, if it is."""
        gvk = group, version, kind = _gvk(item)
        problem = fix = ""
        if gvk == ("", "v1", "Endpoints") and version_number(self.version) >= (1, 33):
            problem, fix = "Endpoints are deprecated.", "Move to EndpointSlice."
        elif _is_early(version) and self._kubernetes.has(gvk):
            known = self._kubernetes.by_kind[kind]
            if stable := [other for other in known if other[0] == group and not _is_early(other[1])]:
                problem, fix = f"{version} of {kind} is deprecated.", f"Move to {_api_version(stable[0])}."
        return Fault("deprecated-api-version", "apiVersion", problem, fix) if problem else None

    def unknown(self) -> Iterator[Finding]:
        """Yield the custom kinds without a schema, each once."""
        for (group, kind), items in self._without_schema.items():
            count = f"{len(items)} objects" if len(items) > 1 else "one object"
            problem = f"No schema is known for {kind} of {group or 'no group'} ({count})."
            yield Finding.of("kind-without-schema", items[0], problem, at="kind")


def _gvk(item: Object) -> Gvk:
    return item.group, str(item.manifest["apiVersion"]).rpartition("/")[2], item.kind


def _is_early(version: str) -> bool:
    return "alpha" in version or "beta" in version


def _api_version(gvk: Gvk) -> str:
    return f"{gvk[0]}/{gvk[1]}" if gvk[0] else gvk[1]


def _current(known: Kubernetes, gvk: Gvk) -> list[Gvk]:
    """Return the versions that serve a kind: those of its own group first, stable ones before others, the newest first.

    The newest has all the fields of an older beta: what autoscaling/v2beta2 says, v1 cannot.
    """

    def rank(other: Gvk) -> tuple[bool, bool, int, Gvk]:
        number = _NUMBER.match(other[1])
        return other[0] != gvk[0], _is_early(other[1]), -int(number[1]) if number else 0, other

    return sorted(known.by_kind.get(gvk[2], ()), key=rank)


#: Versions that were removed before the oldest version of Kubernetes whose schemas are known.
#: https://kubernetes.io/docs/reference/using-api/deprecation-guide/
_REMOVED_LONG_AGO = {
    "1.16": ("extensions/v1beta1", "apps/v1beta1", "apps/v1beta2"),
    "1.22": (
        *("admissionregistration.k8s.io/v1beta1", "apiextensions.k8s.io/v1beta1", "apiregistration.k8s.io/v1beta1"),
        *("networking.k8s.io/v1beta1", "rbac.authorization.k8s.io/v1beta1", "scheduling.k8s.io/v1beta1"),
        "storage.k8s.io/v1beta1",
    ),
    "1.25": (
        "autoscaling/v2beta1",
        "batch/v1beta1",
        "policy/v1beta1",
        "discovery.k8s.io/v1beta1",
        "events.k8s.io/v1beta1",
    ),
}


@cache
def _last_served(gvk: Gvk, version: str) -> str | None:
    """Return the version of Kubernetes that removed a kind, or None if no version before the given one had it."""
    earlier = [known for known in versions() if version_number(known) < version_number(version)]
    having = [known for known in earlier if kubernetes(known).has(gvk)]
    if having:
        return next(known for known in versions() if version_number(known) > version_number(having[-1]))
    if gvk == ("extensions", "v1beta1", "Ingress"):
        return "1.22"
    return next((removed for removed, names in _REMOVED_LONG_AGO.items() if _api_version(gvk) in names), None)


@cache
def _first_served(gvk: Gvk, version: str) -> str | None:
    """Return the first version of Kubernetes after the given one that has a kind, or None."""
    later = (known for known in versions() if version_number(known) > version_number(version))
    return next((known for known in later if kubernetes(known).has(gvk)), None)

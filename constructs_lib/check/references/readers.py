"""Who may read or make ConfigMaps and Secrets in other ways than by a reference in a pod."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from constructs_lib.check.model import ClusterModel
from constructs_lib.check.routes import GATEWAY
from constructs_lib.kubernetes.accounts import ROLES
from constructs_lib.kubernetes.manifest import inner, mappings, sequence, texts_in

_RESOURCES = {"ConfigMap": "configmaps", "Secret": "secrets"}
READING, MAKING = frozenset({"get", "list", "watch"}), frozenset({"create", "patch", "update"})
#: Custom resources that make Secrets and name what they make.
_MAKERS = frozenset({"ExternalSecret", "SealedSecret", "Certificate"})


class OtherReaders:
    """What Roles let programs do by the API, and what custom resources name for their operators."""

    def __init__(self, model: ClusterModel) -> None:
        """Read the Roles and the custom resources of a tree."""
        self._rules: Mapping[tuple[str, str], list[tuple[set[str], set[str]]]] = defaultdict(list)
        for role in model.kind(*ROLES):
            for rule in mappings(role.manifest.get("rules")):
                verbs, names = (set(map(str, sequence(rule.get(field)))) for field in ("verbs", "resourceNames"))
                for resource in map(str, sequence(rule.get("resources"))):
                    self._rules[role.namespace, resource].append((verbs, names))
        self._named: Mapping[str, set[str]] = defaultdict(set)
        for item in model.objects:
            is_custom = "." in item.group and not item.group.endswith(".k8s.io") and item.kind not in _MAKERS
            if is_custom or item.group == GATEWAY:
                self._named[item.namespace].update(texts_in(item.spec))
            # A Gateway may have the certificates of other namespaces, if these permit it.
            for listener in mappings(item.spec.get("listeners")) if item.group == GATEWAY else ():
                for entry in mappings(inner(listener, "tls", "certificateRefs")):
                    self._named[str(entry.get("namespace") or item.namespace)].add(str(entry.get("name")))

    def may(self, verbs: Collection[str], kind: str, namespace: str, name: str, *, by_name: bool = False) -> bool:
        """Tell whether a Role lets somebody do one of some things with an object; with ``by_name``, with few others."""
        return any(
            ("*" in allowed or not allowed.isdisjoint(verbs)) and (name in names if names or by_name else True)
            for scope in (namespace, "")
            for resource in (_RESOURCES[kind], "*")
            for allowed, names in self._rules.get((scope, resource), ())
        )

    def names(self, namespace: str, name: str) -> bool:
        """Tell whether a custom resource names an object, for its operator."""
        return name in self._named.get(namespace, ())

"""What pods refer to by name: ConfigMaps, Secrets, claims, their ServiceAccount."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from constructs_lib.check.model import Pods
from constructs_lib.kubernetes.manifest import entries, inner, mapping, mappings


@dataclass(frozen=True)
class Reference:
    """A ConfigMap or Secret that pods read.

    Attributes:
        kind: ``ConfigMap`` or ``Secret``.
        name: Its name.
        at: The field that names it.
        key: The key that is read; None for all of them.
        optional: Whether the pods start without it.
    """

    kind: str
    name: str
    at: str
    key: str | None = None
    optional: bool = False


def references(pods: Pods) -> Iterator[Reference]:
    """Yield the ConfigMaps and Secrets that pods read, as variables, as volumes and to pull their images."""
    for path, container in pods.containers:
        for variable in mappings(container.get("env")):
            for field, source in _sources(variable.get("valueFrom"), ("configMapKeyRef", "secretKeyRef")):
                at = f"{path}.env[{variable.get('name')}].valueFrom.{field}"
                yield _reference(field, source, at, str(source.get("key")))
        for at, variables in entries(container.get("envFrom"), f"{path}.envFrom"):
            for field, source in _sources(variables, ("configMapRef", "secretRef")):
                yield _reference(field, source, f"{at}.{field}")
    for path, volume in pods.volumes:
        yield from _of_volume(volume, path)
        for at, projected in entries(inner(volume, "projected", "sources"), f"{path}.projected.sources"):
            yield from _of_volume(projected, at)
    for at, entry in entries(pods.spec.get("imagePullSecrets"), f"{pods.path}.imagePullSecrets"):
        yield Reference("Secret", str(entry.get("name")), at)


def _of_volume(volume: Mapping[str, Any], at: str) -> Iterator[Reference]:
    for field, source in _sources(volume, ("configMap", "secret")):
        keys = [*entries(source.get("items"), f"{at}.{field}.items")]
        for here, item in keys:
            yield _reference(field, source, f"{here}.key", str(item.get("key")))
        if not keys:
            yield _reference(field, source, f"{at}.{field}")


def _sources(part: object, fields: tuple[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((field, source) for field in fields if isinstance(source := mapping(part).get(field), dict))


def _reference(field: str, source: Mapping[str, Any], at: str, key: str | None = None) -> Reference:
    kind = "ConfigMap" if field.startswith("configMap") else "Secret"
    # A volume of a Secret has its name in secretName, all others in name.
    name = str(source.get("secretName", source.get("name")))
    return Reference(kind, name, at, key, optional=source.get("optional") is True)


def claim_names(pods: Pods) -> Iterator[tuple[str, str]]:
    """Yield name and field of every claim that pods mount."""
    for path, volume in pods.volumes:
        name = inner(volume, "persistentVolumeClaim", "claimName")
        if isinstance(name, str):
            yield name, f"{path}.persistentVolumeClaim.claimName"


def service_account(pods: Pods) -> str:
    """Return the name of the ServiceAccount that pods run as."""
    return str(pods.spec.get("serviceAccountName") or pods.spec.get("serviceAccount") or "default")

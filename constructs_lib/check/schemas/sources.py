"""What the API server checks in the volumes of pods, and in where variables come from.

The rules are those of ``validateVolumeSource``, ``ValidateEnv`` and ``ValidateEnvFrom`` in
https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/core/validation/validation.go.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.check.schemas.faults import Fault, Faults, quantity_faults, repeated
from constructs_lib.kubernetes.manifest import entries, inner
from constructs_lib.kubernetes.names import is_config_key, is_label_key, is_subdomain
from constructs_lib.text import closest, given

#: What a pod knows of itself, as a file and as a variable.
_IN_FILES = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_IN_VARIABLES = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName"),
    *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
_ENTRY = re.compile(r"metadata\.(?:annotations|labels)\['(.+)'\]")
_RESOURCE = re.compile(r"(?:limits|requests)\.(?:cpu|memory|ephemeral-storage|hugepages-.+)")
#: A token is valid for ten minutes at least (``validateProjectionSources``), and for 2^32 seconds at most.
_LIFE = range(600, 2**32 + 1)
#: The field with the name in a part of a volume, which may not be empty.
_NAMED = {"secret": "secretName", "configMap": "name", "persistentVolumeClaim": "claimName"}


def volume_faults(volume: Mapping[str, Any], at: str) -> Faults:
    """Yield what is wrong with a volume, but for its name."""
    sources = sorted(key for key, value in volume.items() if key != "name" and value is not None)
    if len(sources) > 1:
        problem = f"The volume {volume.get('name')} is a {' and a '.join(sources)} at once."
        yield Fault("contradictory-fields", at, problem)
    limit = inner(volume, "emptyDir", "sizeLimit")
    if limit is not None:
        yield from quantity_faults("storage", limit, f"{at}.emptyDir.sizeLimit")
    for source, field in _NAMED.items():
        part = volume.get(source)
        if isinstance(part, dict) and not part.get(field):
            yield Fault("missing-field", f"{at}.{source}.{field}", f"The volume does not say of which {source} it is.")
    for source in ("secret", "configMap", "downwardAPI"):
        yield from _file_faults(volume.get(source), f"{at}.{source}", has_keys=source != "downwardAPI")
    for here, projected in entries(inner(volume, "projected", "sources"), f"{at}.projected.sources"):
        yield from _projected_faults(projected, here)
    for here, path in repeated(_paths(volume, at)):
        yield Fault("duplicate-name", here, f"Two files of the volume are called {path}.")


def _paths(volume: Mapping[str, Any], at: str) -> Iterator[tuple[str, str]]:
    """Yield the paths of files in a projected volume, with the fields that name them."""
    for here, source in entries(inner(volume, "projected", "sources"), f"{at}.projected.sources"):
        for name in ("secret", "configMap", "downwardAPI"):
            for place, item in entries(inner(source, name, "items"), f"{here}.{name}.items"):
                if path := item.get("path"):
                    yield f"{place}.path", str(path)


def _projected_faults(source: Mapping[str, Any], at: str) -> Faults:
    for name in ("secret", "configMap", "downwardAPI"):
        part = source.get(name)
        if isinstance(part, dict) and name != "downwardAPI" and not part.get("name"):
            yield Fault("missing-field", f"{at}.{name}.name", f"The volume does not say of which {name} it is.")
        yield from _file_faults(part, f"{at}.{name}", has_keys=name != "downwardAPI")
    token = source.get("serviceAccountToken")
    if isinstance(token, dict):
        yield from _path_faults(token.get("path"), f"{at}.serviceAccountToken.path")
        life = token.get("expirationSeconds")
        if isinstance(life, int) and life not in _LIFE:
            problem, fix = f"A token cannot be valid for {life} seconds.", f"At least {_LIFE[0]} are needed."
            yield Fault("bad-range", f"{at}.serviceAccountToken.expirationSeconds", problem, fix)


def _file_faults(source: object, at: str, *, has_keys: bool) -> Faults:
    """Yield what is wrong with the files of a volume."""
    for here, item in entries(inner(source, "items"), f"{at}.items"):
        yield from _path_faults(item.get("path"), f"{here}.path")
        if has_keys and not item.get("key"):
            yield Fault("missing-field", f"{here}.key", "A file does not say of which key it is.")
        references = [name for name in ("fieldRef", "resourceFieldRef") if item.get(name) is not None]
        if not has_keys and len(references) != 1:
            fix = "Give one of fieldRef and resourceFieldRef."
            yield Fault("contradictory-fields", here, "A file must come from one field.", fix)
        if isinstance(item.get("fieldRef"), dict):
            yield from _field_faults(item["fieldRef"], f"{here}.fieldRef", _IN_FILES)
        if isinstance(item.get("resourceFieldRef"), dict):
            yield from _resource_faults(item["resourceFieldRef"], f"{here}.resourceFieldRef")


def _path_faults(path: object, at: str) -> Faults:
    if not path:
        yield Fault("missing-field", at, "A file has no path in its volume.")
    elif isinstance(path, str) and (path.startswith("/") or ".." in path.split("/")):
        fix = "Give a path within the volume, without .. and no / at its beginning."
        yield Fault("bad-value", at, f'"{path}" leaves the volume.', fix)


def variable_source_faults(source: Mapping[str, Any], at: str) -> Faults:
    """Yield what is wrong with where one variable comes from."""
    for name in ("secretKeyRef", "configMapKeyRef"):
        if isinstance(part := source.get(name), dict):
            yield from named_faults(part.get("name"), f"{at}.{name}.name", name.removesuffix("KeyRef"))
            key = part.get("key")
            if not key:
                yield Fault("missing-field", f"{at}.{name}.key", "It does not say of which key.")
            elif isinstance(key, str) and not is_config_key(key):
                fix = "A key has at most 253 letters, digits, hyphens, underscores and dots."
                yield Fault("bad-name", f"{at}.{name}.key", f'"{key}" can be no key.', fix)
    if isinstance(source.get("fieldRef"), dict):
        yield from _field_faults(source["fieldRef"], f"{at}.fieldRef", _IN_VARIABLES)
    if isinstance(source.get("resourceFieldRef"), dict):
        yield from _resource_faults(source["resourceFieldRef"], f"{at}.resourceFieldRef")


def all_variables_faults(source: Mapping[str, Any], at: str) -> Faults:
    """Yield what is wrong with an entry of ``envFrom``."""
    named = [name for name in ("configMapRef", "secretRef") if source.get(name) is not None]
    if len(named) != 1:
        what = "both a ConfigMap and a Secret" if named else "nowhere"
        fix = "Give one of configMapRef and secretRef."
        yield Fault("contradictory-fields", at, f"The variables come from {what}.", fix)
    for name in named:
        yield from named_faults(inner(source, name, "name"), f"{at}.{name}.name", name.removesuffix("Ref"))


def named_faults(name: object, at: str, what: str) -> Faults:
    """Yield what is wrong with the name of another object, which must be there."""
    if name in (None, ""):
        yield Fault("missing-field", at, f"It does not say of which {what}.")
    elif isinstance(name, str):
        yield from name_faults(name, at)


def name_faults(name: object, at: str) -> Faults:
    """Yield what is wrong with the name of another object, if it is given."""
    if isinstance(name, str) and name and not is_subdomain(name):
        fix = "A name has at most 253 lower-case letters, digits, hyphens and dots."
        yield Fault("bad-name", at, f"{given(name)} can be the name of no object.", fix)


def _field_faults(reference: Mapping[str, Any], at: str, known: tuple[str, ...]) -> Faults:
    path, version = reference.get("fieldPath"), reference.get("apiVersion")
    entry = _ENTRY.fullmatch(path) if isinstance(path, str) else None
    if not path:
        yield Fault("missing-field", f"{at}.fieldPath", "It does not say which field of the pod.")
    elif isinstance(path, str) and not (is_label_key(entry[1].lower()) if entry else path in known):
        near = closest(path, known)
        fix = f"Did you mean {near}?" if near else f"It can be {', '.join(known)}, or metadata.labels['KEY']."
        yield Fault("bad-value", f"{at}.fieldPath", f"There is no field {given(path)} of a pod to read here.", fix)
    if version not in (None, "", "v1"):
        yield Fault("bad-value", f"{at}.apiVersion", f"There are no pods of {given(version)}.", "Take it away.")


def _resource_faults(reference: Mapping[str, Any], at: str) -> Faults:
    resource = reference.get("resource")
    if not resource:
        yield Fault("missing-field", f"{at}.resource", "It does not say which resource of the container.")
    elif isinstance(resource, str) and not _RESOURCE.fullmatch(resource):
        fix = "limits.cpu and requests.memory are such."
        yield Fault("bad-value", f"{at}.resource", f"{given(resource)} is no resource of a container.", fix)

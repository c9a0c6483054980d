"""Files and volumes of a program from the volumes of its pods."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from constructs_lib.importer import values
from constructs_lib.importer.code import Call, call
from constructs_lib.importer.lookups import Lookups
from constructs_lib.importer.model import Group, Imported, Program
from constructs_lib.kinds.parts.mounted import FULL_FOLDERS
from constructs_lib.kubernetes.manifest import mapping, mappings, sequence

_ACCESS = "ReadWriteOnce"


def read_volumes(
    imported: Imported, lookups: Lookups, group: Group, program: Program, pod: dict[str, Any], main: dict[str, Any]
) -> None:
    """Give a program its files and volumes, and take them out of its pods."""
    templates = {
        str(mapping(each.get("metadata")).get("name")): each
        for each in mappings(program.arguments.pop("_claims", None))
    }
    volumes = {str(each.get("name")): each for each in mappings(pod.get("volumes"))}
    mounts = mappings(main.get("volumeMounts"))
    uses = [str(each.get("name")) for each in mounts]
    files: dict[str, Any] = {}
    found: dict[str, Any] = {}
    left: list[Mapping[str, Any]] = []
    for mount in mounts:
        name, path = str(mount.get("name")), str(mount.get("mountPath")).rstrip("/") or "/"
        volume, plain = volumes.get(name, {}), not any(mount.get(key) for key in ("subPath", "subPathExpr"))
        taken = False
        if path == "/tmp" and volume.get("emptyDir") == {}:
            taken = True
        elif plain and path not in FULL_FOLDERS and uses.count(name) == 1:
            if name in templates:
                found[path], taken = _claim(templates.pop(name)), True
            elif made := _volume(lookups, group, volume, mount):
                found[path], taken = made, True
            elif (texts := _files(imported, lookups, group, program, volume, path)) is not None:
                files |= texts
                taken = True
        if taken:
            volumes.pop(name, None)
        else:
            left.append(mount)
    for volume in volumes.values():
        _keep(lookups, group.namespace, volume)
    program.arguments |= {"files": files} if files else {}
    program.arguments |= {"volumes": found} if found else {}
    for fields, key, rest in ((pod, "volumes", [*volumes.values()]), (main, "volumeMounts", left)):
        fields.pop(key, None)
        if rest:
            fields[key] = rest
    if templates:
        program.arguments["_templates"] = [*templates.values()]


def _volume(lookups: Lookups, group: Group, volume: Mapping[str, Any], mount: Mapping[str, Any]) -> Call | None:
    if "emptyDir" in volume:
        said = mapping(volume["emptyDir"])
        size = said.get("sizeLimit")
        if said.get("medium") == "Memory":
            return call("Memory", str(size)) if size else None
        return call("Empty", str(size)) if size else call("Empty")
    if "hostPath" in volume:
        group.pod_security = "privileged"
        path = str(mapping(volume["hostPath"]).get("path"))
        return call("HostPath", path) if mount.get("readOnly") else call("HostPath", path, read_only=False)
    if claim := mapping(volume.get("persistentVolumeClaim")).get("claimName"):
        manifest = lookups.claim(group.namespace, str(claim))
        return _claim(manifest) if manifest else None
    return None


def _claim(manifest: Mapping[str, Any]) -> Call:
    spec = mapping(manifest.get("spec"))
    size = mapping(mapping(spec.get("resources")).get("requests")).get("storage")
    modes = [str(each) for each in sequence(spec.get("accessModes"))]
    return call(
        "Claim",
        str(size),
        storage_class=spec.get("storageClassName"),
        access=modes[0] if modes and modes[0] != _ACCESS else None,
        name=str(mapping(manifest.get("metadata")).get("name")),
    )


def _files(
    imported: Imported, lookups: Lookups, group: Group, program: Program, volume: Mapping[str, Any], path: str
) -> dict[str, Any] | None:
    """Return the files of a ConfigMap or a Secret at a path; None if no argument says them."""
    config, secret = mapping(volume.get("configMap")), mapping(volume.get("secret"))
    items = {str(each.get("key")): str(each.get("path")) for each in mappings((config or secret).get("items"))}
    if any("/" in each for each in items.values()) or (config or secret).get("optional"):
        return None
    if config:
        data = lookups.config_map(group.namespace, str(config.get("name")))
        if not data:
            return None
        return {
            posixpath.join(path, items.get(key, key)): values.secret(
                imported, program.id, f"file {items.get(key, key)}"
            )
            if values.holds_secret_text(text)
            else values.file(imported, str(config["name"]), items.get(key, key), text)
            for key, text in data.items()
            if not items or key in items
        }
    if secret:
        keys = [*items] or lookups.secret_keys(group.namespace, str(secret.get("secretName")))
        lookups.secret_keys(group.namespace, str(secret.get("secretName")))
        if not keys:
            return None
        names = [items.get(key, key) for key in keys]
        return {posixpath.join(path, name): values.secret(imported, program.id, f"file {name}") for name in names}
    return None


def _keep(lookups: Lookups, namespace: str, volume: Mapping[str, Any]) -> None:
    """Have what a volume refers to stay as it is."""
    for kind, key, name in (
        ("ConfigMap", "configMap", "name"),
        ("Secret", "secret", "secretName"),
        ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
    ):
        if key in volume:
            lookups.keep(kind, namespace, str(mapping(volume[key]).get(name)))

"""What objects come to, so that two ways to say the same are equal: where variables, files and ports come from."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from constructs_lib.importer.lookups import main_container
from constructs_lib.kubernetes.manifest import Manifest, inner, mapping, mappings, sequence, texts

#: What ConfigMaps hold, by namespace and name.
_Data = Mapping[tuple[str, str], Mapping[str, str]]
#: Stands for the value of a secret.
SECRET = {"from": "a secret"}
_FULL = re.compile(r"\b([a-z0-9-]+)\.([a-z0-9-]+)\.svc\.cluster\.local\b")


def effective(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Return objects in which pods have their variables and files with them, and ports have numbers for names.

    Their containers are called by what they are for, because a program's container is called like the program.
    """
    objects = [copy.deepcopy(each) for each in manifests]
    data = {_place(each): texts(each.get("data")) for each in objects if each["kind"] == "ConfigMap"}
    templates = [(each, template, _pods(each, template, data)) for each in objects if (template := _template(each))]
    for each in objects:
        if each["kind"] == "Service":
            here = [
                (template, numbers) for other, template, numbers in templates if _place(other)[0] == _place(each)[0]
            ]
            _service(each, here)
        if each["kind"] == "Job":
            each["metadata"]["name"] = re.sub(r"-[0-9a-f]{10}$", "", each["metadata"]["name"])
    return objects


def _place(manifest: Manifest) -> tuple[str, str]:
    return str(manifest["metadata"].get("namespace", "")), str(manifest["metadata"]["name"])


def _template(manifest: Manifest) -> dict[str, Any] | None:
    path = ("spec", "jobTemplate", "spec", "template") if manifest["kind"] == "CronJob" else ("spec", "template")
    found = inner(manifest, *path)
    return found if isinstance(found, dict) and isinstance(inner(found, "spec", "containers"), list) else None


def _pods(owner: Manifest, template: dict[str, Any], data: _Data) -> dict[Any, Any]:
    """Change the template of some pods; return the numbers of their ports by name."""
    namespace, name = _place(owner)
    pod = template["spec"]
    volumes = {str(each.get("name")): each for each in mappings(pod.get("volumes"))}
    claims = {
        str(mapping(each.get("metadata")).get("name"))
        for each in mappings(inner(owner, "spec", "volumeClaimTemplates"))
    }
    numbers = {
        each["name"]: each.get("containerPort")
        for one in _containers(pod)
        for each in mappings(one.get("ports"))
        if each.get("name")
    }
    program = re.sub(r"-[0-9a-f]{10}$", "", name) if owner["kind"] == "Job" else name
    main_container(pod, program)["name"] = program
    for each in _containers(pod):
        env = dict(_variables(each, namespace, data))
        each.pop("envFrom", None)
        each.pop("env", None)
        if env:
            each["variables"] = {
                key: _short(value, namespace) if isinstance(value, str) else value for key, value in env.items()
            }
        if mapping(each.get("securityContext")).get("privileged") is False:
            del each["securityContext"]["privileged"]
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            for how in ("httpGet", "tcpSocket", "grpc"):
                asked = mapping(mapping(each.get(probe)).get(how))
                if asked.get("port") in numbers:
                    each[probe][how]["port"] = numbers[asked["port"]]
        if ports := mappings(each.pop("ports", None)):
            each["listens"] = {f"{one.get('containerPort')}/{one.get('protocol', 'TCP')}": True for one in ports}
        mounted = {}
        for mount in mappings(each.pop("volumeMounts", None)):
            path = str(mount.get("mountPath")).rstrip("/")
            key = str(mount.get("name"))
            if key in claims:
                mounted[path] = {"claim": "of the pod"}
            elif key in volumes:
                mounted[path] = _mounted(volumes[key], mount, namespace, data)
        if mounted:
            each["mounted"] = mounted
    pod.pop("volumes", None)
    beside = [each for each in mappings(pod.get("initContainers")) if each.get("restartPolicy") == "Always"]
    if beside:
        pod["initContainers"] = [each for each in pod["initContainers"] if each not in beside]
        pod["containers"] += [{key: value for key, value in each.items() if key != "restartPolicy"} for each in beside]
    return numbers


def _containers(pod: Mapping[str, Any]) -> Iterator[Any]:
    yield from mappings(pod.get("initContainers"))
    yield from mappings(pod.get("containers"))


def _variables(container: Mapping[str, Any], namespace: str, data: Any) -> Iterator[tuple[str, Any]]:
    for source in mappings(container.get("envFrom")):
        prefix, config = str(source.get("prefix") or ""), str(mapping(source.get("configMapRef")).get("name") or "")
        if config:
            yield from (
                (f"{prefix}{key}", value) for key, value in data.get((namespace, config), {"?": config}).items()
            )
        else:
            yield f"{prefix}*", str(mapping(source.get("secretRef")).get("name"))
    for each in mappings(container.get("env")):
        name, said = str(each.get("name")), mapping(each.get("valueFrom"))
        if "secretKeyRef" in said:
            yield name, SECRET
        elif entry := mapping(said.get("configMapKeyRef")):
            yield name, data.get((namespace, str(entry.get("name"))), {}).get(str(entry.get("key")), "?")
        else:
            yield name, dict(said) if said else str(each.get("value") or "")


def _short(text: str, namespace: str) -> str:
    """Return a text with the names of Services as their own namespace knows them."""
    return _FULL.sub(lambda match: match[1] if match[2] == namespace else f"{match[1]}.{match[2]}", text)


def _mounted(volume: Mapping[str, Any], mount: Mapping[str, Any], namespace: str, data: Any) -> Any:
    more = {key: mount[key] for key in ("subPath",) if mount.get(key)}
    if "projected" in volume:
        found: dict[str, Any] = {}
        for each in mappings(mapping(volume["projected"]).get("sources")):
            found |= _files(each.get("configMap") or each.get("secret") or {}, namespace, data, "secret" in each)
        return {"files": found, **more}
    for kind, name in (("configMap", "name"), ("secret", "secretName")):
        if kind in volume:
            said = {**mapping(volume[kind]), "name": mapping(volume[kind]).get(name)}
            return {"files": _files(said, namespace, data, kind == "secret"), **more}
    if "persistentVolumeClaim" in volume:
        return {"claim": str(mapping(volume["persistentVolumeClaim"]).get("claimName")), **more}
    return {**{key: value for key, value in volume.items() if key != "name"}, **more}


def _files(source: Mapping[str, Any], namespace: str, data: Any, is_secret: bool) -> dict[str, Any]:
    items = {str(each.get("key")): str(each.get("path")) for each in mappings(sequence(source.get("items")))}
    if is_secret:
        return dict.fromkeys(items.values(), SECRET) or {"*": SECRET}
    known = data.get((namespace, str(source.get("name"))), {})
    return {items.get(key, key): text for key, text in known.items() if not items or key in items}


def _service(service: Manifest, pods: Iterable[tuple[Mapping[str, Any], Mapping[Any, Any]]]) -> None:
    selector = texts(inner(service, "spec", "selector"))
    named: dict[Any, Any] = {}
    for template, numbers in pods:
        if selector and selector.items() <= texts(inner(template, "metadata", "labels")).items():
            named |= numbers
    ports = {}
    for each in mappings(inner(service, "spec", "ports")):
        target = each.get("targetPort", each.get("port"))
        more = {key: each[key] for key in ("nodePort", "appProtocol") if key in each}
        ports[f"{each.get('port')}/{each.get('protocol', 'TCP')}"] = {"to": named.get(target, target), **more}
    service["spec"].pop("ports", None)
    if ports:
        service["spec"]["offers"] = ports

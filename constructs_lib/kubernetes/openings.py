"""What an object opens to others, and how it stays open when the object's manifest opens it no more.

Policies, roles and stores hold lists of which each entry permits something, whatever the others say, and a Service has
ports that clients know. What is taken away there closes in the wave of the object, while clients of later waves still
run as they were. So it is kept for a time: under its place in an annotation, so that whoever looks at the object can
tell what it keeps from what is declared.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from constructs_lib.kubernetes.manifest import Manifest, inner, mapping, mappings, sequence

#: Names the entries of an object that are kept, as ``spec.ingress[1]``, with spaces between them.
KEPT = "constructs-lib/kept-open"
#: Entries of an object by their places.
Entries = Mapping[str, Any]
#: The lists of a kind in which each entry opens something, and the fields of an entry that list what it opens.
_LISTS: Mapping[str, Mapping[str, Sequence[str]]] = json.loads(Path(__file__).with_suffix(".json").read_bytes())
#: Fields that open everything if they are absent or empty.
_ALL_IF_ABSENT = frozenset({"from", "to", "ports", "resourceNames"})
#: What does not differ between two manifests of the same object, for the same pods.
_SAME = (("metadata", "name"), ("metadata", "namespace"), ("spec", "podSelector"), ("spec", "endpointSelector"))
_PLACE = re.compile(r"(.+)\[(\d+)\]")


def opens(path: str) -> bool:
    """Tell whether a file is named after an object that opens something, as ``NetworkPolicy-web.yaml`` is."""
    return path.rpartition("/")[2].partition("-")[0] in {kind.rpartition("/")[2] for kind in _LISTS}


def kept_in(manifest: Manifest) -> dict[str, Any]:
    """Return the entries that an object keeps open, though they are declared no more, by their places."""
    named = str(inner(manifest, "metadata", "annotations", KEPT) or "").split()
    lists = {path: sequence(inner(manifest, *path.split("."))) for path in _LISTS.get(_kind(manifest), ()) if named}
    places = {f"{path}[{number}]": entry for path, entries in lists.items() for number, entry in enumerate(entries)}
    return {place: places[place] for place in named if place in places}


def declared(manifest: Manifest) -> Manifest:
    """Return an object without what it keeps open."""
    kept = kept_in(manifest)
    if not kept:
        return manifest
    annotations = {name: text for name, text in manifest["metadata"]["annotations"].items() if name != KEPT}
    found = {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}
    for path in {_split(place)[0] for place in kept}:
        entries = enumerate(sequence(inner(manifest, *path.split("."))))
        left = [entry for number, entry in entries if f"{path}[{number}]" not in kept]
        # The library leaves out empty lists of rules in policies, and nowhere else.
        found = _with(found, path, left or None if _kind(found).endswith("/NetworkPolicy") else left)
    return found


def closing(old: Manifest, new: Manifest) -> dict[str, Any]:
    """Return what an object opens as it was and no longer as it is declared, by the places where to keep it.

    A rule that only became wider closes nothing.
    """
    if _kind(old) != _kind(new) or any(inner(old, *keys) != inner(new, *keys) for keys in _SAME):
        return {}
    kept: dict[str, Any] = {}
    for path in _LISTS.get(_kind(new), ()):
        entries = list(sequence(inner(new, *path.split("."))))
        for number, entry in enumerate(sequence(inner(old, *path.split(".")))):
            if (missing := _missing(new, path, entry, entries)) is not None:
                # Some clients take the first port of a Service, so that an old one is the last.
                place = len(entries) if path == "spec.ports" else min(number, len(entries))
                entries.insert(place, missing)
                kept[f"{path}[{place}]"] = missing
    return kept


def keeping(manifest: Manifest, kept: Entries) -> Manifest:
    """Return an object that keeps open what :func:`closing` found, as far as it does not open it by itself."""
    found, places = manifest, []
    for place, entry in kept.items():
        path, number = _split(place)
        entries = list(sequence(inner(found, *path.split("."))))
        if (missing := _missing(manifest, path, entry, entries)) is not None:
            number = min(number, len(entries))
            entries.insert(number, missing)
            places.append(f"{path}[{number}]")
            found = _with(found, path, entries)
    if not places:
        return manifest
    metadata = found["metadata"]
    annotations = sorted({**mapping(metadata.get("annotations")), KEPT: " ".join(places)}.items())
    return {**found, "metadata": {**metadata, "annotations": dict(annotations)}}


def _kind(manifest: Manifest) -> str:
    group = str(manifest.get("apiVersion")).rpartition("/")[0]
    return f"{group}/{manifest.get('kind')}" if group else str(manifest.get("kind"))


def _with(manifest: Manifest, path: str, value: Any) -> Manifest:
    """Return an object with another value at a path; None removes it."""
    first, _, rest = path.partition(".")
    value = _with(dict(mapping(manifest.get(first))), rest, value) if rest else value
    return {key: entry for key, entry in {**manifest, first: value}.items() if key != first or entry is not None}


def _split(place: str) -> tuple[str, int]:
    match = _PLACE.fullmatch(place)
    return (match[1], int(match[2])) if match else (place, 0)


def _missing(new: Manifest, path: str, entry: Any, entries: Sequence[Any]) -> Any:
    """Return the part of an entry that the entries of a list do not open; None if there is none to keep."""
    kind = _kind(new)
    if kind == "Service":
        return _missing_port(new, mapping(entry), mappings(entries))
    restricts = {
        "spec.ingress": "Ingress" in _directions(new),
        "spec.egress": "Egress" in _directions(new),
        "spec.conditions": bool(entries),
    }
    if not restricts.get(path, True):
        return None
    fields = _LISTS[kind][path]
    strict = [field for field in fields if field not in _ALL_IF_ABSENT]
    if not isinstance(entry, dict) or _covered(entry, entries, fields) or any(entry.get(each) == [] for each in strict):
        return None
    for field in fields:
        values = sequence(entry.get(field))
        left = [value for value in values if not _covered({**entry, field: [value]}, entries, fields)]
        if values and not left:
            return None
        entry = {**entry, field: left} if left else entry
    return entry


def _covered(entry: Mapping[str, Any], entries: Sequence[Any], fields: Sequence[str]) -> bool:
    """Tell whether one of some entries opens all that an entry opens."""

    def has(wide: Mapping[str, Any], field: str) -> bool:
        values, known = sequence(entry.get(field)), sequence(wide.get(field))
        if not known or not values:
            return not known and (not values or field in _ALL_IF_ABSENT)
        return "*" in known or all(value in known for value in values)

    rest = {key: value for key, value in entry.items() if key not in fields}
    return any(
        all(has(wide, field) for field in fields)
        and {key: value for key, value in wide.items() if key not in fields} == rest
        for wide in mappings(entries)
    )


def _directions(policy: Manifest) -> Sequence[str]:
    """Return the directions in which a policy closes what it does not open."""
    implied = ["Ingress", "Egress"] if inner(policy, "spec", "egress") else ["Ingress"]
    return sequence(inner(policy, "spec", "policyTypes")) or implied


def _missing_port(service: Manifest, port: Mapping[str, Any], ports: Sequence[Mapping[str, Any]]) -> Any:
    """Return an old port of a Service as it is to stay beside the new one that leads to the same port of the pods.

    Without such a one, the new pods do not serve it, and there is nothing to keep. A headless Service has no ports of
    its own: clients call those of the pods.
    """
    alike = [
        *(each for each in ports if each.get("name") == port.get("name")),
        *(each for each in ports if _target(each) == _target(port)),
    ]
    known = [(each.get("port"), each.get("protocol", "TCP")) for each in ports]
    is_known = (port.get("port"), port.get("protocol", "TCP")) in known
    is_named = all(each.get("name") for each in ports)
    if not alike or is_known or not is_named or inner(service, "spec", "clusterIP") == "None":
        return None
    rest = {key: value for key, value in port.items() if key not in ("name", "nodePort", "targetPort")}
    return {"name": f"{alike[0]['name']}-{port.get('port')}", **rest, "targetPort": _target(alike[0])}


def _target(port: Mapping[str, Any]) -> Any:
    return port.get("targetPort", port.get("port"))

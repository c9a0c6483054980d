"""Patches of objects: a JSON merge patch (RFC 7396), but lists whose entries have names merge by these.

A mapping is merged key by key, None takes a key away, and everything else is replaced, lists among it. As in the
strategic merge patch of Kubernetes, lists of named things (containers, env, volumes, ports) are merged entry by entry:
what has the name of one that is there is merged into it, and what has another one is added at the end. ``{"name": "x",
"$patch": "delete"}`` takes an entry away, and ``{"$patch": "replace"}``, as the first entry of a list or among the keys
of a mapping, replaces all that is there.

https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from constructs_lib.kubernetes.manifest import mapping
from constructs_lib.text import given, nearest, shown

#: What tells the entries of a list from each other, by the list's field, where it is not their name.
_KEYS = {
    "hostAliases": "ip",
    # A source of an Application has no name as a rule.
    "sources": "repoURL",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    # The name is that of the volume, which may be mounted twice.
    "volumeMounts": "mountPath",
}
#: Lists whose entries are told apart by more than their name, and which so are replaced.
_REPLACED = frozenset(
    {
        "clusterResourceBlacklist", "clusterResourceWhitelist", "destinations", "namespaceResourceBlacklist",
        "namespaceResourceWhitelist", "subjects",
    }
)  # fmt: skip
#: Lists in which several entries may be about the same, so that others are added.
_ADDED = frozenset({"ignoreDifferences"})
_DIRECTIVE = "$patch"
#: A place in a list, or the name of an entry, at the beginning of what is left of the path of a field.
_PLACE = re.compile(r"\[([^\]]*)\]\.?")
_REPLACE, _DELETE = "replace", "delete"


class PatchError(Exception):
    """A patch does not fit what it is to change; the message says where, and what would fit."""


#: Lists of containers.
_WITH_IMAGES = ("containers", "initContainers")


def json_value(value: object, at: str = "") -> Any:
    """Return a copy of a value as what JSON can hold.

    Raises:
        PatchError: It cannot hold it.
    """
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise PatchError(f"{at or 'it'} has half a character (a surrogate), which no file can hold.") from None
        return str(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise PatchError(f"{at or 'it'} has the key {shown(key)}, and keys are texts.")
        return {key: json_value(entry, _below(at, key)) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(entry, f"{at}[{number}]") for number, entry in enumerate(value)]
    raise PatchError(f"{at or 'it'} is {shown(value)}, which is no value of JSON.")


def merged(value: Mapping[str, Any], change: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """Return a mapping with a patch applied; what is not changed is shared with it.

    Raises:
        PatchError: The patch does not fit.
    """
    directive = change.get(_DIRECTIVE)
    if directive not in (None, _REPLACE):
        raise PatchError(f'{at}: "{_DIRECTIVE}": {shown(directive)} has no meaning here; a mapping knows "{_REPLACE}".')
    result = {} if directive else dict(value)
    for key, new in change.items():
        if key == _DIRECTIVE:
            continue
        if new is None:
            result.pop(key, None)
        else:
            result[key] = _changed(value.get(key) if directive is None else None, new, key, _below(at, key))
    return result


def _changed(old: Any, new: Any, field: str, at: str) -> Any:
    kinds = [dict if isinstance(each, dict) else list if isinstance(each, list) else str for each in (old, new)]
    if old is not None and kinds[0] is not kinds[1]:
        raise PatchError(f"{at} is {given(old)}, which {given(new)} cannot replace.")
    if isinstance(new, dict):
        return merged(old or {}, new, at)
    return _merged_list(old or [], new, field, at) if isinstance(new, list) else new


def _merged_list(old: list[Any], new: list[Any], field: str, at: str) -> list[Any]:
    if new[:1] == [{_DIRECTIVE: _REPLACE}]:
        return new[1:]
    if field == "syncOptions":
        return _merged_options(old, new)
    if field in _ADDED:
        return [*old, *(entry for entry in new if entry not in old)]
    key = _KEYS.get(field, "name")
    names = [entry.get(key) if isinstance(entry, dict) else None for entry in old]
    if field in _REPLACED or not old or None in names or len({*map(repr, names)}) < len(names):
        if any(isinstance(entry, dict) and _DIRECTIVE in entry for entry in new):
            raise PatchError(f'{at}: its entries are not told apart by their {key}, so that "{_DIRECTIVE}" finds none.')
        return new
    result = dict(zip(map(repr, names), old, strict=True))
    for number, entry in enumerate(new):
        if not isinstance(entry, dict) or entry.get(key) is None:
            raise PatchError(
                f"{at}[{number}] has no {key}, by which this list is merged; give it one, or begin the list with "
                f'{{"{_DIRECTIVE}": "{_REPLACE}"}} to replace all of it.'
            )
        name = repr(entry[key])
        if entry.get(_DIRECTIVE) == _DELETE:
            if name not in result:
                raise PatchError(f"{at} has no {entry[key]} to delete; {nearest(str(entry[key]), map(str, names))}")
            del result[name]
        elif field in _WITH_IMAGES and name not in result and not entry.get("image"):
            near = nearest(str(entry[key]), map(str, names))
            raise PatchError(f"{at} has no {entry[key]}, and a new one needs an image; {near}")
        else:
            result[name] = merged(result.get(name, {}), entry, f"{at}[{entry[key]}]")
    return [*result.values()]


def _merged_options(old: list[Any], new: list[Any]) -> list[Any]:
    """Return sync options of Argo CD, such as ``Validate=false``, with others: each is there once."""
    result = {str(option).partition("=")[0]: option for option in (*old, *new)}
    return [*result.values()]


def comes_of(change: Any, after: Any, field: str, name: str = "") -> bool:
    """Tell whether a field of an object is as it is because of a patch.

    Args:
        change: The patch.
        after: The object with the patch applied.
        field: The field, such as ``spec.ports[0].name`` or ``spec.ports[http].name``; empty for all of the object.
        name: The name of the field that is looked at, if it is within an object.
    """
    if change == after or not isinstance(change, dict | list):
        return True
    if isinstance(change, dict):
        if _DIRECTIVE in change:
            return True
        there = after if isinstance(after, dict) else {}
        # Keys may have dots in them.
        begin = max(
            (key for key in {*change, *there} if f"{field}.".startswith((f"{key}.", f"{key}["))), key=len, default=""
        )
        rest = field[len(begin) :].removeprefix(".")
        return begin in change and comes_of(change[begin], there.get(begin), rest, begin)
    if change[:1] == [{_DIRECTIVE: _REPLACE}]:
        return True
    place, key = _PLACE.match(field), _KEYS.get(name, "name")
    if place is None or not isinstance(after, list):
        return False
    for number, entry in enumerate(after):
        if place[1] in (str(number), mapping(entry).get(key)):
            same = [each for each in change if isinstance(entry, dict) and mapping(each).get(key) == entry.get(key)]
            return comes_of(same[0], entry, field[place.end() :]) if same else entry in change
    return False


def _below(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key

"""What differs between two states of an object, field by field."""

import base64
import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import Manifest, mapping
from constructs_lib.kubernetes.quantity import quantity
from constructs_lib.plan.defaults import MAPS, Filled, filled_in, written
from constructs_lib.plan.masking import Mask, is_placeholder

Keys = tuple[str | int, ...]

#: What effects are called, what the API server refuses to change, and what is lost with an object.
RULES = yaml.load(Path(__file__).with_name("rules.yaml").read_bytes(), Loader=yaml.CSafeLoader)

#: Fields that may identify the items of a list, in the order in which they are tried.
_NAMES = ("name", "metadata.name", "mountPath", "containerPort", "port", "key", "ip", "topologyKey", "kind")
#: Metadata that the API server sets, or that say where the object is rather than what is in it.
_OF_SERVER = {"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid", "namespace"}


@dataclass(frozen=True)
class FieldChange:
    """One field that differs.

    Attributes:
        path: Where it is, for instance ``spec.template.spec.containers[chat].image``.
        old: Its value before; None if it was absent.
        new: Its value afterwards; None if it is absent.
        secret: Whether the values are secret, and None here for that reason.
        keys: The parts of the path.
    """

    path: str
    old: Any
    new: Any
    secret: bool = False
    keys: Keys = ()

    def below(self, *keys: str) -> bool:
        """Tell whether this is the given field, or one below it."""
        return self.keys[: len(keys)] == keys

    @property
    def diff(self) -> list[str] | None:
        """The lines of a short unified diff if both values are texts, one of them of several lines."""
        if not isinstance(self.old, str) or not isinstance(self.new, str) or "\n" not in self.old + self.new:
            return None
        old, new = self.old.splitlines(), self.new.splitlines()
        if len(old) + len(new) > 5_000:
            return [f"-{len(old)} lines", f"+{len(new)} lines"]
        lines = list(difflib.unified_diff(old, new, n=1, lineterm=""))[2:]
        return lines or ["-(other ends of lines)", "+(other ends of lines)"]


def changed_fields(old: Object, new: Object) -> list[FieldChange]:
    """Return what differs between two states of an object, as the API server sees them.

    The order of keys, null instead of no field, and a default that is written down are no differences, nor is another
    spelling of the same quantity.
    """
    if old.manifest is new.manifest:
        return []
    secret = old.kind == "Secret" and not old.group
    builtin = "." not in old.group or old.group.endswith(".k8s.io")
    texts = ("data", "metadata") if old.kind in ("ConfigMap", "Secret") else ("metadata",)
    mask = Mask()
    before, after = (_normal(item) if secret else mask.manifest(_normal(item)) for item in (old, new))
    before, after = filled_in(old.full_kind, before), filled_in(new.full_kind, after)
    found = _differences(before, after, (), texts if builtin else None)
    changes = (replace(change, old=written(change.old), new=written(change.new)) for change in found)
    return [_hidden(change) if secret else _unseen(change) for change in changes]


def _unseen(change: FieldChange) -> FieldChange:
    """Return a change without the placeholders of secrets, if these are all that there is."""
    values = [value for value in (change.old, change.new) if value is not None]
    return replace(change, old=None, new=None, secret=True) if all(map(is_placeholder, values)) else change


def _hidden(change: FieldChange) -> FieldChange:
    """Return a change of a Secret without secret values; kubectl copies them into an annotation."""
    annotations = change.below("metadata", "annotations")
    copied = annotations and any("last-applied" in str(part) for part in (change.path, change.old, change.new))
    return replace(change, old=None, new=None, secret=True) if change.below("data") or copied else change


def _normal(item: Object) -> Manifest:
    """Return an object without status and server-side metadata, and with encoded secrets."""
    manifest = {key: value for key, value in item.manifest.items() if key != "status"}
    manifest["metadata"] = {
        key: value
        for key, value in item.metadata.items()
        if key not in _OF_SERVER and (value or key not in ("labels", "annotations", "finalizers"))
    }
    if item.kind == "Secret" and not item.group and isinstance(manifest.get("stringData"), dict):
        written = {
            key: base64.b64encode(str(value).encode(errors="surrogatepass")).decode()
            for key, value in manifest.pop("stringData").items()
        }
        manifest["data"] = {**mapping(manifest.get("data")), **written}
    return manifest


def _differences(old: Any, new: Any, keys: Keys, texts: Sequence[str] | None) -> Iterator[FieldChange]:
    """Yield what differs below a field.

    ``texts`` are the top-level fields that hold no quantities; None for a custom kind, of which this is not known.
    """
    if old is new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            # What nobody wrote down follows from another field, which is told.
            if isinstance(old, Filled) and isinstance(new, Filled) and not (old.holds(key) or new.holds(key)):
                continue
            yield from _differences(old.get(key), new.get(key), (*keys, key), texts)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _list_differences(old, new, keys, texts)
    elif not _same(old, new, keys, texts):
        yield FieldChange(shown_path(keys), old, new, keys=keys)


def _same(old: Any, new: Any, keys: Keys, texts: Sequence[str] | None) -> bool:
    if isinstance(old, bool) != isinstance(new, bool):
        return False
    if old == new or texts is None:
        return bool(old == new) or (keys[0] == "spec" and _seconds(old) is not None and _seconds(old) == _seconds(new))
    if old is None or new is None:
        left = new if old is None else old
        return left == [] or (left == {} and keys[-1] in MAPS)
    if keys[0] in texts:
        return False
    number = quantity(old) if any(key in RULES["quantities"] for key in keys[-2:]) else None
    return number is not None and number == quantity(new)


_DURATION = re.compile(r"(?=[0-9])(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?")


def _seconds(value: object) -> int | None:
    """Return a span of time as custom resources have them, such as ``1h0m0s``, in seconds; None for anything else."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return (
        sum(int(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True)) if match else None
    )


def _list_differences(old: list[Any], new: list[Any], keys: Keys, texts: Sequence[str] | None) -> Iterator[FieldChange]:
    if items := by_name(old, new):
        before, after = items
        for key in {**before, **after}:
            yield from _differences(before.get(key), after.get(key), (*keys, f"[{key}]"), texts)
        common = [key for key in before if key in after]
        moved = [key for key in after if key in before]
        if common != moved:
            yield FieldChange(shown_path((*keys, "(order)")), ", ".join(common), ", ".join(moved), keys=keys)
        return
    if len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _differences(left, right, (*keys, index), texts)
        return
    left, right = [_canonical(item) for item in old], [_canonical(item) for item in new]
    if len(left) * len(right) > 250_000:
        yield FieldChange(shown_path(keys), old, new, keys=keys)
        return
    for tag, begin, end, start, stop in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag != "equal":
            pairs = min(end - begin, stop - start)
            for offset in range(pairs):
                yield from _differences(old[begin + offset], new[start + offset], (*keys, start + offset), texts)
            for index in range(begin + pairs, end):
                yield FieldChange(shown_path((*keys, index)), old[index], None, keys=(*keys, index))
            for index in range(start + pairs, stop):
                yield FieldChange(shown_path((*keys, index)), None, new[index], keys=(*keys, index))


def by_name(old: list[Any], new: list[Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the items of two lists by the field that identifies them; None if none does in both."""
    name = next((name for name in _NAMES if _names(old, name) and _names(new, name)), None) if old and new else None
    if name is None:
        return None
    before, after = ({str(_named(item, name)): item for item in items} for items in (old, new))
    return before, after


def _names(items: list[Any], name: str) -> bool:
    """Tell whether a field identifies every item of a list."""
    values = (_named(item, name) for item in items if isinstance(item, dict))
    return len({str(value) for value in values if isinstance(value, str | int)}) == len(items)


def _named(item: Mapping[str, Any], name: str) -> object:
    return mapping(item.get("metadata")).get("name") if name == "metadata.name" else item.get(name)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def shown_path(keys: Keys) -> str:
    """Return a path as people write it: ``spec.ports[http].port``, ``data[application.yaml]``."""
    out = ""
    for key in keys:
        if isinstance(key, int):
            out += f"[{key}]"
        elif key.startswith("[") and key.endswith("]"):
            out += key
        elif _PLAIN.fullmatch(key):
            out += f".{key}"
        else:
            out += f" {key}" if key == "(order)" else f"[{key}]"
    return out.removeprefix(".")

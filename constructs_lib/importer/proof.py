"""The proof: what a declaration gives, beside what was imported, object by object."""

from __future__ import annotations

import re
import runpy
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from constructs_lib.api import objects_of
from constructs_lib.declare.diagnostics import DeclarationError
from constructs_lib.importer.effective import SECRET, effective
from constructs_lib.importer.lookups import key_of
from constructs_lib.importer.model import Imported
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.objects import CLUSTER_SCOPED
from constructs_lib.plan.change import Change
from constructs_lib.plan.fields import FieldChange
from constructs_lib.plan.plan import plan
from constructs_lib.repository.snapshot import Snapshot
from constructs_lib.text import plural
from constructs_lib.user_error import UserError

#: Fields for which the library has a value of its own, whatever the source says, and why.
OF_THE_LIBRARY: Mapping[str, str] = {
    "terminationGracePeriodSeconds": "10 seconds more, in which nothing new is sent to a pod that ends",
    "revisionHistoryLimit": "three old ReplicaSets are kept",
    "progressDeadlineSeconds": "a rollout without progress is called off",
    "minReadySeconds": "a pod stays ready for 5 seconds before the next is replaced",
    "strategy": "a new pod is ready before an old one goes",
    "updateStrategy": "a new pod is ready before an old one goes",
    "automountServiceAccountToken": "a pod that calls no API has no token",
    "enableServiceLinks": "addresses come from edges",
    "serviceAccountName": "each program has an account of its own",
    "successfulJobsHistoryLimit": "as the library keeps them",
    "failedJobsHistoryLimit": "as the library keeps them",
    "startingDeadlineSeconds": "as the library starts them",
    "ttlSecondsAfterFinished": "a Job stays until its successor",
    "persistentVolumeClaimRetentionPolicy": "volumes outlive everything",
    "imagePullPolicy": "an image whose tag may move is pulled at each start",
    "variables": "what may be a secret comes from the store of secrets",
    "labels": "labels of the tool that applied it",
    "annotations": "annotations of the tool that applied it",
}


@dataclass
class Proof:
    """What differs.

    Attributes:
        kept: Names of the objects that are there in both.
        added: Objects that the library adds.
        fields: Fields that it adds to objects, by their names without places in lists, with the number of objects.
        own: Fields that it sets to values of its own.
        differing: What else differs: of that, nothing should.
    """

    kept: list[str]
    added: list[Change]
    fields: dict[str, set[str]]
    own: dict[str, set[str]]
    differing: list[str]


def run(files: Mapping[str, str], environment: str) -> list[Manifest]:
    """Return the objects of the declaration in some files.

    Raises:
        UserError: It has mistakes.
    """
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            file = Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        known = sys.modules.pop("existing", None)
        sys.path.insert(0, folder)
        try:
            names = runpy.run_path(str(Path(folder, "app.py")))
            made = _declared(names, environment)
            found = [each for component in made.components for each in objects_of(component)]
        except DeclarationError as error:
            raise UserError(f"{error.report(Path(folder).resolve())} This is what came of the source.") from error
        finally:
            sys.path.remove(folder)
            sys.modules.pop("existing", None)
            if known is not None:
                sys.modules["existing"] = known
    return [each for each in found if _is_imported(each)]


def _declared(names: Mapping[str, Any], environment: str) -> Any:
    """Return the system that the declaration in a module gives."""
    chosen = next(
        each for each in names.values() if getattr(each, "name", None) == environment and hasattr(each, "cluster")
    )
    module = names["__name__"]
    declare = next(
        each
        for each in names.values()
        if callable(each)
        and getattr(each, "__module__", "") == module
        and "environment" in each.__code__.co_varnames[:1]
    )
    return declare(chosen)


def _is_imported(manifest: Manifest) -> bool:
    """Tell whether an object is of the programs: External Secrets' own component is none."""
    return bool(manifest["metadata"].get("namespace", manifest["metadata"]["name"]) != "external-secrets")


def prove(imported: Imported, made: Iterable[Manifest]) -> Proof:
    """Compare what was imported with the objects of its declaration."""
    before = [each for each in imported.original or () if _counts(imported, each)]
    after = list(made)
    old, new = _tree("the source", before), _tree("the declaration", after)
    proof = Proof(sorted(_names(before) & _names(after)), [], {}, {}, [])
    for change in plan(old, new).changes:
        if change.action == "create":
            proof.added.append(change)
        elif change.action == "delete":
            proof.differing.append(f"{change.name}: it is gone")
        else:
            _sort(proof, change)
    return proof


def _counts(imported: Imported, manifest: Manifest) -> bool:
    kind, namespace, name = key_of(manifest)
    left_out = any(each.startswith(f"{kind}/{name}:") for each in imported.notes["left out"])
    return (kind, namespace, name) not in imported.moved and kind != "Secret" and not left_out


def _names(manifests: Iterable[Manifest]) -> set[str]:
    return {f"{each['kind']}/{each['metadata']['name']}" for each in manifests}


def _sort(proof: Proof, change: Change) -> None:
    """Put each field of a change where it belongs."""
    for each in change.fields:
        key = next((str(key) for key in each.keys if key in OF_THE_LIBRARY and key != "variables"), "")
        if _is_added(each):
            name = ".".join(str(key) for key in each.keys if not isinstance(key, int)) or each.path
            proof.fields.setdefault(name, set()).add(change.name)
        elif each.new == SECRET or each.secret:
            proof.own.setdefault("variables", set()).add(change.name)
        elif key:
            proof.own.setdefault(key, set()).add(change.name)
        else:
            proof.differing.append(f"{change.name}: {each.path}: {each.old} → {each.new}")


def _is_added(change: FieldChange) -> bool:
    return change.old in (None, {}, [], "")


def _tree(name: str, manifests: Iterable[Manifest]) -> Snapshot:
    files = {}
    for number, each in enumerate(effective(manifests)):
        if each["kind"] not in CLUSTER_SCOPED:
            each["metadata"].setdefault("namespace", "")
        text = yaml.dump(each, Dumper=yaml.CSafeDumper, sort_keys=False)
        files[f"{number:05}.yaml"] = text.encode()
    return Snapshot.of_files(name, files)


def told(proof: Proof) -> Iterator[str]:
    """Yield what differs, for people."""
    kinds: dict[str, int] = {}
    for change in proof.added:
        kind = change.name.partition("/")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    yield f"{len(proof.kept)} objects keep their names."
    if kinds:
        yield "The library adds objects: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) + "."
    if proof.fields:
        parts = sorted({_short(each) for each in proof.fields})
        yield f"It adds to pods and Services: {', '.join(parts)}."
    for key, objects in sorted(proof.own.items()):
        yield f"It sets {key} of {plural(len(objects), 'object')}: {OF_THE_LIBRARY[key]}."
    if proof.differing:
        yield f"{len(proof.differing)} differences beside that:"
        yield from (f"  {each}" for each in proof.differing)
    else:
        yield "Nothing else differs."


def _short(name: str) -> str:
    """Return a field by what a person calls it."""
    name = re.sub(r"\.\[[^]]*\]", "", name)
    name = re.sub(r"^spec\.|jobTemplate\.spec\.|template\.spec\.|template\.metadata\.|metadata\.", "", name)
    name = re.sub(r"\b(containers|initContainers)\.", "", name)
    return next((each for each in ("labels", "annotations", "mounted") if name.startswith(each)), name)

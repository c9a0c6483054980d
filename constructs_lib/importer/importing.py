"""From a source to the files of a declaration, with what a person should know of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from constructs_lib.importer.compose import read_compose
from constructs_lib.importer.declaration import declaration
from constructs_lib.importer.lookups import Key, key_of
from constructs_lib.importer.manifests import read_manifests
from constructs_lib.importer.model import INCLUDED, TAKEN_UP, Imported, label
from constructs_lib.importer.proof import Proof, prove, run
from constructs_lib.importer.residue import add_patches
from constructs_lib.importer.source import compose_file, read_objects
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.objects import CLUSTER_SCOPED
from constructs_lib.user_error import UserError

#: Policies that every component has.
_OF_EACH = {("NetworkPolicy", "default-deny"), ("NetworkPolicy", "dns")}


@dataclass(frozen=True)
class Result:
    """What comes of a source.

    Attributes:
        imported: What was read, with its notes.
        files: The files of the declaration, by path.
        proof: What differs from the source; None if that was none of Kubernetes.
    """

    imported: Imported
    files: dict[str, str]
    proof: Proof | None


def import_source(
    source: Path, *, name: str = "", environment: str = "local", repository: str = "", profiles: Iterable[str] = ()
) -> Result:
    """Return the declaration of what is in a Compose file, in manifests, or in a rendered chart.

    Args:
        source: The file, or the folder.
        name: Name of the system. Default: that of the folder.
        environment: Name of its environment. Default ``local``.
        repository: Address of the repository that Argo CD will read. Default: one of an example.
        profiles: Profiles of a Compose file whose services are taken as well. Default: none.

    Raises:
        UserError: The source cannot be read, or is something else.
    """
    compose = compose_file(source)
    folder = source.resolve() if source.is_dir() else source.resolve().parent
    imported = Imported(label(name or folder.name), environment, (compose or source.resolve()).name)
    address = repository or f"https://github.com/example/{imported.name}.git"
    if not repository:
        imported.note("guessed", f"the repository is {address}; name yours.")
    imported.note("guessed", f"the environment {environment} is a k3d cluster of one node; say what yours is.")
    if compose:
        read_compose(imported, compose, frozenset(profiles))
    else:
        read_manifests(imported, read_objects(source))
    if not imported.programs:
        raise UserError(f"No workload is in {source}; an import begins with Deployments, or services of Compose.")
    return _proved(imported, address)


def _proved(imported: Imported, address: str) -> Result:
    """Return what comes of what was read: what runs, with patches for what no argument says."""
    included = {id: each.included for id, each in imported.groups.items()}
    for group in imported.groups.values():
        group.included = []
    files = declaration(imported, address)
    made = run(files, imported.environment)
    if imported.original is None:
        return Result(imported, files, None)
    _restore(imported, included, {key_of(each) for each in made})
    add_patches(imported, made)
    if any(each.patches for each in imported.programs) or any(each.included for each in imported.groups.values()):
        files = declaration(imported, address)
        made = run(files, imported.environment)
    return Result(imported, files, prove(imported, made))


def _restore(imported: Imported, included: Mapping[str, list[Manifest]], made: Set[Key]) -> None:
    """Have objects stay as YAML but for those whose names the library has for its own."""
    for id, group in imported.groups.items():
        for each in included[id]:
            kind, namespace, name = key_of(each)
            key = (kind, namespace or ("" if kind in CLUSTER_SCOPED else group.namespace), name)
            if key in made or key[::2] in _OF_EACH:
                imported.moved.add(key)
                imported.notes[INCLUDED] = [
                    note for note in imported.notes[INCLUDED] if not note.startswith(f"{kind}/{name}:")
                ]
                imported.note(TAKEN_UP, f"{kind}/{name}: the library makes one of that name, by what is declared.")
            else:
                group.included.append(each)

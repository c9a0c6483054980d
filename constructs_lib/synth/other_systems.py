"""Other systems of the same Argo CD, in other folders of the repository: neither may have what the other has."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from constructs_lib.declare.diagnostics import DeclarationError, Diagnostic
from constructs_lib.declare.environment import Environment
from constructs_lib.derive.applications import ROOT_FILE
from constructs_lib.kubernetes.manifest import inner
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.repository.git import Git, GitError
from constructs_lib.synth.paths import INPUTS
from constructs_lib.synth.tree import Tree
from constructs_lib.text import listed

#: The most objects that a message names.
_NAMED = 3


def refuse_other_systems(environment: Environment, tree: Tree, root: Path) -> None:
    """Refuse an environment that would take over what is of a system that ``ArgoCD(others=…)`` names.

    Looked at is what is in other folders of the repository, as it was written last. Nothing is known of repositories of
    their own, nor of what charts bring.

    Args:
        environment: The environment.
        tree: Its files.
        root: The folder of the declaration.

    Raises:
        DeclarationError: There is such a thing.
    """
    argocd, name = environment.argocd, f"environment {environment.name}"
    own = root / "argocd" / environment.name
    itself = inner(tree.manifest(f"argocd/{environment.name}/{ROOT_FILE}"), "metadata", "name")
    if itself in argocd.others:
        problem = f"others: {itself} is its own root Application; name those of other systems, and give one a prefix."
        raise DeclarationError([Diagnostic(argocd.location, name, problem)])
    wrong = []
    for folder in _folders(root):
        other = inner(_read(folder / ROOT_FILE), "metadata", "name")
        if other in argocd.others and folder != own.resolve():
            their = f"its Argo CD deploys {other}, of {os.path.relpath(folder, root.resolve())}, too, and "
            shared = _shared(environment, tree, folder, f"{itself}-")
            wrong += [Diagnostic(environment.location, name, their + each) for each in shared]
    if wrong:
        raise DeclarationError(wrong)


def _folders(root: Path) -> Iterator[Path]:
    """Yield the folders of the repository with the Applications of an environment."""
    pattern = f":(top,glob)**/argocd/*/{ROOT_FILE}"
    with suppress(GitError):
        found = Git(root).run("ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", pattern)
        for path in sorted({*found.split("\0")} - {""}):
            yield (root / path).resolve().parent


def _shared(environment: Environment, tree: Tree, folder: Path, prefix: str) -> Iterator[str]:
    """Yield what is wrong with two systems of one Argo CD, given the folder of the other one's Applications."""
    base, name = folder.parent.parent, folder.name
    destinations = [inner(_read(path), "spec", "destination") or {} for path in folder.glob("Application-*.yaml")]
    in_one_cluster = any(environment.cluster.destination.items() <= each.items() for each in destinations)
    same = []
    for group, kind, claimed in tree.claims:
        file = f"{kind}-{claimed.replace(':', '-')}.yaml"
        if group == "argoproj.io":
            places = [inner(_read(folder / file), "metadata", "namespace")]
            same += [f"{kind} {claimed}" for place in places if place in environment.argocd.namespaces]
        elif in_one_cluster and any((base / "dist" / name).glob(f"*/{file}")):
            same.append(f"{kind} {claimed}")
    if same:
        yield (
            f"the two have the same: {listed(same, _NAMED)}. Two Applications would fight for it. Give one of the two "
            f'systems a prefix, such as prefix="{prefix}".'
        )
    told = base / INPUTS.format(module="argocd", environment=name)
    with suppress(OSError, ValueError):
        store = json.loads(told.read_bytes()).get("secret_store")
        if in_one_cluster and store == environment.secret_store_namespace:
            yield (
                f"its secret values would be in the same namespace, {store}; give it another, such as "
                f'secret_store_namespace="{prefix}{store}".'
            )


def _read(path: Path) -> Mapping[str, object]:
    with suppress(OSError):
        found = Cache().document(path.read_bytes())
        return found if isinstance(found, dict) else {}
    return {}

"""The same from Python as on the command line, in one call each.

Each imports what it needs when it is called: who only declares does without the command line, Git and the proofs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from constructs_lib.declare.calls import explained
from constructs_lib.declare.system import System
from constructs_lib.user_error import UserError

if TYPE_CHECKING:
    from constructs_lib.check.finding import Finding
    from constructs_lib.check.model import ClusterModel
    from constructs_lib.declare.component import Component
    from constructs_lib.kubernetes.manifest_reader import Cache
    from constructs_lib.kubernetes.objects import Identity
    from constructs_lib.plan.plan import Plan
    from constructs_lib.repository.pins import Pins
    from constructs_lib.repository.snapshot import Snapshot
    from constructs_lib.synth.tree import Tree


@explained
def synthesize(system: System, pins: Pins | None = None) -> Tree:
    """Return the files of a system, which are in ``files`` by their path.

    Args:
        system: The system.
        pins: Commits from which Argo CD reads the components. Default: it follows the branch.

    Raises:
        DeclarationError: The declaration has errors; all of them are in it.
    """
    from constructs_lib.synth.pipeline import synthesize

    return synthesize(system, pins=pins)


def objects_of(component: Component) -> list[dict[str, Any]]:
    """Return all Kubernetes objects of a component.

    Raises:
        DeclarationError: The system's declaration has errors.
    """
    from constructs_lib.derive.graph import Graph
    from constructs_lib.derive.manifests import component_manifests

    manifests = component_manifests(component, Graph(component.system))
    component.system.diagnostics.raise_if_any()
    return manifests


@explained
def check(tree: System | Path | str, environment: str = "", *, charts: bool = False) -> list[Finding]:
    """Return what is wrong with manifests, waived or not: it would fail in the cluster, or may.

    Args:
        tree: A system, or a folder of manifests, whatever made them.
        environment: Of a folder: only what the Applications in ``argocd/<environment>`` deploy. Default: everything.
        charts: Whether to look into charts with Helm, and fetch what is not in the cache. Default: no.

    Raises:
        DeclarationError: The declaration has errors.
        UserError: There is no such folder.
    """
    from constructs_lib.check.model import ClusterModel
    from constructs_lib.check.proofs import prove
    from constructs_lib.repository.rendering import Charts, looking_with
    from constructs_lib.synth.pipeline import synthesize

    with looking_with(Charts() if charts else None):
        if not isinstance(tree, System):
            return prove(ClusterModel(_snapshot(tree), [f"argocd/{environment}"] if environment else []))
        findings = prove(model_of(synthesize(tree, keep_manifests=True)))
    lines = lines_of(tree) if findings else {}
    return [found.at_line_of(lines) for found in findings]


@explained
def plan(old: System | Path | str, new: System | Path | str, environment: str = "", *, charts: bool = False) -> Plan:
    """Return what Argo CD does when one state takes the place of another, and how dangerous it is.

    Args:
        old: The state before: a system, or a folder with the manifests of a repository.
        new: The state afterwards.
        environment: Only what the Applications in ``argocd/<environment>`` deploy. Default: that of the system; of two
            folders, everything.
        charts: Whether to look into charts with Helm, and fetch what is not in the cache. Default: no.

    Raises:
        DeclarationError: A declaration has errors.
        UserError: There is no such folder.
    """
    from constructs_lib.plan.plan import plan
    from constructs_lib.repository.rendering import Charts, looking_with

    for state in (old, new):
        if isinstance(state, System):
            environment = environment or state.environment.name
    after, folder = _snapshot(new), f"argocd/{environment}" if environment else None
    with looking_with(Charts() if charts else None):
        return with_refusals(plan(_snapshot(old), after, folder=folder), after, folder)


def with_refusals(found: Plan, new: Snapshot, folder: str | None = None, cache: Cache | None = None) -> Plan:
    """Return a plan that tells what the API server would refuse of the tree afterwards, by what :func:`check` knows.

    What Kustomize and charts make of an object is not known, and so not told. The ``cache`` remembers what was read.
    """
    from constructs_lib.argocd.objects import parse
    from constructs_lib.check.bootstrap import cluster_of
    from constructs_lib.check.schemas.proof import refused
    from constructs_lib.kubernetes.manifest_reader import may_hold
    from constructs_lib.plan.refusals import Refusal, with_refusals
    from constructs_lib.repository.applications import CHART
    from constructs_lib.repository.kustomizations import is_built

    changes = [
        change
        for change in found.changes
        if change.new and not change.file.startswith(CHART) and not is_built(new, change.file)
    ]
    if not changes:
        return found
    definitions = [
        item.manifest
        for path, content in new.files.items()
        if may_hold(content, b"CustomResourceDefinition")
        for item in parse(path, content, cache)
        if item.kind == "CustomResourceDefinition"
    ]
    refusals: dict[Identity, list[Refusal]] = {}
    by_number = dict(enumerate(changes))
    cluster = cluster_of(new.files, [folder] if folder else [], None)
    for finding in refused([dict(change.new or {}) for change in changes], definitions, cluster):
        change = by_number[int(finding.file.removesuffix(".json"))]
        at = f" ({finding.field})" if finding.field else ""
        text = f"{finding.problem.removesuffix('.')}{at}. {finding.check.why}"
        refusals.setdefault(change.identity, []).append(Refusal(text, finding.fix, finding.check.refuses))
    return with_refusals(found, refusals)


def _snapshot(state: System | Path | str) -> Snapshot:
    from constructs_lib.repository.snapshot import Snapshot

    if isinstance(state, System):
        return synthesize(state).snapshot("the declaration")
    if not Path(state).is_dir():
        raise UserError(f"{state} is no folder.")
    return Snapshot.of_folder(Path(state))


def model_of(tree: Tree, cache: Cache | None = None) -> ClusterModel:
    """Return what the proofs look at of a synthesized tree that has kept its manifests.

    The ``cache`` remembers what was read or written, for several trees.
    """
    from constructs_lib.check.model import ClusterModel
    from constructs_lib.kubernetes.manifest_reader import Cache

    cache = cache or Cache()
    for path, manifest in (tree.manifests or {}).items():
        cache.written(tree.files[path], manifest)
    return ClusterModel(tree.snapshot(tree.environment), [f"argocd/{tree.environment}"], cache=cache)


def lines_of(system: System, root: Path | None = None) -> dict[Identity, Callable[[str], str]]:
    """Return what tells, of each object, the line of the declaration that a field comes from.

    That is the line of the patch that sets it, or else that of the object. Files are relative to ``root``.
    """
    from constructs_lib.argocd.objects import Object, own_namespace
    from constructs_lib.derive.explanation import Origin, origins
    from constructs_lib.derive.graph import Graph

    def line_of(origin: Origin) -> Callable[[str], str]:
        return lambda field: origin.location_of(field).relative_to(root)

    return {
        Object(origin.manifest, "", own_namespace(origin.manifest)).identity: line_of(origin)
        for origin in origins(system, Graph(system))
    }

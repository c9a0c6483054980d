"""The way from a declaration to the files of the repository.

    declare ──> derive ──> observe ──> synthesize ──> compare, or write

Up to the last step it is a pure function of the declaration and the pins: no clock, no randomness, no network. Git is
asked only whether the pins are true, and Helm for charts whose manifests the repository keeps.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from constructs_lib.argocd.objects import SKIP_MARKER, is_skipped
from constructs_lib.declare.cluster import DigitalOcean, K3d
from constructs_lib.declare.declaration import Declaration, run_all
from constructs_lib.declare.environment import Environment, declared_environments
from constructs_lib.declare.system import System
from constructs_lib.derive.applications import (
    ROOT_FILE,
    app_project,
    application,
    folder,
    root_application,
    root_project,
)
from constructs_lib.derive.bootstrap import argocd_inputs, cluster_inputs, k3d_config
from constructs_lib.derive.graph import Graph
from constructs_lib.derive.manifests import component_objects
from constructs_lib.derive.patches import Source
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.repository.pins import Pins, read_pins
from constructs_lib.synth.neighbours import refuse_neighbours
from constructs_lib.synth.ownership import GENERATED_AS, generated, refuse_strangers
from constructs_lib.synth.paths import INPUTS, K3D_CONFIG, application_file, file_name, owned_paths, project_file
from constructs_lib.synth.tree import Tree
from constructs_lib.synth.writer import Change, compare, write

Tell = Callable[[str], None]


def process(
    declaration: Declaration,
    environments: Sequence[Environment],
    root: Path,
    tell: Tell = lambda name: None,
    *,
    complete: bool = True,
    check: bool = False,
    adopt: bool = False,
) -> tuple[list[Tree], Change]:
    """Make the repository hold what is declared: the whole way. Return the files, and what was written.

    ``tell`` is called with the name of every component before it is synthesized. If the environments are all that there
    are, the files of any other are removed. With ``check``, nothing is written, and only compared. Files of others in
    the generator's folders go only with ``adopt``.

    Raises:
        DeclarationError: The declaration has errors, in any environment.
        PinsError: The pins of an environment cannot be read, or the branch that is deployed does not bear them out.
        WriteError: The files cannot be written, or files of others would go.
    """
    trees = synthesize_all(declaration, environments, root, tell)
    return trees, put(trees, root, complete=complete, check=check, adopt=adopt)


def put(trees: Sequence[Tree], root: Path, *, complete: bool, check: bool = False, adopt: bool = False) -> Change:
    """Make the repository hold the files of some environments; the arguments are those of :func:`process`.

    Raises:
        WriteError: The files cannot be written, or files of others would go.
    """
    files = {path: content for tree in trees for path, content in tree.files.items()}
    owned = owned_paths(None if complete else [tree.environment for tree in trees])

    def refuse(change: Change) -> None:
        if not adopt:
            refuse_strangers(root, change)

    if check:
        refuse(change := compare(root, files, owned))
    else:
        change = write(root, files, owned, before=refuse)
    return change


def synthesize_all(
    declaration: Declaration,
    environments: Sequence[Environment],
    root: Path,
    tell: Tell = lambda name: None,
    *,
    keep_manifests: bool = False,
    verify: bool = True,
) -> list[Tree]:
    """Declare the system in some environments and return its files; of the repository, only the pins are read.

    Only what sets pins right has no need to ``verify`` them.

    Raises:
        DeclarationError: The declaration has errors, in any of them, or one has something that another one in the same
            cluster, or with the same Argo CD, has too; or another system, in another folder of the repository.
        PinsError: The pins of one of them cannot be read, or the branch that is deployed does not bear them out.
    """
    pins = {environment.name: read_pins(root, environment.name) for environment in environments}
    if verify and any(pins.values()):
        # Who has no pins does without Git.
        from constructs_lib.repository.deployed import History
        from constructs_lib.repository.git import Git

        for environment in environments:
            if found := pins[environment.name]:
                History.of(Git(root), environment.repository.branch).verify(environment.name, found)

    def finish(system: System) -> Tree:
        return synthesize(system, tell, pins.get(system.environment.name), keep_manifests=keep_manifests)

    trees = run_all(declaration, environments, finish)
    if neighbours := [each for each in declared_environments.get() if any(map(each.is_beside, environments))]:
        others = [each for each in neighbours if all(each is not known for known in environments)]
        beside = run_all(declaration, others, finish)
        refuse_neighbours([*zip([*environments, *others], [*trees, *beside], strict=True)])
    for environment, tree in zip(environments, trees, strict=True):
        if environment.argocd.others:
            from constructs_lib.synth.other_systems import refuse_other_systems

            refuse_other_systems(environment, tree, root)
    return trees


def synthesize(
    system: System, tell: Tell = lambda name: None, pins: Pins | None = None, *, keep_manifests: bool = False
) -> Tree:
    """Return the files of a declared system, in which Argo CD reads what is pinned, and else follows the branch.

    The tree keeps the objects only if it has to, because they take memory.

    Raises:
        DeclarationError: The declaration has errors; all of them are in it.
    """
    environment = system.environment.name
    # Derive the order of the components, and who calls whom.
    graph = Graph(system)
    revision, base = system.environment.revision, system.environment.repository.path
    tree = Tree(environment, revision, waves=len(set(graph.waves.values())), base=base)
    tree.manifests = {} if keep_manifests else None
    # Derive the objects of every component, dashboards and alerts among them, and the Application that deploys them.
    for component in system.components:
        tell(f"{environment}: {component.id}")
        made = component_objects(component, graph)
        for derived in made:
            path = f"{folder(component)}/{file_name(derived.manifest, component.namespace_name)}"
            tree.add(path, derived.manifest)
            _refuse_marker(tree, path, derived.manifest, derived.source)
            tree.claim(derived.manifest, derived.source.location)
        name = component.application_name
        tree.applications[name] = application(component, graph)
        path = application_file(environment, name)
        tree.add(path, tree.applications[name])
        _refuse_marker(tree, path, tree.applications[name], component)
        tree.claim(tree.applications[name], component.location)
        for kind in component.cluster_kinds:
            for pattern in kind.names:
                tree.claims[kind.group, kind.kind, pattern] = component.location
        # Permit what there is, and nothing else.
        tree.projects[name] = app_project(component, [derived.manifest for derived in made])
        tree.add(project_file(environment, tree.projects[name]), tree.projects[name])
        tree.claim(tree.projects[name], component.location)
    project, root = root_project(system), root_application(system)
    # What was wrong with the declaration is known by now.
    system.diagnostics.raise_if_any()
    tree.add(project_file(environment, project), project)
    tree.add(f"argocd/{environment}/{ROOT_FILE}", root)
    tree.files |= _bootstrap_files(system, graph)
    if pins is not None:
        tree.pin(pins)
    return tree


def _refuse_marker(tree: Tree, path: str, manifest: Manifest, source: Source) -> None:
    """Report an error if a text in an object keeps Argo CD from rendering its file."""
    if is_skipped(tree.files[path]):
        name = f'the {manifest["kind"]} "{manifest["metadata"]["name"]}"'
        problem = f"{name} would hold the text {SKIP_MARKER}, because of which Argo CD leaves its file out."
        source.report(problem, source.location)


def _bootstrap_files(system: System, graph: Graph) -> dict[str, bytes]:
    """Return what the bootstrap reads of an environment, by path."""
    environment, cluster = system.environment.name, system.environment.cluster
    inputs = {"argocd": argocd_inputs(system, graph.waves)}
    if isinstance(cluster, DigitalOcean):
        inputs["cluster"] = cluster_inputs(cluster)
    files = {}
    for module, variables in inputs.items():
        path = INPUTS.format(module=module, environment=environment)
        named = {GENERATED_AS: path, "environment": environment, **variables}
        files[path] = f"{json.dumps(named, indent=2, ensure_ascii=False)}\n".encode()
    if isinstance(cluster, K3d) and cluster.image:
        path = K3D_CONFIG.format(environment=environment)
        files[path] = generated(path, k3d_config(system, cluster))
    return files

"""No component reaches further than its AppProject, and a running system moves over to one for each."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator

import pytest
import yaml
from stage import Stage, broken_promises, stage
from systems import environment

from constructs_lib import Microservice, System
from constructs_lib.kubernetes.manifest import Manifest, manifest
from constructs_lib.rehearse.api_client import ApiError
from constructs_lib.synth.ownership import generated
from constructs_lib.synth.tree import Tree

ROOT = "argocd/staging/AppProject-shop-root.yaml"


def shop() -> System:
    """Return a shop of two programs that do not know each other."""
    system = System(environment("staging"), "shop")
    Microservice(system, "front", image="example/front:1.0.0", ports={"http": 3000})
    Microservice(system, "basket", image="example/basket:1.0.0", ports={"http": 8080})
    return system


def with_files(tree: Tree, files: dict[str, bytes]) -> Tree:
    """Return a tree with other files."""
    other = copy.copy(tree)
    other.files = files
    return other


def before(tree: Tree) -> Tree:
    """Return a tree as an earlier library wrote it: one project for all components, and a root that deploys its own."""
    files = {path: content for path, content in tree.files.items() if "/AppProject-" not in path or path == ROOT}
    parts = [project["spec"] for project in tree.projects.values()]
    whole = {field: [entry for part in parts for entry in part[field]] for field in parts[0] if field != "description"}
    spec = {field: [each for at, each in enumerate(whole[field]) if each not in whole[field][:at]] for field in whole}
    one = manifest("argoproj.io/v1alpha1", "AppProject", "shop", "argocd", {}, spec=spec)
    for path, content in files.items():
        if path.startswith("argocd/"):
            for name in tree.applications:
                content = content.replace(f"project: shop-{name}".encode(), b"project: shop")
            files[path] = content.replace(b'"{root.yaml,AppProject-shop-root.yaml}"', b"root.yaml")
    for path, project in ((ROOT, yaml.safe_load(files[ROOT])), ("argocd/staging/AppProject-shop.yaml", one)):
        project["metadata"]["annotations"] = {"argocd.argoproj.io/sync-wave": "-1"}
        files[path] = generated(path, project)
    return with_files(tree, files)


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("shop"), [shop()]) as found:
        yield found


def live(moving: Stage, kind: str, name: str, namespace: str = "argocd", api: str = "argoproj.io/v1alpha1") -> Manifest:
    """Return an object of the cluster, or nothing."""
    return moving.rehearsal.client.get(manifest(api, kind, name, namespace or None, {})) or {}


def pods(moving: Stage) -> set[str]:
    """Return the ids of all pods."""
    return {item["metadata"]["uid"] for item in moving.rehearsal.watcher.snapshot() if item["kind"] == "Pod"}


def until(condition: Callable[[], object], seconds: float = 300) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.5)


def test_a_system_with_one_project_moves_over(moving: Stage) -> None:
    rehearsal, tree = moving.rehearsal, moving.trees[0]
    assert not broken_promises(rehearsal.run("install", lambda: rehearsal.scratch.commit_tree(before(tree))))
    old = pods(moving)
    assert live(moving, "AppProject", "shop")
    assert live(moving, "Application", "front")["spec"]["project"] == "shop"
    outcome = rehearsal.run("move", lambda: rehearsal.scratch.commit_tree(tree))
    assert not broken_promises(outcome)
    assert not live(moving, "AppProject", "shop")
    assert live(moving, "Application", "front")["spec"]["project"] == "shop-front"
    assert pods(moving) == old


def test_back_and_forth(moving: Stage) -> None:
    rehearsal = moving.rehearsal
    assert not broken_promises(moving.revert())
    assert live(moving, "AppProject", "shop")
    until(lambda: not live(moving, "AppProject", "shop-front"))
    assert not broken_promises(rehearsal.run("again", lambda: rehearsal.scratch.commit_tree(moving.trees[0])))
    assert not live(moving, "AppProject", "shop")


def test_the_bootstrap_has_taken_over_the_project_of_the_root(moving: Stage) -> None:
    """The root manages it no more, and neither deletes it nor counts it as a difference."""
    status = live(moving, "Application", "shop")["status"]
    assert status["sync"]["status"] == "Synced"
    assert "AppProject-shop-root" in str(status["sync"]["comparedTo"])
    assert live(moving, "AppProject", "shop-root")


@pytest.fixture(scope="module")
def guarded(moving: Stage) -> Stage:
    """A rehearsal with the guard in force."""
    moving.install_guard(moving.trees[0])
    return moving


def permitting(name: str = "shop-front", **spec: object) -> Manifest:
    """Return an AppProject that permits the namespace front, but for what is given."""
    own = {
        "sourceRepos": ["https://github.com/example/shop.git"],
        "destinations": [{"server": "https://kubernetes.default.svc", "namespace": "front"}],
        "clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": "front"}],
        "namespaceResourceWhitelist": [{"group": "apps", "kind": "Deployment"}],
    }
    filled = {key: value for key, value in {**own, **spec}.items() if value is not None}
    return manifest("argoproj.io/v1alpha1", "AppProject", name, "argocd", {}, spec=filled)


def deploying(name: str, project: str) -> Manifest:
    """Return an Application in a project."""
    spec = {
        "project": project,
        "source": {"repoURL": "https://github.com/example/shop.git", "path": "evil", "targetRevision": "main"},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "front"},
    }
    return manifest("argoproj.io/v1alpha1", "Application", name, "argocd", {}, spec=spec)


def refusal(moving: Stage, made: Manifest) -> str:
    """Return why the API server refuses an object; empty if it takes it."""
    try:
        moving.rehearsal.client.apply(made)
    except ApiError as error:
        return str(error)
    return ""


HERE = {"server": "https://kubernetes.default.svc"}
REFUSED = {
    "the project of the root": (permitting("shop-root"), "belong to the bootstrap"),
    "the project default": (permitting("default"), "belong to the bootstrap"),
    "the root": (deploying("shop", "shop-front"), "belong to the bootstrap"),
    "an Application in the project default": (deploying("evil", "default"), "has a project of the branch"),
    "an Application in the project of the root": (deploying("evil", "shop-root"), "has a project of the branch"),
    "every namespace": (permitting(destinations=[{**HERE, "namespace": "*"}]), "names its namespaces"),
    "all namespaces but one": (permitting(destinations=[{**HERE, "namespace": "!x"}]), "names its namespaces"),
    "every cluster": (permitting(destinations=[{"server": "*", "namespace": "front"}]), "names its namespaces"),
    "this cluster by its name": (
        permitting(destinations=[{"name": "in-cluster", "namespace": "argocd"}]),
        "names its namespaces",
    ),
    "the namespace of Argo CD": (permitting(destinations=[{**HERE, "namespace": "argocd"}]), "names its namespaces"),
    "the namespace of the secrets": (
        permitting("new", destinations=[{**HERE, "namespace": "secret-store"}]),
        "names its namespaces",
    ),
    "every kind of the cluster": (
        permitting(clusterResourceWhitelist=[{"group": "*", "kind": "*"}]),
        "granted by the bootstrap",
    ),
    "a ClusterRoleBinding by its name": (
        permitting(
            clusterResourceWhitelist=[
                {"group": "rbac.authorization.k8s.io", "kind": "ClusterRoleBinding", "name": "front"}
            ]
        ),
        "granted by the bootstrap",
    ),
    "every Namespace": (permitting(clusterResourceWhitelist=[{"group": "", "kind": "Namespace"}]), "granted by"),
    "the Namespace kube-system": (
        permitting(clusterResourceWhitelist=[{"group": "", "kind": "Namespace", "name": "kube-system"}]),
        "granted by the bootstrap",
    ),
    "every kind": (permitting(namespaceResourceWhitelist=[{"group": "*", "kind": "*"}]), "names its kinds"),
    "every kind, by silence": (permitting("evil", namespaceResourceWhitelist=None), "names its kinds"),
    "Applications": (
        permitting(namespaceResourceWhitelist=[{"group": "argoproj.io", "kind": "Application"}]),
        "names its kinds",
    ),
    "every repository": (permitting(sourceRepos=["https://github.com/*"]), "names its repositories"),
    "Applications of other namespaces": (permitting(sourceNamespaces=["front"]), "gives no rights"),
    "rights in Argo CD": (
        permitting(roles=[{"name": "a", "policies": ["p, proj:shop-front:a, *, *, shop-front/*, allow"]}]),
        "gives no rights",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_nobody_becomes_an_administrator_by_an_app_project(guarded: Stage, what: str) -> None:
    made, why = REFUSED[what]
    assert why in refusal(guarded, made)


@pytest.mark.parametrize("name", ["shop-front", "shop-new"])
def test_components_need_no_bootstrap(guarded: Stage, name: str) -> None:
    namespace = name.removeprefix("shop-")
    destinations = [{**HERE, "namespace": namespace}, {**HERE, "namespace": "front"}]
    kinds = [{"group": "", "kind": "Namespace", "name": namespace}]
    roles: list[object] = []
    made = permitting(name, destinations=destinations, clusterResourceWhitelist=kinds, roles=roles)
    application, old = deploying("new", name), live(guarded, "AppProject", name).get("spec")
    assert not refusal(guarded, made)
    assert not refusal(guarded, application)
    guarded.rehearsal.client.delete(application)
    if not old:
        guarded.rehearsal.client.delete(made)
        return
    # Argo CD takes back what it owns, and may do so.
    until(lambda: (spec := live(guarded, "AppProject", name)["spec"]) == {**spec, **old})


def refused(moving: Stage, application: str) -> dict[str, str]:
    """Return why the last operation of an Application did not apply objects, by their kinds and names."""
    status = live(moving, "Application", application).get("status", {})
    result = (status.get("operationState") or {}).get("syncResult") or {}
    failed = [item for item in result.get("resources", []) if item.get("status") == "SyncFailed"]
    return {f"{item['kind']}/{item['name']}": item["message"] for item in failed}


def test_a_pushed_project_is_refused_and_the_next_commit_is_not(guarded: Stage) -> None:
    """One that is there stays as it was, and a new one does not come; Argo CD says so, and goes on."""
    rehearsal, tree, names = guarded.rehearsal, guarded.trees[0], ("shop-front", "evil")

    def projects() -> list[object]:
        return [live(guarded, "AppProject", name).get("spec") for name in names]

    old = projects()
    assert not refused(guarded, "shop")
    evil = {
        f"argocd/staging/AppProject-{name}.yaml": permitting(
            name, clusterResourceWhitelist=[{"group": "*", "kind": "*"}]
        )
        for name in names
    }
    pushed = {path: generated(path, project) for path, project in evil.items()}
    rehearsal.scratch.commit_tree(with_files(tree, {**tree.files, **pushed}))
    rehearsal.argocd.refresh()
    until(lambda: len(refused(guarded, "shop")) == len(names))
    for name in names:
        assert "granted by the bootstrap" in refused(guarded, "shop")[f"AppProject/{name}"]
    # Comparisons from Argo CD's cache say the same as those that a refresh asks for.
    for _ in range(10):
        rehearsal.argocd.refresh()
        time.sleep(0.5)
        assert live(guarded, "Application", "shop")["status"]["sync"]["status"] == "OutOfSync"
        assert projects() == old
    assert not broken_promises(rehearsal.run("mend", lambda: rehearsal.scratch.commit_tree(tree)))
    assert projects() == old


PLANTED = {
    "ConfigMap-planted.yaml": manifest("v1", "ConfigMap", "planted", "basket", {}, data={"a": "b"}),
    "ClusterRole-planted.yaml": manifest("rbac.authorization.k8s.io/v1", "ClusterRole", "planted", None, {}, rules=[]),
    "Namespace-planted.yaml": manifest("v1", "Namespace", "planted", None, {}),
    "Application-planted.yaml": manifest("argoproj.io/v1alpha1", "Application", "planted", "argocd", {}, spec={}),
}


def test_no_component_reaches_further_than_its_project(moving: Stage) -> None:
    """Each is refused for itself, and so nothing of the commit is applied, nor anything of it once it is mended."""
    rehearsal, tree = moving.rehearsal, moving.trees[0]
    planned = {f"dist/staging/front/{file}": planted for file, planted in PLANTED.items()}
    pushed = {path: generated(path, planted) for path, planted in planned.items()}
    rehearsal.scratch.commit_tree(with_files(tree, {**tree.files, **pushed}))
    rehearsal.argocd.refresh()
    until(lambda: len(refused(moving, "front")) >= len(PLANTED))
    for planted in PLANTED.values():
        assert "permitted in project" in refused(moving, "front")[f"{planted['kind']}/planted"]
    assert not broken_promises(rehearsal.run("mend", lambda: rehearsal.scratch.commit_tree(tree)))
    until(lambda: not refused(moving, "front"))
    for planted in PLANTED.values():
        namespace = planted["metadata"].get("namespace", "")
        assert not live(moving, planted["kind"], "planted", namespace, planted["apiVersion"])

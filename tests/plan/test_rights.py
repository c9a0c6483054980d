"""What widens rights, and its harmless twins: the table is ``rights.yaml``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from trees import Manifest, application, between, tree, with_fields, written

from constructs_lib.plan.plan import Plan, allow_names, plan
from constructs_lib.plan.report.json_report import document
from constructs_lib.plan.report.markdown import render
from constructs_lib.plan.report.terminal import print_plan
from constructs_lib.plan.report.words import summary
from constructs_lib.publish.checkout import PublishError
from constructs_lib.publish.scope import refuse_dangers
from constructs_lib.repository.snapshot import Snapshot

FOLDER = Path(__file__).parent
OBJECTS: dict[str, Manifest] = yaml.load((FOLDER / "rights_objects.yaml").read_text(), yaml.CSafeLoader)
PAIRS: list[dict[str, Any]] = yaml.load((FOLDER / "rights.yaml").read_text(), yaml.CSafeLoader)["pairs"]


def planned(pair: dict[str, Any]) -> Plan:
    def chosen(keys: list[str], changes: dict[str, Any]) -> list[Manifest]:
        return [with_fields(OBJECTS[key], changes.get(key, {})) for key in keys]

    have, added = pair.get("have", []), pair.get("add", [])
    left = [key for key in have if key not in pair.get("remove", [])]
    # Something always stays, so that something was published.
    stays: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stays", "namespace": "ns"}}
    before = tree({"app": [stays, *chosen(have, pair.get("with", {}))]})
    after = tree({"app": [stays, *chosen([*left, *added], pair.get("set", {}))]})
    return between(before, after)


@pytest.mark.parametrize("pair", PAIRS, ids=[pair["name"] for pair in PAIRS])
def test_pair(pair: dict[str, Any]) -> None:
    found = planned(pair)
    assert found.changes
    told = {change.name: " ".join(reason.text for reason in change.widens) for change in found.widening}
    says = pair.get("says", {})
    assert told.keys() == says.keys(), told
    assert [name for name, words in says.items() if words not in told[name]] == [], told
    assert bool(found.losing) == bool(pair.get("dangerous"))
    assert {name.split("/")[-1] for name in allow_names(found)} == {change.identity[3] for change in found.dangerous}
    assert ("widens rights: " in summary(found)) == bool(says)


def test_names_are_different() -> None:
    assert len({pair["name"] for pair in PAIRS}) == len(PAIRS)


def test_nothing_is_widened_where_nothing_was_published() -> None:
    everything = tree({"app": [OBJECTS["admin"], OBJECTS["agent"], OBJECTS["ingress"]]})
    assert not plan(Snapshot("nothing", {}), Snapshot.of_files("all", everything)).widening
    assert len(between(tree({"app": [OBJECTS["role"]]}), everything).widening) == 3


def test_a_secret_of_another_component() -> None:
    """A Secret belongs to the component that deploys it, or else to the one whose pods read it."""

    def reads(name: str, secret: str) -> Manifest:
        container = {"name": "a", "image": "a:1", "envFrom": [{"secretRef": {"name": secret}}]}
        return with_fields(OBJECTS["plain"], {"metadata.name": name, _SPEC + "containers": [container]})

    own, other = (
        OBJECTS["external"],
        with_fields(OBJECTS["external"], {"metadata.name": "db", "spec.target.name": "db"}),
    )
    before = {"app": [own, reads("web", "web")], "db": [other, reads("db", "by-hand")]}
    for secret, names in (("web", []), ("db", ["CronJob/web"]), ("by-hand", ["CronJob/web"]), ("new", [])):
        found = between(tree(before), tree({**before, "app": [own, reads("web", secret)]}))
        assert [change.name for change in found.widening] == names


_SPEC = "spec.jobTemplate.spec.template.spec."


def test_an_application_under_a_wider_project() -> None:
    wide = with_fields(
        OBJECTS["project"], {"metadata.name": "wide", "spec.clusterResourceWhitelist": [{"group": "*", "kind": "*"}]}
    )
    narrow = with_fields(OBJECTS["project"], {"metadata.name": "narrow", "spec.roles": None})
    child = OBJECTS["child"]
    before = tree({"app": [OBJECTS["project"], child]})
    for project, names in ((wide, ["Application/child"]), (narrow, [])):
        moved = with_fields(child, {"spec.project": project["metadata"]["name"]})
        found = between(before, tree({"app": [OBJECTS["project"], project, moved]}))
        # The new project is that of an Application that there was, of which it is told.
        assert [change.name for change in found.widening] == names


def test_a_new_component_within_its_namespace() -> None:
    """Its rights there are its own affair, and what reaches out of it is named."""
    inside = ("role", "binding", "account", "policy", "plain", "external")
    own = [with_fields(OBJECTS[key], {"metadata.namespace": "fresh"}) for key in inside]
    own[5] = with_fields(own[5], {"spec.data": [{"secretKey": "a", "remoteRef": {"key": "fresh"}}]})
    before = {"app": [OBJECTS["external"]]}
    assert not between(tree(before), tree({**before, "new": [OBJECTS["fresh"], *own]})).widening
    out = [with_fields(OBJECTS[key], {"metadata.namespace": "fresh"}) for key in ("agent", "ingress", "external")]
    out += [OBJECTS["admin"], OBJECTS["role"], with_fields(OBJECTS["binding"], {"subjects.0.namespace": "fresh"})]
    names = [
        change.name for change in between(tree(before), tree({**before, "new": [OBJECTS["fresh"], *out]})).widening
    ]
    assert sorted(names) == [
        "ClusterRoleBinding/admin",
        "DaemonSet/agent",
        "ExternalSecret/web",
        "Ingress/web",
        "RoleBinding/reader",
    ]


def test_a_namespace_that_is_not_made_is_nobodys_own() -> None:
    binding = with_fields(OBJECTS["binding"], {"metadata.namespace": "elsewhere", "roleRef.kind": "ClusterRole"})
    found = between(tree({"app": [OBJECTS["role"]]}), tree({"app": [OBJECTS["role"], binding]}))
    assert [change.full_name for change in found.widening] == ["RoleBinding/elsewhere/reader"]


def test_what_stays_in_the_cluster_widens_nothing() -> None:
    files = tree({"app": [OBJECTS["web"], OBJECTS["policy"]]})
    without = {path: content for path, content in files.items() if path != "parts/app/1.yaml"}
    assert between(files, without).widening
    kept = with_fields(application("app", "parts/app"), {"spec.syncPolicy.automated.prune": False})
    assert not between(files, {**without, "apps/app.yaml": written(kept)}).widening


def test_all_reports_tell_apart_what_is_lost_and_what_widens_rights() -> None:
    found = planned({"have": ["service"], "add": ["admin"], "set": {"service": {"spec.type": "NodePort"}}})
    assert summary(found).endswith("nothing is lost; widens rights: 2.")
    out = io.StringIO()
    print_plan(found, Console(file=out, width=200))
    assert "+ ClusterRoleBinding/admin: create (widens rights)" in out.getvalue()
    assert "Widens rights: It gives ServiceAccount ns/web in the whole cluster: everything." in out.getvalue()
    assert "--allow ClusterRoleBinding/admin" in out.getvalue()
    assert "**Widens rights:** It gives ServiceAccount ns/web in the whole cluster: everything." in render(found)
    told = document(found)
    assert (told["losing"], told["widening"]) == ([], told["dangerous"])
    assert sorted(told["widening"]) == ["ClusterRoleBinding/admin", "Service/ns/web"]
    with pytest.raises(PublishError, match="the plan has 2 changes that widen rights"):
        refuse_dangers(found, [])
    with pytest.raises(PublishError, match=r"1 change that widens rights.*--allow Service/web"):
        refuse_dangers(found, ["ClusterRoleBinding/admin"])
    refuse_dangers(found, ["ClusterRoleBinding/admin", "Service/web"])

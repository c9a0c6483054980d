"""Manifests and rendered charts become declarations that give the same objects, with what the library adds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from boutique_manifests import manifests
from imports import FOLDER, Imported, imported
from sound import one, problems
from synthesized import Synthesized

from constructs_lib import synthesize
from constructs_lib.api import check
from constructs_lib.check.finding import Severity
from constructs_lib.importer.proof import prove, run
from constructs_lib.user_error import UserError

NAMES = ("desk", "acme", "boutique")
#: Lines of tests/boutique/boutique.py, which is the same by hand.
BY_HAND = (FOLDER.parent / "boutique" / "boutique.py").read_text(encoding="utf-8").count("\n")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Imported]:
    """What comes of manifests by hand, of a rendered chart, and of Online Boutique."""
    boutique = tmp_path_factory.mktemp("source") / "boutique.yaml"
    boutique.write_text(yaml.dump_all(manifests(), Dumper=yaml.CSafeDumper))
    sources = {
        "desk": FOLDER / "manifests/desk",
        "acme": FOLDER / "manifests/chart/rendered.yaml",
        "boutique": boutique,
    }
    return {name: imported(each, tmp_path_factory.mktemp(name), name=name) for name, each in sources.items()}


@pytest.fixture(scope="module")
def trees(results: dict[str, Imported]) -> dict[str, Synthesized]:
    """What each of the declarations gives."""
    return {name: Synthesized("local", synthesize(each.system()).files) for name, each in results.items()}


@pytest.mark.parametrize("name", ["desk", "acme"])
def test_the_declaration_is_this(results: dict[str, Imported], name: str) -> None:
    folder = {"desk": "desk", "acme": "chart"}[name]
    assert results[name].app == (FOLDER / "manifests" / folder / "app.golden").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_formatted_and_keeps_the_rules(results: dict[str, Imported], name: str) -> None:
    assert results[name].complaints() == ""


@pytest.mark.parametrize("name", NAMES)
def test_nothing_differs_but_what_the_library_adds(results: dict[str, Imported], name: str) -> None:
    proof = results[name].result.proof
    assert proof is not None
    assert proof.differing == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_it_is_an_error(results: dict[str, Imported], name: str) -> None:
    assert problems(results[name].system(), Severity.ERROR) == []


def test_online_boutique_is_as_short_as_by_hand_and_a_quarter(results: dict[str, Imported]) -> None:
    boutique = results["boutique"]
    assert boutique.app.count("\n") <= 1.25 * BY_HAND
    assert boutique.notes("kept as YAML") == boutique.notes("left out") == boutique.notes("said by patches") == []


def test_online_boutique_keeps_its_objects(results: dict[str, Imported], trees: dict[str, Synthesized]) -> None:
    for original in manifests():
        kind, name = original["kind"], original["metadata"]["name"]
        found = one(trees["boutique"], kind, name)
        assert found["metadata"]["namespace"] == "boutique"
        if kind == "Deployment":
            assert found["spec"]["selector"] == original["spec"]["selector"]
            before, after = (each["spec"]["template"]["spec"]["containers"][0] for each in (original, found))
            for field in ("image", "resources"):
                assert after[field] == before[field]
            assert [each["containerPort"] for each in after.get("ports", ())] == [
                each["containerPort"] for each in before.get("ports", ())
            ]
        elif kind == "Service":
            assert found["spec"]["type"] == original["spec"]["type"]
            assert [each["port"] for each in found["spec"]["ports"]] == [
                each["port"] for each in original["spec"]["ports"]
            ]
    assert len(results["boutique"].result.proof.kept) == len(manifests())  # type: ignore[union-attr]


def test_a_probe_keeps_what_the_source_leaves_to_kubernetes(trees: dict[str, Synthesized]) -> None:
    container = one(trees["boutique"], "Deployment", "paymentservice")["spec"]["template"]["spec"]["containers"][0]
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe] == {
            "grpc": {"port": 50051},
            "periodSeconds": 10,
            "timeoutSeconds": 1,
            "failureThreshold": 3,
        }


def test_volumes_and_services_of_a_stateful_set_keep_their_names(trees: dict[str, Synthesized]) -> None:
    queue = one(trees["desk"], "StatefulSet", "queue")["spec"]
    assert queue["serviceName"] == "queue"
    assert [each["metadata"]["name"] for each in queue["volumeClaimTemplates"]] == ["data"]
    assert queue["template"]["spec"]["containers"][0]["volumeMounts"][-1]["name"] == "data"
    assert one(trees["desk"], "Service", "queue")["spec"]["clusterIP"] == "None"
    reports = one(trees["desk"], "CronJob", "nightly")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"]
    assert {"claimName": "reports"} in [each.get("persistentVolumeClaim") for each in reports]
    assert one(trees["desk"], "PersistentVolumeClaim", "reports")


def test_what_no_construct_says_stays(results: dict[str, Imported], trees: dict[str, Synthesized]) -> None:
    assert one(trees["desk"], "LimitRange", "limits")["spec"] == {
        "limits": [{"type": "Container", "max": {"memory": "2Gi"}}]
    }
    assert one(trees["desk"], "Service", "desk-web")["spec"]["ports"][0]["nodePort"] == 30080
    assert "LimitRange/limits: no construct declares it." in results["desk"].notes("kept as YAML")
    assert "# LimitRange/limits: no construct declares it." in results["desk"].app


def test_no_secret_is_in_it(results: dict[str, Imported]) -> None:
    for each in results.values():
        for secret in ("never-to-be-seen", "bmV2ZXItdG8tYmUtc2Vlbg"):
            assert not any(secret in text for text in each.result.files.values())


def test_the_proof_finds_what_is_lost(results: dict[str, Imported]) -> None:
    """A test of the test: a port, a variable, a Service and an argument that are not there."""
    desk = results["desk"].result
    made = run(desk.files, "local")

    def changed(change: Any) -> list[str]:
        copies = copy.deepcopy(made)
        return prove(desk.imported, [each for each in copies if change(each) is not False]).differing

    def web(manifest: dict[str, Any]) -> Any:
        is_web = (manifest["kind"], manifest["metadata"]["name"]) == ("Deployment", "web")
        return manifest["spec"]["template"]["spec"]["containers"][0] if is_web else {}

    assert changed(lambda each: None) == []
    assert any("image" in text for text in changed(lambda each: web(each).update(image="example/x:1.0.0")))
    assert any("listens" in text for text in changed(lambda each: web(each).pop("ports", None) and None))
    assert any("variables" in text for text in changed(lambda each: web(each).pop("envFrom", None) and None))
    gone = changed(lambda each: (each["kind"], each["metadata"]["name"]) != ("Service", "web"))
    assert gone == ["Service/web: it is gone"]


def test_secrets_of_commands_files_and_objects_are_not_in_it(tmp_path: Path) -> None:
    login = "postgres://me:never-to-be-seen@db/x"
    config = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"app.conf": f"db = {login}"}}
    container = {
        "name": "web",
        "image": "example/web:1.0.0",
        "args": ["--db", login],
        "env": [{"name": "URL", "value": f"{login}?$$"}, {"name": "SIGNING_KEY", "value": "never-to-be-seen$$"}],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/web"}],
    }
    pod = {"containers": [container], "volumes": [{"name": "config", "configMap": {"name": "files"}}]}
    labels = {"app": "web"}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    objects = [
        {**config, "metadata": {"name": "files"}},
        {**config, "metadata": {"name": "unread"}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec},
    ]
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(objects))
    found = imported(tmp_path / "all.yaml", tmp_path / "out", name="desk")
    assert not any("never-to-be-seen" in text for text in found.result.files.values())
    assert 'args=["--db", "$(ARGUMENT_1)"]' in found.app
    assert found.notes("left out") == ["ConfigMap/unread: it holds a secret, which is kept out of Git."]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.yaml": "kind: [Deployment\napiVersion: x\nmetadata:\n"}, "a.yaml: "),
        ({"notes.yaml": "just: text\n"}, "No Kubernetes object is in "),
        ({}, "There is no YAML file in "),
        ({"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"}, "No workload is in "),
    ],
)
def test_a_source_of_nothing_is_told(tmp_path: Path, files: dict[str, str], message: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, text in files.items():
        (source / name).write_text(text)
    with pytest.raises(UserError, match=message):
        imported(source, tmp_path / "out")


def test_the_check_of_the_result_has_no_error_that_the_source_has_not(
    tmp_path: Path, results: dict[str, Imported]
) -> None:
    (tmp_path / "all.yaml").write_text(yaml.dump_all(manifests(), Dumper=yaml.CSafeDumper))
    before = {each.check.code for each in check(tmp_path) if each.check.severity is Severity.ERROR}
    after = {each.check.code for each in check(results["boutique"].system()) if each.check.severity is Severity.ERROR}
    assert after <= before

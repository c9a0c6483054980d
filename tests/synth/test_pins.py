"""The file of pins, and what it does to a tree."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from constructs_lib import synthesize
from constructs_lib.repository.pins import Pin, Pins, PinsError, dump_pins, folder_id, parse_pins, read_pins

REVISION, CONTENT = "a" * 40, "0123456789abcdef0123456789abcdef01234567"
PINS = Pins({"web": Pin(REVISION, CONTENT, "shop"), "api": Pin(CONTENT, REVISION, "api")}, {"api": ("old",)})


def test_what_is_written_is_read_back() -> None:
    assert parse_pins(dump_pins(PINS), "pins/x.json") == PINS
    kept = {"dist/x/web/Service-web.yaml": {"spec.ports[1]": {"name": "http-80", "port": 80}}}
    more = {"dist/x/api/Role-api.yaml": {"rules[0]": {"verbs": ["get"]}}}
    both = replace(PINS, kept={**kept, **more})
    assert parse_pins(dump_pins(both), "pins/x.json") == both
    assert dump_pins(both) == dump_pins(replace(PINS, kept={**more, **kept})) != dump_pins(PINS)
    assert dump_pins(PINS) == dump_pins(Pins(dict(reversed([*PINS.components.items()])), PINS.retired))


def test_namespaces_that_were_left_when_all_had_one_project_are_nobodys() -> None:
    assert parse_pins(b'{"components": {}, "retired": ["old"]}', "pins/x.json") == Pins({})


def test_an_environment_that_was_never_published_has_none(tmp_path: Path) -> None:
    assert read_pins(tmp_path, "production") is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("<<<<<<< HEAD\n{}", "is no JSON"),
        ("", "is no JSON"),
        ("[]", "does not hold an object with components"),
        ('{"components": {}}', "does not hold an object with components"),
        ('{"components": {}, "retired": {"api": "old"}}', "does not hold an object with components"),
        ('{"components": {}, "retired": {"api": [7]}}', "does not hold an object with components"),
        ('{"components": {}, "retired": [], "kept": []}', "what is kept open is no object"),
        ('{"components": {}, "retired": [], "kept": {"a": 1}}', "what is kept open is no object"),
        ('{"components": {"web": {}}, "retired": []}', "web: the revision is no id of Git's"),
        ('{"components": {"web": "main"}, "retired": []}', "web: the revision is no id of Git's"),
        (
            json.dumps({"components": {"web": {"revision": "main", "content": CONTENT}}, "retired": []}),
            "web: the revision is no id of Git's",
        ),
        (
            json.dumps({"components": {"web": {"revision": REVISION, "content": CONTENT[:12]}}, "retired": []}),
            "web: the content is no id of Git's",
        ),
        (
            json.dumps({"components": {"web": {"revision": REVISION, "content": CONTENT}}, "retired": []}),
            "web: the namespace is missing",
        ),
    ],
)
def test_what_is_no_file_of_pins_is_told(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "pins").mkdir()
    (tmp_path / "pins" / "x.json").write_text(content)
    with pytest.raises(PinsError) as error:
        read_pins(tmp_path, "x")
    assert str(error.value).startswith("pins/x.json")
    assert problem in str(error.value)
    assert str(error.value).endswith("restore it with git checkout HEAD -- pins/x.json, and leave it to publish.")


def test_the_id_of_a_folder_is_that_of_git(tmp_path: Path) -> None:
    files = {"b.yaml": b"b\n", "a-b.yaml": b"", "a.yaml": "ü\n".encode(), "B.yaml": b"x" * 70_000}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    git = ("git", "-C", str(tmp_path), "-c", "core.autocrlf=false")
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    written = subprocess.run([*git, "write-tree"], check=True, capture_output=True, text=True).stdout.strip()
    assert folder_id(files) == written


@pytest.fixture
def production() -> Any:
    """PositionPal in production, declared anew."""
    import runpy

    app = runpy.run_path(str(Path(__file__).resolve().parent.parent.parent / "app.py"))
    return app["positionpal"](app["PRODUCTION"])


def test_pins_change_revisions_and_nothing_else(production: Any) -> None:
    plain = synthesize(production)
    pinned = {
        component: Pin(REVISION, content, plain.namespaces[component]) for component, content in plain.contents.items()
    }
    tree = synthesize(production, pins=Pins(pinned))
    changed = {path for path in plain.files if plain.files[path] != tree.files[path]}
    assert changed == {f"argocd/production/Application-{component}.yaml" for component in pinned}
    for path in changed:
        assert tree.files[path].decode() == plain.files[path].decode().replace("refs/heads/deploy/production", REVISION)
    assert tree.unpublished == plain.unpublished == {}


def test_what_is_not_published_is_told(production: Any) -> None:
    plain = synthesize(production)
    pins = {
        component: Pin(REVISION, content, plain.namespaces[component]) for component, content in plain.contents.items()
    }
    del pins["gateway"]
    pins["chat-service"] = Pin(REVISION, CONTENT, "pp-cs")
    pins["billing"] = Pin(REVISION, CONTENT, "pp-bs")
    tree = synthesize(production, pins=Pins(pins))
    assert tree.unpublished == {"billing": "removed", "chat-service": "changed", "gateway": "new"}
    # A new component follows the branch until it is published.
    assert b"targetRevision: refs/heads/deploy/production" in tree.files["argocd/production/Application-gateway.yaml"]
    # What is taken away has no project any more in Git.
    assert not [path for path, content in tree.files.items() if b"pp-bs" in content]


def test_a_namespace_that_a_component_has_left_stays_permitted_to_it(production: Any) -> None:
    plain = synthesize(production)
    pins = {"chat-service": Pin(REVISION, CONTENT, "chat"), "gateway": Pin(REVISION, CONTENT, "pp-ns")}
    tree = synthesize(production, pins=Pins(pins, {"chat-service": ("talk", "pp-us"), "billing": ("pp-bs",)}))
    changed = {path for path in plain.files if "AppProject" in path and plain.files[path] != tree.files[path]}
    # What others have now is permitted to them alone.
    assert changed == {"argocd/production/AppProject-positionpal-chat-service.yaml"}
    spec = yaml.safe_load(tree.files[changed.pop()])["spec"]
    assert [entry["namespace"] for entry in spec["destinations"]] == ["chat", "pp-cs", "talk"]
    assert [entry["name"] for entry in spec["clusterResourceWhitelist"]] == ["chat", "pp-cs", "talk"]
    tree.pin(None)
    assert tree.files == plain.files

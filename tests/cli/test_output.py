"""What commands print: nothing that is in a tree speaks to a terminal, and no encoding of it is too small."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from app_runs import ROOT, run_process

from constructs_lib import text
from constructs_lib.cli import output

APP = """
from constructs_lib import Environment, GitRepository, K3d, System, main

REPOSITORY = GitRepository("https://github.com/example/shop.git")
main(lambda environment: System(environment, "shop"), [
    Environment(name="laptop", repository=REPOSITORY, cluster=K3d(kubernetes="1.36", nodes=1)),
])
"""
#: What a terminal obeys: an escape, a control character of the second set, a carriage return, and other directions.
EVIL = "x\x1b]0;pwn\x07\x1b[2J\x9b1m\rfoo\u202egnp\u2066\U000e0041"
#: The same where it is the name of a file, with a byte that is no text.
EVIL_NAME = f"{EVIL}\udc9b"
APPLICATION = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Application",
    "metadata": {"name": EVIL, "namespace": "argocd"},
    "spec": {"project": EVIL, "source": {"repoURL": "x", "path": "m"}, "destination": {"namespace": "d"}},
}


def pod(name: str) -> dict[str, object]:
    container = {"name": "c", "image": f"a:{EVIL}", "ports": [{"name": "http", "containerPort": 80}]}
    labels = {"app": name, EVIL: EVIL}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "d", "labels": labels},
        "spec": {"containers": [container]},
    }


POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": EVIL, "namespace": "d"},
    "spec": {"podSelector": {"matchLabels": {"app": "b"}}, "policyTypes": ["Ingress"]},
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An app, and two trees whose names and values a terminal would obey."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "app.py").write_text(APP)
    for tree, data in ("old", "one"), ("new", f"{EVIL}\n::stop-commands::x\n##[add-mask]y\n"):
        documents: list[object] = [pod("a"), pod("b"), POLICY]
        documents.append({"apiVersion": "v1", "kind": f"Config{EVIL}", "metadata": {"name": "n"}, "data": {EVIL: data}})
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "d"}}
        documents.append({**config, "data": {"x": data, "y": tree}})
        # An environment, a folder and a file with such names, beside an environment with one of them as an object's.
        for path in (f"argocd/{EVIL_NAME}", "argocd/other", f"m/{EVIL_NAME}"):
            top = folder / tree / path
            top.mkdir(parents=True)
            content = [APPLICATION] if path.startswith("argocd/") else documents
            (top / f"{EVIL_NAME}.yaml").write_text(yaml.safe_dump_all(content))
    return folder


COMMANDS = {
    "check": ["check", "--tree", "new"],
    "check of the file format": ["check", "--tree", "new", "--format", "terminal", "--output", "report"],
    "github": ["check", "--tree", "new", "--format", "github"],
    "github in a file": ["check", "--tree", "new", "--format", "github", "--output", "report"],
    "json": ["check", "--tree", "new", "--format", "json"],
    "sarif": ["check", "--tree", "new", "--format", "sarif"],
    "can": ["check", "--tree", "new/m", "--can", "a", "b", "80"],
    "an unknown environment": ["check", "nowhere", "--tree", "new"],
    "an unknown workload": ["check", "--tree", "new/m", "--can", "z", "b", "80"],
    "a hostile argument": ["check", "--tree", "\x1b[2J"],
    "a hostile name of an environment": ["check", "\x1b[2J\u202e"],
    "a hostile format": ["check", "--format", "\x1b[2J"],
    "a hostile option": ["check", "--\x1b[2J"],
    "plan": ["plan", "--from", "old", "--to", "new"],
    "plan in Markdown": ["plan", "--from", "old", "--to", "new", "--format", "markdown"],
    "plan in JSON": ["plan", "--from", "old", "--to", "new", "--format", "json"],
    "an unknown tree": ["plan", "--from", "\x1b[2J", "--to", "new"],
    "an unknown environment of a plan": ["plan", "z", "--from", "old", "--to", "new"],
    "why": ["why", "Pod/\x1b[2J"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_in_a_tree_speaks_to_a_terminal(name: str, hostile: Path) -> None:
    report = hostile / "report"
    report.unlink(missing_ok=True)
    run = run_process(hostile, *COMMANDS[name], app=hostile / "app.py", NO_COLOR="1", PYTHONUTF8="1")
    assert run.code in (0, 1, 2), run.said
    said = run.said + (report.read_text() if report.exists() else "")
    assert said.strip()
    assert [character for character in said if not character.isprintable() and character != "\n"] == []
    if "json" in name.lower() or name == "sarif":
        assert json.loads(run.out)
    if not name.startswith("github"):
        assert not any(line.lstrip().startswith("::") or "##[" in line for line in said.splitlines())


def test_colours_of_our_own_stay() -> None:
    out = output.SafeConsole(file=io.StringIO(), force_terminal=True, color_system="standard", highlight=False)
    out.print("a\x1b[31mb", style="bold red")
    assert isinstance(out.file, io.StringIO)
    assert out.file.getvalue() == "\x1b[1;31ma\\u001b[31mb\x1b[0m\n"


@pytest.mark.parametrize("value", [EVIL, "a\x7fb", "\ud800", "\U000e0001", "über → ‼ \xa0 日本"])
def test_json_keeps_its_meaning(value: str) -> None:
    for ascii_only in (True, False):
        content = json.dumps({"##[x]::": value}, ensure_ascii=ascii_only)
        shown = output.harmless(content, "json")
        assert json.loads(shown) == json.loads(content)
        assert "##[" not in shown and not any(0x7F <= ord(character) < 0xA0 for character in shown)


def test_texts_that_harm_nobody_stay_as_they_are() -> None:
    for harmless in ("a → b\n\tc … ‼", "日本\xa0語", "é", "👍", ""):
        assert text.safe(harmless) == harmless


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "ascii:strict", "utf-8"])
@pytest.mark.parametrize("form", ["terminal", "markdown", "json"])
def test_no_encoding_is_too_small(encoding: str, form: str, hostile: Path, tmp_path: Path) -> None:
    for tree, replicas in ("a", 1), ("b", 2):
        (tmp_path / tree).mkdir()
        container = {"name": "ü", "image": "a:1", "env": [{"name": "X", "value": f"日本 → {tree}"}]}
        spec = {"replicas": replicas, "template": {"spec": {"containers": [container]}}}
        metadata = {"name": "w", "namespace": "d"}
        workload = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
        (tmp_path / tree / "x.yaml").write_text(yaml.safe_dump(workload))
    command = [sys.executable, str(hostile / "app.py"), "plan", "--from", "a", "--to", "b", "--format", form]
    variables = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, check=False)
    assert (run.returncode, run.stderr) == (0, b"")
    said = run.stdout.decode(encoding.partition(":")[0])
    assert "replicas" in said
    if form == "terminal":
        assert ("->" in said) is (encoding != "utf-8")


def test_there_is_one_way_out() -> None:
    found: dict[str, set[str]] = {}
    # What init writes for others runs without the library.
    own = (path for path in (ROOT / "constructs_lib").rglob("*.py") if "init/files" not in path.as_posix())
    for path in sorted(own):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
            if name in ("echo", "secho", "print_exc") or (name in ("stdout", "stderr") and "sys." in ast.unparse(node)):
                found.setdefault(str(path.relative_to(ROOT / "constructs_lib")), set()).add(name)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Console":
                found.setdefault(str(path.relative_to(ROOT / "constructs_lib")), set()).add("Console")
    assert found == {
        "cli/output.py": {"stdout", "stderr"},
        # It makes a text, which goes out through the other.
        "check/report/formats.py": {"Console"},
    }

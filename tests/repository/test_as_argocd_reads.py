"""The reader against Argo CD's own repository server, on trees that are made to differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from repo_server import RepoServer, repo_server
from repositories import git

from constructs_lib.argocd.objects import unreadable
from constructs_lib.rehearse.tools import find_tools
from constructs_lib.repository.applications import find_applications
from constructs_lib.repository.git import Git
from constructs_lib.repository.snapshot import Snapshot
from constructs_lib.repository.sources import OPAQUE
from constructs_lib.user_error import UserError

#: Content of a file; in a list, what a symbolic link holds.
Tree = Mapping[str, "str | bytes | list[str]"]


def config(name: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n"


def as_json(name: str) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})


A, B = {"web/a.yaml": config("a")}, {"web/b.yaml": config("b")}
DEEP = {"directory": {"recurse": True}}
MARKER = "# +argocd:skip-file-rendering\n"
DATA = config("a") + "data:\n"
LIST = "apiVersion: v1\nkind: List\nitems:\n"
KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
CHART = "apiVersion: v2\nname: c\nversion: 1.0.0\n"

CASES: dict[str, tuple[Tree, Mapping[str, Any]]] = {
    "plain": (
        {
            **A,
            "web/b.yml": config("b"),
            "web/c.json": as_json("c"),
            "web/.h.yaml": config("h"),
            "web/.d/x.yaml": config("x"),
            "web/sub/s.yaml": config("s"),
            "web/T.YAML": config("t"),
        },
        {},
    ),
    "recurse": ({**A, "web/.d/x.yaml": config("x"), "web/sub/s.yaml": config("s")}, DEEP),
    "link": ({"web/a.yaml": ["../s/x.yaml"], "s/x.yaml": config("x")}, {}),
    "link of other suffix": ({"web/a.yaml": ["../s/x.txt"], "s/x.txt": config("x")}, {}),
    "link name no suffix": ({"web/a": ["../s/x.yaml"], "s/x.yaml": config("x"), **B}, {}),
    "link to link": ({"web/a.yaml": ["../l/x.yaml"], "l": ["s"], "s/x.yaml": ["y.yaml"], "s/y.yaml": config("y")}, {}),
    "link to folder": ({"web/d": ["../s"], "web/d.yaml": ["../s"], "s/x.yaml": config("x"), **A}, DEEP),
    "dangling": ({"web/a.yaml": ["../s/none.yaml"], **B}, {}),
    "outside": ({"web/a.yaml": ["../../x.yaml"], **B}, {}),
    "outside elsewhere": ({"other/a": ["../../x.yaml"], **B}, {}),
    "absolute": ({"other/a": ["/etc/hostname"], **B}, {}),
    "loop": ({"web/a.yaml": ["b.yaml"], "web/b.yaml": ["a.yaml"], "web/c.yaml": config("c")}, {}),
    "path is a link": ({"web": ["s"], "s/x.yaml": config("x")}, {}),
    "path below a link": ({"l": ["s"], "s/web/x.yaml": config("x")}, {"path": "l/web"}),
    "json stream": ({"web/a.yaml": as_json("a") + "\n" + as_json("b") + as_json("c")}, {}),
    "json stream then junk": ({"web/a.yaml": as_json("a") + "\n" + as_json("b") + "\n}"}, {}),
    "json then yaml": ({"web/a.yaml": as_json("a") + "\n---\n" + config("b")}, {}),
    "json x2 then yaml": ({"web/a.yaml": as_json("a") + "\n" + as_json("b") + "\n---\n" + config("c")}, {}),
    "json.json stream": ({"web/a.json": as_json("a") + "\n" + as_json("b")}, {}),
    "json.json list": ({"web/a.json": "[" + as_json("a") + "]"}, {}),
    "json.json nokind": ({"web/a.json": '{"name":"x"}', **B}, {}),
    "json.json yaml in it": ({"web/a.json": config("x"), **B}, {}),
    "doc without kind after good": ({"web/a.yaml": config("a") + "---\nfoo: bar\n"}, {}),
    "doc without kind first": ({"web/a.yaml": "foo: bar\n---\n" + config("a"), **B}, {}),
    "doc without kind alone": ({"web/a.yaml": "foo: bar\n", **B}, {}),
    "doc list": ({"web/a.yaml": "- a\n- b\n", **B}, {}),
    "doc text": ({"web/a.yaml": "just text\n", **B}, {}),
    "no apiVersion": ({"web/a.yaml": "kind: ConfigMap\nmetadata: {name: a}\n", **B}, {}),
    "empty docs": ({"web/a.yaml": "---\n---\n# x\n---\n" + config("a") + "---\n"}, {}),
    "dots": ({"web/a.yaml": config("a") + "...\n" + config("b")}, {}),
    "dots sep": ({"web/a.yaml": config("a") + "...\n---\n" + config("b")}, {}),
    "sep with text": ({"web/a.yaml": "--- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n"}, {}),
    "sep with comment": ({"web/a.yaml": "--- # c\n" + config("a")}, {}),
    "sep four": ({"web/a.yaml": config("a") + "----\n" + config("b")}, {}),
    "directive": ({"web/a.yaml": "%YAML 1.1\n---\n" + config("a")}, {}),
    "bom": ({"web/a.yaml": b"\xef\xbb\xbf" + (config("a")).encode()}, {}),
    "utf16": ({"web/a.yaml": (config("a")).encode("utf-16")}, {}),
    "utf16 nobom": ({"web/a.yaml": (config("a")).encode("utf-16-le"), **B}, {}),
    "utf16 json": ({"web/a.json": (as_json("a")).encode("utf-16")}, {}),
    "invalid utf8": ({"web/a.yaml": (config("a")).encode() + b'data: {a: "\xff"}\n'}, {}),
    "invalid utf8 json": ({"web/a.json": (as_json("a\xff")).encode("latin-1")}, {}),
    "list": (
        {"web/a.yaml": f"{LIST}- {as_json('a')}\n"},
        {},
    ),
    "list in list": (
        {"web/a.yaml": f"{LIST}- {{kind: List, apiVersion: v1, items: [{as_json('a')}]}}\n"},
        {},
    ),
    "typed list": ({"web/a.yaml": "apiVersion: v1\nkind: ConfigMapList\nitems:\n- {metadata: {name: a}}\n"}, {}),
    "foo with items": (
        {"web/a.yaml": f"apiVersion: x.y/v1\nkind: Foo\nmetadata: {{name: f}}\nitems:\n- {as_json('a')}\n"},
        {},
    ),
    "items null": ({"web/a.yaml": "apiVersion: v1\nkind: ConfigMapList\nitems: null\n", **B}, {}),
    "items text": ({"web/a.yaml": "apiVersion: v1\nkind: List\nitems: [a]\n", **B}, {}),
    "items mapping": ({"web/a.yaml": "apiVersion: v1\nkind: Foo\nmetadata: {name: f}\nitems: {a: b}\n", **B}, {}),
    "marker": ({"web/a.yaml": config("a") + "# +argocd:skip-file-rendering\n", **B}, {}),
    "marker utf16": ({"web/a.yaml": (config("a") + "# +argocd:skip-file-rendering\n").encode("utf-16"), **B}, {}),
    "marker broken": ({"web/a.yaml": "{{ apiVersion: kind: metadata:\n# +argocd:skip-file-rendering\n", **B}, {}),
    "source exclude": ({**A, **B, "web/.argocd-source.yaml": "directory: {exclude: 'a*'}\n"}, {}),
    "source app": (
        {
            **A,
            **B,
            "web/.argocd-source-web.yaml": "directory: {exclude: 'a*'}\n",
            "web/.argocd-source.yaml": "directory: {exclude: 'b*', recurse: true}\n",
            "web/s/c.yaml": config("c"),
        },
        {},
    ),
    "source other app": ({**A, "web/.argocd-source-x.yaml": "directory: {exclude: 'a*'}\n"}, {}),
    "source null": ({**A, "web/s/a.yaml": config("s"), "web/.argocd-source.yaml": "directory: null\n"}, DEEP),
    "source broken": ({**A, "web/.argocd-source.yaml": "directory: {{\n"}, {}),
    "source unknown": ({**A, "web/.argocd-source.yaml": "foo: bar\npath: x\n"}, {}),
    "source wrong type": ({**A, "web/.argocd-source.yaml": "directory: {recurse: 'yes'}\n"}, {}),
    "source list": ({**A, "web/.argocd-source.yaml": "- a\n"}, {}),
    "source empty": ({**A, "web/.argocd-source.yaml": ""}, {}),
    "source two tools": ({**A, "web/.argocd-source.yaml": "kustomize: {namePrefix: a}\n"}, DEEP),
    "source link": ({**A, "web/.argocd-source.yaml": ["../s.txt"], "s.txt": "directory: {exclude: 'a*'}"}, {}),
    "source below": ({**A, "web/s/.argocd-source.yaml": "directory: {exclude: 'a*'}\n"}, DEEP),
    "include braces": (
        {**A, **B, "web/s/c.yaml": config("c")},
        {"directory": {"recurse": True, "include": "{a.yaml,s/*}"}},
    ),
    "exclude star": ({**A, "web/s/c.yaml": config("c")}, {"directory": {"recurse": True, "exclude": "*.yaml"}}),
    "unreadable glob": ({**A}, {"directory": {"exclude": "[a"}}),
    "no filter": ({"web/a.txt": config("a"), "web/README": "hello\n"}, {"directory": {"disableExtensionFilter": True}}),
    "jsonnet": ({"web/a.jsonnet": as_json("a"), "web/b.libsonnet": as_json("b")}, {}),
    "jsonnet broken": ({"web/a.jsonnet": "{", **B}, {}),
    "kustomization": ({"web/kustomization.yaml": "resources: [a.yaml]\nnamePrefix: x-\n", **A, **B}, {}),
    "kustomization with kind as dir": (
        {
            "web/kustomization.yaml": f"{KUSTOMIZATION}resources: [a.yaml]\n",
            **A,
            **B,
        },
        {"directory": {"exclude": "x"}},
    ),
    "kustomization nested": (
        {"web/s/kustomization.yaml": "resources: [a.yaml]\n", "web/s/a.yaml": config("a"), **B},
        DEEP,
    ),
    "chart": ({"web/Chart.yaml": CHART, "web/templates/a.yaml": config("a")}, {}),
    "chart link": (
        {
            "web/Chart.yaml": ["../c.txt"],
            "c.txt": CHART,
            "web/templates/a.yaml": config("a"),
        },
        {},
    ),
    "a chart by the end of a name": ({"web/myChart.yaml": "apiVersion: v2\nname: c\n", **A}, {}),
    "no folder": ({"x/a.yaml": config("a")}, {}),
    "empty folder": ({"web/README.md": "x"}, {}),
    "one bad file": ({**A, "web/b.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: [\n"}, {}),
    "one bad file no words": ({**A, "web/b.yaml": "x: [\n"}, {}),
    "tabs": ({**A, "web/b.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: b\n"}, {}),
    "anchor twice": (
        {"web/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: &x a}\ndata: {a: &x b, c: *x}\n"},
        {},
    ),
    "dup keys": (
        {"web/a.yaml": config("a") + "data: {a: b}\ndata: {c: d}\n"},
        {},
    ),
    "crlf": ({"web/a.yaml": (config("a") + "---\n" + config("b")).replace("\n", "\r\n")}, {}),
    "tag": (
        {"web/a.yaml": config("a") + "data: {a: !!binary aGFsbG8=, b: !foo x, t: 2020-01-01}\n"},
        {},
    ),
    "block with ---": (
        {"web/a.yaml": config("a") + "data:\n  a: |\n    x\n---\n" + config("b")},
        {},
    ),
    "kind is number": ({"web/a.yaml": "apiVersion: v1\nkind: 5\nmetadata: {name: a}\n", **B}, {}),
    "file named .yaml": ({"web/.yaml": config("a")}, {}),
    "space path": ({"web/a b.yaml": config("a")}, {}),
    "merge after": ({"web/a.yaml": f"{DATA}  a: &m {{x: '1'}}\n  b: {{x: '2', <<: *m}}\n"}, {}),
    "merge before": ({"web/a.yaml": f"{DATA}  a: &m {{x: '1'}}\n  b: {{<<: *m, x: '2'}}\n"}, {}),
    "merge of several": (
        {"web/a.yaml": f"{DATA}  a: &m {{x: '1'}}\n  n: &n {{x: '5', z: '1'}}\n  b: {{<<: [*m, *n]}}\n"},
        {},
    ),
    "quoted merge": ({"web/a.yaml": f"{DATA}  a: &m {{x: '1'}}\n  b: {{'<<': *m}}\n"}, {}),
    "value of a merge": ({"web/a.yaml": f"{DATA}  a: <<\n"}, {}),
    "keys of other types": ({"web/a.yaml": f"{DATA}  1: a\n  true: b\n  1.5: c\n  on: d\n"}, {}),
    "a key that is null": ({"web/a.yaml": f"{DATA}  ~: a\n", **B}, {}),
    "a complex key": ({"web/a.yaml": f"{DATA}  ? [a]\n  : b\n", **B}, {}),
    "numbers": ({"web/a.yaml": f"{DATA}  a: [0o17, 017, 08, 0x1F, 1_000, .5, 1e3, +1, 1e400, 22:22]\n"}, {}),
    "truth": ({"web/a.yaml": f"{DATA}  a: [yes, No, y, n, on, Off, tRue, TRUE, ~, Null, nULL, '']\n"}, {}),
    "tags": ({"web/a.yaml": f"{DATA}  a: [!!str 5, !!int '5', !foo 5, !!foo 5, !!timestamp 2020-01-01]\n"}, {}),
    "a tag on another type": ({"web/a.yaml": f"{DATA}  a: !!bool maybe\n", **B}, {}),
    "a comment right after ---": ({"web/a.yaml": "---#x\n" + config("a")}, {}),
    "a comment right after another ---": ({"web/a.yaml": config("a") + "---#x\n" + config("b")}, {}),
    "--- in quotes": ({"web/a.yaml": f'{DATA}  a: "x\n---\n  y"\n'}, {}),
    "--- after JSON": ({"web/a.yaml": as_json("a") + " ---\n" + config("b")}, {}),
    "a comment before JSON": ({"web/a.yaml": f"# c\n{as_json('a')}\n{as_json('b')}"}, {}),
    "a comma between JSON": ({"web/a.yaml": f"{as_json('a')},\n{as_json('b')}"}, {}),
    "half a character": ({"web/a.json": as_json("a").replace('"a"', '"a\\ud800"')}, {}),
    "a control character": ({"web/a.yaml": f'{DATA}  a: "x\\x07\a"\n', **B}, {}),
    "an alias to nothing": ({"web/a.yaml": config("a") + "---\n" + f"{DATA}  a: *x\n"}, {}),
    "carriage returns alone": ({"web/a.yaml": config("a").replace("\n", "\r"), **B}, {}),
    "an empty list": ({"web/a.yaml": "apiVersion: v1\nkind: List\nmetadata: {}\nitems: []\n", **B}, {}),
    "nothing in a list": ({"web/a.yaml": "apiVersion: v1\nkind: List\nmetadata: {}\nitems: [null]\n", **B}, {}),
}


@pytest.fixture(scope="module")
def server() -> Iterator[RepoServer]:
    try:
        tools = find_tools()
    except UserError as error:
        pytest.skip(str(error))
    with repo_server(tools) as server:
        yield server


def ours(snapshot: Snapshot) -> list[Any] | str | None:
    """Return what the reader says is rendered, why nothing is, or None if it says that it cannot tell."""
    (web,) = (known for known in find_applications(snapshot).all if known.name == "web")
    broken = [problem for path, text in web.files.items() if (problem := unreadable(path, text))]
    if web.problems or broken or not web.sources:
        return str(web.problems or broken)
    if any(source.tool in (*OPAQUE, "Kustomize") for source in web.sources):
        return None
    return [item.manifest for path, text in web.files.items() for item in web.read(path, text)]


def shown(manifests: list[Any]) -> list[Any]:
    # To Python, 5.0 is 5.
    return sorted(manifests, key=lambda manifest: json.dumps(manifest.get("metadata")))


@pytest.mark.parametrize("name", CASES)
def test_the_reader_sees_what_argo_cd_renders(name: str, server: RepoServer, tmp_path: Path) -> None:
    tree, source = CASES[name]
    source = {"path": "web", **source}
    spec = {"source": {"repoURL": "https://example.com/x.git", **source}}
    item = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "web"}, "spec": spec}
    for path, content in {**tree, "argocd/web.yaml": yaml.safe_dump(item)}.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            file.symlink_to(content[0])
        else:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all", "--force")
    git(tmp_path, "commit", "--quiet", "--message=A tree")
    theirs = server.render(tmp_path, Git(tmp_path).commit("HEAD") or "", "web", source)
    if not isinstance(theirs, str) and not all("apiVersion" in each and "kind" in each for each in theirs):
        theirs = "The controller refuses what does not say what it is."
    for snapshot in (Snapshot.of_folder(tmp_path), Snapshot.of_revision(Git(tmp_path), "HEAD")):
        found = ours(snapshot)
        if isinstance(theirs, str):
            assert found is None or isinstance(found, str), (found, theirs)
        elif found is not None:
            assert not isinstance(found, str), (found, theirs)
            assert shown(found) == shown(theirs)
        else:
            assert "jsonnet" in name or "chart" in name, (found, theirs)

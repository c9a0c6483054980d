"""What changes the rendering by Argo CD, or cannot be seen, is a danger; what changes nothing is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from trees import application, between, config, root, tree, with_fields, written

from constructs_lib.plan.plan import Plan, plan
from constructs_lib.repository.snapshot import Snapshot

BEFORE = tree({"app": [config("a"), config("b")]})
NONE, APP = "no effect in the cluster", "Application/argocd/app"


def app(**fields: object) -> dict[str, bytes]:
    """Return the Application with some fields set, the dots in their names as underscores."""
    changes = {path.replace("_", "."): value for path, value in fields.items()}
    return {"apps/app.yaml": written(with_fields(application("app", "parts/app"), changes))}


def shown(found: Plan) -> dict[str, str]:
    return {each.full_name: f"{'! ' if each.dangerous else ''}{each.effect.words}" for each in found.changes}


#: What is new in a tree: files, or None for those that are gone; and what the plan says then.
CASES: dict[str, tuple[Mapping[str, bytes | None], dict[str, str]]] = {
    "Jsonnet": ({"parts/app/x.jsonnet": b"{}"}, {APP: "! update in place"}),
    "Jsonnet that nothing deploys": ({"parts/app/below/x.jsonnet": b"{}", "libs/x.libsonnet": b"{}"}, {}),
    "an override": (
        {"parts/app/.argocd-source.yaml": b"directory: {exclude: 0.yaml}\n"},
        {APP: "! update in place", "ConfigMap/ns/a": "delete"},
    ),
    "an override of the Application": (
        {"parts/app/.argocd-source-app.yaml": b"directory: {include: 0.yaml}\n"},
        {APP: "! update in place", "ConfigMap/ns/b": "delete"},
    ),
    "an override of the root": (
        {"apps/.argocd-source.yaml": b"directory: {exclude: '{root,app}.yaml'}\n"},
        {
            "Application/argocd/root": "! update in place",
            APP: "! delete",
            "ConfigMap/ns/a": "delete",
            "ConfigMap/ns/b": "delete",
        },
    ),
    "a marker in an Application": (
        {"apps/app.yaml": BEFORE["apps/app.yaml"] + b"# +argocd:skip-file-rendering\n"},
        {
            "Application/argocd/root": "! update in place",
            APP: "! delete",
            "ConfigMap/ns/a": "delete",
            "ConfigMap/ns/b": "delete",
        },
    ),
    "an override of another Application": ({"parts/app/.argocd-source-other.yaml": b"directory: {include: x}\n"}, {}),
    "a marker": (
        {"parts/app/0.yaml": BEFORE["parts/app/0.yaml"] + b"# +argocd:skip-file-rendering\n"},
        {APP: "! update in place", "ConfigMap/ns/a": "delete"},
    ),
    "a marker in a new file": ({"parts/app/x.yaml": written(config("x")) + b"# +argocd:skip-file-rendering\n"}, {}),
    "JSON one after the other": (
        {"parts/app/x.yaml": b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}\n' * 2},
        {"ConfigMap/ns/x": "create"},
    ),
    "JSON one after the other in JSON": (
        {"parts/app/x.json": b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}\n' * 2},
        {APP: f"! {NONE}"},
    ),
    "YAML that is none": ({"parts/app/x.yaml": written(config("x")) + b"---\na: b\n"}, {APP: f"! {NONE}"}),
    "YAML of something else": ({"parts/app/x.yaml": b"a: [b\n"}, {}),
    "two tools at once": (
        {
            "parts/app/.argocd-source.yaml": b"kustomize: {namePrefix: x}\n",
            **app(spec_source_directory={"exclude": "x"}),
        },
        {APP: "! update in place"},
    ),
    "a chart in the tree": ({"parts/app/Chart.yaml": b"name: x\n"}, {APP: "! update in place"}),
    "a kustomization": ({"parts/app/kustomization.yaml": b"resources: [0.yaml, 1.yaml]\n"}, {APP: "! update in place"}),
    "a plugin": (app(spec_source_plugin={"name": "x"}), {APP: "! update in place"}),
    "the source hydrator": (
        app(
            spec_sourceHydrator={
                "drySource": {
                    "path": "parts/app",
                    "targetRevision": "HEAD",
                    "repoURL": "https://example.com/gitops.git",
                },
                "syncSource": {"path": "parts/app", "targetBranch": "hydrated"},
            }
        ),
        {APP: "! update in place"},
    ),
    "an Application that comes with a chart": (
        {
            "apps/new.yaml": written(
                with_fields(application("new", ""), {"spec.source.path": None, "spec.source.chart": "x"})
            )
        },
        {"Application/argocd/new": "! create"},
    ),
    "nothing is left": (
        {"parts/app/0.yaml": None, "parts/app/1.yaml": None, "parts/app/README.md": b"x"},
        {"ConfigMap/ns/a": "kept in the cluster", "ConfigMap/ns/b": "kept in the cluster"},
    ),
    "the folder is gone": (
        {"parts/app/0.yaml": None, "parts/app/1.yaml": None},
        {"ConfigMap/ns/a": "kept in the cluster", "ConfigMap/ns/b": "kept in the cluster"},
    ),
    "nothing is left and may be": (
        {
            "parts/app/0.yaml": None,
            "parts/app/1.yaml": None,
            "parts/app/README.md": b"x",
            **app(spec_syncPolicy_automated_allowEmpty=True),
        },
        {APP: "update in place", "ConfigMap/ns/a": "delete", "ConfigMap/ns/b": "delete"},
    ),
    "nothing is left in the root": (
        {"apps/app.yaml": None, "apps/kept.yaml": None, "apps/README.md": b"x"},
        {
            "Application/argocd/app": "kept in the cluster",
            "ConfigMap/ns/kept": "kept in the cluster",
            "ConfigMap/ns/a": "kept in the cluster",
            "ConfigMap/ns/b": "kept in the cluster",
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_plan(name: str) -> None:
    changes, expected = CASES[name]
    after = {**BEFORE, **changes}
    found = between(BEFORE, {path: content for path, content in after.items() if content is not None})
    assert shown(found) == expected


def test_without_applications_files_are_named() -> None:
    before = {"web/Chart.yaml": b"name: web\n", "web/templates/a.tpl": b"a", "x/a.yaml": written(config("a"))}
    after = {**before, "web/templates/a.tpl": b"b", "x/a.yaml": before["x/a.yaml"] + b"---\na: b\n"}
    found = between(before, after)
    assert shown(found) == {"File/web/templates/a.tpl": "! update in place", "File/x/a.yaml": f"! {NONE}"}
    assert shown(between(before, before)) == {}


def test_links(tmp_path: Path) -> None:
    for path, content in BEFORE.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    before = Snapshot.of_folder(tmp_path)
    shared = tmp_path / "shared" / "x.txt"
    shared.parent.mkdir()
    shared.write_bytes(written(config("x")))
    (tmp_path / "parts/app/x.yaml").symlink_to("../../shared/x.txt")
    linked = Snapshot.of_folder(tmp_path)
    assert shown(plan(before, linked)) == {"ConfigMap/ns/x": "create"}
    shared.write_bytes(written(config("x", a="b")))
    assert shown(plan(linked, Snapshot.of_folder(tmp_path))) == {"ConfigMap/ns/x": "update in place"}
    (tmp_path / "notes").symlink_to("../outside")
    refused = plan(linked, Snapshot.of_folder(tmp_path))
    assert shown(refused)[APP] == f"! {NONE}"
    assert "the symbolic link notes does not stay inside" in str(refused.dangerous[0].reasons)


def test_root_is_found_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "apps").mkdir()
    (tmp_path / "real/root.yaml").write_bytes(written(root()))
    (tmp_path / "apps/root.yaml").symlink_to("../real/root.yaml")
    assert shown(plan(Snapshot("nothing", {}), Snapshot.of_folder(tmp_path))) == {"Application/argocd/root": "create"}

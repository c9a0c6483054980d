"""What Argo CD deploys from a repository, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from constructs_lib.repository.applications import (
    ALL_OBJECTS,
    BY_HAND,
    Application,
    Applications,
    find_applications,
)
from constructs_lib.repository.snapshot import Snapshot

CONFIG = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


def app(name: str, source: Mapping[str, Any] | None = None, **more: Any) -> bytes:
    spec = {"source": source, "destination": {"namespace": f"in-{name}"}, **more}
    metadata = {"name": name, "namespace": "argocd"}
    return yaml.safe_dump(
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata, "spec": spec}
    ).encode()


def found(files: Mapping[str, bytes], *folders: str) -> Applications:
    return find_applications(Snapshot.of_files("tree", files), folders)


def the(result: Applications, name: str) -> Application:
    (application,) = (application for application in result.all if application.name == name)
    return application


def shown(result: Applications) -> dict[str, list[str]]:
    return {application.name: sorted(application.files) for application in result.all}


def test_nested_app_of_apps() -> None:
    files = {
        "root.yaml": app("root", {"path": "apps"}),
        "apps/team.yaml": app("team", {"path": "team"}),
        "team/web.yaml": app("web", {"path": "./web/"}),
        "web/a.yaml": CONFIG,
        "notes.yaml": b"a: 1",
    }
    result = found(files)
    assert shown(result) == {
        BY_HAND: ["root.yaml"],
        "root": ["apps/team.yaml"],
        "team": ["team/web.yaml"],
        "web": ["web/a.yaml"],
    }
    parents = {application.name: application.parent and application.parent.name for application in result.all}
    assert parents == {BY_HAND: None, "root": BY_HAND, "team": "root", "web": "team"}
    assert [item.namespace for item in the(result, "web").read("web/a.yaml", CONFIG)] == ["in-web"]


def test_root_that_deploys_itself() -> None:
    result = found(
        {
            "apps/root.yaml": app("root", {"path": "apps"}),
            "apps/web.yaml": app("web", {"path": "web"}),
            "web/a.yaml": CONFIG,
        }
    )
    assert shown(result) == {
        BY_HAND: ["apps/root.yaml"],
        "root": ["apps/root.yaml", "apps/web.yaml"],
        "web": ["web/a.yaml"],
    }


def test_applications_that_deploy_each_other() -> None:
    result = found({"a/x.yaml": app("one", {"path": "b"}), "b/y.yaml": app("two", {"path": "a"})})
    assert {application.name for application in result.all} == {"one", "two"}


def test_folder() -> None:
    files = {
        f"argocd/{env}/{name}.yaml": app(name, {"path": f"dist/{env}"})
        for env in ("a", "b")
        for name in (f"app-{env}",)
    }
    result = found({**files, "dist/a/x.yaml": CONFIG, "dist/b/y.yaml": CONFIG}, "argocd/a")
    assert shown(result) == {BY_HAND: ["argocd/a/app-a.yaml"], "app-a": ["dist/a/x.yaml"]}


def test_no_applications() -> None:
    result = found({"a.yaml": CONFIG, "b/c.yaml": CONFIG})
    assert shown(result) == {ALL_OBJECTS: ["a.yaml", "b/c.yaml"]}
    assert "no Application" in "".join(result.warnings.values())
    assert found({}).warnings == {}


def test_directory_options() -> None:
    tree = {"web/a.yaml": CONFIG, "web/b.yml": CONFIG, "web/c/d.yaml": CONFIG, "website/e.yaml": CONFIG}
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["web/a.yaml", "web/b.yml"]),
        ({"recurse": True}, ["web/a.yaml", "web/b.yml", "web/c/d.yaml"]),
        ({"exclude": "a.*"}, ["web/b.yml"]),
        ({"include": "*.yaml"}, ["web/a.yaml"]),
        ({"recurse": True, "include": "{c/*,b.yml}"}, ["web/b.yml", "web/c/d.yaml"]),
        ({"recurse": True, "include": "*.yaml", "exclude": "c/**"}, ["web/a.yaml"]),
    ]
    for directory, expected in cases:
        result = found({"app.yaml": app("web", {"path": "web", "directory": directory}), **tree})
        assert sorted(the(result, "web").files) == expected


def test_whole_repository() -> None:
    result = found({"a.yaml": CONFIG, "b/app.yaml": app("all", {"path": "."})})
    assert sorted(the(result, "all").files) == ["a.yaml"]


def test_sources_and_charts() -> None:
    sources = [
        {
            "repoURL": "https://charts",
            "chart": "thing",
            "targetRevision": "1.2.3",
            "helm": {"valueFiles": ["$values/values/thing.yaml"]},
        },
        {"repoURL": "https://git", "path": "web", "targetRevision": "v1"},
        {"repoURL": "https://git", "ref": "values"},
        {"repoURL": "https://elsewhere", "path": "not/here"},
    ]
    result = found({"app.yaml": app("web", sources=sources), "web/a.yaml": CONFIG, "values/thing.yaml": b"a: 1"})
    web = the(result, "web")
    assert [(chart.name, chart.helm) for chart in web.charts] == [
        ("thing", {"valueFiles": ["$values/values/thing.yaml"]})
    ]
    assert [(source.path, source.revision, source.tool) for source in web.sources] == [("web", "v1", "")]
    assert (sorted(web.files), sorted(web.rendered)) == (["web/a.yaml"], ["values/thing.yaml"])


def test_what_is_elsewhere_is_in_no_folder_of_the_tree() -> None:
    own = {"repoURL": "git@example.com:team/deploy.git", "path": "web"}
    others = {
        "artifact": {"repoURL": "oci://registry.example.com/charts/cache", "path": ".", "targetRevision": "sha256:1"},
        "git": {"repoURL": "https://example.com/else/charts", "path": "web", "targetRevision": "v1.2.3"},
    }
    files = {"web/a.yaml": CONFIG, "app.yaml": app("own", own)}
    files |= {f"{name}.yaml": app(name, source) for name, source in others.items()}
    files["bootstrap/argocd/local.tfvars.json"] = b'{"repository": {"url": "https://example.com/team/deploy"}}'
    result = found(files)
    assert {name: sorted(the(result, name).files) for name in ("own", *others)} == {
        "own": ["web/a.yaml"],
        "artifact": [],
        "git": [],
    }
    titles = {name: [chart.title for chart in the(result, name).charts] for name in others}
    assert titles == {"artifact": ["the chart cache"], "git": ["the folder web of https://example.com/else/charts"]}


def test_sources_count_before_the_one_source() -> None:
    files = {"app.yaml": app("web", {"path": "a"}, sources=[{"path": "b"}]), "a/x.yaml": CONFIG, "b/y.yaml": CONFIG}
    assert sorted(the(found(files), "web").files) == ["b/y.yaml"]


def test_policy() -> None:
    policy = {"automated": {"prune": True}, "syncOptions": ["Prune=false", "ServerSideApply=true"]}
    web = the(found({"app.yaml": app("web", {"path": "web"}, syncPolicy=policy), "web/a.yaml": CONFIG}), "web")
    assert (web.automated, web.prunes, web.cascades) == (True, True, False)
    assert web.sync_options == {"Prune": "false", "ServerSideApply": "true"}
    off = {"automated": {"prune": True, "enabled": False}}
    web = the(found({"app.yaml": app("web", {"path": "web"}, syncPolicy=off), "web/a.yaml": CONFIG}), "web")
    assert (web.automated, web.prunes) == (False, False)


def test_pinned_child_is_read_from_its_commit() -> None:
    old, missing = "a" * 40, "b" * 40

    def pinned(commit: str, folder: str) -> Snapshot:
        if commit == missing:
            raise LookupError(commit)
        return Snapshot.of_files(commit, {"web/a.yaml": CONFIG.replace(b"name: a", b"name: old")})

    for revision, name, warns in ((old, b"old", False), (missing, b"name: a", True), ("HEAD", b"name: a", False)):
        files = {"app.yaml": app("web", {"path": "web", "targetRevision": revision}), "web/a.yaml": CONFIG}
        result = find_applications(Snapshot("tree", files, pinned))
        assert name in the(result, "web").files["web/a.yaml"]
        assert bool(result.warnings) is warns


def test_custom_cluster_scoped_kinds() -> None:
    definition = (
        b"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a}\n"
        b"spec: {group: example.com, scope: Cluster, names: {kind: Planet}}\n"
    )
    planet = b"apiVersion: example.com/v1\nkind: Planet\nmetadata: {name: a}\n"
    result = found({"app.yaml": app("web", {"path": "web"}), "web/a.yaml": planet, "crds.yaml": definition})
    assert [item.namespace for item in the(result, "web").read("web/a.yaml", planet)] == [""]
    result = found({"app.yaml": app("web", {"path": "web"}), "web/a.yaml": planet})
    assert [item.namespace for item in the(result, "web").read("web/a.yaml", planet)] == ["in-web"]


def test_kustomize() -> None:
    files = {
        "app.yaml": app("web", {"path": "overlay"}),
        "overlay/kustomization.yaml": b"resources: [../base, extra.yaml]\npatches: [{path: patch.yaml}]\n",
        "overlay/extra.yaml": CONFIG,
        "overlay/patch.yaml": CONFIG,
        "base/kustomization.yml": b"resources:\n- web.yaml\n- ../overlay\n",
        "base/web.yaml": CONFIG,
        "base/unused.yaml": CONFIG,
    }
    result = found(files)
    assert sorted(the(result, "web").files) == ["base/web.yaml", "overlay/extra.yaml"]
    assert sorted(the(result, "web").rendered) == [
        "base/kustomization.yml",
        "overlay/kustomization.yaml",
        "overlay/patch.yaml",
    ]
    assert list(result.warnings) == ["Kustomize"]


def test_chart_in_the_tree() -> None:
    files = {
        "app.yaml": app("web", {"path": "chart"}),
        "chart/Chart.yaml": b"name: web",
        "chart/templates/a.yaml": b"{{ a }}",
    }
    result = found(files)
    assert the(result, "web").files == {}
    assert sorted(the(result, "web").rendered) == ["chart/Chart.yaml", "chart/templates/a.yaml"]
    assert list(result.warnings) == ["Helm"]


def test_application_sets_are_named() -> None:
    generator = b"apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: all}\n"
    result = found({"set.yaml": generator, "app.yaml": app("web", {"path": "web"}), "web/a.yaml": CONFIG})
    assert "1 ApplicationSet (all)" in result.warnings["ApplicationSet"]


def test_odd_applications() -> None:
    head = b"apiVersion: argoproj.io/v1alpha1\nkind: Application\n"
    odd = [
        b"metadata: {name: a}\n",
        b"metadata: {name: b}\nspec: {source: 3, sources: [1, {path: 7}], syncPolicy: x, destination: []}\n",
        b"metadata: 5\nspec: {source: {path: ../../x, directory: 1, helm: 2}, ignoreDifferences: 1}\n",
    ]
    result = found({f"{number}.yaml": head + content for number, content in enumerate(odd)})
    assert [application.name for application in result.all] == [BY_HAND, "a", "b", "*"]

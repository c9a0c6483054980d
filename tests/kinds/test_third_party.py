"""Charts and folders of others, from everywhere that Argo CD's own repository server reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from charts import REGISTRY, archive, push, registry
from repo_server import RepoServer, repo_server
from repositories import git
from systems import empty

from constructs_lib import HelmChart, Kustomization
from constructs_lib.argocd.objects import Object
from constructs_lib.argocd.projects import Project
from constructs_lib.declare.component import Component
from constructs_lib.derive.applications import app_project, application
from constructs_lib.derive.graph import Graph
from constructs_lib.rehearse.remotes import Chart
from constructs_lib.rehearse.tools import find_tools
from constructs_lib.user_error import UserError

CONFIG = (
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-config}\ndata: {size: {{ .Values.size }}}\n"
)
FILES = {"values.yaml": "size: small\n", "templates/config.yaml": CONFIG}
VERSION = "1.2.3"


@dataclass(frozen=True)
class Places:
    """Where the same chart is."""

    server: RepoServer
    registry: str
    digest: str
    git: Path


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    if REGISTRY is None:
        pytest.skip("docker-registry is not installed")
    folder = tmp_path_factory.mktemp("places")
    try:
        tools = find_tools()
    except UserError as missing:
        pytest.skip(str(missing))
    packed = archive("cache", VERSION, FILES)
    repository = folder / "git"
    repository.mkdir()
    git(repository, "init", "--quiet")
    for path, text in {
        "charts/cache/Chart.yaml": f"apiVersion: v2\nname: cache\nversion: {VERSION}\n",
        **{f"charts/cache/{path}": text for path, text in FILES.items()},
        "plain/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cache-config}\ndata: {size: 1Gi}\n",
    }.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "Begin")
    git(repository, "tag", "--annotate", "v1.2.3", "--message", "1.2.3")
    charts = {Chart("https://charts.example.com", "cache", VERSION): packed}
    with registry(folder / "registry") as address, repo_server(tools, charts) as server:
        digest = push(tools.helm.path, address, packed, "cache", VERSION, folder)
        yield Places(server, address, digest, repository)


def rendered(places: Places, component: Component, **changed: str) -> Any:
    """Return what Argo CD renders of a component's first source, which its AppProject must permit.

    Args:
        places: Where the chart is.
        component: The component.
        changed: Fields of the source that are another here than in a declaration.
    """
    assert not component.system.diagnostics.found
    graph = Graph(component.system)
    source = application(component, graph)["spec"]["sources"][0]
    project = Project(Object(app_project(component, []), "a.yaml", "argocd"))
    assert project.permits_repository(source["repoURL"])
    return places.server.render_source({**source, **changed}, component.id, component.namespace_name, plain_http=True)


def the_config(found: Any) -> Mapping[str, str]:
    """Return the data of the ConfigMap that all of them make."""
    assert isinstance(found, list), found
    (item,) = found
    assert item["metadata"]["name"] == "cache-config"
    return dict(item["data"])


def test_of_a_chart_repository(places: Places) -> None:
    chart = HelmChart(
        empty(),
        "cache",
        repository="https://charts.example.com",
        chart="cache",
        version=VERSION,
        values={"size": "1Gi"},
    )
    assert the_config(rendered(places, chart)) == {"size": "1Gi"}


@pytest.mark.parametrize("pinned", [False, True])
def test_of_a_registry(places: Places, pinned: bool) -> None:
    chart = HelmChart(
        empty(),
        "cache",
        repository=f"oci://{places.registry}/charts",
        chart="cache",
        version=VERSION,
        digest=places.digest if pinned else None,
        values={"size": "1Gi"},
    )
    assert the_config(rendered(places, chart)) == {"size": "1Gi"}


def test_argo_cd_finds_no_chart_of_a_registry_by_its_scheme(places: Places) -> None:
    chart = HelmChart(empty(), "cache", repository=f"oci://{places.registry}/charts", chart="cache", version=VERSION)
    source = {**chart.chart_source.source("cache"), "repoURL": f"oci://{places.registry}/charts"}
    assert isinstance(places.server.render_source(source, "cache", plain_http=True), str)


@pytest.mark.parametrize("revision", ["v1.2.3", "refs/tags/v1.2.3", "commit"])
def test_of_git(places: Places, revision: str) -> None:
    revision = git(places.git, "rev-parse", "HEAD").strip() if revision == "commit" else revision
    chart = HelmChart(
        empty(),
        "cache",
        repository="https://github.com/example/charts.git",
        path="charts/cache",
        revision=revision,
        values={"size": "1Gi"},
    )
    assert the_config(rendered(places, chart, repoURL=f"file://{places.git}")) == {"size": "1Gi"}


def test_a_folder_of_plain_manifests(places: Places) -> None:
    repository = "https://github.com/example/charts.git"
    folder = Kustomization(empty(), "cache", repository=repository, path="plain", revision="v1.2.3")
    assert the_config(rendered(places, folder, repoURL=f"file://{places.git}")) == {"size": "1Gi"}

"""Charts whose manifests the repository keeps, rendered by the real Helm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts import REGISTRY, archive, push, registry
from systems import empty

from constructs_lib import DeclarationError, HelmChart, PodAccess, api, synthesize
from constructs_lib.api import model_of
from constructs_lib.argocd.objects import Object
from constructs_lib.check.proofs import prove
from constructs_lib.repository.rendering import find_helm
from constructs_lib.synth.pipeline import synthesize as synthesize_tree

FILES = {
    "values.yaml": "password: ''\nrandom: false\n",
    "crds/caches.yaml": """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: caches.example.com}
spec:
  group: example.com
  names: {kind: Cache, plural: caches}
  scope: Cluster
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
""",
    "templates/all.yaml": """
apiVersion: example.com/v1
kind: Cache
metadata: {name: all}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: cache}
spec:
  serviceName: cache
  selector: {matchLabels: {app: cache}}
  template:
    metadata: {labels: {app: cache}}
    spec: {containers: [{name: cache, image: "valkey:{{ .Chart.Version }}"}]}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: pre-upgrade, helm.sh/hook-weight: "-3"}}
spec:
  template:
    metadata: {labels: {app: migrate}}
    spec: {restartPolicy: Never, containers: [{name: migrate, image: valkey:8.1.0}]}
---
apiVersion: v1
kind: Pod
metadata: {name: try, annotations: {helm.sh/hook: test}}
spec: {containers: [{name: try, image: valkey:8.1.0}]}
{{- if .Values.password }}
---
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: {{ .Values.password }}}
{{- end }}
{{- if .Values.random }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: id}
data: {id: {{ randAlphaNum 12 }}}
{{- end }}
""",
}


@dataclass
class Store:
    """Where the chart is."""

    address: str


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    helm = find_helm()
    if helm is None or REGISTRY is None:
        pytest.skip("helm or docker-registry is not installed")
    folder = tmp_path_factory.mktemp("registry")
    with registry(folder) as address:
        push(helm, address, archive("cache", "8.1.0", FILES), "cache", "8.1.0", folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{helm.parent}:/usr/bin:/bin")
            patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
            yield Store(address)


def files(store: Store, **more: Any) -> Mapping[str, bytes]:
    """Return the files of a system with the chart, rendered."""
    return synthesize(declared(store, **more)).files


def declared(store: Store, **more: Any) -> Any:
    system = empty()
    repository = f"oci://{store.address}/charts"
    access = [PodAccess("cache", {"app": "cache"}), PodAccess("migrate", {"app": "migrate"})]
    more = {"repository": repository, "chart": "cache", "version": "8.1.0", "access": access, **more}
    HelmChart(system, "cache", rendered=True, **more)
    return system


def test_manifests_are_files_like_all_others(store: Store) -> None:
    found = files(store)
    assert found == files(store)
    read = {path: Object(yaml.safe_load(content), path, "") for path, content in found.items() if path.endswith("yaml")}
    folder = "dist/staging/cache"
    waves = {path: read[f"{folder}/{path}.yaml"].wave for path in ("StatefulSet-cache", "Job-migrate", "Cache-all")}
    assert read[f"{folder}/CustomResourceDefinition-caches.example.com.yaml"].wave < min(
        waves["StatefulSet-cache"], waves["Cache-all"]
    )
    # A hook keeps its phase and its weight, and the chart's tests are nobody's.
    assert (read[f"{folder}/Job-migrate.yaml"].phases, waves["Job-migrate"]) == (("PreSync",), -3)
    assert f"{folder}/Pod-try.yaml" not in found
    assert read[f"{folder}/StatefulSet-cache.yaml"].manifest["metadata"]["namespace"] == "cache"
    assert "namespace" not in read[f"{folder}/Cache-all.yaml"].manifest["metadata"]
    # What holds data is protected, with its namespace.
    for path in ("StatefulSet-cache", "Namespace-cache"):
        assert read[f"{folder}/{path}.yaml"].sync_options["Delete"] == "false"
    application = read["argocd/staging/Application-cache.yaml"].spec
    assert application["source"]["path"] == folder
    project = read["argocd/staging/AppProject-shop-cache.yaml"].spec
    assert project["sourceRepos"] == ["https://github.com/example/shop.git"]
    kinds = {(entry["kind"], entry.get("name")) for entry in project["clusterResourceWhitelist"]}
    assert {("Cache", "all"), ("CustomResourceDefinition", "caches.example.com")} <= kinds


def test_from_python_charts_are_looked_into_if_it_is_asked_for(store: Store) -> None:
    system = empty()
    HelmChart(system, "cache", repository=f"oci://{store.address}/charts", chart="cache", version="8.1.0")
    assert api.check(system) == []
    found = api.check(system, charts=True)
    assert {"chart-kinds-refused", "chart-pods-closed", "pod-security-violated"} <= {each.check.code for each in found}
    # Those on what the chart makes are told at the line of the chart, too.
    assert {each.location.partition(":")[0] for each in found} == {__file__}


def test_the_project_permits_what_is_rendered(store: Store) -> None:
    model = model_of(synthesize_tree(declared(store), keep_manifests=True))
    codes = {finding.check.code for finding in prove(model)}
    assert not {code for code in codes if code.startswith("project-")}
    assert "data-not-protected" not in codes


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"values": {"password": "x"}}, 'the chart makes the Secret "login" in the namespace cache with its values'),
        ({"values": {"random": True}}, "what it makes of templates/all.yaml differs each time"),
        (
            {"access": [PodAccess("migrate", {"app": "migrate"})]},
            "no PodAccess is about the pods of the StatefulSet cache, so that they could neither be called nor call "
            'anybody; add PodAccess("cache", {"app": "cache"}) to access=[…]',
        ),
        ({"version": "9.9.9"}, "synth renders the Helm chart cache, and cannot: "),
    ],
)
def test_what_cannot_be_kept_is_told(store: Store, more: Mapping[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError) as told:
        files(store, **more)
    (diagnostic,) = told.value.diagnostics
    assert said in diagnostic.problem
    assert diagnostic.location.file == __file__


def test_without_helm_one_mistake_says_so(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = files(store)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    # What is in the cache needs no Helm.
    assert files(store) == kept
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DeclarationError) as told:
        files(store)
    (diagnostic,) = told.value.diagnostics
    assert "there is no Helm: install it, or python app.py rehearse --setup builds one" in diagnostic.problem

"""What check sees in charts: rendered by the real Helm, of a real registry, a chart repository and Git."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from charts import REGISTRY, archive, push, registry
from repositories import git
from systems import empty

from constructs_lib import HelmChart, Kind, Kustomization, Microservice, PodAccess, System, synthesize
from constructs_lib.api import model_of
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.notes import notes
from constructs_lib.check.proofs import prove
from constructs_lib.repository.rendering import Charts, find_helm, looking_with
from constructs_lib.synth.pipeline import synthesize as synthesize_tree

WORKLOAD = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: {{ .Release.Name }}, labels: {app: cache}, annotations: {owner: {{ .Values.annotation }}}}
spec:
  serviceName: {{ .Release.Name }}
  selector: {matchLabels: {app: cache}}
  template:
    metadata: {labels: {app: cache}}
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: cache
          image: valkey/valkey:{{ .Chart.Version }}
          ports: [{containerPort: 6379}]
          env: [{name: REPLICA_OF, value: "{{ .Values.primary }}"}]
          securityContext:
            allowPrivilegeEscalation: false
            capabilities: {drop: [ALL]}
{{- if .Values.privileged }}
            privileged: true
{{- end }}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec: {selector: {app: cache}, ports: [{port: 6379}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: {{ .Release.Name }}-reader}
rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}]
{{- if .Values.monitor }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: served}
data:
  monitors: "{{ .Capabilities.APIVersions.Has "monitoring.coreos.com/v1/ServiceMonitor" }}"
  kubernetes: "{{ .Capabilities.KubeVersion.Version }}"
{{- end }}
"""
FILES = {
    "values.yaml": "primary: ''\nprivileged: false\nmonitor: false\nannotation: team\n",
    "templates/all.yaml": WORKLOAD,
}
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: ServiceMonitor, plural: servicemonitors}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""
KINDS = [Kind("apps", "StatefulSet"), Kind("", "Service")]
CLUSTER_KINDS = [Kind("rbac.authorization.k8s.io", "ClusterRole", ("cache-*",))]
ACCESS = [PodAccess("cache", {"app": "cache"})]


@dataclass
class Store:
    """A registry with the chart ``cache`` in three versions, and what looks into it."""

    address: str
    charts: Charts
    digest: str

    def chart(self, system: System, **more: Any) -> HelmChart:
        """Declare the chart; all of it is permitted and open, unless something else is given."""
        given = {"version": "8.1.0", "kinds": KINDS, "cluster_kinds": CLUSTER_KINDS, "access": ACCESS, **more}
        return HelmChart(system, "cache", repository=f"oci://{self.address}/charts", chart="cache", **given)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    helm = find_helm()
    if helm is None or REGISTRY is None:
        pytest.skip("helm or docker-registry is not installed")
    folder = tmp_path_factory.mktemp("store")
    with registry(folder / "registry") as address:
        push(helm, address, archive("kinds", "1.0.0", {"crds/monitors.yaml": DEFINITION}), "kinds", "1.0.0", folder)
        digest = push(helm, address, archive("cache", "8.1.0", FILES), "cache", "8.1.0", folder)
        yield Store(address, Charts(helm, folder / "cache"), digest)


def looked(system: System, charts: Charts) -> ClusterModel:
    """Return what the proofs look at of a system."""
    with looking_with(charts):
        return model_of(synthesize_tree(system, keep_manifests=True))


def found(system: System, charts: Charts) -> dict[str, Finding]:
    """Return what is found in a system, by the code; its images and replicas are no matter of these tests."""
    return {finding.check.code: finding for finding in prove(looked(system, charts))}


def test_objects_of_a_chart_are_proven_like_others(store: Store) -> None:
    system = empty()
    store.chart(system)
    model = looked(system, store.charts)
    assert model.get("StatefulSet", "cache", "cache", "apps") is not None
    assert "cache" in model.closed_namespaces
    assert not model.warnings
    assert found(system, store.charts) == {}


def test_kinds_that_are_missing_are_told_as_they_are_written(store: Store) -> None:
    system = empty()
    store.chart(system, kinds=[], cluster_kinds=[])
    finding = found(system, store.charts)["chart-kinds-refused"]
    # The library's own kinds are permitted in the component's own namespace anyway.
    assert finding.subject == "Application/argocd/cache"
    assert finding.fix == (
        'Add cluster_kinds=[Kind("rbac.authorization.k8s.io", "ClusterRole", ("cache-reader",))] to the chart in the '
        "declaration."
    )


def test_pods_that_nothing_opens_are_told(store: Store) -> None:
    system = empty()
    store.chart(system, access=[])
    finding = found(system, store.charts)["chart-pods-closed"]
    assert 'PodAccess("cache", {"app": "cache"})' in finding.fix


def test_kinds_that_are_not_needed_are_noted(store: Store) -> None:
    system = empty()
    store.chart(system, kinds=[*KINDS, Kind("batch", "Job"), Kind("networking.k8s.io", "Ingress")])
    said = [note for note in notes(looked(system, store.charts)) if "does not make" in note]
    assert said == ["cache may deploy kinds that its chart does not make: networking.k8s.io/Ingress."]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"privileged": True}, "pod-security-violated"),
        ({"annotation": True}, "wrong-type"),
        ({"primary": "web.web.svc.cluster.local:8080"}, "call-blocked"),
        ({}, None),
    ],
)
def test_what_values_do_is_seen(store: Store, values: Mapping[str, Any], code: str | None) -> None:
    system = empty()
    Microservice(system, "web", image="example/web:1.2.3", ports={"http": 8080})
    store.chart(system, values=values)
    assert set(found(system, store.charts)) == ({code} if code else set())


def test_a_call_into_a_chart_is_judged_exactly(store: Store) -> None:
    system = empty()
    store.chart(system)
    address = "cache.cache.svc.cluster.local:6379"
    Microservice(system, "web", image="example/web:1.2.3", ports={"http": 8080}, env={"CACHE": address})
    assert "call-blocked" in found(system, store.charts)
    system = empty()
    store.chart(system)
    misspelt = {"CACHE": "cahce.cache.svc.cluster.local:6379"}
    Microservice(system, "web", image="example/web:1.2.3", ports={"http": 8080}, env=misspelt)
    assert "address-without-service" in found(system, store.charts)


def test_a_chart_sees_the_apis_and_the_version_of_its_cluster(store: Store) -> None:
    system = empty()
    store.chart(system, values={"monitor": True})
    served = looked(system, store.charts).config_map("cache", "served")
    assert served == {"monitors": "false", "kubernetes": "v1.36.0"}
    # Another chart brings the kind.
    HelmChart(system, "kinds", repository=f"oci://{store.address}/charts", chart="kinds", version="1.0.0")
    served = looked(system, store.charts).config_map("cache", "served")
    assert served == {"monitors": "true", "kubernetes": "v1.36.0"}


def test_a_chart_that_is_in_the_cache_needs_no_network(store: Store, tmp_path: Path) -> None:
    kept = Charts(store.charts.helm, tmp_path / "cache")
    system = empty()
    HelmChart(
        system,
        "cache",
        repository=f"oci://{store.address}/charts",
        chart="cache",
        version="8.1.0",
        digest=store.digest,
        kinds=KINDS,
        cluster_kinds=CLUSTER_KINDS,
        access=ACCESS,
    )
    assert not looked(system, kept).warnings
    # Neither Helm nor the network is asked again.
    offline = Charts(None, tmp_path / "cache")
    assert not looked(system, offline).warnings
    model = looked(system, Charts(None, tmp_path / "nothing"))
    (warning,) = model.warnings.values()
    assert warning.startswith("cache: nobody could look into the chart cache: there is no Helm: install it, or ")
    assert "cache" in model.open_namespaces


def test_a_repository_that_does_not_answer_is_told(store: Store, tmp_path: Path) -> None:
    system = empty()
    for name in ("a", "b"):
        HelmChart(system, name, repository="oci://127.0.0.1:1/charts", chart=name, version="1.0.0")
    model = looked(system, Charts(store.charts.helm, tmp_path))
    assert len(model.warnings) == 2
    assert all("127.0.0.1:1" in warning and "refused" in warning for warning in model.warnings.values())
    # One that is not there says nothing of others beside it.
    system = empty()
    store.chart(system, version="0.0.1")
    charts = Charts(store.charts.helm, tmp_path / "new")
    assert "0.0.1: not found" in str(looked(system, charts).warnings)
    system = empty()
    store.chart(system)
    assert not looked(system, charts).warnings


def test_synth_gives_the_same_with_and_without(store: Store) -> None:
    system = empty()
    store.chart(system)
    without = synthesize(system).files
    with looking_with(store.charts):
        assert synthesize(system).files == without


def test_a_chart_and_a_kustomization_in_git(store: Store, tmp_path: Path) -> None:
    repository = tmp_path / "git"
    repository.mkdir()
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: limits}\n"
    files = {
        **{f"charts/cache/{path}": text for path, text in FILES.items()},
        "charts/cache/Chart.yaml": "apiVersion: v2\nname: cache\nversion: 1.0.0\n",
        "base/kustomization.yaml": "resources: [limits.yaml]\nnamePrefix: more-\n",
        "base/limits.yaml": config,
        "plain/limits.yaml": config,
    }
    for path, text in files.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text)
    git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "Begin")
    git(repository, "tag", "v1.2.3")
    url = "https://git.example.com/charts.git"
    system = empty()
    HelmChart(system, "cache", repository=url, path="charts/cache", revision="v1.2.3", access=ACCESS)
    Kustomization(system, "limits", repository=url, path="base", revision="v1.2.3")
    Kustomization(system, "plain", repository=url, path="plain", revision="refs/tags/v1.2.3")
    # As Git's own setting has it: another address for this one.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_ALLOW_PROTOCOL", "file")
        patch.setenv("GIT_CONFIG_COUNT", "1")
        patch.setenv("GIT_CONFIG_KEY_0", f"url.file://{repository}.insteadOf")
        patch.setenv("GIT_CONFIG_VALUE_0", url)
        model = looked(system, Charts(store.charts.helm, tmp_path / "cache"))
        (repository / "plain/secret.yaml").symlink_to("/etc/hostname")
        git(repository, "add", "--all")
        git(repository, "commit", "--quiet", "--message", "Reach out")
        git(repository, "tag", "v1.2.4")
        hostile = empty()
        Kustomization(hostile, "plain", repository=url, path="plain", revision="v1.2.4")
        refused = looked(hostile, Charts(store.charts.helm, tmp_path / "cache"))
    assert "the symbolic link plain/secret.yaml leaves its repository" in str(refused.warnings)
    assert not model.warnings
    names = {(item.kind, item.namespace, item.name) for item in model.objects}
    assert {("StatefulSet", "cache", "cache"), ("ConfigMap", "limits", "more-limits")} <= names
    assert ("ConfigMap", "plain", "limits") in names

"""What the corpus does not reach: trees of other tools, odd input, and addresses of all forms."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from small_trees import manifest, model_of
from synthesized import Synthesized
from work import calls_of

from constructs_lib.check.bootstrap import Cluster
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.order import proof as order
from constructs_lib.check.references import proof as references
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.repository.snapshot import Snapshot


def codes(found: ClusterModel) -> list[str]:
    return sorted(finding.check.code for finding in references.PROOF.prove(found))


def pod(**spec: Any) -> dict[str, Any]:
    found = manifest("Pod", "web", spec={"containers": [{"name": "web"}], **spec})
    found["metadata"]["labels"] = {"app": "web"}
    return found


def test_keys_of_secrets() -> None:
    read = {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "a"}}}], "name": "web"}
    web = pod(containers=[read])
    by_key = manifest("ExternalSecret", "s", api_version="external-secrets.io/v1", spec={"data": [{"secretKey": "b"}]})
    assert codes(model_of(web, by_key)) == ["secret-key-missing"]
    by_all = manifest("ExternalSecret", "s", api_version="external-secrets.io/v1", spec={"dataFrom": [{"find": {}}]})
    assert codes(model_of(web, by_all)) == []
    merged = copy.deepcopy(by_key)
    merged["spec"]["target"] = {"template": {"mergePolicy": "Merge", "data": {"a": "x"}}}
    assert codes(model_of(web, merged)) == []
    assert codes(model_of(web, manifest("Secret", "s", stringData={"a": "x"}))) == []
    assert (
        codes(
            model_of(
                web,
                manifest("SealedSecret", "s", api_version="bitnami.com/v1alpha1", spec={"encryptedData": {"a": "x"}}),
            )
        )
        == []
    )


def test_what_an_operator_may_make_is_not_missing() -> None:
    web = pod(volumes=[{"name": "v", "secret": {"secretName": "db-app"}}])
    web["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    service = manifest("Service", "db", spec={"selector": {"role": "primary"}, "ports": [{"port": 5432}]})
    assert codes(model_of(web, service)) == ["secret-missing", "service-without-pods"]
    operated = manifest("Cluster", "db", api_version="postgresql.cnpg.io/v1", spec={"instances": 3})
    assert codes(model_of(web, service, operated)) == []


def test_what_a_program_is_told_by_name_is_read_or_made_by_it() -> None:
    web = pod(containers=[{"name": "web", "args": ["--configmap=shop/web-settings", "--secret-name=web-tls"]}])
    web["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    web["spec"]["volumes"] = [{"name": "v", "secret": {"secretName": "web-tls"}}]
    assert codes(model_of(web, manifest("ConfigMap", "web-settings", data={}))) == []
    web["spec"]["containers"][0]["args"] = ["--configmap=shop/web-settings-2", "--host=web-tls.shop"]
    assert codes(model_of(web, manifest("ConfigMap", "web-settings", data={}))) == [
        "config-map-unused",
        "secret-missing",
    ]


def test_a_volume_that_is_called_like_a_template_is_the_template() -> None:
    labels = {"app": "db"}
    mount = [{"name": "data", "mountPath": "/data"}]
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    template = {"metadata": {"labels": labels}, "spec": {"volumes": [volume], "containers": [{"volumeMounts": mount}]}}
    spec = {
        "selector": {"matchLabels": labels},
        "template": template,
        "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
    }
    store = manifest("StatefulSet", "db", api_version="apps/v1", spec=spec)
    assert codes(model_of(store)) == []
    del spec["volumeClaimTemplates"]
    assert codes(model_of(store)) == ["claim-missing"]


def test_pods_that_nobody_looks_at_may_be_selected() -> None:
    service = manifest("Service", "db", spec={"selector": {"app": "db"}, "ports": [{"port": 5432}]})
    assert codes(model_of(service)) == ["service-without-pods"]
    assert codes(model_of(service, manifest("Workflow", "db", api_version="argoproj.io/v1alpha1", spec={}))) == []


@pytest.mark.parametrize("kind", ["ReplicationController", "Rollout"])
def test_pods_of_other_controllers(kind: str) -> None:
    service = manifest("Service", "db", spec={"selector": {"app": "db"}, "ports": [{"port": 5432}]})
    for label, expected in (("db", []), ("dv", ["service-without-pods"])):
        template = {"metadata": {"labels": {"app": label}}, "spec": {}}
        assert (
            codes(model_of(service, manifest(kind, "db", api_version="x/v1", spec={"template": template}))) == expected
        )


@pytest.mark.parametrize(
    ("kind", "target", "expected"),
    [
        ("ScaledObject", {"name": "web"}, []),
        ("ScaledObject", {"name": "wep"}, ["autoscaler-without-target"]),
        ("HorizontalPodAutoscaler", {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, []),
        ("HorizontalPodAutoscaler", {"apiVersion": "apps/v1", "name": "web"}, []),
        ("HorizontalPodAutoscaler", {"kind": "Deployment", "name": "web"}, ["autoscaler-without-target"]),
    ],
)
def test_targets_of_scalers(kind: str, target: dict[str, str], expected: list[str]) -> None:
    container = {"name": "web", "resources": {"requests": {"cpu": "10m"}}}
    web = manifest("Deployment", "web", api_version="apps/v1", spec={"template": {"spec": {"containers": [container]}}})
    scaler = manifest(kind, "web", api_version="keda.sh/v1alpha1", spec={"scaleTargetRef": target})
    assert codes(model_of(web, scaler)) == expected
    same = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}
    other = manifest("HorizontalPodAutoscaler", "other", api_version="autoscaling/v2", spec=same)
    assert codes(model_of(web, scaler, other)) == (expected or ["autoscalers-share-target"])


def test_applications_that_are_generated_may_bring_anything() -> None:
    service = manifest("Service", "db", spec={"selector": {"app": "db"}, "ports": [{"port": 5432}]})
    generated = manifest("ApplicationSet", "all", api_version="argoproj.io/v1alpha1", spec={})
    assert codes(model_of(service, generated)) == []


def test_the_same_name_in_two_folders_of_a_tree_without_applications() -> None:
    content = yaml.safe_dump(manifest("ConfigMap", "kube-root-ca.crt")).encode()
    apart = ClusterModel(Snapshot.of_files("test", {"a/one.yaml": content, "b/one.yaml": content}))
    assert "object-owned-twice" not in codes(apart)
    together = ClusterModel(Snapshot.of_files("test", {"a/one.yaml": content, "a/two.yaml": content}))
    assert "object-owned-twice" in codes(together)


def test_a_named_port_of_a_sidecar_counts() -> None:
    sidecar = {"name": "proxy", "restartPolicy": "Always", "ports": [{"name": "http", "containerPort": 80}]}
    service = manifest(
        "Service", "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}
    )
    assert codes(model_of(pod(initContainers=[sidecar]), service)) == []
    del sidecar["restartPolicy"]
    assert codes(model_of(pod(initContainers=[sidecar]), service)) == ["target-port-unknown"]


def test_storage_is_judged_only_where_the_cluster_is_known() -> None:
    claim = manifest(
        "PersistentVolumeClaim", "data", spec={"storageClassName": "fast", "accessModes": ["ReadWriteMany"]}
    )
    assert codes(model_of(claim)) == []
    assert codes(model_of(claim, cluster=Cluster("k3d"))) == ["storage-class-missing"]


#: Values of types that most fields cannot have.
ODD: tuple[Any, ...] = (None, 7, "odd", [["odd"]], {"odd": {"odd": []}})


def more_kinds() -> list[dict[str, Any]]:
    """Return objects of kinds that PositionPal does not have."""
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {"host": "example.org", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    term = {"labelSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    mount = {"name": "all", "projected": {"sources": [{"secret": {"name": "s", "items": [{"key": "a", "path": "a"}]}}]}}
    hook = manifest(
        "Job", "hook", api_version="batch/v1", spec={"template": {"spec": {"volumes": [mount], "affinity": affinity}}}
    )
    hook["metadata"]["annotations"] = {"argocd.argoproj.io/hook": "PreSync", "argocd.argoproj.io/sync-wave": "1"}
    crd = {"group": "example.org", "names": {"kind": "Thing"}, "scope": "Namespaced"}
    sealed = {"encryptedData": {"a": "x"}, "template": {"metadata": {"name": "s"}}}
    return [
        hook,
        manifest(
            "Ingress", "web", api_version="networking.k8s.io/v1", spec={"rules": [rule], "tls": [{"secretName": "t"}]}
        ),
        manifest(
            "ServiceMonitor",
            "web",
            api_version="monitoring.coreos.com/v1",
            spec={"endpoints": [{"port": "http"}], "selector": term},
        ),
        manifest("StorageClass", "disk", api_version="storage.k8s.io/v1", volumeBindingMode="WaitForFirstConsumer"),
        manifest("CustomResourceDefinition", "things.example.org", api_version="apiextensions.k8s.io/v1", spec=crd),
        manifest("SealedSecret", "s", api_version="bitnami.com/v1alpha1", spec=sealed),
        manifest("Certificate", "t", api_version="cert-manager.io/v1", spec={"secretName": "t"}),
    ]


def _broken(value: Any, known: set[tuple[Any, ...]]) -> Iterator[Any]:
    """Yield copies of a manifest in each of which another part is of a type that it cannot have.

    Of a list the first three entries are broken. Parts of a template of pods are broken in one kind, for all kinds have
    theirs read in the same way: those that are ``known`` were broken already.
    """
    parts: list[tuple[Any, ...]] = []

    def walk(part: Any, path: tuple[Any, ...]) -> None:
        below = path[path.index("template") + 1 :] if "template" in path else ()
        if path and path[0] not in ("apiVersion", "kind") and not (below and below in known):
            parts.append(path)
            known.add(below)
        steps = part.items() if isinstance(part, dict) else enumerate(part[:3]) if isinstance(part, list) else ()
        for step, inner in steps:
            walk(inner, (*path, step))

    walk(value, ())
    for path, odd in zip(parts, itertools.cycle(ODD), strict=False):
        found = copy.deepcopy(value)
        parent = found
        for step in path[:-1]:
            parent = parent[step]
        parent[path[-1]] = odd
        yield found


@pytest.mark.slow
def test_odd_input_raises_nothing(trees: Mapping[str, Synthesized]) -> None:
    """Whatever part of an object is of a wrong type: that is the business of schemas."""
    tree = trees["production"]
    largest: dict[str, tuple[str, dict[str, Any]]] = {}
    for path, found in tree.parsed.items():
        known = largest.get(found["kind"])
        if path.startswith(("dist/", "argocd/")) and (known is None or len(str(found)) > len(str(known[1]))):
            largest[found["kind"]] = path, found
    few = {path: content for path, content in tree.files.items() if "/chat-service" in path or "argocd/" in path}
    others = {kind["kind"]: (f"dist/production/chat-service/{kind['kind']}.yaml", kind) for kind in more_kinds()}
    cache = Cache()
    broken: set[tuple[Any, ...]] = set()
    for path, found in (*largest.values(), *others.values()):
        for odd in _broken(found, broken):
            files = {**few, path: json.dumps(odd).encode()}
            cache.written(files[path], odd)
            model = ClusterModel(Snapshot("odd", files), ["argocd/production"], cache=cache)
            for proof in (references.PROOF, order.PROOF):
                try:
                    list(proof.prove(model))
                except Exception as error:
                    raise AssertionError(f"{proof.name}: {path}: {odd}") from error


def test_the_work_grows_with_the_objects_and_not_faster() -> None:
    """Ten times the services must not take much more than ten times the work."""

    def work(count: int) -> int:
        manifests: list[dict[str, Any]] = []
        for number in range(count):
            namespace, name = f"n{number}", f"s{number}"
            labels, port = {"app": name}, {"name": "http", "containerPort": 80}
            template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "ports": [port]}]}}
            target = {"kubernetes.io/metadata.name": f"n{(number + 1) % count}"}
            rule = {"to": [{"namespaceSelector": {"matchLabels": target}}], "ports": [{"port": "http"}]}
            url = f"s{(number + 1) % count}.n{(number + 1) % count}.svc.cluster.local:80"
            for kind, group, spec in (
                ("Deployment", "apps/v1", {"selector": {"matchLabels": labels}, "template": template}),
                ("Service", "v1", {"selector": labels, "ports": [{"port": 80, "targetPort": "http"}]}),
                ("NetworkPolicy", "networking.k8s.io/v1", {"podSelector": {"matchLabels": labels}, "egress": [rule]}),
                ("ConfigMap", "v1", None),
            ):
                found = manifest(kind, name, None, group, **({"spec": spec} if spec else {"data": {"URL": url}}))
                found["metadata"]["namespace"] = namespace
                manifests.append(found)
        text = "".join(f"---\n{yaml.dump(found, Dumper=yaml.CSafeDumper)}" for found in manifests)
        many = ClusterModel(Snapshot.of_files("many", {"all.yaml": text.encode()}))
        told: list[str] = []
        calls = calls_of(lambda: told.extend(codes(many)))
        assert set(told) == {"config-map-unused"}
        return calls

    work(1)
    few, many = work(20), work(200)
    assert many < 12 * few

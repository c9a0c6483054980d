"""What runs already, and was deployed by something else, is told object by object when it is taken over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from trees import Manifest, application, config, root, snapshot, with_fields, written

from constructs_lib.plan.change import Change
from constructs_lib.plan.plan import Plan, plan

WEB: Manifest = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "ns"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "web:1", "ports": [{"containerPort": 80}]}]},
        },
    },
}
SERVICE: Manifest = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "ns"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
}
DB: Manifest = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "db", "namespace": "ns"},
    "spec": {
        "serviceName": "db",
        "selector": {"matchLabels": {"app": "db"}},
        "template": {
            "metadata": {"labels": {"app": "db"}},
            "spec": {"containers": [{"name": "db", "image": "postgres:18.1"}]},
        },
        "volumeClaimTemplates": [
            {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}},
        ],
    },
}
CLAIM: Manifest = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data-db-0", "namespace": "ns"},
    "spec": {"volumeName": "pvc-1"},
}


def live(manifest: Manifest, applied: Mapping[str, Any] | None = None, fields: Mapping[str, Any] = {}) -> Manifest:
    """Return an object as the API server has it, with what it and controllers have added."""
    more = {"metadata.uid": "0", "metadata.resourceVersion": "1", "metadata.generation": 3, "status": {"replicas": 2}}
    found = with_fields(manifest, {**more, **fields})
    annotations = {"deployment.kubernetes.io/revision": "7", **found["metadata"].get("annotations", {})}
    if applied is not None:
        annotations["kubectl.kubernetes.io/last-applied-configuration"] = json.dumps(applied)
    found["metadata"]["annotations"] = annotations
    return found


def marked(manifest: Manifest, place: str, name: str, value: str) -> Manifest:
    found = json.loads(json.dumps(manifest))
    found["metadata"].setdefault(place, {})[name] = value
    return dict(found)


def taken_over(*runs: Manifest, declared: tuple[Manifest, ...] = (WEB,), server_side: str = "true") -> Plan:
    """Return the plan with which an Application in an environment takes over what runs."""
    app = application("app", "dist/local/app")
    app["spec"]["syncPolicy"]["syncOptions"] = ["FailOnSharedResource=true", f"ServerSideApply={server_side}"]
    top = with_fields(root(), {"spec.source.path": "argocd/local", "spec.source.directory": {"exclude": "root.yaml"}})
    tree = {"argocd/local/root.yaml": written(top), "argocd/local/app.yaml": written(app)}
    tree |= {f"dist/local/app/{number}.yaml": written(each) for number, each in enumerate(declared)}
    dump = {"apiVersion": "v1", "kind": "List", "items": list(runs)}
    return plan(snapshot({"live/ns.yaml": written(dump)}, "live"), snapshot(tree), folder="argocd/local")


def of(found: Plan, name: str) -> Change:
    return next(change for change in found.changes if change.name == name)


def told(change: Change) -> str:
    return " ".join(map(str, change.reasons))


def test_what_is_as_it_is_declared_is_taken_over_as_it_is() -> None:
    """What the API server has filled in, and other tools have added, stays and is no change."""
    more = {
        "metadata.annotations": {"note": "by hand"},
        "metadata.labels": {"team": "shop"},
        "spec.strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        "spec.template.metadata.creationTimestamp": None,
        "spec.template.spec.containers": [
            {
                **WEB["spec"]["template"]["spec"]["containers"][0],
                "imagePullPolicy": "IfNotPresent",
                "terminationMessagePath": "/dev/termination-log",
            },
            {"name": "proxy", "image": "injected:1"},
        ],
    }
    runs = live(with_fields(WEB, more), WEB)
    addresses = {"spec.clusterIP": "10.0.0.7", "spec.clusterIPs": ["10.0.0.7"], "spec.ipFamilies": ["IPv4"]}
    found = taken_over(runs, live(SERVICE, fields=addresses), live(DB), live(CLAIM), declared=(WEB, SERVICE, DB))
    effects = {change.name: change.effect.words for change in found.changes}
    assert effects == {
        "Application/app": "create",
        "Application/root": "create",
        "Deployment/web": "taken over as it is",
        "Service/web": "taken over as it is",
        "StatefulSet/db": "taken over as it is",
        "PersistentVolumeClaim/data-db-0": "kept in the cluster",
    }
    assert found.dangerous == []
    assert told(of(found, "Deployment/web")) == "app takes it over."
    assert "nothing deletes it" in told(of(found, "PersistentVolumeClaim/data-db-0"))


@pytest.mark.parametrize(
    ("runs", "declared", "effect", "fields"),
    [
        (WEB, {"spec.replicas": 3}, "update in place", ["spec.replicas"]),
        (
            WEB,
            {"spec.template.spec.containers": [{"name": "web", "image": "web:2", "ports": [{"containerPort": 80}]}]},
            "rolling restart",
            ["spec.template.spec.containers[web].image"],
        ),
        (
            WEB,
            {"spec.selector.matchLabels": {"app": "w"}, "spec.template.metadata.labels": {"app": "w"}},
            "replacement",
            ["spec.selector.matchLabels.app", "spec.template.metadata.labels.app"],
        ),
        (DB, {"spec.serviceName": "db-nodes"}, "replacement", ["spec.serviceName"]),
        (
            DB,
            {"spec.volumeClaimTemplates": [{**DB["spec"]["volumeClaimTemplates"][0], "metadata": {"name": "files"}}]},
            "data loss",
            ["spec.volumeClaimTemplates[data]", "spec.volumeClaimTemplates[files]"],
        ),
    ],
    ids=["in place", "restart", "selector", "governing Service", "claims"],
)
def test_what_differs_is_told(runs: Manifest, declared: dict[str, Any], effect: str, fields: list[str]) -> None:
    found = taken_over(live(runs, runs), declared=(with_fields(runs, declared),))
    [change] = [change for change in found.changes if change.action == "change"]
    assert change.effect.words == effect
    assert [field.path for field in change.fields] == fields
    assert change.dangerous is (effect not in ("update in place", "rolling restart"))


def test_what_was_applied_before_and_is_declared_no_more_goes() -> None:
    """What nobody applied, such as another controller's number of pods, stays."""
    without = with_fields(WEB, {"spec.replicas": None})
    assert of(taken_over(live(WEB, without), declared=(without,)), "Deployment/web").fields == ()
    [field] = of(taken_over(live(WEB, WEB), declared=(without,)), "Deployment/web").fields
    assert (field.path, field.old, field.new) == ("spec.replicas", 2, 1)


def test_what_others_have_put_beside_it_stays_where_nothing_is_declared() -> None:
    applied = with_fields(WEB, {"metadata.labels": {"team": "shop"}, **in_pod(env=[{"name": "OLD", "value": "1"}])})
    more = {
        "metadata.labels": {"team": "shop", "injected": "yes"},
        **in_pod(env=[{"name": "OLD", "value": "1"}, {"name": "INJECTED", "value": "1"}]),
    }
    change = of(taken_over(live(WEB, applied, more)), "Deployment/web")
    assert [(field.path, field.old) for field in change.fields] == [
        ("metadata.labels", {"team": "shop"}),
        ("spec.template.spec.containers[web].env", [{"name": "OLD", "value": "1"}]),
    ]


@pytest.mark.parametrize(
    ("place", "mark", "value", "says", "fix"),
    [
        (
            "annotations",
            "meta.helm.sh/release-name",
            "shop",
            "helm uninstall",
            "secret --selector owner=helm,name=shop",
        ),
        ("labels", "kustomize.toolkit.fluxcd.io/name", "apps", "Flux has it, in the Kustomization apps", "spec.prune"),
        ("labels", "helm.toolkit.fluxcd.io/name", "web", "HelmRelease web", "spec.suspend"),
        ("labels", "applyset.kubernetes.io/part-of", "set", "kubectl apply --prune", "no more"),
        ("annotations", "objectset.rio.cattle.io/id", "web", "in the set web", "without deleting"),
    ],
)
def test_who_else_has_it_is_dangerous(place: str, mark: str, value: str, says: str, fix: str) -> None:
    change = of(taken_over(marked(live(SERVICE), place, mark, value), declared=(SERVICE,)), "Service/web")
    assert change.dangerous
    assert says in told(change)
    assert fix in change.fix


def test_what_another_application_has_is_told() -> None:
    """The sync of ours fails as long as its mark is there; nobody deletes it, and what is its own stays so."""
    theirs = live(application("old", "elsewhere"))
    mark = "argocd.argoproj.io/tracking-id", "old:apps/Deployment:ns/web"
    found = taken_over(
        theirs, marked(live(WEB), "annotations", *mark), marked(live(config("its")), "annotations", *mark)
    )
    change = of(found, "Deployment/web")
    assert "It moves from old to app." in told(change)
    assert "as long as the object carries the mark of old" in told(change)
    assert "remove its annotation argocd.argoproj.io/tracking-id" in told(change)
    assert change.dangerous
    assert "kubectl --namespace ns annotate deployment web argocd.argoproj.io/tracking-id-" in change.fix
    assert of(found, "ConfigMap/its").effect.words == "kept in the cluster"


def test_label_of_a_chart_is_no_mark_of_an_application() -> None:
    runs = marked(live(SERVICE), "labels", "app.kubernetes.io/instance", "old")
    assert not of(taken_over(runs, declared=(SERVICE,)), "Service/web").dangerous
    change = of(taken_over(live(application("old", "elsewhere")), runs, declared=(SERVICE,)), "Service/web")
    assert "It moves from old to app." in told(change)


def test_application_of_the_same_name_prunes_what_is_declared_no_more() -> None:
    mark = "argocd.argoproj.io/tracking-id", "app:v1/ConfigMap:ns/its"
    found = taken_over(
        live(application("app", "elsewhere")),
        marked(live(WEB), "annotations", *mark),
        marked(live(config("its")), "annotations", *mark),
    )
    assert of(found, "ConfigMap/its").effect.words == "delete"
    assert "Deployment/web" not in [change.name for change in found.changes]


def test_what_kubernetes_makes_and_what_is_elsewhere_is_left_out() -> None:
    owned = live(config("made"), fields={"metadata.ownerReferences": [{"kind": "ReplicaSet", "name": "web-1"}]})
    release = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "helm.sh/release.v1",
        "metadata": {"name": "r", "namespace": "ns"},
    }
    elsewhere = live(config("there"), fields={"metadata.namespace": "other"})
    found = taken_over(live(WEB), owned, release, elsewhere, live(config("kube-root-ca.crt")))
    assert [change.name for change in found.changes if change.action != "create"] == ["Deployment/web"]


def test_manifests_of_which_no_cluster_told_are_what_runs_as_well() -> None:
    found = taken_over(with_fields(WEB, {"metadata.namespace": "ns", "spec.replicas": 1}), config("left"))
    [field] = of(found, "Deployment/web").fields
    assert field.path == "spec.replicas"
    assert of(found, "ConfigMap/left").effect.words == "kept in the cluster"
    [warning] = found.warnings
    assert warning == "What runs is taken from live, and whatever is not there for new."


# What stays beside what is declared, because it is not Argo CD's: a real one shows it in rehearse/test_taken_over.py.

TRACKING = "argocd.argoproj.io/tracking-id"
FILLED_IN = {"spec.strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}}


def in_pod(**fields: Any) -> dict[str, Any]:
    """Return a change to the pods of the Deployment."""
    [container] = WEB["spec"]["template"]["spec"]["containers"]
    volumes = {"spec.template.spec.volumes": fields.pop("volumes")} if "volumes" in fields else {}
    return {"spec.template.spec.containers": [{**container, **fields}], **volumes}


def manager(name: str, operation: str, **fields: Any) -> dict[str, Any]:
    annotations: dict[str, Any] = (
        {"f:kubectl.kubernetes.io/last-applied-configuration": {}} if operation == "Update" else {}
    )
    return {
        "manager": name,
        "operation": operation,
        "fieldsV1": {"f:metadata": {"f:annotations": annotations}, "f:spec": fields},
    }


ALONE = {"spec.strategy": {"type": "Recreate"}}
SECRET = {"valueFrom": {"secretKeyRef": {"name": "web", "key": "KEY"}}}


@pytest.mark.parametrize(
    ("runs", "declared", "left"),
    [
        (FILLED_IN, ALONE, "spec.strategy.rollingUpdate"),
        (
            in_pod(env=[{"name": "KEY", "value": "x"}]),
            in_pod(env=[{"name": "KEY", **SECRET}]),
            "spec.template.spec.containers[web].env[KEY].value",
        ),
        (
            in_pod(readinessProbe={"httpGet": {"path": "/", "port": 80}}),
            in_pod(readinessProbe={"tcpSocket": {"port": 80}}),
            "spec.template.spec.containers[web].readinessProbe.httpGet",
        ),
        (
            in_pod(volumes=[{"name": "files", "configMap": {"name": "files", "defaultMode": 420}}]),
            in_pod(volumes=[{"name": "files", "secret": {"secretName": "files"}}]),
            "spec.template.spec.volumes[files].configMap",
        ),
    ],
    ids=["strategy", "variable", "probe", "volume"],
)
def test_what_excludes_what_is_declared_has_to_be_argo_cds_first(
    runs: dict[str, Any], declared: dict[str, Any], left: str
) -> None:
    wanted = with_fields(WEB, declared)
    change = of(taken_over(live(WEB, WEB, runs), declared=(wanted,)), "Deployment/web")
    assert change.dangerous
    assert f"{left} is not Argo CD's, and stays beside what is declared." in told(change)
    assert "/metadata/managedFields/0/manager" in change.fix
    assert '"value": "kubectl-client-side-apply"' in change.fix
    # Without a mark of kubectl's, nobody knows whose they are.
    by_hand = of(taken_over(live(WEB, fields=runs), declared=(wanted,)), "Deployment/web")
    assert by_hand.fix == (
        f"Set it by hand to what is declared, without {left}: kubectl --namespace ns edit deployment web"
    )
    # On the client's side, what was applied goes with it.
    found = taken_over(live(WEB, WEB, runs), declared=(wanted,), server_side="false")
    assert not of(found, "Deployment/web").dangerous
    # As declared, it may stay.
    same = of(taken_over(live(WEB, WEB, runs), declared=(with_fields(WEB, runs),)), "Deployment/web")
    assert not same.dangerous


def test_who_has_the_fields_is_seen_where_kubectl_tells_it() -> None:
    wanted = with_fields(WEB, ALONE)
    others = manager("kube-controller-manager", "Update") | {"fieldsV1": {}, "subresource": "status"}
    applied = manager("kubectl-client-side-apply", "Update")
    found = taken_over(live(WEB, WEB, {**FILLED_IN, "metadata.managedFields": [others, applied]}), declared=(wanted,))
    assert "/metadata/managedFields/1/manager" in of(found, "Deployment/web").fix
    given = manager("argocd-controller", "Apply", **{"f:strategy": {"f:rollingUpdate": {"f:maxSurge": {}}}})
    found = taken_over(live(WEB, WEB, {**FILLED_IN, "metadata.managedFields": [given]}), declared=(wanted,))
    assert not of(found, "Deployment/web").dangerous
    # What was filled in is nobody's.
    found = taken_over(
        live(WEB, fields={**FILLED_IN, "metadata.managedFields": [manager("argocd-controller", "Apply")]}),
        declared=(wanted,),
    )
    assert "spec.strategy.rollingUpdate is not Argo CD's" in told(of(found, "Deployment/web"))


def test_what_another_argo_cd_has_applied_on_the_servers_side_goes_with_it() -> None:
    key = 'k:{"name":"web"}'
    env: dict[str, Any] = {"f:env": {'k:{"name":"OLD"}': {".": {}, "f:name": {}, "f:value": {}}}}
    fields = {"f:template": {"f:spec": {"f:containers": {key: {"f:name": {}, **env}}}}}
    runs = in_pod(env=[{"name": "OLD", "value": "1"}, {"name": "INJECTED", "value": "1"}])
    given = manager("argocd-controller", "Apply", **fields)
    given["fieldsV1"]["f:metadata"]["f:annotations"] = {f"f:{TRACKING}": {}}
    runs["metadata.managedFields"] = [given]
    runs["metadata.annotations"] = {TRACKING: "app:apps/Deployment:ns/web"}
    wanted = with_fields(WEB, in_pod(env=[{"name": "NEW", "value": "1"}]))
    change = of(taken_over(live(WEB, fields=runs), declared=(wanted,)), "Deployment/web")
    paths = [field.path for field in change.fields]
    assert paths == [f"spec.template.spec.containers[web].env[{name}]" for name in ("OLD", "NEW")]


def test_what_an_application_elsewhere_has_is_let_go_of_there() -> None:
    mark = TRACKING, "shop-apps_old:apps/Deployment:ns/web"
    applied = marked(WEB, "annotations", *mark)
    change = of(taken_over(marked(live(WEB, applied), "annotations", *mark)), "Deployment/web")
    assert "kubectl --namespace shop-apps delete application old" in change.fix
    assert '"value": "argocd-controller"' in change.fix

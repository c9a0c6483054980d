from __future__ import annotations

from typing import Any

import pytest

from constructs_lib.kubernetes.accounts import Accounts
from constructs_lib.kubernetes.objects import Object
from constructs_lib.kubernetes.workloads import Pods, Reference, Scale, Scales, Variable, expanded, pods_of, references


def new(kind: str, name: str = "web", api_version: str = "apps/v1", **content: Any) -> Object:
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **content}
    return Object(manifest, "a.yaml", "" if kind.startswith("Cluster") else "shop")


def pods(**spec: Any) -> Pods[Object]:
    found = pods_of(new("Deployment", spec={"template": {"metadata": {"labels": {"app": "web"}}, "spec": spec}}))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        ("Deployment", {"template": {"spec": {"nodeName": "a"}}}, "spec.template.spec"),
        ("Job", {"template": {"spec": {"nodeName": "a"}}}, "spec.template.spec"),
        ("CronJob", {"jobTemplate": {"spec": {"template": {"spec": {"nodeName": "a"}}}}}, "spec.jobTemplate.spec.template.spec"),  # noqa: E501
        ("StatefulSet", {"template": "odd"}, "spec.template.spec"),
    ],
)  # fmt: skip
def test_pods_of_workloads(kind: str, spec: Any, path: str) -> None:
    found = pods_of(new(kind, spec=spec))
    assert found is not None
    assert (found.path, dict(found.spec)) == (path, {} if kind == "StatefulSet" else {"nodeName": "a"})


def test_pods_alone_and_what_makes_none() -> None:
    alone = pods_of(new("Pod", api_version="v1", spec={"containers": [{"name": "a"}]}))
    assert alone is not None
    assert (alone.path, [container.path for container in alone.containers]) == ("spec", ["spec.containers[a]"])
    assert pods_of(new("Pod", api_version="example.org/v1")) is None
    assert pods_of(new("ConfigMap", api_version="v1")) is None


def test_containers_that_run_and_their_ports() -> None:
    def one(name: str, number: object, **more: Any) -> dict[str, Any]:
        return {"name": name, "ports": [{"name": name, "containerPort": number}], **more}

    found = pods(
        initContainers=[one("first", 1), one("sidecar", 2, restartPolicy="Always"), "odd"],
        containers=[one("web", 3), one("named", "http"), {"ports": [{"containerPort": 53, "protocol": "UDP"}]}],
    )
    assert [container.name for container in found.containers if container.runs] == ["sidecar", "web", "named", "None"]
    assert [(port.name, port.protocol, port.number) for port in found.ports] == [
        ("sidecar", "TCP", 2),
        ("web", "TCP", 3),
        ("", "UDP", 53),
    ]
    assert found.containers[-1].path == "spec.template.spec.containers[2]"


KNOWN = {"HOST": Variable("HOST", "db", ""), "A.B": Variable("A.B", "c", "")}


@pytest.mark.parametrize(
    ("text", "result", "names"),
    [
        ("plain", "plain", []),
        ("$(HOST):5432", "db:5432", ["HOST"]),
        ("$(A.B)$(HOST)", "cdb", ["A.B", "HOST"]),
        ("$(UNKNOWN).$(HOST)", "$(UNKNOWN).db", ["UNKNOWN", "HOST"]),
        # Two dollars are one, as in a script as well.
        ("$$(HOST)", "$(HOST)", []),
        ("$$$(HOST)", "$db", ["HOST"]),
        ("echo $$ $HOST ${HOST} $", "echo $ $HOST ${HOST} $", []),
        ("$(HOST", "$(HOST", []),
        ("$(( 2 + 2 ))", "$(( 2 + 2 ))", []),
    ],
)
def test_references_to_variables(text: str, result: str, names: list[str]) -> None:
    assert (expanded(text, KNOWN), list(references(text))) == (result, names)


def test_variables_of_containers() -> None:
    maps = {"settings": {"HOST": "db", "PORT": "1"}}
    container = pods(
        containers=[
            {
                "name": "a",
                "envFrom": [{"prefix": "DB_", "configMapRef": {"name": "settings"}}, {"secretRef": {"name": "s"}}],
                "env": [
                    {"name": "URL", "value": "$(DB_HOST):$(DB_PORT)/$(LATER)"},
                    {"name": "LATER", "value": "x"},
                    {"name": "DB_PORT", "valueFrom": {"secretKeyRef": {"name": "s", "key": "port"}}},
                    {"name": "ONE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "HOST"}}},
                    {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "none"}}},
                ],
                "command": ["run", 5],
                "args": ["$(URL)"],
            }
        ]
    ).containers[0]
    found = container.variables(lambda name: maps.get(name, {}))
    at = "spec.template.spec.containers[a]"
    assert found == {
        "DB_HOST": Variable("DB_HOST", "db", f"{at}.envFrom[0]", "settings"),
        "URL": Variable("URL", "db:1/$(LATER)", f"{at}.env[URL]"),
        "LATER": Variable("LATER", "x", f"{at}.env[LATER]"),
        "ONE": Variable("ONE", "db", f"{at}.env[ONE]", "settings"),
    }
    assert container.words == ((f"{at}.command[0]", "run"), (f"{at}.args[0]", "$(URL)"))


def test_what_pods_read() -> None:
    found = pods(
        containers=[
            {
                "name": "a",
                "env": [
                    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
                    {"name": "B", "value": "plain"},
                ],
                "envFrom": [{"configMapRef": {"name": "c"}}],
                "volumeMounts": [{"name": "v", "subPath": "x"}, {"name": "data"}],
            }
        ],
        volumes=[
            {"name": "v", "configMap": {"name": "files", "items": [{"key": "x"}]}},
            {"name": "p", "projected": {"sources": [{"secret": {"name": "t"}}, {"configMap": {"name": "u"}}]}},
            {"name": "w", "secret": {"secretName": "z", "optional": True}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "claim"}},
        ],
        imagePullSecrets=[{"name": "registry"}],
    )
    at, volumes = "spec.template.spec.containers[a]", "spec.template.spec.volumes"
    assert found.references == (
        Reference("Secret", "s", f"{at}.env[A].valueFrom.secretKeyRef", "k", optional=True, at_start=True),
        Reference("ConfigMap", "c", f"{at}.envFrom[0].configMapRef", at_start=True),
        Reference("ConfigMap", "files", f"{volumes}[v].configMap.items[0].key", "x", at_start=True),
        Reference("Secret", "t", f"{volumes}[p].projected.sources[0].secret"),
        Reference("ConfigMap", "u", f"{volumes}[p].projected.sources[1].configMap"),
        Reference("Secret", "z", f"{volumes}[w].secret", optional=True),
        Reference("PersistentVolumeClaim", "claim", f"{volumes}[data].persistentVolumeClaim.claimName"),
        Reference("Secret", "registry", "spec.template.spec.imagePullSecrets[0]"),
    )


def scaler(kind: str, target: dict[str, str], **spec: Any) -> Object:
    return new(kind, "scaler", "x/v1", spec={"scaleTargetRef": {"name": "web", **target}, **spec})


def rollout(name: str = "web", scale_down: str = "onsuccess", **spec: Any) -> Object:
    reference = {"kind": "Deployment", "name": name, "scaleDown": scale_down}
    spec["workloadRef"] = reference if scale_down else {"kind": "Deployment", "name": name}
    return new("Rollout", "canary", "argoproj.io/v1alpha1", spec=spec)


DEPLOYMENT, OTHER = {"kind": "Deployment"}, {"kind": "StatefulSet"}


@pytest.mark.parametrize(
    ("kind", "spec", "scalers", "bounds"),
    [
        ("Deployment", {}, [], (1, 1)),
        ("Deployment", {"replicas": 3}, [], (3, 3)),
        ("Deployment", {"replicas": "3"}, [], (3, 3)),
        ("Deployment", {"replicas": -1}, [], (1, 1)),
        ("Deployment", {"replicas": 0}, [], (0, 0)),
        ("Job", {"parallelism": 4, "replicas": 9}, [], (4, 4)),
        ("CronJob", {}, [], (1, 1)),
        ("Pod", {"replicas": 9}, [], (1, 1)),
        ("DaemonSet", {"replicas": 9}, [], (0, 0)),
        ("Deployment", {"replicas": 9}, [scaler("HorizontalPodAutoscaler", DEPLOYMENT, minReplicas=2, maxReplicas=6)], (2, 6)),  # noqa: E501
        ("Deployment", {}, [scaler("HorizontalPodAutoscaler", DEPLOYMENT, maxReplicas=6)], (1, 6)),
        ("Deployment", {}, [scaler("HorizontalPodAutoscaler", DEPLOYMENT, minReplicas=2)], (2, 2)),
        ("Deployment", {"replicas": 9}, [scaler("HorizontalPodAutoscaler", OTHER, maxReplicas=6)], (9, 9)),
        ("Deployment", {"replicas": 9}, [scaler("ScaledObject", {}, minReplicaCount=2, maxReplicaCount=6)], (2, 6)),
        ("Deployment", {"replicas": 9}, [scaler("ScaledObject", {})], (0, 100)),
        ("StatefulSet", {"replicas": 9}, [scaler("ScaledObject", {})], (9, 9)),
        ("StatefulSet", {"replicas": 9}, [scaler("ScaledObject", OTHER, maxReplicaCount=3)], (0, 3)),
        ("Deployment", {"replicas": 0}, [rollout(replicas=4)], (4, 4)),
        ("Deployment", {"replicas": 2}, [rollout(replicas=4)], (4, 4)),
        ("Deployment", {"replicas": 2}, [rollout(replicas=4, scale_down="never")], (6, 6)),
        ("Deployment", {"replicas": 2}, [rollout(replicas=4, scale_down="")], (6, 6)),
        ("Deployment", {"replicas": 9}, [rollout("another", replicas=4)], (9, 9)),
        ("StatefulSet", {"replicas": 9}, [rollout(replicas=4)], (9, 9)),
        ("Deployment", {"replicas": 9}, [new("Rollout", "web", "argoproj.io/v1alpha1", spec={"replicas": 4})], (9, 9)),
    ],
)  # fmt: skip
def test_numbers_of_pods(kind: str, spec: Any, scalers: list[Object], bounds: tuple[int, int]) -> None:
    found: Scale[Object] = Scales(scalers).of(new(kind, spec=spec))
    assert (found.minimum, found.maximum) == bounds
    assert found.per_node == (kind == "DaemonSet")
    scales = bounds != (9, 9) and any(item.kind != "Rollout" for item in scalers)
    assert found.autoscaler == (scalers[0] if scales else None)


def test_a_rollout_is_scaled_in_the_place_of_its_deployment() -> None:
    scaled = scaler("HorizontalPodAutoscaler", {"kind": "Rollout", "name": "canary"}, minReplicas=2, maxReplicas=6)
    found: Scale[Object] = Scales([rollout(replicas=4), scaled]).of(new("Deployment", spec={"replicas": 0}))
    assert (found.minimum, found.maximum, found.autoscaler) == (2, 6, scaled)
    assert not found.is_none


RBAC = "rbac.authorization.k8s.io/v1"


@pytest.mark.parametrize(
    ("kind", "subject", "by_name", "has_role"),
    [
        ("RoleBinding", {"kind": "ServiceAccount", "name": "web", "namespace": "shop"}, ["reader"], True),
        ("RoleBinding", {"kind": "ServiceAccount", "name": "web"}, ["reader"], True),
        ("ClusterRoleBinding", {"kind": "ServiceAccount", "name": "web", "namespace": "shop"}, ["reader"], True),
        ("RoleBinding", {"kind": "ServiceAccount", "name": "web", "namespace": "other"}, [], False),
        ("RoleBinding", {"kind": "ServiceAccount", "name": "api", "namespace": "shop"}, [], False),
        ("RoleBinding", {"kind": "User", "name": "system:serviceaccount:shop:web"}, ["reader"], True),
        ("RoleBinding", {"kind": "User", "name": "web"}, [], False),
        ("RoleBinding", {"kind": "Group", "name": "system:serviceaccounts:shop"}, [], True),
        ("RoleBinding", {"kind": "Group", "name": "system:serviceaccounts:other"}, [], False),
        ("RoleBinding", {"kind": "Group", "name": "system:serviceaccounts"}, [], True),
        ("RoleBinding", {"kind": "Group", "name": "system:authenticated"}, [], True),
    ],
)
def test_roles_of_accounts(kind: str, subject: Any, by_name: list[str], has_role: bool) -> None:
    role = new("Role", "reader", RBAC, rules=[{"verbs": ["list"], "resources": ["pods"]}])
    binding = new(kind, "b", RBAC, roleRef={"kind": "Role", "name": "reader"}, subjects=[subject])
    accounts = Accounts([role, binding])
    web = pods(serviceAccountName="web")
    grants = accounts.grants(web)
    assert [grant.name for grant in grants] == by_name
    assert [grant.role for grant in grants] == [role if kind == "RoleBinding" else None] * len(by_name)
    assert accounts.has_role(web) is has_role


@pytest.mark.parametrize(
    ("pod", "account", "mounts"),
    [(None, None, True), (False, None, False), (None, False, False), (True, False, True), (None, True, True)],
)
def test_tokens(pod: bool | None, account: bool | None, mounts: bool) -> None:
    accounts = Accounts([new("ServiceAccount", "web", "v1", automountServiceAccountToken=account)])
    assert accounts.mounts_token(pods(serviceAccount="web", automountServiceAccountToken=pod)) is mounts

"""What objects keep open that their manifests open no more; and what closes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from constructs_lib.kubernetes.openings import KEPT, closing, declared, keeping, kept_in, opens

Manifest = dict[str, Any]
RBAC = "rbac.authorization.k8s.io/v1"


def made(api_version: str, kind: str, **body: Any) -> Manifest:
    metadata = {"name": "a", "namespace": "ns", "annotations": {"argocd.argoproj.io/sync-wave": "0"}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}


def policy(
    *ingress: Any, egress: Any = (), types: tuple[str, ...] = ("Ingress", "Egress"), of: str = "web"
) -> Manifest:
    spec: Manifest = {"podSelector": {"matchLabels": {"app": of}}, "policyTypes": list(types)}
    spec |= {"ingress": list(ingress)} if ingress else {}
    spec |= {"egress": list(egress)} if egress else {}
    return made("networking.k8s.io/v1", "NetworkPolicy", spec=spec)


def pods(name: str) -> Manifest:
    return {"podSelector": {"matchLabels": {"app": name}}}


def port(number: int) -> Manifest:
    return {"port": number, "protocol": "TCP"}


def rule(*names: str, ports: tuple[int, ...] = (80,), side: str = "from") -> Manifest:
    return {side: [pods(name) for name in names], "ports": [port(number) for number in ports]}


def role(*rules: Manifest, kind: str = "Role") -> Manifest:
    return made(RBAC, kind, rules=list(rules))


def secrets(*names: str, verbs: tuple[str, ...] = ("get",)) -> Manifest:
    named = {"resourceNames": list(names)} if names else {}
    return {"apiGroups": [""], "resources": ["secrets"], **named, "verbs": list(verbs)}


def binding(*names: str, kind: str = "RoleBinding") -> Manifest:
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": "ns"} for name in names]
    return made(RBAC, kind, roleRef={"kind": "Role", "name": "a"}, subjects=subjects)


def hosts(*names: str, port: str = "443") -> Manifest:
    return {"toFQDNs": [{"matchName": name} for name in names], "toPorts": [{"ports": [{"port": port}]}]}


def by_name(*egress: Manifest, of: str = "web") -> Manifest:
    spec = {"endpointSelector": {"matchLabels": {"app": of}}, "egress": list(egress)}
    return made("cilium.io/v2", "CiliumNetworkPolicy", spec=spec)


def store(*conditions: Manifest) -> Manifest:
    return made("external-secrets.io/v1", "ClusterSecretStore", spec={"conditions": list(conditions)})


def spaces(*names: str) -> Manifest:
    return {"namespaces": list(names)}


def service(*ports: Manifest, **spec: Any) -> Manifest:
    return made("v1", "Service", spec={"selector": {"app": "web"}, "ports": list(ports), **spec})


def offered(name: str, number: int, target: int | str | None = None, **more: Any) -> Manifest:
    return {"name": name, "port": number, "targetPort": name if target is None else target, "protocol": "TCP", **more}


HTTP_80 = offered("http-80", 80, "http")


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        pytest.param(
            policy(rule("a"), rule("b"), rule("c")),
            policy(rule("a"), rule("c")),
            {"spec.ingress[1]": rule("b")},
            id="a rule",
        ),
        pytest.param(policy(rule("a")), policy(), {"spec.ingress[0]": rule("a")}, id="the only rule"),
        pytest.param(
            policy(egress=[rule("a", side="to")]), policy(), {"spec.egress[0]": rule("a", side="to")}, id="egress"
        ),
        pytest.param(
            policy(rule("a", "b", ports=(80, 81))),
            policy(rule("a", ports=(80, 81)), rule("b", ports=(80,))),
            {"spec.ingress[0]": rule("b", ports=(81,))},
            id="one port of one peer",
        ),
        pytest.param(
            policy(rule("a", ports=(80,))),
            policy(rule("a", ports=(90,))),
            {"spec.ingress[0]": rule("a", ports=(80,))},
            id="another port",
        ),
        pytest.param(policy({}), policy(rule("a")), {"spec.ingress[0]": {}}, id="a rule for everybody"),
        pytest.param(
            policy({"ports": [port(80)]}),
            policy(rule("a")),
            {"spec.ingress[0]": {"ports": [port(80)]}},
            id="a port for everybody",
        ),
        pytest.param(
            role(secrets("a", "b")), role(secrets("b")), {"rules[0]": secrets("a")}, id="the name of an object"
        ),
        pytest.param(role(secrets("a")), role(), {"rules[0]": secrets("a")}, id="the only name"),
        pytest.param(
            role(secrets(verbs=("get", "list")), kind="ClusterRole"),
            role(secrets(verbs=("get",)), kind="ClusterRole"),
            {"rules[0]": secrets(verbs=("list",))},
            id="a verb",
        ),
        pytest.param(role(secrets()), role(secrets("a")), {"rules[0]": secrets()}, id="all objects"),
        pytest.param(
            binding("a", "b"),
            binding("b"),
            {"subjects[0]": binding("a")["subjects"][0]},
            id="a subject",
        ),
        pytest.param(
            binding("a", kind="ClusterRoleBinding"),
            binding("b", kind="ClusterRoleBinding"),
            {"subjects[0]": binding("a")["subjects"][0]},
            id="another subject",
        ),
        pytest.param(
            store(spaces("a", "b")),
            store(spaces("a")),
            {"spec.conditions[0]": spaces("b")},
            id="a namespace of a store",
        ),
        pytest.param(
            service(offered("http", 80)),
            service(offered("http", 81)),
            {"spec.ports[1]": HTTP_80},
            id="a port by its name",
        ),
        pytest.param(
            service(offered("http", 80)),
            service(offered("web", 81, "http")),
            {"spec.ports[1]": offered("web-80", 80, "http")},
            id="a port by its target",
        ),
        pytest.param(
            service(offered("http", 80, nodePort=30080), type="NodePort"),
            service(offered("http", 81, nodePort=30080), type="NodePort"),
            {"spec.ports[1]": HTTP_80},
            id="a node has each port once",
        ),
        pytest.param(
            by_name(hosts("a", "b"), {"toEntities": ["kube-apiserver"]}),
            by_name(hosts("b")),
            {"spec.egress[0]": hosts("a"), "spec.egress[1]": {"toEntities": ["kube-apiserver"]}},
            id="a host and an entity",
        ),
    ],
)
def test_what_was_open_is_kept(old: Manifest, new: Manifest, kept: Manifest) -> None:
    assert closing(old, new) == kept
    opened = keeping(new, kept)
    assert kept_in(opened) == kept
    assert closing(opened, opened) == {}
    assert closing(old, {**opened, "metadata": new["metadata"]}) == {}
    left = declared(opened)
    assert closing(new, left) == closing(left, new) == {}
    assert KEPT not in left["metadata"]["annotations"]
    # It closes once nothing keeps it, or it is kept once more.
    assert closing(left, new) == {}
    assert keeping(new, closing(opened, new)) == opened


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(policy(rule("a")), policy(rule("a"), rule("b")), id="a rule more"),
        pytest.param(policy(rule("a"), rule("b")), policy(rule("b"), rule("a")), id="another order"),
        pytest.param(policy(rule("a")), policy(rule("a", "b", ports=(80, 81))), id="a wider rule"),
        pytest.param(policy(rule("a")), policy({"from": [pods("a")]}), id="all ports"),
        pytest.param(policy(rule("a")), policy({"ports": [port(80)]}), id="everybody"),
        pytest.param(policy(rule("a")), policy({}), id="everything"),
        pytest.param(policy(rule("a", "b")), policy(rule("a"), rule("b")), id="a rule in two"),
        pytest.param(
            policy(egress=[rule("a", side="to")]), policy(types=("Ingress",)), id="a direction that is open now"
        ),
        pytest.param(policy(rule("a")), policy(of="other"), id="a policy for other pods"),
        pytest.param(by_name(hosts("a")), by_name(hosts("a", "b")), id="a host more"),
        pytest.param(by_name(hosts("a")), by_name(hosts("a"), of="other"), id="hosts for other pods"),
        pytest.param(role(secrets("a")), role(secrets("a", "b")), id="a name more"),
        pytest.param(role(secrets("a")), role(secrets()), id="every name"),
        pytest.param(role(secrets("a")), role(secrets("a", verbs=("*",))), id="every verb"),
        pytest.param(binding("a"), binding("b", "a"), id="a subject more"),
        pytest.param(store(spaces("a")), store(spaces("a", "b")), id="a namespace more"),
        pytest.param(store(spaces("a")), store(), id="every namespace"),
        pytest.param(store(spaces()), store(spaces("a")), id="the first namespace"),
        pytest.param(service(offered("http", 80)), service(offered("http", 80), offered("more", 81)), id="a port more"),
        pytest.param(service(offered("http", 80)), service(offered("web", 80)), id="another name of a port"),
        pytest.param(service(offered("http", 80)), service(offered("http", 80, 8080)), id="another target"),
        pytest.param(
            service(offered("http", 80), offered("old", 81)),
            service(offered("http", 80)),
            id="a port that no pod has now",
        ),
        pytest.param(
            service(offered("http", 80), clusterIP="None"),
            service(offered("http", 81), clusterIP="None"),
            id="headless",
        ),
        pytest.param(
            service({"port": 80, "targetPort": 8080}),
            service({"port": 81, "targetPort": 8080}),
            id="one port has no name",
        ),
        pytest.param(made("v1", "ConfigMap", data={"a": "b"}), made("v1", "ConfigMap", data={}), id="another kind"),
    ],
)
def test_what_only_becomes_wider_or_cannot_be_kept_keeps_nothing(old: Manifest, new: Manifest) -> None:
    assert closing(old, new) == {}


def test_an_object_of_the_same_name_elsewhere_is_another_one() -> None:
    old = policy(rule("a"))
    assert closing({**old, "metadata": {"name": "a", "namespace": "other"}}, policy()) == {}
    assert closing(old, policy()) != {}


def test_what_is_declared_again_is_not_kept_beside_it() -> None:
    assert keeping(policy(rule("a")), {"spec.ingress[0]": rule("a")}) == policy(rule("a"))
    assert keeping(service(offered("http", 80)), {"spec.ports[1]": HTTP_80}) == service(offered("http", 80))


def test_a_place_that_is_taken_away_is_the_last_one() -> None:
    opened = keeping(policy(), {"spec.ingress[7]": rule("a")})
    assert kept_in(opened) == {"spec.ingress[0]": rule("a")}
    assert opened["spec"]["ingress"] == [rule("a")]


def test_the_next_publication_keeps_what_it_closes_itself() -> None:
    first = policy(rule("a"), rule("b"))
    second = keeping(policy(rule("b")), closing(first, policy(rule("b"))))
    assert closing(declared(second), policy()) == {"spec.ingress[0]": rule("b")}


@pytest.mark.parametrize(
    ("path", "answer"),
    [("dist/x/y/NetworkPolicy-web.yaml", True), ("Service-web.yaml", True), ("ServiceAccount-web.yaml", False)],
)
def test_files_that_may_keep_something_are_known_by_their_names(path: str, answer: bool) -> None:
    assert opens(path) is answer

"""Policies beside NetworkPolicies: what is read of them, and that nothing is said where they are not."""

from __future__ import annotations

from typing import Any

import pytest
from small_trees import Manifest, deployment, manifest, model_of

from constructs_lib.check.model import ClusterModel
from constructs_lib.check.notes import notes, unseen
from constructs_lib.check.reachability.can import can
from constructs_lib.check.report.report import look

DENY = manifest(
    "NetworkPolicy", "deny", api_version="networking.k8s.io/v1", spec={"podSelector": {}, "policyTypes": ["Egress"]}
)
CALLER = deployment("web")
CALLER["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "URL", "value": "https://api.example.com"}]
WORLD = {"toPorts": [{"ports": [{"port": "443", "protocol": "TCP"}]}]}


def cilium(*egress: Manifest, **spec: Any) -> Manifest:
    """Return a CiliumNetworkPolicy for all pods of the shop."""
    content = {"endpointSelector": {}, "egress": [*egress], **spec}
    return manifest("CiliumNetworkPolicy", "own", api_version="cilium.io/v2", spec=content)


def codes(model: ClusterModel) -> set[str]:
    """Return what reachability finds."""
    return {finding.check.code for finding in look(model, "").findings if finding.check.proof == "reachability"}


@pytest.mark.parametrize(
    ("rule", "target", "allowed"),
    [
        ({"toFQDNs": [{"matchName": "api.example.com"}]}, "api.example.com", True),
        ({"toFQDNs": [{"matchName": "API.example.com."}]}, "api.example.com", True),
        ({"toFQDNs": [{"matchName": "api.example.com"}]}, "www.example.com", False),
        ({"toFQDNs": [{"matchPattern": "*.example.com"}]}, "api.example.com", True),
        ({"toFQDNs": [{"matchPattern": "*.example.com"}]}, "a.b.example.com", False),
        ({"toFQDNs": [{"matchPattern": "**.example.com"}]}, "a.b.example.com", True),
        ({"toFQDNs": [{"matchPattern": "*"}]}, "api.example.com", True),
        ({"toFQDNs": []}, "api.example.com", False),
        ({"toEntities": ["world"]}, "api.example.com", True),
        ({"toEntities": ["world"]}, "203.0.113.7", True),
        ({"toEntities": ["host", "world-ipv4"]}, "api.example.com", True),
        ({"toEntities": ["world"]}, "10.0.0.7", False),
        ({"toEntities": ["cluster"]}, "internet", False),
        ({"toEntities": ["cluster"]}, "stock", True),
        ({"toEntities": ["all"]}, "internet", True),
        ({"toEndpoints": [{"matchLabels": {"k8s:app": "stock"}}]}, "stock", True),
        (
            {"toEndpoints": [{"matchLabels": {"any:app": "stock", "k8s:io.kubernetes.pod.namespace": "shop"}}]},
            "stock",
            True,
        ),
        (
            {"toEndpoints": [{"matchLabels": {"app": "stock", "io.kubernetes.pod.namespace": "other"}}]},
            "shop/stock",
            False,
        ),
        ({"toEndpoints": [{}]}, "stock", True),
        ({"toEndpoints": [{}]}, "internet", False),
        ({"toCIDR": ["203.0.113.0/24"]}, "203.0.113.7", True),
        ({"toCIDRSet": [{"cidr": "203.0.113.0/24", "except": ["203.0.113.7/32"]}]}, "203.0.113.7", False),
        ({}, "internet", True),
    ],
)
def test_what_a_rule_opens(rule: Manifest, target: str, allowed: bool) -> None:
    model = model_of(CALLER, deployment("stock"), DENY, cilium({**rule, **WORLD}))
    assert not [*unseen(model)]
    assert can(model, "web", target, 443).allowed is allowed
    assert not can(model, "web", target, 80).allowed


@pytest.mark.parametrize(
    ("rule", "code", "at"),
    [
        ({"toEntities": ["all"]}, "open-to-everybody", "egress[0].toEntities[0]"),
        ({"toEndpoints": [{}]}, "empty-peer-selector", "egress[0].toEndpoints[0]"),
        ({"toCIDR": ["0.0.0.0/0"]}, "ip-block-covers-cluster", "egress[0].toCIDR[0]"),
        ({"toEndpoints": [{"matchLabels": {"app": "stock"}}], **WORLD}, "one-sided-rule", "egress[0].toEndpoints[0]"),
    ],
)
def test_a_rule_that_opens_too_much(rule: Manifest, code: str, at: str) -> None:
    spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
    closed = manifest("NetworkPolicy", "in", api_version="networking.k8s.io/v1", spec=spec)
    found = look(model_of(deployment("web"), deployment("stock"), closed, cilium(rule)), "").findings
    assert (code, f"spec.{at}") in {(finding.check.code, finding.field) for finding in found}


def test_a_port_without_its_quotes() -> None:
    """Cilium's API takes texts alone."""
    found = look(model_of(cilium({"toPorts": [{"ports": [{"port": 443}]}]})), "").findings
    assert "wrong-type" in {finding.check.code for finding in found}


def test_what_one_policy_opens_is_open() -> None:
    """A host by its name beside a NetworkPolicy for the whole internet closes nothing."""
    by_name = cilium({"toFQDNs": [{"matchName": "api.example.com"}], **WORLD})
    wide = {"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443}]}]}
    other = manifest("NetworkPolicy", "wide", api_version="networking.k8s.io/v1", spec={"podSelector": {}, **wide})
    assert not can(model_of(CALLER, by_name), "web", "internet", 443).allowed
    assert can(model_of(CALLER, by_name, other), "web", "internet", 443).allowed


def test_ingress_and_a_direction_without_rules() -> None:
    """A list isolates, even if it is empty; where there is none, everything is open."""
    closed = cilium(ingress=[{"fromEndpoints": [{"matchLabels": {"app": "web"}}]}])
    del closed["spec"]["egress"]
    model = model_of(deployment("web"), deployment("stock"), closed)
    assert can(model, "web", "stock", 80).allowed
    assert not can(model, "internet", "stock", 80).allowed
    assert can(model, "stock", "internet", 80).allowed
    assert not can(model_of(deployment("web"), cilium()), "web", "internet", 80).allowed


@pytest.mark.parametrize(
    "other",
    [
        cilium({**WORLD}, egressDeny=[{"toEntities": ["world"]}]),
        cilium({"toServices": [{"k8sService": {"serviceName": "stock"}}]}),
        cilium({"toEndpoints": [{"matchLabels": {"io.cilium.k8s.namespace.labels.team": "a"}}]}),
        cilium({"toPorts": [{"ports": [{"port": "80"}], "rules": {"http": [{"path": "/"}]}}]}),
        cilium({}),
        cilium(enableDefaultDeny={"egress": False}),
        manifest("CiliumClusterwideNetworkPolicy", "all", api_version="cilium.io/v2", spec={"endpointSelector": {}}),
        manifest("NetworkPolicy", "calico", api_version="projectcalico.org/v3", spec={"selector": "all()"}),
        manifest("GlobalNetworkPolicy", "calico", api_version="crd.projectcalico.org/v1", spec={"selector": "all()"}),
        manifest("AdminNetworkPolicy", "admin", api_version="policy.networking.k8s.io/v1alpha1", spec={"priority": 1}),
        manifest(
            "ClusterNetworkPolicy", "new", api_version="policy.networking.k8s.io/v1alpha2", spec={"tier": "Admin"}
        ),
    ],
)
def test_of_what_is_not_read_is_told_and_nothing_is_said(other: Manifest) -> None:
    """It may open what the others close."""
    assert codes(model_of(CALLER, DENY)) == {"dns-blocked", "internet-blocked"}
    model = model_of(CALLER, DENY, other)
    [remark] = unseen(model)
    assert f"{other['kind']} " in remark
    assert codes(model) == set()
    assert codes(model_of(CALLER)) == {"namespace-without-policies"}
    assert codes(model_of(CALLER, other)) == set()


def test_elsewhere_it_is_said() -> None:
    """A policy of one namespace is about no pods of another."""
    elsewhere = cilium({**WORLD}, egressDeny=[{"toEntities": ["world"]}])
    elsewhere["metadata"]["namespace"] = "other"
    assert codes(model_of(CALLER, DENY, elsewhere)) == {"dns-blocked", "internet-blocked"}


def test_images_without_a_digest_are_noted() -> None:
    """Those with one are not, and those without an exact version are a finding."""
    digest = f"@sha256:{'0' * 64}"
    model = model_of(*(deployment(name) for name in ("web", "stock")))
    for pods, image in zip(model.pods, ("example/web:1.0.0", f"example/stock:1.0.0{digest}"), strict=True):
        pods.owner.spec["template"]["spec"]["containers"][0]["image"] = image
    model = model_of(*(item.manifest for item in model.objects))
    [note] = notes(model)
    assert "example/web:1.0.0 of web" in note
    assert "stock" not in note

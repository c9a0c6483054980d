"""The evaluator of the library, against the one of the tests that tries everything out, and where it is more."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

import network as naive
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constructs_lib.argocd.objects import Object
from constructs_lib.check.areas import ANYWHERE, CLUSTER, INTERNET, Area, block_of
from constructs_lib.check.network import End, Network, Outside, Pod, Policy
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.kubernetes.workloads import Port as ContainerPort

NAMESPACES = {"one": {"team": "a"}, "two": {"team": "b", "zone": "a"}, "three": {}}
KEYS = ("app", "tier", "team")
VALUES = ("a", "b")
ADDRESSES = ("10.0.0.1", "10.0.1.2", "203.0.113.7", "fd00::1", "2001:db8::7")
BLOCKS = ("0.0.0.0/0", "10.0.0.0/8", "10.0.1.0/24", "203.0.113.7/32", "::/0", "fd00::/8", "2001:db8::/32")
NAMES = ("web", "dns")

labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=3)
requirement = st.one_of(
    st.builds(
        lambda key, operator, values: {"key": key, "operator": operator, "values": values},
        st.sampled_from(KEYS),
        st.sampled_from(["In", "NotIn"]),
        st.lists(st.sampled_from(VALUES), min_size=1, max_size=2),
    ),
    st.builds(
        lambda key, operator: {"key": key, "operator": operator},
        st.sampled_from(KEYS),
        st.sampled_from(["Exists", "DoesNotExist"]),
    ),
)


def present(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return mappings in which each of some entries may be missing."""
    return st.fixed_dictionaries({}, optional=parts)


selector = present(matchLabels=labels, matchExpressions=st.lists(requirement, max_size=2))
namespace_selector = st.one_of(
    selector,
    st.builds(lambda name: {"matchLabels": {"kubernetes.io/metadata.name": name}}, st.sampled_from([*NAMESPACES])),
)
block = st.builds(
    lambda cidr, holes: {"ipBlock": {"cidr": cidr, **({"except": holes} if holes is not None else {})}},
    st.sampled_from(BLOCKS),
    st.one_of(st.none(), st.lists(st.sampled_from(BLOCKS), max_size=2)),
)
peer = st.one_of(
    block,
    st.builds(lambda pods: {"podSelector": pods}, selector),
    st.builds(lambda namespaces: {"namespaceSelector": namespaces}, namespace_selector),
    st.builds(
        lambda namespaces, pods: {"namespaceSelector": namespaces, "podSelector": pods}, namespace_selector, selector
    ),
)
protocol = st.sampled_from(["TCP", "UDP", "SCTP"])
port = st.one_of(
    present(protocol=protocol),
    st.fixed_dictionaries({"port": st.sampled_from([79, 80, 443, *NAMES])}, optional={"protocol": protocol}),
    st.fixed_dictionaries(
        {"port": st.just(79), "endPort": st.sampled_from([79, 81, 500])}, optional={"protocol": protocol}
    ),
)


def rules(key: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Return the rules of one direction."""
    entry = {key: st.lists(peer, max_size=2), "ports": st.lists(port, max_size=2)}
    return st.lists(present(**entry), max_size=2)


policy = st.builds(
    lambda namespace, pods, spec: {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": namespace, "name": "policy"},
        "spec": {"podSelector": pods, **spec},
    },
    st.sampled_from([*NAMESPACES]),
    selector,
    present(
        policyTypes=st.sampled_from([[], ["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
        ingress=rules("from"),
        egress=rules("to"),
    ),
)
pod = st.builds(
    naive.Pod,
    st.sampled_from([*NAMESPACES]),
    st.just("pod"),
    labels,
    st.sampled_from(ADDRESSES),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from([80, 443, 53])),
    st.dictionaries(st.sampled_from(NAMES), protocol),
    st.booleans(),
)


def of_policies(*manifests: Mapping[str, Any]) -> Iterator[Policy]:
    """Yield policies as the library reads them."""
    for manifest in manifests:
        yield Policy.read(Object(dict(manifest), "policy.yaml", manifest["metadata"]["namespace"]))


def end_of(end: naive.Pod | naive.Outside) -> End:
    """Return the same as the library knows it."""
    address = block_of(end.address)
    assert address is not None
    if isinstance(end, naive.Outside):
        return Outside(end.address, Area((address,)))
    ports = tuple(ContainerPort(name, end.protocols.get(name, "TCP"), number) for name, number in end.ports.items())
    return Pod(end.namespace, end.name, end.labels, ports, end.host_network, Area((address,)))


def assert_agreement(policies: list[dict[str, Any]], pods: list[naive.Pod]) -> None:
    """Assert that both evaluators open the same ports between everything and everything."""
    reference = naive.Network(policies, NAMESPACES).with_ports([53, 80, 443])
    ends: list[naive.Pod | naive.Outside] = [*pods, *map(naive.Outside, ADDRESSES)]
    own = {id(end): end_of(end) for end in ends}
    every = [pod for pod in own.values() if isinstance(pod, Pod)]
    net = Network(of_policies(*policies), reference.namespaces, every)
    ports = {*reference.ports, ("UDP", 53), ("SCTP", 80), ("UDP", 443)}
    reference.ports = sorted(ports)
    for source in ends:
        for target in ends:
            opened = {number for number in ports if net.connection(own[id(source)], own[id(target)], number).allowed}
            assert opened == reference.open_ports(source, target)


@pytest.mark.slow
@settings(max_examples=400)
@given(policies=st.lists(policy, max_size=4), pods=st.lists(pod, min_size=1, max_size=4))
def test_both_evaluators_agree(policies: list[dict[str, Any]], pods: list[naive.Pod]) -> None:
    assert_agreement(policies, pods)


TELLING = [
    {"ports": [{"port": 79, "endPort": 81}]},
    {"ports": [{"port": "web"}]},
    {"ports": [{"port": "web", "protocol": "UDP"}]},
    {"ports": [{"port": "dns", "protocol": "UDP"}]},
    {"ports": [{"port": "dns"}]},
    {"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "a"}}}]},
    {"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}, "podSelector": {"matchLabels": {"app": "a"}}}]},
    {"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}, {"podSelector": {"matchLabels": {"app": "a"}}}]},
    {"from": [{"namespaceSelector": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}}]},
    {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.1.0/24"]}}]},
]


@pytest.mark.parametrize("rule", TELLING, ids=str)
def test_both_evaluators_agree_where_it_matters(rule: dict[str, Any]) -> None:
    ports = {"web": 80, "dns": 53}
    pods = [
        naive.Pod(namespace, app, {"app": app}, address, ports, {"dns": "UDP"})
        for namespace, address in (("one", "10.0.0.1"), ("two", "10.0.1.2"), ("three", "fd00::1"))
        for app in VALUES
    ]
    manifest = {"metadata": {"namespace": "one", "name": "policy"}, "spec": {"podSelector": {}, "ingress": [rule]}}
    assert_agreement([{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", **manifest}], pods)


@settings(max_examples=200)
@given(policies=st.lists(policy, min_size=1, max_size=3), pods=st.lists(pod, min_size=1, max_size=5))
def test_peers_are_found_as_they_are_recognized(policies: list[dict[str, Any]], pods: list[naive.Pod]) -> None:
    every = [found for end in pods if isinstance(found := end_of(end), Pod)]
    namespaces = naive.Network(policies, NAMESPACES).namespaces
    net = Network(of_policies(*policies), namespaces, every)
    for own in net.policies:
        assert net.selected(own) == [
            found
            for found in every
            if found.namespace == own.namespace and own.selector.matches(found.labels) and not found.host_network
        ]
        for rule in (*own.rules["Ingress"], *own.rules["Egress"]):
            for entry in rule.peers or ():
                if entry.block is None:
                    assert sorted(map(id, net.matching(entry))) == sorted(
                        id(found) for found in every if entry.matches(found, namespaces)
                    )


@pytest.mark.parametrize(
    ("area", "cidr", "holes", "may"),
    [
        (CLUSTER, "0.0.0.0/0", [], True),
        (CLUSTER, "10.20.0.0/16", [], True),
        (CLUSTER, "203.0.113.0/24", [], False),
        (CLUSTER, "10.0.0.0/8", ["10.0.0.0/9", "10.128.0.0/9"], False),
        (CLUSTER, "10.0.0.0/8", ["10.0.0.0/9"], True),
        (CLUSTER, "0.0.0.0/0", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], True),
        (CLUSTER, "0.0.0.0/1", ["10.0.0.0/8", "100.64.0.0/10"], False),
        (CLUSTER, "::/0", ["fc00::/7"], True),
        (CLUSTER, "2000::/3", [], False),
        (INTERNET, "10.0.0.0/8", [], False),
        (INTERNET, "8.0.0.0/6", [], True),
        (INTERNET, "0.0.0.0/0", ["0.0.0.0/1", "128.0.0.0/1"], False),
        (ANYWHERE, "10.1.2.3/32", [], True),
        (ANYWHERE, "10.1.2.3/32", ["10.0.0.0/8"], False),
    ],
)
def test_an_address_that_nobody_knows_may_lie_in_a_block(area: Area, cidr: str, holes: list[str], may: bool) -> None:
    assert area.may_lie_in(ipaddress.ip_network(cidr), [ipaddress.ip_network(hole) for hole in holes]) is may


WEB: tuple[ContainerPort, ...] = (ContainerPort("http", "TCP", 80),)


def rule_of(**rule: Any) -> Network:
    """Return a network of one pod and one policy with one ingress rule."""
    manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": "one", "name": "policy"},
        "spec": {"podSelector": {}, "ingress": [rule]},
    }
    return Network(of_policies(manifest), {}, [Pod("one", "web", {"app": "web"}, WEB)])


@pytest.mark.parametrize(
    "rule",
    [
        {"from": [{"ipBlock": {"cidr": "no address"}}]},
        {"from": [{"ipBlock": "10.0.0.0/8"}]},
        {"from": [{}]},
        {"from": ["pods"]},
        {"from": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "Like", "values": ["web"]}]}}]},
        {"ports": [{"port": "grpc"}]},
        {"ports": [{"port": 80, "protocol": "tcp"}]},
    ],
    ids=str,
)
def test_what_kubernetes_refuses_opens_nothing(rule: dict[str, Any]) -> None:
    net = rule_of(**rule)
    assert not net.connection(net.pods[0], net.pods[0], ("TCP", 80)).allowed


def test_null_is_as_good_as_missing() -> None:
    net = rule_of(**{"from": [{"podSelector": {}, "namespaceSelector": None, "ipBlock": None}], "ports": None})
    stranger = Pod("two", "web", {"app": "web"})
    assert net.connection(net.pods[0], net.pods[0], ("TCP", 80)).allowed
    assert not net.connection(stranger, net.pods[0], ("TCP", 80)).allowed


def test_a_side_tells_the_policies_and_the_rules_that_decide() -> None:
    net = rule_of(ports=[{"port": "http"}])
    side = net.connection(Outside("internet", INTERNET), net.pods[0], ("TCP", 80)).ingress
    assert [policy.name for policy in side.policies] == ["policy"]
    assert [rule.path for _, rule, _ in side.rules] == ["ingress[0]"]
    assert net.connection(net.pods[0], net.pods[0], ("TCP", 81)).closed[0].direction == "Ingress"


def test_a_selector_is_found_by_a_label_that_it_asks_for() -> None:
    assert Selector({"matchLabels": {"app": "web"}}).pair == ("app", "web")
    assert Selector({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}).pair == ("app", "web")
    assert Selector({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}).pair is None
    assert Selector({}).is_empty

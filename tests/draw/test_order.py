"""The order of deployment shows every wave, and an arrow for whatever does not follow from others."""

from __future__ import annotations

import random

import pytest
from geometry import read
from systems import empty, linked, positionpal, shop

from constructs_lib.declare.role import Role
from constructs_lib.derive.graph import Graph
from constructs_lib.draw.deployment_order import CLUSTER, order, transitive_reduction
from constructs_lib.draw.diagram import Diagram
from constructs_lib.draw.svg import svg


def arrows(diagram: Diagram) -> set[tuple[str, str]]:
    titles = {node.id: node.title for node in diagram.nodes}
    return {(titles[edge.source], titles[edge.target]) for edge in diagram.edges}


def reachable(targets: dict[str, list[str]]) -> dict[str, set[str]]:
    """Return what comes before each node, by walking all paths."""

    def walk(node: str) -> set[str]:
        return {*targets[node]}.union(*(walk(target) for target in targets[node]))

    return {node: walk(node) for node in targets}


@pytest.mark.parametrize("components", [1, 5, 12, 60])
def test_every_component_stands_in_its_wave(components: int) -> None:
    graph = Graph(shop(components))
    diagram = order(graph)
    assert {node.id: (node.layer or 0) - 1 for node in diagram.nodes} == {CLUSTER: -1, **graph.waves}
    waves = max(graph.waves.values()) + 1
    assert diagram.bands == ("bootstrap", *(f"wave {wave}" for wave in range(waves)))
    assert [word for word in read(svg(diagram)).words if word.startswith("wave ")] == [*diagram.bands[1:]]


@pytest.mark.parametrize("components", [1, 5, 12, 60])
def test_arrows_say_the_same_as_the_dependencies(components: int) -> None:
    graph = Graph(shop(components))
    drawn: dict[str, list[str]] = {component.id: [] for component in graph.system.components}
    for edge in order(graph).edges:
        if edge.source == CLUSTER:
            assert graph.dependencies[edge.target] == []
        else:
            drawn[edge.target].append(edge.source)
    declared = {id: [dependency.target.id for dependency in found] for id, found in graph.dependencies.items()}
    assert reachable(drawn) == reachable(declared)


@pytest.mark.parametrize("seed", range(20))
def test_what_follows_from_other_arrows_is_left_out(seed: int) -> None:
    chance = random.Random(seed)
    names = [str(number) for number in range(9)]
    targets = {name: [other for other in names[:place] if chance.random() < 0.4] for place, name in enumerate(names)}
    before = reachable(targets)
    reduced = transitive_reduction(targets, {name: place for place, name in enumerate(names)})
    assert reachable(reduced) == before
    for name, found in reduced.items():
        for target in found:
            assert not any(target in before[other] for other in found), f"{name} after {target} follows from the rest"


def test_positionpal_carries_what_the_drawing_by_hand_did() -> None:
    diagram = order(positionpal())
    waves = {node.title: node.layer for node in diagram.nodes}
    roles = {node.title: node.role for node in diagram.nodes}
    found = arrows(diagram)
    assert waves["Kubernetes cluster"] == 0
    assert roles["Kubernetes cluster"] is Role.PLATFORM
    assert {first for first, _ in found if waves[first] == 0} == {"Kubernetes cluster"}
    services = ["chat-service", "notification-service", "user-service", "location-service"]
    [monitoring] = [node for node in diagram.nodes if node.title == "monitoring"]
    assert "prometheus" in " ".join(monitoring.facts)
    assert "grafana" in " ".join(monitoring.facts)
    assert roles["rabbitmq"] is Role.MESSAGING
    assert roles["gateway"] is Role.ENTRY
    before = reachable({title: [first for first, then in found if then == title] for title in waves})
    for service in services:
        assert roles[service] is Role.SERVICE
        assert {"Kubernetes cluster", "rabbitmq", "monitoring"} <= before[service]
    assert {*services} <= before["gateway"]
    # Nothing waits for who restarts programs later on.
    assert before.keys() - before["gateway"] == {"gateway", "reloader"}
    meanings = {text for _, text in diagram.legend}
    assert {"infrastructure", "messaging", "service", "entry point", "must be healthy before"} <= meanings


def test_calls_that_can_wait_make_no_order() -> None:
    assert arrows(order(Graph(linked(2, [(0, 1, False)])))) == {
        ("Kubernetes cluster", "service-0"),
        ("Kubernetes cluster", "service-1"),
    }


def test_without_components_there_is_the_cluster() -> None:
    diagram = order(Graph(empty()))
    assert [node.title for node in diagram.nodes] == ["Kubernetes cluster"]
    assert diagram.description == "There is no component."

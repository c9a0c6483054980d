"""Programs that run already keep their names, the labels of their pods and their volumes; variables name others."""

from __future__ import annotations

from typing import Any

import pytest
from sound import one, problems, sound_tree
from synthesized import Synthesized
from systems import empty

from constructs_lib import Claim, Component, Microservice, StatefulSet, System, generated, synthesize
from constructs_lib.check.finding import Severity

SELECTOR = {"app": "web", "app.kubernetes.io/name": "front"}


def _system() -> System:
    system = empty("local", "external-secrets")
    desk = Component(system, "desk", namespace="help", prefix=False)
    queue = StatefulSet(
        desk, "queue", image="example/queue:1.0.0", ports={"tcp": 7000}, volumes={"/data": Claim("1Gi", name="kept")}
    )
    web = Microservice(
        desk,
        "web",
        image="example/web:1.0.0",
        ports={"http": 8080},
        selector=SELECTOR,
        volumes={"/srv/uploads": Claim("1Gi", name="uploads")},
        env={
            "A_URL": "tcp://$(QUEUE)?key=$(KEY)&zone=$(ZONE)&shell=$(date)",
            "KEY": generated("signs"),
            "PLAIN": "$(date)",
            "ZONE": "eu",
        },
    )
    web.needs(queue.endpoint("tcp"), {"QUEUE": "address"})
    return system


@pytest.fixture(scope="module")
def tree() -> Synthesized:
    """What such programs give, in which nothing is wrong."""
    return sound_tree(_system())


def _pod(tree: Synthesized, kind: str, name: str) -> Any:
    return one(tree, kind, name)["spec"]["template"]["spec"]


def test_names_have_no_prefix(tree: Synthesized) -> None:
    assert one(tree, "Deployment", "web")["metadata"]["namespace"] == "help"
    assert one(tree, "Service", "queue")["metadata"]["namespace"] == "help"


def test_the_selector_is_the_same_everywhere(tree: Synthesized) -> None:
    deployment = one(tree, "Deployment", "web")["spec"]
    assert deployment["selector"]["matchLabels"] == SELECTOR
    assert deployment["template"]["metadata"]["labels"].items() >= SELECTOR.items()
    assert one(tree, "Service", "web")["spec"]["selector"] == SELECTOR
    assert one(tree, "PodDisruptionBudget", "web")["spec"]["selector"]["matchLabels"] == SELECTOR
    assert one(tree, "NetworkPolicy", "web")["spec"]["podSelector"]["matchLabels"] == SELECTOR
    peers = one(tree, "NetworkPolicy", "queue")["spec"]["ingress"][0]["from"]
    assert [each["podSelector"]["matchLabels"] for each in peers] == [SELECTOR]


def test_claims_keep_their_names(tree: Synthesized) -> None:
    queue = one(tree, "StatefulSet", "queue")["spec"]
    assert [each["metadata"]["name"] for each in queue["volumeClaimTemplates"]] == ["kept"]
    assert {"name": "kept", "mountPath": "/data"} in _pod(tree, "StatefulSet", "queue")["containers"][0]["volumeMounts"]
    assert one(tree, "PersistentVolumeClaim", "uploads")
    claims = [each.get("persistentVolumeClaim") for each in _pod(tree, "Deployment", "web")["volumes"]]
    assert {"claimName": "uploads"} in claims


def test_what_a_text_names_comes_before_it(tree: Synthesized) -> None:
    env = [each["name"] for each in _pod(tree, "Deployment", "web")["containers"][0]["env"]]
    assert sorted(env) == ["A_URL", "KEY", "QUEUE", "ZONE"]
    assert env[-1] == "A_URL"
    # What names no variable of the program is a text like others.
    assert one(tree, "ConfigMap", "web")["data"] == {"PLAIN": "$(date)"}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"selector": {"a b": "c"}}, 'selector: "a b" is no name of a label'),
        ({"volumes": {"/data": Claim("1Gi", name="A B")}}, 'volumes, /data: name: "A B" is no name of a claim'),
        ({"env": {"URL": "postgres://me:written@db/x"}}, "URL holds a URL with a password in plain text"),
    ],
)
def test_a_mistake_is_told(given: dict[str, Any], problem: str) -> None:
    system = empty("local")
    Microservice(system, "web", image="example/web:1.0.0", **given)
    assert any(problem in each.problem for each in system.diagnostics.found)


def test_a_password_of_another_variable_is_no_mistake() -> None:
    system = empty("local", "external-secrets")
    env: dict[str, Any] = {"URL": "postgres://me:$(KEY)@db/x", "KEY": generated("opens it")}
    Microservice(system, "web", image="example/web:1.0.0", env=env)
    assert problems(system, Severity.ERROR) == []
    assert synthesize(system).files

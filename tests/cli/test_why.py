"""``why``: the chain behind a wave, and the line behind an object."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from app_runs import ROOT
from repositories import run

APP = (ROOT / "app.py").read_text().splitlines()


def answer(*arguments: str) -> str:
    result = run(ROOT, "why", *arguments)
    assert result.code == 0, result.err
    return result.out


def line_of(text: str) -> int:
    """Return the only line of app.py that holds a text."""
    (number,) = (number for number, line in enumerate(APP, 1) if text in line)
    return number


def test_the_chain_of_the_gateway() -> None:
    said = answer("gateway", "production")
    assert said.startswith("production: gateway is in wave 4, because of the longest chain below it:\n")
    chain = re.findall(r"^  wave (\d)  (\S+) ", said.partition("It also")[0], re.MULTILINE)
    assert [int(wave) for wave, _ in chain] == [4, 3, 2, 1, 0]
    assert chain[0][1] == "gateway"
    assert f"gateway needs user-service grpc (app.py:{line_of('USER_SERVICE_URL')})" in said
    others = said.partition("It also comes after:\n")[2]
    assert f"gateway needs chat-service grpc (app.py:{line_of('CHAT_SERVICE_URL')})" in others


def test_environments_that_agree_share_an_answer() -> None:
    assert answer("Service/rabbitmq").startswith("local, production: Service rabbitmq in rabbitmq")
    assert answer("metrics-server").startswith("production: metrics-server is in wave 0")


def test_a_component_that_comes_after_nothing() -> None:
    said = answer("external-secrets", "local")
    line = line_of("ExternalSecrets(system")
    assert f"external-secrets is in wave 0: it comes after nothing (app.py:{line})." in said
    assert "After it come:" in said
    assert "its secrets come from External Secrets" in said


@pytest.mark.parametrize(
    ("name", "construct", "text"),
    [
        ("Deployment/gateway", "Microservice gateway", "gateway = Microservice("),
        ("Deployment/pp-gws/gateway", "Microservice gateway", "gateway = Microservice("),
        ("StatefulSet/rabbitmq", "RabbitMQ rabbitmq", "rabbitmq = RabbitMQ("),
        ("Namespace/pp-cs", "Component chat-service", "chat = Microservice("),
        ("Application/monitoring", "Monitoring monitoring", "monitoring = Monitoring("),
        ("PodMonitor/rabbitmq", "Monitoring monitoring", "monitoring = Monitoring("),
        ("AppProject/positionpal-gateway", "Component gateway", "gateway = Microservice("),
        ("AppProject/positionpal-root", "System positionpal", "system = System("),
    ],
)
def test_the_line_of_an_object(name: str, construct: str, text: str) -> None:
    assert f" comes from {construct} (app.py:{line_of(text)})" in answer(name, "production")


def test_what_a_policy_opens() -> None:
    said = answer("NetworkPolicy/pp-gws/gateway")
    assert "it opens  from everywhere to http" in said
    assert f"to chat-service http             (app.py:{line_of('CHAT_SERVICE_HTTP_URL')})" in said
    assert f"from monitoring to otel-metrics  (app.py:{line_of('monitoring = Monitoring(')})" in said
    assert "from monitoring to metrics" in answer("NetworkPolicy/rabbitmq/rabbitmq")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gatewy"], 'There is no component "gatewy"; did you mean "gateway"?'),
        (["Deployment/gatewy"], 'There is no object "Deployment/gatewy"; did you mean "Deployment/gateway"?'),
        (["gateway", "prodution"], 'There is no environment "prodution"; did you mean "production"?'),
    ],
)
def test_unknown_names(arguments: list[str], message: str) -> None:
    result = run(ROOT, "why", *arguments)
    assert (result.code, result.err.splitlines()) == (2, [message])


def test_mistakes_are_told_instead(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text((ROOT / "app.py").read_text().replace('"grpc": 5052}', '"grpc": 505200}', 1))
    for name in ("versions.py", "schemas"):
        (tmp_path / name).symlink_to(ROOT / name)
    result = run(tmp_path, "why", "gateway")
    assert result.code == 1
    assert "505200 is no port" in result.err
    assert "Traceback" not in result.err

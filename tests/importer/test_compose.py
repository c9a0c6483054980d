"""Compose files become declarations: readable, sound, and with all that the files say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from imports import FOLDER, Imported, declared, imported
from sound import one, problems
from synthesized import Synthesized

from constructs_lib import synthesize
from constructs_lib.check.finding import Severity
from constructs_lib.user_error import UserError

NAMES = ("shop", "blog", "pipeline")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Imported]:
    """What comes of each of the files."""
    return {name: imported(FOLDER / "compose" / name, tmp_path_factory.mktemp(name)) for name in NAMES}


@pytest.fixture(scope="module")
def trees(results: dict[str, Imported]) -> dict[str, Synthesized]:
    """What each of the declarations gives."""
    return {name: Synthesized("local", synthesize(each.system()).files) for name, each in results.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_declaration_is_this(results: dict[str, Imported], name: str) -> None:
    assert results[name].app == (FOLDER / "compose" / name / "app.golden").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_formatted_and_keeps_the_rules(results: dict[str, Imported], name: str) -> None:
    assert results[name].complaints() == ""


@pytest.mark.parametrize("name", NAMES)
def test_it_is_as_short_as_by_hand_and_a_quarter(results: dict[str, Imported], name: str) -> None:
    by_hand = (FOLDER / f"{name}_by_hand.py").read_text(encoding="utf-8")
    assert results[name].app.count("\n") <= 1.25 * by_hand.count("\n")


@pytest.mark.parametrize("name", NAMES)
def test_it_gives_what_is_declared_by_hand(trees: dict[str, Synthesized], name: str) -> None:
    by_hand = Synthesized("local", synthesize(declared(FOLDER / f"{name}_by_hand.py", name)).files)
    kinds = ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Service", "NetworkPolicy", "PersistentVolumeClaim")
    for kind in kinds:
        assert {_name(each): each["spec"] for each in trees[name].objects(kind)} == {
            _name(each): each["spec"] for each in by_hand.objects(kind)
        }


def _name(manifest: dict[str, Any]) -> str:
    return str(manifest["metadata"]["name"])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_it_is_an_error(results: dict[str, Imported], name: str) -> None:
    assert problems(results[name].system(), Severity.ERROR) == []


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_is_in_it(results: dict[str, Imported], name: str) -> None:
    for secret in ("not-for-git", "s3cret-of-nobody"):
        assert not any(secret in text for text in results[name].result.files.values())


# Field by field: what arrives of the shop.


def _container(tree: Synthesized, kind: str, name: str) -> dict[str, Any]:
    pods = one(tree, kind, name)["spec"]["template"]["spec"]
    (found,) = (each for each in pods["containers"] if each["name"] == name.rstrip("-"))
    return dict(found)


def _told(tree: Synthesized, kind: str, name: str) -> dict[str, Any]:
    """Return the variables of a program: texts, and the keys of secrets."""
    container = _container(tree, kind, name)
    found: dict[str, Any] = {}
    for source in container.get("envFrom", ()):
        found |= one(tree, "ConfigMap", source["configMapRef"]["name"])["data"]
    for each in container.get("env", ()):
        found[each["name"]] = each.get("value") or each["valueFrom"]["secretKeyRef"]["key"]
    return found


def test_variables_arrive(trees: dict[str, Synthesized]) -> None:
    assert _told(trees["shop"], "Deployment", "api") == {
        "AMQP_HOST": "broker.shop.svc.cluster.local",
        "AMQP_PASSWORD": "broker-password",
        "AMQP_PORT": "5672",
        "AMQP_USER": "shop",
        "DATABASE_URL": "postgres://shop:$(DB_PASSWORD)@db:5432/shop",
        "DB_PASSWORD": "db-password",
        "LOG_LEVEL": "info",
        "REDIS_ADDR": "cache.shop.svc.cluster.local:6379",
        "STRIPE_API_KEY": "api-STRIPE_API_KEY",
    }
    env = [each["name"] for each in _container(trees["shop"], "Deployment", "api")["env"]]
    # Kubernetes knows what comes before.
    assert env.index("DB_PASSWORD") < env.index("DATABASE_URL")


@pytest.mark.parametrize(
    ("look", "value"),
    [
        (lambda api: api["args"], ["serve", "--port", "8000"]),
        (lambda api: api["readinessProbe"]["httpGet"]["path"], "/healthz"),
        (lambda api: [api["readinessProbe"][key] for key in ("periodSeconds", "timeoutSeconds")], [10, 3]),
        (lambda api: api["readinessProbe"]["failureThreshold"], 5),
        (lambda api: api["resources"]["limits"], {"cpu": "500m", "memory": "256Mi"}),
        (lambda api: api["resources"]["requests"], {"cpu": "100m", "memory": "128Mi"}),
        (lambda api: api["ports"], [{"name": "http", "containerPort": 8000, "protocol": "TCP"}]),
        (lambda api: api["image"], "example/shop-api:1.4.0"),
    ],
)
def test_a_service_arrives(trees: dict[str, Synthesized], look: Callable[[Any], Any], value: Any) -> None:
    assert look(_container(trees["shop"], "Deployment", "api")) == value


def test_the_rest_of_the_shop_arrives(trees: dict[str, Synthesized]) -> None:
    shop = trees["shop"]
    assert one(shop, "Deployment", "api")["spec"]["replicas"] == 2
    assert one(shop, "Deployment", "api")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 30
    assert one(shop, "Job", "migrate-")["spec"]["template"]["spec"]["containers"][0]["args"] == ["migrate", "up"]
    assert one(shop, "Service", "web-external")["spec"]["ports"][0]["port"] == 80
    assert "proxy_pass http://api:8000;" in one(shop, "ConfigMap", "web-files")["data"]["etc.nginx.conf.d.shop.conf"]
    assert [_name(each) for each in shop.objects("StatefulSet")] == ["broker", "db"]
    schema = [
        each for each in shop.objects("ConfigMap") if "CREATE TABLE IF NOT EXISTS orders" in str(each.get("data"))
    ]
    assert len(schema) == 1
    waves = {
        name: int(one(shop, kind, name)["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])
        for kind, name in (("StatefulSet", "db"), ("Job", "migrate-"), ("Deployment", "api"), ("Deployment", "web"))
    }
    assert waves["db"] < waves["migrate-"] < waves["api"] < waves["web"]


def test_the_blog_arrives(trees: dict[str, Synthesized]) -> None:
    blog = _container(trees["blog"], "StatefulSet", "blog")
    assert blog["startupProbe"]["failureThreshold"] * blog["startupProbe"]["periodSeconds"] == 300
    assert one(trees["blog"], "StatefulSet", "blog")["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == 1000
    mounts = {each["mountPath"] for each in blog["volumeMounts"]}
    assert {"/run/secrets", "/etc/ghost", "/srv/robots", "/var/lib/ghost/content", "/var/cache/ghost"} <= mounts
    mysql = _container(trees["blog"], "StatefulSet", "mysql")
    assert mysql["readinessProbe"]["exec"]["command"] == ["mysqladmin", "ping", "-h", "localhost"]
    assert mysql["resources"]["limits"] == {"cpu": "1500m", "memory": "1Gi"}


def test_the_pipeline_arrives(trees: dict[str, Synthesized]) -> None:
    pipeline = trees["pipeline"]
    assert _told(pipeline, "Deployment", "store-results")["GEO_URL"] == "http://geo-ip:8080/v1?key=$none"
    assert one(pipeline, "Service", "ingest-external")["spec"]["ports"][0] == {
        "name": "udp",
        "port": 9514,
        "targetPort": "udp",
        "protocol": "UDP",
    }
    assert [_name(each) for each in pipeline.objects("DaemonSet")] == ["geo-ip"]
    assert _container(pipeline, "Deployment", "kafka")["securityContext"]["capabilities"]["add"] == ["SYS_NICE"]
    assert one(pipeline, "Deployment", "enrich")["spec"]["replicas"] == 3
    assert one(pipeline, "Deployment", "store-results")["spec"]["replicas"] == 1


def test_what_is_guessed_or_left_out_is_told(results: dict[str, Imported]) -> None:
    assert results["blog"].notes("left out") == [
        "mailhog: it is of the profile development; --profile takes it as well."
    ]
    shop = results["shop"].notes("guessed")
    assert "variables of the file are filled in: LOG_LEVEL=info, TAG=1.4.0." in shop
    assert any(each.startswith("cache is declared as it is, and not as a Valkey: it has no password") for each in shop)
    assert 'ingest: DASHBOARD is "dashboard", which is a Service, too; it is taken for another word.' in results[
        "pipeline"
    ].notes("guessed")


def test_a_profile_is_taken_where_it_is_asked_for(tmp_path: Path) -> None:
    found = imported(FOLDER / "compose/blog", tmp_path, profiles=["development"])
    assert '"mailhog"' in found.app


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "services:\n\tweb: {}\n",
            ":2: this is no YAML: found character that cannot start any token. Nothing was written.",
        ),
        ("", ": a Compose file is one mapping with services, and this is empty. Nothing was written."),
        ("name: shop\n", ": it has no services.\nNothing was written."),
        (
            "services:\n  web: nginx\n",
            ":2: the service web is a mapping, such as image: nginx:1.27.\nNothing was written.",
        ),
        (
            "servces: {}\nservices:\n  web: {image: nginx:1.27, imag: x}\n",
            ':1: a Compose file has no "servces"; did you mean "services"?\n'
            '{file}:3: the service web: there is no "imag"; did you mean "image"?\nNothing was written.',
        ),
        (
            "services:\n  web:\n    extends: {service: base}\n",
            ':3: the service web extends "base", which there is not; there is only "web".\nNothing was written.',
        ),
        (
            "services:\n  web: {extends: {file: other.yml, service: x}}\n",
            ":2: the service web extends one of other.yml, and there is no such file.\nNothing was written.",
        ),
        ("services:\n  a: {extends: b}\n  b: {extends: a}\n", ":2: the service a extends itself."),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        imported(file, tmp_path / "out")
    assert str(caught.value).startswith(f"{file}{message.replace('{file}', str(file))}")


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        # A password in a command is a variable there.
        ("command: run --key ${API_KEY}", 'args=["run", "--key", "$(API_KEY)"]'),
        ("environment: [ENABLED=true, COUNT=07]", 'env={"ENABLED": "true", "COUNT": "07"}'),
        ('ports: ["22:22"]', 'ports={"tcp": 22}'),
        ("user: root", '"securityContext": {"runAsUser": 0, "runAsNonRoot": False}'),
        ("deploy: {resources: {limits: {memory: 64m}}}", 'resources=Resources("100m", "64Mi")'),
        ("environment: {SIGNING_KEY: 7}", 'env={"SIGNING_KEY": plain("7")}'),
        ("environment: {NAME: 'say \"hi\"'}", 'env={"NAME": \'say "hi"\'}'),
        ("working_dir: /srv", '"workingDir": "/srv"'),
    ],
)
def test_a_key_becomes_an_argument(tmp_path: Path, service: str, expected: str) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(f"services:\n  web:\n    image: example/web:1.0.0\n    {service}\n")
    found = imported(file, tmp_path / "out", name="desk")
    assert expected in found.app
    assert found.complaints() == ""

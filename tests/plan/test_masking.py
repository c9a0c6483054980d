"""Secrets by their names, which plans do not show, and their twins, which they do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from rich.console import Console

from constructs_lib.argocd.objects import Object
from constructs_lib.credentials import holds_secret
from constructs_lib.plan.fields import changed_fields
from constructs_lib.plan.plan import plan
from constructs_lib.plan.report import json_report, markdown
from constructs_lib.plan.report.terminal import print_plan
from constructs_lib.repository.snapshot import Snapshot

SECRET = (
    "DB_PASSWORD POSTGRES_PASSWORD_1 PGPASSWORD MYSQL_ROOT_PASSWD SMTP_PASS PASS DATABASE_PWD PASSPHRASE dbPassword "
    "API_TOKEN GITHUB_TOKEN token ACCESS_TOKENS CSRF_TOKEN SECRET JWT_SECRET SECRET_KEY_BASE clientSecret SECRET_1 "
    "app.secret API_KEY APIKEY STRIPE_KEY KEY ENCRYPTION_KEY_B64 TLS_KEY_PEM AWS_SECRET_ACCESS_KEY SSH_PRIVATE_KEY "
    "COOKIE_SECRET CREDENTIALS SERVICE_CREDENTIAL_JSON AUTHORIZATION PASSWORD_PRODUCTION PASSWORD_HASH "
    "spring.datasource.password"
)
READABLE = (
    "KEYSPACE TOKEN_TTL TOKEN_URL PASSWORD_FILE PASSWORD_MIN_LENGTH MAX_TOKENS KEYCLOAK_URL MONKEY SECRETARY KEYBOARD "
    "PWD PUBLIC_KEY JWT_PUBLIC_KEY PARTITION_KEY ROUTING_KEY SECRET_NAME TOKEN_ISSUER PASSWORD_POLICY SECRETS_DIR "
    "TURKEY HOST_KEYS_PATH existingSecret imagePullSecrets passwordKey COMPASS BYPASS PASSENGER_COUNT TOKENIZER "
    "KEY_PREFIX COOKIE_NAME LOG_LEVEL ACCESS_TOKEN_LIFETIME_SECONDS CREDENTIALS_PATH AUTHOR OAUTH_SCOPES"
)


@pytest.mark.parametrize("name", SECRET.split())
def test_names_of_secrets(name: str) -> None:
    assert holds_secret(name, variables=True)


@pytest.mark.parametrize("name", READABLE.split())
def test_names_of_what_may_be_read(name: str) -> None:
    assert not holds_secret(name, variables=True)


def container(**fields: object) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "w", "namespace": "d"},
        "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "a:1", **fields}]}}},
    }


def env(name: str, value: object) -> dict[str, Any]:
    return container(env=[{"name": "MODE", "value": "x"}, {"name": name, "value": value}])


def config(data: object, kind: str = "ConfigMap", **fields: object) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "w", "namespace": "d"}, "data": data, **fields}


def custom(spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "metadata": {"name": "w", "namespace": "d"},
        "spec": spec,
    }


def application(helm: object) -> dict[str, Any]:
    source = {"repoURL": "https://charts.example.com", "chart": "c", "targetRevision": "1.0.0", "helm": helm}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "w", "namespace": "argocd"},
        "spec": {"source": source, "destination": {"namespace": "d"}},
    }


def annotated(text: str) -> dict[str, Any]:
    found = env("MODE2", "x")
    found["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": text}
    return found


#: Where a secret may stand; the sign stands for it.
PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "a variable": lambda it: env("DB_PASSWORD", it),
    "a key of a map": lambda it: config({"API_KEY": it}),
    "an option": lambda it: container(args=["serve", f"--password={it}"]),
    "an option and its value": lambda it: container(args=["--admin-token", it, "--port", "80"]),
    "an option in a command": lambda it: container(command=["sh", "-c", f"serve --password {it} --port 80"]),
    "a quoted option": lambda it: container(command=["sh", "-c", f"PGPASSWORD='{it}' psql"]),
    "a file of properties": lambda it: config({"app.properties": f"level=info\nspring.datasource.password={it}\n"}),
    "a file of YAML": lambda it: config({"app.yaml": f"log: info\ndb:\n  password: {it} two\n"}),
    "a file of JSON": lambda it: config({"app.json": json.dumps({"log": "info", "client_secret": it})}),
    "a file of compact JSON": lambda it: config({"app.json": f'{{"log":"info","token":"{it}","x":1}}'}),
    "an address": lambda it: env("DATABASE_URL", f"postgres://app:{it}@db:5432/app"),
    "values of a chart": lambda it: application({"valuesObject": {"auth": {"adminPassword": it, "replicas": 1}}}),
    "values of a chart as a text": lambda it: application({"values": f"auth:\n  adminPassword: {it}\n"}),
    "a variable in values of a chart": lambda it: application({"values": f"env:\n- name: API_TOKEN\n  value: {it}\n"}),
    "a parameter of a chart": lambda it: application({"parameters": [{"name": "auth.password", "value": it}]}),
    "a custom object": lambda it: custom({"auth": {"password": it, "user": "x"}}),
    "an annotation of kubectl": lambda it: annotated(f'{{"env":[{{"name":"DB_PASSWORD","value":"{it}"}}]}}'),
    "a key in PEM": lambda it: config({"x": f"-----BEGIN PRIVATE KEY-----\n{it}\n-----END PRIVATE KEY-----\n"}),
    "a list": lambda it: application({"valuesObject": {"tokens": ["x", it]}}),
    "a number": lambda it: application({"valuesObject": {"auth": {"password": int(it.encode().hex()[:12], 16)}}}),
}
OLD, NEW = "hunter2hunter", "swordfish"


def reports(old: object, new: object) -> dict[str, str]:
    """Return the plan from one object to another one in each format."""
    before, after = ({"a.yaml": yaml.safe_dump(each).encode()} for each in (old, new))
    found = plan(Snapshot.of_files("old", before), Snapshot.of_files("new", after))
    out = Console(width=200, no_color=True)
    with out.capture() as terminal:
        print_plan(found, out)
    return {
        "terminal": terminal.get(),
        "markdown": markdown.render(found, "Plan", markdown.LIMIT),
        "json": json_report.dump(json_report.document(found)),
    }


@pytest.mark.parametrize("place", PLACES)
def test_no_report_shows_a_secret_and_each_tells_that_it_changed(place: str) -> None:
    make = PLACES[place]
    for old, new in ((OLD, NEW), ("", NEW), (OLD, "")):
        secrets = {text for each in (old, new) if each for text in (each, str(int(each.encode().hex()[:12], 16)))}
        if (not old and place == "a number") or (not new and place == "a number"):
            continue
        for form, report in reports(make(old), make(new)).items():
            assert [secret for secret in secrets if secret in report] == [], (form, report)
            assert "No changes" not in report
            if old and new:
                assert "not shown" in report or '"secret": true' in report, (form, report)


def test_what_is_new_as_a_whole_hides_the_secrets_in_it() -> None:
    old, new = container(), env("DB_PASSWORD", NEW)
    new["spec"]["template"]["spec"]["initContainers"] = [{"name": "i", "env": [{"name": "TOKEN", "value": OLD}] * 9}]
    for report in (*reports(old, new).values(), *reports(new, old).values()):
        assert OLD not in report and NEW not in report and "MODE" in report


#: Twins whose change is shown.
TWINS = {
    "a variable": (env("TOKEN_TTL", "60s"), env("TOKEN_TTL", "61s"), "61s"),
    "a keyspace": (env("KEYSPACE", "one"), env("KEYSPACE", "two"), "two"),
    "a reference": (env("DB_PASSWORD", "$(ONE)"), env("DB_PASSWORD", "$(TWO)"), "$(TWO)"),
    "a switch": (env("REQUIRE_PASSWORD", "true"), env("REQUIRE_PASSWORD", "false"), "false"),
    "a mount": (env("SERVICE_CREDENTIALS", "/etc/a/b.json"), env("SERVICE_CREDENTIALS", "/etc/b/c"), "/etc/b/c"),
    "an option": (container(args=["--token-ttl=60s"]), container(args=["--token-ttl=61s"]), "61s"),
    "an option after a flag": (container(args=["--password", "--a"]), container(args=["--password", "--b"]), "--b"),
    "a script": (config({"x": 'token="$(cat /a)"\n'}), config({"x": 'token="$(cat /b)"\n'}), "cat /b"),
    "a key of a secret": (
        container(env=[{"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}}]),
        container(env=[{"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}}]),
        "token",
    ),
    "the name of a secret": (custom({"tls": {"secret": "one"}}), custom({"tls": {"secret": "two"}}), "two"),
    "an entry of an ExternalSecret": (
        custom({"data": [{"secretKey": "a", "remoteRef": {"key": "one"}}]}),
        custom({"data": [{"secretKey": "a", "remoteRef": {"key": "two"}}]}),
        "two",
    ),
    "the name of a pull secret": (
        application({"valuesObject": {"imagePullSecrets": [{"name": "one"}]}}),
        application({"valuesObject": {"imagePullSecrets": [{"name": "two"}]}}),
        "two",
    ),
    "an address": (env("URL", "https://one:80/"), env("URL", "https://two:80/"), "https://two:80/"),
    "an image": (container(image="token:1.0.0"), container(image="token:2.0.0"), "token:2.0.0"),
}


@pytest.mark.parametrize("twin", TWINS)
def test_what_is_no_secret_is_shown(twin: str) -> None:
    old, new, shown = TWINS[twin]
    for form, report in reports(old, new).items():
        assert shown in report.replace("\\", ""), (form, report)


def test_a_secret_that_stays_is_no_change() -> None:
    old = container(args=["--password=x", "--port=1"])
    new = container(args=["--password=x", "--port=2"])
    assert [field.path for field in _fields(old, new)] == ["spec.template.spec.containers[c].args[1]"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    [
        "password",
        "a ",
        "--a ",
        "a=",
        '"a":',
        " ",
        "-----BEGIN PRIVATE KEY-----",
        "name: a\n",
        "-eyJaaaaaaaaaa",
        "a://a:",
    ],
)
def test_a_hostile_text_takes_no_longer_the_longer_it_is(part: str) -> None:
    text = f"x{part * (1_000_000 // len(part))}"
    before = time.process_time()
    _fields(config({"a": text}), config({"a": f"{text}!"}))
    assert time.process_time() - before < 60


def _fields(old: dict[str, Any], new: dict[str, Any]) -> list[Any]:
    return changed_fields(Object(old, "a", "d"), Object(new, "a", "d"))

"""A platform with what others run already: declared without a class of its own, and each part missed where it lacks."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from sound import problems

from constructs_lib import synthesize
from constructs_lib.api import check
from constructs_lib.check.finding import Severity
from constructs_lib.derive.graph import Graph
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.manifest_yaml import dump

FOLDER = Path(__file__).parent
DECLARED = runpy.run_path(str(FOLDER / "estate.py"))
#: What is taken away from a file; None takes the file itself.
Omission = Callable[[Manifest], None] | None


def platform() -> Any:
    """Return the declared platform."""
    return DECLARED["platform"](DECLARED["TEAM"])


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Return the files of the platform by path."""
    return synthesize(platform()).files


def test_nothing_in_it_is_wrong() -> None:
    assert problems(platform(), Severity.ERROR, Severity.WARNING) == []


def test_it_needs_no_class_of_its_own() -> None:
    text = (FOLDER / "estate.py").read_text(encoding="utf-8")
    assert "class " not in text
    assert "patch" not in text
    assert "cdk8s" not in text


def test_order() -> None:
    waves = Graph(platform()).waves
    assert waves["external-secrets"] < waves["cache"] < waves["orders"] < waves["mailer"]
    assert waves["traefik"] < waves["cert-manager"] < waves["orders"] or waves["cert-manager"] < waves["orders"]
    # What exists already has no wave, and nothing in it is made.
    assert "kafka" not in waves
    assert "orders-db" not in waves


def test_migration_comes_before_its_service(files: dict[str, bytes]) -> None:
    def wave(name: str) -> int:
        (path,) = (path for path in files if path.startswith(f"dist/team/orders/{name}"))
        return int(yaml.safe_load(files[path])["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])

    assert wave("Job-orders-migration-") < wave("Deployment-orders.yaml")


def without_rule(direction: str, peer: str) -> Omission:
    """Return what takes the rule away that names a peer."""

    def omit(manifest: Manifest) -> None:
        rules = manifest["spec"][direction]
        left = [rule for rule in rules if peer not in str(rule)]
        assert len(left) == len(rules) - 1
        manifest["spec"][direction] = left

    return omit


def without(*path: str) -> Omission:
    """Return what takes a field away."""

    def omit(manifest: Manifest) -> None:
        *above, last = path
        for name in above:
            manifest = manifest[name]
        del manifest[last]

    return omit


@pytest.mark.parametrize(
    ("path", "omission", "code"),
    [
        (
            "dist/team/traefik/NetworkPolicy-traefik.yaml",
            without_rule("egress", "'orders'}}, 'podSelector': {'matchLabels': {'app.kubernetes.io/name"),
            "route-blocked",
        ),
        ("dist/team/orders/NetworkPolicy-orders.yaml", without_rule("ingress", "traefik"), "route-blocked"),
        ("dist/team/orders/Service-orders.yaml", None, "ingress-backend-missing"),
        ("dist/team/orders/Certificate-shop-tls.yaml", None, "secret-missing"),
        ("dist/team/orders/NetworkPolicy-orders.yaml", without_rule("egress", "valkey"), "call-blocked"),
        ("dist/team/cache/ExternalSecret-cache.yaml", None, "secret-value-unread"),
        ("dist/team/report/NetworkPolicy-report.yaml", without_rule("egress", "10.20.0.5"), "call-blocked"),
        ("dist/team/report/ConfigMap-report.yaml", None, "config-map-missing"),
        ("dist/team/mailer/NetworkPolicy-mailer.yaml", without_rule("egress", "kafka"), "call-blocked"),
        ("dist/team/mailer/Deployment-mailer.yaml", without("spec", "selector"), "missing-field"),
        ("dist/team/orders/NetworkPolicy-orders-migration.yaml", None, "call-blocked"),
        ("dist/team/orders/NetworkPolicy-orders.yaml", without_rule("egress", "10.20.0.5"), "call-blocked"),
        ("dist/team/orders/NetworkPolicy-orders.yaml", without_rule("egress", "kafka"), "call-blocked"),
        ("dist/team/orders/ExternalSecret-orders-registry.yaml", None, "pull-secret-missing"),
    ],
)
def test_what_is_left_out_is_found(
    files: dict[str, bytes], tmp_path: Path, path: str, omission: Omission, code: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    if omission is None:
        (tmp_path / path).unlink()
    else:
        manifest = yaml.safe_load(files[path])
        omission(manifest)
        (tmp_path / path).write_bytes(dump(manifest))
    before = {(each.check.code, each.problem) for each in check(platform())}
    found = [each for each in check(tmp_path) if (each.check.code, each.problem) not in before]
    assert code in {each.check.code for each in found}

"""Google's Online Boutique, declared: what the original deploys is there, and what differs has a reason."""

from __future__ import annotations

import re
import runpy
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from facts import Facts, facts
from sound import problems
from synthesized import Synthesized

from constructs_lib import synthesize
from constructs_lib.check.finding import Severity

FOLDER = Path(__file__).parent
GOOGLE = "us-central1-docker.pkg.dev/online-boutique-ci/microservices-demo"
DECLARED = runpy.run_path(str(FOLDER / "boutique.py"))
ENVIRONMENTS = ("local", "production")
OBJECTS = ("ConfigMap", "Deployment", "Namespace", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount")
#: What it is about, what it is in the original, and what it is in ours.
Difference = tuple[str, str, str]


def boutique(environment: str) -> Any:
    """Return the declared shop."""
    return DECLARED["boutique"](DECLARED[environment.upper()])


def differences(original: Facts, ours: Facts) -> Iterator[tuple[Difference, str]]:
    """Yield each fact that is another one in ours, with the name of its object."""
    for kind, name in (identity.split("/") for identity in {**original, **ours}):
        for path, was, value in _unlike(original.get(f"{kind}/{name}"), ours.get(f"{kind}/{name}"), kind):
            address = re.fullmatch(r"(.+)[.]\1[.]svc[.]cluster[.]local:(.+)", str(value))
            if address and was == f"{address[1]}:{address[2]}":
                path, was, value = path.rpartition(" ")[0], "service:port", "service.namespace.svc.cluster.local:port"
            elif path == "Deployment program name" and value == name:
                value = "its name"
            elif path.endswith("checksum/config"):
                value = "a checksum"
            yield (path, was, value), name


def _unlike(then: Any, now: Any, path: str) -> Iterator[Difference]:
    """Yield where two facts differ; an object, a container or a probe that only one of them has is told as a whole."""
    is_whole = path in OBJECTS or path.rpartition(" ")[2] in ("wait", "startup", "requests", "limits")
    if isinstance(then or now, Mapping) and not (is_whole and None in (then, now)):
        then, now = then or {}, now or {}
        for name in {**then, **now}:
            yield from _unlike(then.get(name), now.get(name), f"{path} {name}")
    elif then != now:
        was, value = ("there" if isinstance(each, Mapping) else str(each) for each in (then, now))
        yield path, was, value


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_it_deploys_what_the_original_does(environment: str) -> None:
    original = yaml.safe_load((FOLDER / "original.yaml").read_text(encoding="utf-8"))["objects"]
    ours = facts(Synthesized(environment, synthesize(boutique(environment)).files).objects(), GOOGLE)
    found: dict[Difference, set[str]] = defaultdict(set)
    for difference, name in differences(original, ours):
        found[difference].add(name)
    listed = yaml.safe_load((FOLDER / "differences.yaml").read_text(encoding="utf-8"))["differences"]
    assert found == {(each["what"], each["original"], each["ours"]): set(each["of"]) for each in listed}
    assert all(each["why"] for each in listed)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_in_it_is_wrong(environment: str) -> None:
    """But for what the original does as well: in a cloud, its users speak plain HTTP."""
    plain = [] if environment == "local" else ["It serves plain HTTP at port 80 of its load balancer."]
    assert problems(boutique(environment), Severity.ERROR, Severity.WARNING) == plain


def test_it_is_short() -> None:
    text = (FOLDER / "boutique.py").read_text(encoding="utf-8")
    assert text.count("\n") <= 120
    for word in ("class ", "patch(", "ApiObject", "Include"):
        assert word not in text

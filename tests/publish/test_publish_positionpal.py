"""PositionPal, published: a new image moves one pin, a larger volume is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from repositories import change, git, newer, positionpal, run

import versions


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PositionPal, published to production once."""
    work = positionpal(tmp_path_factory.mktemp("positionpal"))
    result = run(work, "publish", "production")
    assert result.code == 0, result.err
    return work


def revisions(work: Path) -> dict[str, str]:
    """Return the commit that every component is pinned to."""
    content = json.loads(git(work, "show", "HEAD:pins/production.json"))
    return {component: pin["revision"] for component, pin in content["components"].items()}


def test_a_new_image_is_one_rolling_restart_and_moves_one_pin(repository: Path) -> None:
    before = revisions(repository)
    change(repository, "versions.py", versions.CHAT_SERVICE, newer(versions.CHAT_SERVICE))
    result = run(repository, "publish", "production")
    assert result.code == 0, result.err
    assert "Plan: 1 component in 1 wave: 1 rolling restart (2–4 pods); nothing is lost." in result.out
    after = revisions(repository)
    assert {component for component in after if after[component] != before[component]} == {"chat-service"}
    assert after["chat-service"] == git(repository, "rev-parse", "HEAD~1")


def test_a_larger_volume_of_cassandra_is_refused_until_it_is_allowed(repository: Path) -> None:
    head = git(repository, "rev-parse", "origin/main")
    change(repository, "app.py", "storage=volume,\n            schema=[", 'storage="20Gi",\n            schema=[')
    refused = run(repository, "publish", "production")
    assert refused.code == 1
    names = ["StatefulSet/chat-service-database", "StatefulSet/location-service-database"]
    for name, namespace in zip(names, ("pp-cs", "pp-ls"), strict=True):
        kind, _, short = name.partition("/")
        assert f"{kind}/{namespace}/{short}: replacement with data loss (dangerous)" in refused.out
        assert f"--allow {name}" in refused.err
    assert git(repository, "rev-parse", "origin/main") == head
    half = run(repository, "publish", "production", "--allow", names[0])
    assert half.code == 1
    assert f"the plan has 1 dangerous change. To agree to all of that, add --allow {names[1]}" in half.err
    allowed = run(repository, "publish", "production", "--allow", names[0], "--allow", names[1])
    assert allowed.code == 0, allowed.err
    assert git(repository, "rev-parse", "origin/main") == git(repository, "rev-parse", "HEAD") != head

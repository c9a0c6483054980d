"""Git as it is on a machine where nothing is set up but a name."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop import Shop


@pytest.fixture(autouse=True)
def _git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Some Body")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "somebody@example.com")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop whose declaration is committed and pushed."""
    return Shop.create(tmp_path)


@pytest.fixture
def published(shop: Shop) -> Shop:
    """A shop that was published once, to the laptop."""
    shop.publish()
    return shop

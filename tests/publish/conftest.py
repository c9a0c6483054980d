"""Shops that were published or are about to be, each a copy of one that is made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop import Shop


@pytest.fixture(scope="session")
def first_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop that nobody changes."""
    return Shop.create(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def first_published(first_shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A published shop that nobody changes."""
    shop = first_shop.copied(tmp_path_factory.mktemp("published"))
    shop.publish()
    return shop


@pytest.fixture
def shop(first_shop: Shop, tmp_path: Path) -> Shop:
    """A shop whose declaration is committed and pushed."""
    return first_shop.copied(tmp_path)


@pytest.fixture
def published(first_published: Shop, tmp_path: Path) -> Shop:
    """A shop that was published once, to the laptop."""
    return first_published.copied(tmp_path)

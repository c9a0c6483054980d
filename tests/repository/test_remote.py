"""Whether addresses lead to the same repository; ``bootstrap/local.py`` has the same rule."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from constructs_lib.repository.remote import is_same_repository, repository_name

SHOP = "https://github.com/example/shop.git"
AZURE = "https://me@dev.azure.com/example/team/_git/shop"

SAME = [
    (SHOP, "https://github.com/example/shop"),
    (SHOP, "https://me:token@GitHub.com/Example/shop.git/"),
    (SHOP, "git@github.com:example/shop.git"),
    (SHOP, "ssh://git@github.com/example/shop.git"),
    (SHOP, "ssh://git@ssh.github.com:443/example/shop.git"),
    (SHOP, "git@github-work:example/shop.git"),
    ("https://git.example.com:8443/a/b.git", "ssh://git@git.example.com:7999/a/b.git"),
    ("https://git.example.com/scm/team/shop.git", "ssh://git@git.example.com:7999/team/shop.git"),
    ("https://gitlab.com/example/team/shop", "git@altssh.gitlab.com:example/team/shop.git"),
    (AZURE, "git@ssh.dev.azure.com:v3/example/team/shop"),
    ("https://[::1]:3000/a/b", "ssh://git@[::1]:2222/a/b.git"),
]
OTHERS = [
    (SHOP, "https://github.com/me/shop.git"),
    (SHOP, "git@github.com:example/shop-deploy.git"),
    (SHOP, "git@gitlab.com:example/shop.git"),
    (SHOP, "git@work:me/shop.git"),
    ("https://git.example.com/shop.git", "https://git.example.com/me/shop.git"),
    (AZURE, "git@ssh.dev.azure.com:v3/example/other/shop"),
]
FOLDERS = ["/srv/git/shop.git", "../shop.git", "shop.git", "file:///srv/git/shop.git", "./a:b"]


def rules() -> list[dict[str, object]]:
    """Return both forms of the rule."""
    root = Path(__file__).resolve().parent.parent.parent
    own = {"repository_name": repository_name, "is_same_repository": is_same_repository}
    return [own, runpy.run_path(str(root / "bootstrap/local.py"), run_name="local")]


@pytest.mark.parametrize("rule", rules(), ids=["library", "bootstrap"])
def test_addresses_of_repositories(rule: dict[str, object]) -> None:
    name, is_same = rule["repository_name"], rule["is_same_repository"]
    assert callable(name)
    assert callable(is_same)
    for expected, pairs in ((True, SAME), (False, OTHERS)):
        for one, other in pairs:
            assert is_same(name(one), name(other)) is expected, (one, other)
            assert is_same(name(other), name(one)) is expected, (other, one)
    assert not any(name(folder) for folder in FOLDERS)

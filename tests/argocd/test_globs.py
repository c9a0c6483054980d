"""What github.com/gobwas/glob 0.2.3 and Go's filepath.Match returned."""

from __future__ import annotations

import pytest

from constructs_lib.argocd.globs import glob, path_match


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("shop", "shop", True),
        ("shop", "shop-web", False),
        ("", "", True),
        ("", "shop", False),
        ("*", "a/b", True),
        ("*.yaml", "a/b.yaml", True),
        ("shop-*", "shop-", True),
        ("shop-?", "shop-1", True),
        ("shop-?", "shop-12", False),
        ("a.c", "abc", False),
        ("team-[ab]", "team-a", True),
        ("team-[ab]", "team-c", False),
        ("team-[a-c]", "team-b", True),
        ("team-[!a-c]", "team-b", False),
        ("team-[!a-c]", "team-d", True),
        # Not a range and more: a list of four characters.
        ("[ab-d]", "-", True),
        ("[ab-d]", "c", False),
        ("[^a]", "^", True),
        ("[!!]", "!", False),
        ("[\\]]", "]", True),
        ("{shop,web}-*", "web-1", True),
        ("{shop,web}-*", "db-1", False),
        ("{a,{b,c}d}", "cd", True),
        ("a,b", "a,b", True),
        ("a}", "a}", True),
        ("team-{a,b", "team-b", True),
        ("a\\*", "a*", True),
        ("a\\*", "ab", False),
        ("!shop", "!shop", True),
        # What cannot be read matches nothing, not even itself.
        ("a[", "a[", False),
        ("[]", "[]", False),
        ("[a-]", "a", False),
        ("[z-a]", "m", False),
    ],
)
def test_globs(pattern: str, text: str, matches: bool) -> None:
    assert glob(pattern, text) is matches


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("*", "a/b", False),
        ("?", "/", False),
        ("**", "a/b", True),
        ("a/**/d", "a/b/c/d", True),
        ("a/*", "a/b", True),
        ("a/*", "a/b/c", False),
        ("[!a]", "/", True),
    ],
)
def test_globs_with_a_separator(pattern: str, text: str, matches: bool) -> None:
    assert glob(pattern, text, "/") is matches


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("ConfigMap", "ConfigMap", True),
        ("*", "ConfigMap", True),
        ("Config*", "ConfigMap", True),
        ("[Cc]onfigMap", "ConfigMap", True),
        ("[Cc]onfigMap", "Secret", False),
        ("[A-Z]*[a-p]", "ConfigMap", True),
        ("[^C]*", "ConfigMap", False),
        ("[^S]*", "ConfigMap", True),
        ("[S-Aa]", "B", False),
        ("ConfigMa?", "ConfigMap", True),
        ("ConfigMap?", "ConfigMap", False),
        ("\\*", "*", True),
        ("\\*", "a", False),
        ("[\\]]", "]", True),
        # These are characters like any others.
        ("!apps", "batch", False),
        ("!apps", "apps", False),
        ("[!C]onfigMap", "ConfigMap", True),
        ("{ConfigMap,Secret}", "Secret", False),
        ("**", "a/b", False),
        ("[", "[", False),
        ("[]", "]", False),
        ("[]a]", "a", False),
        ("[a-]", "a", False),
        ("a\\", "a\\", False),
    ],
)
def test_patterns_of_kinds(pattern: str, text: str, matches: bool) -> None:
    assert path_match(pattern, text) is matches

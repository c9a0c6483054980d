"""What ParseNormalizedNamed (github.com/distribution/reference 0.6) returned for each text."""

from __future__ import annotations

import pytest

from constructs_lib.kubernetes.names import Image, image

DIGEST = f"sha256:{'0a' * 32}"


@pytest.mark.parametrize(
    ("text", "registry", "path", "tag", "digest"),
    [
        ("nginx", "", "nginx", "", ""),
        ("nginx:1.27", "", "nginx", "1.27", ""),
        ("example/web:v1.2", "", "example/web", "v1.2", ""),
        (f"cassandra:latest@{DIGEST}", "", "cassandra", "latest", DIGEST),
        (f"a/b@sha512:{'0' * 128}", "", "a/b", "", f"sha512:{'0' * 128}"),
        ("localhost/web", "localhost", "web", "", ""),
        ("localhost:5000/a/b-c__d.e:TAG_1.0-x", "localhost:5000", "a/b-c__d.e", "TAG_1.0-x", ""),
        ("REGISTRY/a", "REGISTRY", "a", "", ""),
        ("registry.example.org/team/web", "registry.example.org", "team/web", "", ""),
        ("[::1]:5000/nginx", "[::1]:5000", "nginx", "", ""),
        ("registry/web", "", "registry/web", "", ""),
    ],
)
def test_references(text: str, registry: str, path: str, tag: str, digest: str) -> None:
    found = image(text)
    assert found == Image(registry, path, tag, digest)
    assert found.name == path.split("/")[-1]


NO_REFERENCES = (
    "Web nginx: nginx::1 /nginx -nginx a..b https://example.org/nginx registry.example.org/A/b nginx@sha256:12"
)
WRONG_DIGESTS = [f"nginx@{DIGEST.upper()}", f"nginx@md5:{'0' * 32}"]


@pytest.mark.parametrize(
    "text",
    [*NO_REFERENCES.split(), *WRONG_DIGESTS, "", "nginx:a b", "nginx ", f"nginx:{'x' * 129}", "x" * 256, "0" * 64],
)
def test_no_references(text: str) -> None:
    assert image(text) is None


@pytest.mark.parametrize(
    ("tag", "exact"),
    [
        ("18.6", True),
        ("18.6.1-alpine", True),
        ("v1.2", True),
        ("2026-11-28", False),
        ("20261128", True),
        ("sha-4f2c9b1", True),
        ("4f2c9b1", True),
        ("latest", False),
        ("18", False),
        ("4-management", False),
        ("stable", False),
        ("deadbeef", False),
        ("v2", False),
    ],
)
def test_versions_that_mean_one_image(tag: str, exact: bool) -> None:
    found, with_digest = image(f"example/web:{tag}"), image(f"example/web:{tag}@{DIGEST}")
    assert (found and found.is_exact, with_digest and with_digest.is_exact) == (exact, True)

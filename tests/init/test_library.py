"""How others get the library, by what pip wrote down where it is installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from initialized import URL, files, run

from constructs_lib.init.library import library_of
from constructs_lib.user_error import UserError

COMMIT = "3f2b1c9d0e4a5b6c7d8e9f0a1b2c3d4e5f6a7b8c"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What pip writes down about an installation, found before that of this environment."""
    folder = tmp_path / "site-packages/constructs_lib-1.2.3.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: constructs-lib\nVersion: 1.2.3\n")
    monkeypatch.setattr(sys, "path", [str(folder.parent), *sys.path])
    return folder


def from_(installed: Path, **origin: object) -> None:
    (installed / "direct_url.json").write_text(json.dumps(origin))


def test_from_an_index(installed: Path) -> None:
    assert library_of().requirement == "constructs-lib==1.2.3"


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        (
            {
                "url": "https://github.com/example/lib.git",
                "vcs_info": {"vcs": "git", "requested_revision": "main", "commit_id": COMMIT},
            },
            f"constructs-lib @ git+https://github.com/example/lib.git@{COMMIT}",
        ),
        (
            {
                "url": "ssh://git@github.com/example/lib.git",
                "vcs_info": {"vcs": "git", "commit_id": COMMIT},
                "subdirectory": "python",
            },
            f"constructs-lib @ git+ssh://git@github.com/example/lib.git@{COMMIT}#subdirectory=python",
        ),
        (
            {
                "url": "https://example.com/constructs_lib-1.2.3-py3-none-any.whl",
                "archive_info": {"hashes": {"sha256": "a" * 64}},
            },
            f"constructs-lib @ https://example.com/constructs_lib-1.2.3-py3-none-any.whl#sha256={'a' * 64}",
        ),
    ],
    ids=["branch", "subdirectory", "archive"],
)
def test_from_elsewhere(installed: Path, origin: dict[str, object], requirement: str) -> None:
    """Pinned to what is installed, whatever was asked for."""
    from_(installed, **origin)
    assert library_of().requirement == requirement
    assert library_of().files == {}


def test_a_wheel_comes_along(installed: Path, tmp_path: Path) -> None:
    """A later version takes its place, and that of the old wheel in the requirements."""
    wheel = tmp_path / "down loads/constructs_lib-1.2.3-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"\0wheel")
    from_(installed, url=wheel.as_uri(), archive_info={})
    shop = tmp_path / "shop"
    run(str(shop), "--repository", URL)
    assert files(shop)["wheels/constructs_lib-1.2.3-py3-none-any.whl"] == b"\0wheel"
    assert "\n./wheels/constructs_lib-1.2.3-py3-none-any.whl\n" in (shop / "requirements.txt").read_text()

    newer = wheel.with_name("constructs_lib-1.2.4-py3-none-any.whl")
    newer.write_bytes(b"\0newer")
    from_(installed, url=newer.as_uri(), archive_info={})
    assert run(str(shop), "--update", "--yes").splitlines()[:3] == [
        "  + wheels/constructs_lib-1.2.4-py3-none-any.whl",
        "  ~ requirements.txt",
        "  - wheels/constructs_lib-1.2.3-py3-none-any.whl",
    ]
    assert [path.name for path in (shop / "wheels").iterdir()] == ["constructs_lib-1.2.4-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ({"url": "file:///src/lib", "dir_info": {"editable": True}}, "is installed from the folder /src/lib"),
        ({"url": "file:///src/lib", "vcs_info": {"vcs": "git", "commit_id": COMMIT}}, "from the folder /src/lib"),
        ({"url": "file:///gone/lib.whl", "archive_info": {}}, "was installed from /gone/lib.whl, which is no longer"),
    ],
    ids=["folder", "repository", "wheel"],
)
def test_what_nobody_else_has_is_refused(
    installed: Path, tmp_path: Path, origin: dict[str, object], message: str
) -> None:
    from_(installed, **origin)
    with pytest.raises(UserError, match=message):
        library_of()
    assert '--library "constructs-lib @ git+https://' in run(str(tmp_path / "shop"), "--repository", URL, code=1)
    assert not (tmp_path / "shop").exists()
    assert library_of("constructs-lib==1.2.3").requirement == "constructs-lib==1.2.3"

"""How others get the library: as it is installed here, by what pip has written down about that.

https://packaging.python.org/en/latest/specifications/direct-url/
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from constructs_lib.user_error import UserError

NAME = "constructs-lib"
#: Folder of a repository for a wheel that is on no index.
WHEELS = "wheels"


@dataclass(frozen=True)
class Library:
    """How pip gets the library.

    Attributes:
        requirement: The line in ``requirements.txt``.
        files: The files that it names, by their paths in the repository.
    """

    requirement: str
    files: dict[str, bytes]


def library_of(requirement: str = "") -> Library:
    """Return how pip gets the library: by a requirement that is given, or else as it is installed here.

    From Git it is pinned to the commit, from an index to the version. A wheel is copied into the repository, since
    nobody else has it.

    Raises:
        UserError: It is installed in a way that works on this machine alone.
    """
    if requirement:
        return Library(requirement, {})
    try:
        installed = distribution(NAME)
    except PackageNotFoundError:
        raise _refusal("is not installed here") from None
    text = installed.read_text("direct_url.json")
    if text is None:
        return Library(f"{NAME}=={installed.version}", {})
    return _from(json.loads(text))


def _from(origin: dict[str, Any]) -> Library:
    url, folder = origin["url"], origin.get("subdirectory")
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    if "vcs_info" in origin and parts.scheme != "file":
        revision = origin["vcs_info"]["commit_id"]
        within = f"#subdirectory={folder}" if folder else ""
        return Library(f"{NAME} @ {origin['vcs_info']['vcs']}+{url}@{revision}{within}", {})
    if "archive_info" not in origin:
        raise _refusal(f"is installed from the folder {path}, which others do not have")
    if parts.scheme != "file":
        digest = origin["archive_info"].get("hashes", {}).get("sha256", "")
        return Library(f"{NAME} @ {url}{f'#sha256={digest}' if digest else ''}", {})
    if not path.is_file():
        raise _refusal(f"was installed from {path}, which is no longer there")
    return Library(f"./{WHEELS}/{path.name}", {f"{WHEELS}/{path.name}": path.read_bytes()})


def _refusal(what: str) -> UserError:
    return UserError(
        f"{NAME} {what}, so that nobody could install what app.py needs. Install it from Git, from a wheel or from an "
        f'index, or say where others get it: --library "{NAME} @ git+https://…@<commit>". Nothing was written.'
    )

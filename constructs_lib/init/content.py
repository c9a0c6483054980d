"""The content of all files that a new repository begins with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from constructs_lib.init.declaration import declaration
from constructs_lib.init.library import Library
from constructs_lib.init.settings import Settings

_FOLDER = Path(__file__).parent / "files"
_PLACEHOLDER = re.compile("«([a-z0-9_]+)»")


def files_written_once(settings: Settings) -> dict[str, bytes]:
    """Return the files that are the user's from the start, by their paths."""
    return {"app.py": declaration(settings).encode(), **_made("once", settings, settings.placeholders)}


def files_kept_up_to_date(settings: Settings, library: Library) -> dict[str, bytes]:
    """Return the files that later versions of the library may change, by their paths."""
    values = {**settings.placeholders, "library": library.requirement}
    return {**_made("kept", settings, values), **library.files}


def is_program(content: bytes) -> bool:
    """Tell whether a file is to be executable."""
    return content.startswith(b"#!")


@cache
def _table() -> dict[str, dict[str, list[str | dict[str, str]]]]:
    import yaml

    table: dict[str, Any] = yaml.safe_load(_FOLDER.with_name("files.yaml").read_text(encoding="utf-8"))
    return table


def _made(which: str, settings: Settings, values: dict[str, str]) -> dict[str, bytes]:
    """Return the files of a part of the table."""
    found: dict[str, bytes] = {}
    for path, parts in _table()[which].items():
        chosen = [*_chosen(parts, settings.conditions)]
        if path.endswith("/"):
            for folder in chosen:
                for file in sorted(each for each in (_FOLDER / folder).rglob("*") if each.is_file()):
                    found[f"{path}{file.relative_to(_FOLDER / folder).as_posix()}"] = _filled(file, values)
        elif chosen:
            found[path] = b"".join(_filled(_FOLDER / name, values) for name in chosen)
    return found


def _chosen(parts: list[str | dict[str, str]], conditions: frozenset[str]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
        else:
            yield from (name for needed, name in part.items() if conditions.issuperset(needed.split()))


def _filled(file: Path, values: dict[str, str]) -> bytes:
    return _PLACEHOLDER.sub(lambda match: values[match[1]], file.read_text(encoding="utf-8")).encode()

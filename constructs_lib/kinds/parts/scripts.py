"""Shell scripts that run in the cluster. Each is read from the folder ``scripts`` beside this file."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def script(name: str) -> str:
    """Return the text of the script called ``name``."""
    return (Path(__file__).parent / "scripts" / name).read_text(encoding="utf-8")

"""Scripts that run in the cluster. Each stands in the folder ``scripts`` of the kind that it belongs to."""

from functools import cache
from pathlib import Path


@cache
def script(kind: str, name: str) -> str:
    """Return the text of a script.

    Args:
        kind: Name of the kind's folder; ``parts`` for what several kinds run.
        name: Name of the file.
    """
    return (Path(__file__).parent.parent / kind / "scripts" / name).read_text(encoding="utf-8")

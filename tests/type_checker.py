"""The type checker, one run at a time."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def mypy(*files: Path) -> subprocess.CompletedProcess[str]:
    """Check files, or all that pyproject.toml names, and return what mypy said.

    Processes that run tests side by side take turns: the first reads the library and its packages, which takes a
    minute, and the others find in its cache what it found.
    """
    folder = ROOT / ".mypy_cache"
    folder.mkdir(exist_ok=True)
    with (folder / "turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "mypy", *map(str, files)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

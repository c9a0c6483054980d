"""Runs of an app that a test has written: how they end, what they say and what they leave."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from constructs_lib import DeclarationError

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Outcome:
    """How a run of the app ended.

    Attributes:
        code: Its exit code.
        said: The lines on its standard error.
    """

    code: object
    said: list[str]


def run(app: Path, *arguments: str) -> Outcome:
    """Run an app as ``python app.py`` does, in this process."""
    said = io.StringIO()
    code: object = 0
    command, sys.argv = sys.argv, [str(app), *arguments]
    hook = sys.excepthook
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            exec(compile(app.read_text(), app, "exec"), {"__name__": "__main__", "__file__": str(app)})
    except SystemExit as end:
        code = end.code
    except DeclarationError as error:
        # In a process of its own, Python prints that.
        code = 1
        said.write(error.report(app.parent))
    except Exception:
        code = 1
        traceback.print_exc(file=said)
    finally:
        sys.argv, sys.excepthook = command, hook
    return Outcome(code, said.getvalue().splitlines())


def run_alone(app: Path, *arguments: str, **variables: str) -> Outcome:
    """Run an app in a process of its own, with these environment variables."""
    result = subprocess.run(
        [sys.executable, app.name, *arguments],
        cwd=app.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(result.returncode, result.stderr.splitlines())


def mistakes(*lines: str) -> Outcome:
    """Return how a run ends that finds these mistakes."""
    count = f"{len(lines)} mistake{'s' if len(lines) > 1 else ''}"
    return Outcome(1, [*lines, f"{count} in the declaration; nothing was written."])


def state(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return the time stamp and the content of every file and folder below ``root``."""
    return {
        path.relative_to(root).as_posix(): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in [root, *root.rglob("*")]
    }

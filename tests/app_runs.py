"""Runs of an app that a test has written: how they end, what they say and what they leave."""

from __future__ import annotations

import atexit
import contextlib
import io
import multiprocessing
import os
import pkgutil
import runpy
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver
from pathlib import Path

import pytest

import constructs_lib
from constructs_lib import DeclarationError

ROOT = Path(__file__).resolve().parent.parent

#: Starts processes that have the library loaded already: they are copies of one that does nothing else.
_LOADED = multiprocessing.get_context("forkserver")


@cache
def _load() -> None:
    modules = [module.name for module in pkgutil.walk_packages(constructs_lib.__path__, "constructs_lib.")]
    late = ["rich.live", "rich.markdown", "rich.table", "typer._adapters", "typer.rich_utils"]
    _LOADED.set_forkserver_preload([__name__, *modules, *late])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
        forkserver.ensure_running()


@dataclass(frozen=True)
class Outcome:
    """How a run of the app ended.

    Attributes:
        code: Its exit code.
        said: The lines on its standard error.
    """

    code: object
    said: list[str]


@dataclass(frozen=True)
class Run:
    """How a process ended.

    Attributes:
        code: Its exit code; that of a signal is negative.
        out: What it printed.
        err: What it printed as an error.
    """

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """What it printed on both outputs, errors last."""
        return self.out + self.err


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


def run_process(folder: Path, *arguments: str, app: Path | str = "app.py", **variables: str) -> Run:
    """Run an app in a process of its own, which begins with the library loaded and so takes a tenth of the time.

    Args:
        folder: Its working directory.
        arguments: What follows ``python app.py``.
        app: The app, from the folder.
        variables: Environment variables beside those of this process.
    """
    _load()
    with tempfile.TemporaryDirectory() as outputs:
        files = [Path(outputs, name) for name in ("out", "err")]
        command = [str(app), *arguments]
        process = _LOADED.Process(target=_become, args=(folder, command, {**os.environ, **variables}, files))
        process.start()
        process.join()
        assert process.exitcode is not None
        return Run(process.exitcode, *(file.read_text(encoding="utf-8") for file in files))


def _become(folder: Path, command: list[str], variables: Mapping[str, str], outputs: list[Path]) -> None:
    """Turn this process into one that runs an app."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    for number, output in enumerate(outputs, 1):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = open(1, "w", encoding="utf-8"), open(2, "w", encoding="utf-8")  # noqa: SIM115
    sys.argv = command
    sys.path.insert(0, str(Path(command[0]).resolve().parent))
    try:
        runpy.run_path(command[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()


def run_alone(app: Path, *arguments: str, **variables: str) -> Outcome:
    """Run an app in a process of its own from its very beginning, with these environment variables."""
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

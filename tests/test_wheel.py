"""The package is whole: its wheel, without the checkout beside it, has every file and a command that works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from constructs_lib import __version__

ROOT = Path(__file__).resolve().parent.parent
#: What the wheel is built from, beside the package's folder.
SOURCES = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: colours\n  namespace: shop\ndata:\n  sky: blue\n"


def run(*command: str | Path, folder: Path, **variables: str) -> str:
    """Return what a command prints, which must succeed."""
    environment = {**os.environ, **variables}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_is_whole(tmp_path: Path) -> None:
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "constructs_lib", folder=ROOT)
    files = {name for name in listed.splitlines() if (ROOT / name).is_file()}
    source, installed, empty = (tmp_path / name for name in ("source", "installed", "empty"))
    for name in (*files, *SOURCES):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    # As a checkout has it in which the library has run.
    (source / "constructs_lib/__pycache__").mkdir()
    (source / "constructs_lib/__pycache__/api.cpython-311.pyc").write_bytes(b"old")

    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", tmp_path, ".", folder=source)
    (wheel,) = tmp_path.glob("*.whl")
    run(*pip, "install", "--no-deps", "--no-index", "--no-compile", "--target", installed, wheel, folder=tmp_path)
    there = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    assert {name for name in there if name.startswith("constructs_lib/")} == files

    empty.mkdir()
    command = installed / "bin/constructs-lib"
    assert run(command, "--version", folder=empty, PYTHONPATH=str(installed)) == f"constructs-lib {__version__}\n"
    (empty / "colours.yaml").write_text(CONFIG_MAP)
    said = run(command, "--debug", "check", "--tree", ".", folder=empty, PYTHONPATH=str(installed))
    assert said.startswith("the tree: 1 object\n")
    where = run(
        sys.executable, "-c", "import constructs_lib as it; print(it.__file__)", folder=empty, PYTHONPATH=str(installed)
    )
    assert Path(where.strip()) == installed / "constructs_lib/__init__.py"

"""What ``docs/start.md`` says is what happens, in an empty folder with nothing but the wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from app_runs import ROOT
from page_samples import Sample, pattern, samples
from repositories import IDENTITY, git

PAGE = ROOT / "docs/start.md"
#: What differs from run to run: times, the width of the line, and names of commits.
VARYING = re.compile(r" {2,}\[100%\]|\bin \d+\.\d\ds(?: \([\d:]+\))?|\b[0-9a-f]{12}\b")
#: Between the outputs of two commands.
MARK = "-- the next command --"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """The library as others get it."""
    source = tmp_path / "source"
    parts = ("constructs_lib", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
    for name in git(ROOT, "ls-files", "-co", "--exclude-standard", "--", *parts).splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, f"--wheel-dir={tmp_path}", str(source)], check=True, capture_output=True)
    [built] = tmp_path.glob("*.whl")
    return built


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """What the library needs, as it is installed here, so that nothing is fetched; without the library itself."""
    folder = tmp_path / "packages"
    folder.mkdir()
    found = find_spec("cdk8s")
    assert found and found.origin
    for entry in Path(found.origin).parent.parent.iterdir():
        if not entry.name.startswith(("constructs_lib", "__editable__", "pip", "_virtualenv")):
            (folder / entry.name).symlink_to(entry)
    return folder


def commands(session: list[Sample]) -> Iterator[tuple[str, str]]:
    """Yield the commands of all samples, each with what the page shows of its output."""
    for sample in session:
        for step in re.split(r"^\$ ", sample.text, flags=re.MULTILINE)[1:]:
            command, _, expected = step.partition("\n")
            yield command, expected


def test_page(tmp_path: Path, wheel: Path, packages: Path) -> None:
    """One shell runs all commands."""
    folder = tmp_path / "shop"
    folder.mkdir()
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    (tmp_path / "bin").mkdir()
    # That of which this environment is made: its packages are for no other version.
    (tmp_path / "bin/python3").write_text(f'#!/bin/sh\nexec "{Path(sys.executable).resolve()}" "$@"\n')
    (tmp_path / "bin/python3").chmod(0o755)
    steps = [*commands([sample for sample in samples(PAGE) if sample.language == "console"])]
    lines = []
    for command, _ in steps:
        lines += [command, f"echo '{MARK}'"]
        if " -m venv " in command:
            lines.append(
                f"for each in .venv/lib/python3.*/site-packages; do echo '{packages}' > $each/packages.pth; done"
            )
    others = ("PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL")
    environment = {key: value for key, value in os.environ.items() if key not in others}
    environment |= IDENTITY | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PIP_NO_INDEX": "1", "NO_COLOR": "1"}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "COLUMNS": "200", "TERM": "dumb"}
    result = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    outputs = result.stdout.split(f"{MARK}\n")
    assert outputs.pop() == ""
    assert len(outputs) == len(steps), result.stdout
    for (command, expected), found in zip(steps, outputs, strict=True):
        shown, said = (VARYING.sub("·", text) for text in (expected, found))
        assert re.fullmatch(pattern(shown, r"(?:  )?…\n"), said), f"$ {command}\n{found}"
    for sample in samples(PAGE):
        if sample.language == "python":
            assert sample.text in (folder / "app.py").read_text()
    # Nothing is in the way of the next commit but what was changed.
    changed = git(folder, "status", "--porcelain").splitlines()
    assert {line.split("/")[0].split()[-1] for line in changed} == {"dist", "versions.py"}

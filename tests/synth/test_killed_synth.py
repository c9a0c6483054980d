"""``kill -9`` at random moments of a real ``python app.py`` over a changed declaration.

``KILLS=200 python -m pytest tests/synth/test_killed_synth.py`` runs it as often as one likes.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from constructs_lib.synth.tree import owned_paths
from constructs_lib.synth.writer import compare

ROOT = Path(__file__).resolve().parent.parent.parent
KILLS = int(os.environ.get("KILLS", "6"))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the app in a folder, to its end."""
    command = [sys.executable, "app.py", *arguments]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def generated(folder: Path) -> dict[str, bytes]:
    """Return all files but the declaration, by their path."""
    files = [file for name in ("dist", "argocd", "bootstrap") for file in (folder / name).rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def declarations(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], list[dict[str, bytes]]]:
    """Return a folder with the app, two declarations that differ in hundreds of files, and the tree of each."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "versions.py", folder)
    shutil.copytree(ROOT / "schemas", folder / "schemas")
    first = (ROOT / "app.py").read_text()
    second = first.replace('"pp-us"', '"pp-users"').replace('"chat-service"', '"talk-service"')
    second = second.replace('volume = pick(local="1Gi"', 'volume = pick(local="2Gi"')
    trees = []
    for text in (second, first):
        (folder / "app.py").write_text(text)
        assert run(folder).returncode == 0
        trees.append(generated(folder))
    trees.reverse()
    return folder, [first, second], trees


def test_tree_is_old_or_new_after_the_next_command(
    declarations: tuple[Path, list[str], list[dict[str, bytes]]],
) -> None:
    folder, texts, trees = declarations
    moments = random.Random(20)
    current, outcomes = 0, {"old": 0, "new": 0, "cleared up": 0}
    for number in range(KILLS):
        wanted = 1 - current
        (folder / "app.py").write_text(texts[wanted])
        process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=folder,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if number % 2:
            # Most of a run is start-up; every second kill waits until it begins to write.
            while process.poll() is None and not (folder / ".synth" / "staging").exists():
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.12))
        else:
            time.sleep(moments.uniform(0, 1.5))
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
        process.wait()

        for path, content in generated(folder).items():
            assert content in (trees[0].get(path), trees[1].get(path)), f"{path} is half-written"
        (folder / "app.py").write_text(texts[current])
        said = run(folder, "synth", "--check").stderr
        after = generated(folder)
        assert after in trees, "the tree is a mixture"
        outcomes["cleared up"] += "interrupted" in said
        outcomes["old" if after == trees[current] else "new"] += 1
        current = trees.index(after)
        change = compare(folder, trees[current], owned_paths())
        assert (change.created, change.updated, change.removed) == ((), (), ())

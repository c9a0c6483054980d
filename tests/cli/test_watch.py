"""``synth --watch``: what a process tells that synthesizes after each save."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from app_runs import ROOT
from repositories import git
from shop import BEGINNING

from constructs_lib.cli.app import App
from constructs_lib.cli.watch import Watch, files_of, taken_again

APP = (
    f"import images{BEGINNING}"
    + """\
    stock = Microservice(system, "stock", image=images.STOCK, ports={"http": 8080})
    front = Microservice(system, "front", image=images.FRONT, ports={"http": 3000}, exposed="http")
    front.needs(stock.endpoint("http"), {"STOCK": "address"})
    return system


main(shop, [LAPTOP, CLOUD])
"""
)
IMAGES = 'STOCK = "example/stock:1.0.0"\nFRONT = "example/front:1.0.0"\n'
#: Seconds until a process has to have said something, on however busy a machine.
PATIENCE = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository in which everything is committed, so that it counts as published."""
    work = tmp_path / "shop"
    work.mkdir()
    (work / "app.py").write_text(APP)
    (work / "images.py").write_text(IMAGES)
    git(work, "init", "--quiet", "--initial-branch=main")
    subprocess.run(
        [sys.executable, "app.py"],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message=Declare the shop")
    return work


class Saver:
    """Saves files of a watched repository, and reads what is told."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], *names: str) -> None:
        self._folder, self._capsys = folder, capsys
        self._watch = Watch(taken_again(App(None, (), folder, folder / "app.py")), names)
        self._watch.again(())
        self.begun = capsys.readouterr().out

    def save(self, name: str, old: str, new: str) -> str:
        """Save a file with a change; return what is told."""
        file = self._folder / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        return self.told()

    def told(self) -> str:
        """Return what is told of what was saved."""
        self._watch.again(self._watch.wait(lambda seconds: None))
        return self._capsys.readouterr().out


@pytest.fixture
def saver(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Saver]]:
    """Begin to watch some environments."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(folder))
    yield lambda *names: Saver(folder, capsys, *names)
    sys.modules.pop("images", None)


def test_a_save_is_told_with_the_plan_and_the_findings(folder: Path, saver: Callable[..., Saver]) -> None:
    shop = saver("laptop")
    assert "No changes." in shop.begun and "check: 0 errors, 0 warnings." in shop.begun
    # With as many letters, and most likely within a second.
    said = shop.save("images.py", "front:1.0.0", "front:1.1.0")
    assert said.startswith("\nimages.py\n")
    assert "  ~ dist/laptop/front/Deployment-front.yaml\nWrote 1 file" in said
    assert "laptop: from HEAD to the declaration\n" in said
    assert "Deployment/front/front: rolling restart of 1 pod" in said
    assert "check: 0 errors, 0 warnings." in said
    assert "front:1.1.0" in (folder / "dist/laptop/front/Deployment-front.yaml").read_text()
    assert "front:1.0.0" in (folder / "dist/cloud/front/Deployment-front.yaml").read_text()
    said = shop.save("app.py", "8080", "8081")
    assert said.startswith("\napp.py\n") and "Plan: 2 components in 2 waves" in said


def test_mistakes_are_told_and_do_not_end_it(folder: Path, saver: Callable[..., Saver]) -> None:
    shop = saver()
    before = git(folder, "status", "--porcelain", "--", "dist", "argocd")
    said = shop.save("app.py", '"http": 8080', '"http": 80800')
    assert "app.py:12: stock: port http: 80800 is no port" in said and "nothing was written." in said
    said = shop.save("app.py", "return system", "return system)")
    assert "app.py:15: SyntaxError: unmatched ')'\nNothing was written." in said
    said = shop.save("app.py", "return system)", "return sytem")
    assert "sytem" in said and "Traceback" not in said
    (folder / "images.py").rename(folder / "pictures.py")
    assert "app.py:1: ModuleNotFoundError: No module named 'images'\nNothing was written." in shop.told()
    assert git(folder, "status", "--porcelain", "--", "dist", "argocd") == before
    shop.save("app.py", "return sytem", "return system")
    shop.save("app.py", '"http": 80800', '"http": 8080')
    (folder / "pictures.py").rename(folder / "images.py")
    assert "No changes." in shop.told()


def test_what_is_remembered_changes_nothing(folder: Path, saver: Callable[..., Saver]) -> None:
    """What is told after some saves is what a process tells that begins there."""
    shop = saver()
    patch = {"spec": {"template": {"spec": {"hostNetwork": True}}}}
    worse = f'stock.patch("apps/Deployment", {patch})\n    return system'
    assert "1 error" in shop.save("app.py", "return system", worse)
    shop.save("images.py", "stock:1.0.0", "stock:1.2.0")
    said = shop.save("app.py", "3000", "3001").partition("laptop: from HEAD")[2]
    assert "1 error" in said and said == saver().begun.partition("laptop: from HEAD")[2]


def test_what_is_watched(folder: Path) -> None:
    for path in (
        ".hidden/a",
        "node_modules/a",
        "venv/pyvenv.cfg",
        "venv/a.py",
        "dist/a",
        "schemas/a.sql",
        "__pycache__/a",
    ):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text("")
    assert sorted(files_of(folder)) == ["app.py", "images.py", "schemas/a.sql"]


def test_ctrl_c_ends_a_process_that_watches(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "app.py", "synth", "--watch"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores it, and so does all that is started from there.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: [*map(lines.put, process.stdout or ())], daemon=True)
    reader.start()

    def until_it_watches() -> str:
        said = ""
        while not said.endswith("Watching shop; Ctrl-C ends it.\n"):
            said += lines.get(timeout=PATIENCE)
        return said

    try:
        assert "No changes." in until_it_watches()
        (folder / "images.py").write_text(IMAGES.replace("stock:1.0.0", "stock:1.1.0"))
        assert "Deployment/stock/stock: rolling restart" in until_it_watches()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()

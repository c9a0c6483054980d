"""The writer: each folder is the old or the new one, whole, whatever stops a run."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.synth import writer
from constructs_lib.synth.writer import Change, WriteError, compare, write

OWNED = ("dist/local/", "argocd/local/", "bootstrap/*/secrets.json")
OLD = {
    "argocd/local/root.yaml": b"old: 1\n",
    "bootstrap/local/secrets.json": b"{}\n",
    "bootstrap/stale/secrets.json": b"{}\n",
    "dist/local/differs-too.yaml": b"new: 2\nand a line more\n",
    "dist/local/differs.yaml": b"old: 2\n",
    "dist/local/gone.yaml": b"gone: 1\n",
    "dist/local/gone/deep/a.yaml": b"gone: 2\n",
    "dist/local/same.yaml": b"same: 1\n",
    "dist/local/was-file": b"file\n",
    "dist/local/was-folder/a": b"a\n",
    "dist/local/was-folder/b/c": b"c\n",
}
NEW = {
    "argocd/local/new/app.yaml": b"new: 3\n",
    "argocd/local/root.yaml": b"new: 1\n",
    "bootstrap/local/secrets.json": b"{}\n",
    "dist/local/differs-too.yaml": b"new: 2\n",
    "dist/local/differs.yaml": b"new: 2\n",
    "dist/local/same.yaml": b"same: 1\n",
    "dist/local/was-file/a": b"a\n",
    "dist/local/was-file/b/c": b"c\n",
    "dist/local/was-folder": b"file\n",
    "dist/local/was-link.yaml": b"no link\n",
}
UPDATED = ["argocd/local/root.yaml", *(f"dist/local/{name}.yaml" for name in ("differs-too", "differs", "was-link"))]
CHANGE = Change(
    created=tuple(sorted(NEW.keys() - OLD.keys() - {"dist/local/was-link.yaml"})),
    updated=tuple(UPDATED),
    removed=tuple(sorted({"dist/local/link", *(OLD.keys() - NEW.keys())})),
    unchanged=2,
)
MINE = {"README.md": b"mine\n", "dist/mine.yaml": b"mine\n", "bootstrap/local/mine.json": b"mine\n"}
NEW_TREE = {**MINE, **NEW}
ROOT = Path(__file__).resolve().parent.parent.parent
#: Runs the app, and dies when the call that exchanges two folders is looked up for the third time.
KILLED_APP = """
import itertools, os, runpy, signal, sys
calls = itertools.count(1)
def kill(event, arguments):
    if event == "ctypes.dlsym" and arguments[1] == "renameat2" and next(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
runpy.run_path("app.py", run_name="__main__")
"""


def lay_out(root: Path, files: Mapping[str, bytes]) -> None:
    """Put files into a folder without the writer."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def old_tree(root: Path) -> Path:
    """Lay out the tree before the change: generated files, links, an empty folder and files of the user."""
    lay_out(root, OLD | MINE)
    (root / "dist/local/link").symlink_to("/nowhere")
    (root / "dist/local/was-link.yaml").symlink_to("same.yaml")
    (root / "dist/local/empty").mkdir()
    return root


def tree(root: Path, folder: str = "") -> dict[str, bytes | str]:
    """Return all files by content and links by target, without the writer's own folder."""
    return {
        path.relative_to(root).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in (root / folder).rglob("*")
        if (path.is_symlink() or path.is_file()) and path.relative_to(root).parts[0] != ".synth"
    }


def part(files: Mapping[str, bytes | str], folder: str) -> dict[str, bytes | str]:
    """Return the files in a folder."""
    return {path: content for path, content in files.items() if path.startswith(f"{folder}/")}


def own_folder(root: Path) -> set[str]:
    """Return the names in the writer's own folder."""
    return {path.name for path in (root / ".synth").iterdir()}


def test_writes_what_compare_tells(tmp_path: Path) -> None:
    """Files are created, updated, removed and change their kind; the user's own are left alone."""
    root = old_tree(tmp_path)
    before = tree(root)
    assert compare(root, NEW, OWNED) == CHANGE
    assert tree(root) == before
    assert not (root / ".synth").exists()
    assert write(root, NEW, OWNED) == CHANGE
    assert tree(root) == NEW_TREE
    assert own_folder(root) == {".gitignore", "lock"}
    for folder in ("dist/local/empty", "dist/local/gone", "bootstrap/stale"):
        assert not (root / folder).exists()
    assert compare(root, NEW, OWNED) == Change((), (), (), len(NEW))


@pytest.mark.parametrize("has_links", [True, False])
def test_unchanged_files_are_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool) -> None:
    """Beside a single file that changes, nothing is touched; in a folder, unchanged files keep their times."""

    def touched_by(files: Mapping[str, bytes], *names: str) -> list[str]:
        def stamps() -> dict[str, list[int]]:
            return {path: [getattr((tmp_path / path).stat(), name) for name in names] for path in sorted(NEW)}

        before = stamps()
        write(tmp_path, files, OWNED)
        assert tree(tmp_path) == files
        return [path for path, stamp in stamps().items() if stamp != before[path]]

    if not has_links:
        monkeypatch.setattr(os, "link", fail(PermissionError(), 1, os.link, times=100))
    write(tmp_path, NEW, OWNED)
    (tmp_path / "dist/local/same.yaml").chmod(0o640)
    assert touched_by(NEW, "st_ino", "st_ctime_ns") == []
    new = {**NEW, "dist/local/differs.yaml": b"other\n"}
    assert touched_by(new, "st_ino", "st_ctime_ns") == ["dist/local/differs.yaml"]
    new |= {"dist/local/differs.yaml": b"new\n", "dist/local/was-file/a": b"new\n"}
    kept = ["st_mtime_ns", "st_mode", *(["st_ino"] if has_links else [])]
    assert touched_by(new, *kept) == ["dist/local/differs.yaml", "dist/local/was-file/a"]


def test_all_environments(tmp_path: Path) -> None:
    """Of a folder that holds all environments, only that of an environment which differs is touched."""
    lay_out(tmp_path, {"dist/a/x": b"1", "dist/b/x": b"1", "dist/b/y": b"1", "dist/gone/x": b"1", "dist/z": b"1"})
    (tmp_path / "dist/empty").mkdir()
    inodes = {name: (tmp_path / "dist" / name).stat().st_ino for name in "ab"}
    new = {"dist/a/x": b"1", "dist/b/x": b"2", "dist/b/y": b"2", "dist/c/x": b"2"}
    change = Change(("dist/c/x",), ("dist/b/x", "dist/b/y"), ("dist/gone/x", "dist/z"), 1)
    assert write(tmp_path, new, ["dist/"]) == change
    assert tree(tmp_path) == new
    assert [name for name in inodes if (tmp_path / "dist" / name).stat().st_ino == inodes[name]] == ["a"]
    assert not (tmp_path / "dist/empty").exists()
    write(tmp_path, {}, ["dist/"])
    assert not (tmp_path / "dist").exists()


def test_everything_owned_can_go(tmp_path: Path) -> None:
    """With no files wanted, no owned file or folder is left, and the user's own stay."""
    write(old_tree(tmp_path), {}, OWNED)
    assert tree(tmp_path) == MINE
    assert not (tmp_path / "dist/local").exists()
    assert not (tmp_path / "bootstrap/stale").exists()


def test_bytes_are_kept_and_permissions_are_not(tmp_path: Path) -> None:
    """Line breaks are not translated; a read-only or executable file is replaced by an ordinary one."""
    new = {"dist/local/a": b"1\r\n2\n\xff\x00", "dist/local/none": b"", "dist/local/same": b"x"}
    lay_out(tmp_path, {"dist/local/a": b"old", "dist/local/same": b"x"})
    (tmp_path / "dist/local/a").chmod(0o555)
    (tmp_path / "dist/local/same").chmod(0o444)
    write(tmp_path, new, OWNED)
    assert tree(tmp_path) == new
    assert (tmp_path / "dist/local/a").stat().st_mode & 0o111 == 0


@pytest.mark.parametrize("old_kind", ["folder", "file", "link", "pipe"])
def test_anything_in_the_place_of_an_owned_folder(tmp_path: Path, old_kind: str) -> None:
    """Whatever stands where an owned folder belongs makes way for it; what a link leads to is left alone."""
    outside, place = tmp_path / "outside", tmp_path / "root/dist/local"
    lay_out(outside, {"precious": b"x"})
    place.parent.mkdir(parents=True)
    match old_kind:
        case "folder":
            place.mkdir()
        case "file":
            place.touch()
        case "link":
            place.symlink_to(outside)
        case "pipe":
            os.mkfifo(place)
    write(tmp_path / "root", {"dist/local/a/b": b"1"}, OWNED)
    assert tree(tmp_path / "root") == {"dist/local/a/b": b"1"}
    assert tree(outside) == {"precious": b"x"}


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Links inside owned folders and in the place of files are replaced, not what they lead to."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    lay_out(outside, {"precious": b"x", "secrets.json": b"x"})
    lay_out(root, {"dist/local/a": b"1", "bootstrap/other/keep": b"1"})
    (root / "dist/local/folder").symlink_to(outside)
    (root / "dist/local/file").symlink_to(outside / "precious")
    (root / "plain").symlink_to(outside / "precious")
    (root / "bootstrap/linked").symlink_to(outside)
    new = {"dist/local/file": b"x", "dist/local/folder/precious": b"new", "plain": b"new"}
    write(root, new, OWNED)
    assert tree(outside) == {"precious": b"x", "secrets.json": b"x"}
    assert tree(root) == {**new, "bootstrap/other/keep": b"1", "bootstrap/linked": str(outside)}
    assert not (root / "dist/local/folder").is_symlink()


@pytest.mark.parametrize("path", ["dist", ".synth", "bootstrap/local"])
def test_links_above_owned_files_are_refused(tmp_path: Path, path: str) -> None:
    """A link that would lead out of the root is refused before anything is written."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (root / path).parent.mkdir(parents=True)
    (root / path).symlink_to(outside)
    for owned in (OWNED, ["dist/", *OWNED[1:]]):
        with pytest.raises(WriteError, match=path):
            write(root, NEW, owned)
    assert tree(outside) == {}


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        *(([path], "no path") for path in ("../a", "a/../b", "/etc/a", "a//b", "./a", "a/", "", "a\0b")),
        *(([path], "no path") for path in (".git/config", "a/.GIT/config", ".synth/lock", "a/..")),
        (["dist/local/a", "dist/local/A"], "differ in case only"),
        (["dist/local/a/x", "dist/local/A/y"], "differ in case only"),
        (["dist/local/stra\u00dfe", "dist/local/STRASSE"], "differ in case only"),
        (["dist/local/a", "dist/local/a/b"], "a file and a folder at once"),
    ],
)
def test_impossible_paths(tmp_path: Path, paths: list[str], message: str) -> None:
    """Paths that lead elsewhere, or cannot be checked out everywhere, are refused."""
    for action in (write, compare):
        with pytest.raises(WriteError, match=message):
            action(tmp_path, dict.fromkeys(paths, b"x"), OWNED)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("owned", ["/", "", "../a/", "a/../", ".git/", ".synth/", "./"])
def test_impossible_ownership(tmp_path: Path, owned: str) -> None:
    """The generator can own neither the whole root nor anything outside of it."""
    with pytest.raises(WriteError, match="nothing that the generator may own"):
        write(tmp_path, {}, [owned])


def test_patterns_do_not_reach_hidden_state(tmp_path: Path) -> None:
    """A wide pattern finds neither the files of git nor those of the writer."""
    lay_out(tmp_path, {".git/lock": b"x", "a/lock": b"x"})
    write(tmp_path, {}, ["*/lock"])
    assert tree(tmp_path) == {".git/lock": b"x"}
    assert write(tmp_path, {}, ["*/lock"]) == Change((), (), (), 0)


@pytest.mark.parametrize("in_the_way", ["bootstrap", "bootstrap/local/secrets.json/x"])
def test_foreign_things_in_the_way(tmp_path: Path, in_the_way: str) -> None:
    """Outside of owned folders, nothing of another kind is replaced."""
    lay_out(tmp_path, {in_the_way: b"x"})
    with pytest.raises(WriteError, match="please move it away"):
        write(tmp_path, NEW, OWNED)
    assert tree(tmp_path) == {in_the_way: b"x"}


def test_missing_root(tmp_path: Path) -> None:
    """A root that is not there is an error."""
    for action in (write, compare):
        with pytest.raises(WriteError, match="is not a folder"):
            action(tmp_path / "none", NEW, OWNED)


def test_second_run_is_refused(tmp_path: Path) -> None:
    """While one process writes, others are refused and change nothing; reading is free."""
    write(tmp_path, NEW, OWNED)
    with (tmp_path / ".synth/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        with pytest.raises(WriteError, match="another run is writing"):
            write(tmp_path, {}, OWNED)
        assert compare(tmp_path, NEW, OWNED).unchanged == len(NEW)
    assert tree(tmp_path) == NEW
    write(tmp_path, {}, OWNED)


def fail(error: BaseException, at: int, real: Callable[..., object], times: int = 1) -> Callable[..., object]:
    """Return a function that raises at its n-th call, counted from 1, and as often as told from there on."""
    calls = count(1)

    def call(*arguments: object, **options: object) -> object:
        if at <= next(calls) < at + times:
            raise error
        return real(*arguments, **options)

    return call


def failure(number: int, name: str | None = None) -> OSError:
    """Return an error of the operating system."""
    return OSError(number, os.strerror(number), name)


@pytest.mark.parametrize("error", [failure(errno.ENOSPC), KeyboardInterrupt()])
def test_failing_while_building_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Whichever file the disk has no room for, all that was there stays, and nothing else."""
    before = tree(old_tree(tmp_path))
    for at in range(1, len(CHANGE.created) + len(CHANGE.updated) + 1):
        monkeypatch.setattr(os, "write", fail(error, at, os.write))
        with pytest.raises((WriteError, KeyboardInterrupt)) as caught:
            write(tmp_path, NEW, OWNED)
        monkeypatch.undo()
        assert str(caught.value) in ("", "No space left on device; all files are as they were before")
        assert tree(tmp_path) == before
        assert own_folder(tmp_path) == {".gitignore", "lock"}
    assert write(tmp_path, NEW, OWNED) == CHANGE


@pytest.mark.parametrize("folder", ["dist", "dist/local", "argocd/local", "bootstrap/stale"])
def test_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """It is told before anything has changed."""
    before = tree(old_tree(tmp_path))
    # Root, who runs the tests in containers, may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path / folder)
    with pytest.raises(WriteError, match=f"{folder}: Permission denied; all files are as they were before"):
        write(tmp_path, NEW, OWNED)
    assert tree(tmp_path) == before


def test_failing_to_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in place stays there, and the next run adds what is missing."""
    old_tree(tmp_path)
    monkeypatch.setattr(writer, "_exchange", lambda *_: False)
    monkeypatch.setattr(os, "rename", fail(failure(errno.EIO, "a"), 3, os.rename))
    with pytest.raises(WriteError, match=r"^a: Input/output error; the next run writes the rest$"):
        write(tmp_path, NEW, OWNED)
    assert tree(tmp_path, "dist/local") == part(NEW, "dist/local")
    assert tree(tmp_path, "argocd/local") == part(OLD, "argocd/local")
    write(tmp_path, NEW, OWNED)
    assert tree(tmp_path) == NEW_TREE


def test_folders_that_cannot_be_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that comes with the image of a container is copied."""
    old_tree(tmp_path)
    monkeypatch.setattr(writer, "_exchange", lambda *_: False)
    monkeypatch.setattr(os, "rename", fail(failure(errno.EXDEV), 1, os.rename, times=2))
    assert write(tmp_path, NEW, OWNED) == CHANGE
    assert tree(tmp_path) == NEW_TREE


def killed_before(step: int, root: Path, *, has_exchange: bool) -> bool:
    """Write in a process that kills itself before its n-th change of the file system; return whether there was one."""
    child = os.fork()
    if child == 0:
        steps = count(1)

        def kill(event: str, arguments: tuple[Any, ...]) -> None:
            # The call that exchanges two folders is no event; just before it, it is looked up.
            is_step = event in ("os.mkdir", "os.link", "os.rename", "os.remove", "os.rmdir", "ctypes.dlsym")
            is_step |= event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
            if is_step and next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            if not has_exchange:
                writer._exchange = lambda *_: False
            sys.addaudithook(kill)
            write(root, NEW, OWNED)
        finally:
            os._exit(0 if tree(root) == NEW_TREE else 1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


@pytest.mark.slow
@pytest.mark.parametrize("has_exchange", [True, False])
def test_killed_before_every_step(tmp_path: Path, has_exchange: bool) -> None:
    """A reader finds each folder old or new, ``dist`` new first; the next run leaves the new tree and nothing else."""
    before, seen = tree(old_tree(tmp_path / "old")), []
    for step in count(1):
        root = old_tree(tmp_path / "root")
        killed = killed_before(step, root, has_exchange=has_exchange)
        states = []
        for folder in ("dist/local", "argocd/local"):
            whole = {"old": part(before, folder), "new": part(NEW, folder), "missing": {}}
            states += [state for state, files in whole.items() if tree(root, folder) == files] or ["mixture"]
        if states not in seen:
            seen.append(states)
        assert tree(root).items() >= MINE.items()
        write(root, NEW, OWNED)
        assert tree(root) == NEW_TREE
        assert own_folder(root) == {".gitignore", "lock"}
        shutil.rmtree(root)
        if not killed:
            break
    if has_exchange:
        assert seen == [["old", "old"], ["new", "old"], ["new", "new"]]
    else:
        assert seen == [["old", "old"], ["missing", "old"], ["new", "old"], ["new", "missing"], ["new", "new"]]


@pytest.mark.slow
def test_the_next_app_completes_a_killed_one(tmp_path: Path) -> None:
    """A real app is killed when the manifests of both environments are new, and the Applications of both are old."""
    for name in ("dist", "argocd", "bootstrap", "schemas"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "versions.py", tmp_path)
    text = (ROOT / "app.py").read_text()
    (tmp_path / "app.py").write_text(text.replace('"pp-us"', '"pp-users"').replace('"chat-service"', '"talk-service"'))

    def run(*arguments: str) -> int:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=environment, check=False).returncode

    old = tree(tmp_path)
    assert run("-c", KILLED_APP) == -signal.SIGKILL
    killed = tree(tmp_path)
    assert run("app.py", "synth", "--check") == 1
    assert tree(tmp_path) == killed
    assert run("app.py") == 0
    new = tree(tmp_path)
    for environment in ("local", "production"):
        for top, state, other in (("dist", new, old), ("argocd", old, new)):
            folder = f"{top}/{environment}"
            assert part(killed, folder) == part(state, folder) != part(other, folder)
    assert own_folder(tmp_path) == {".gitignore", "lock"}
    assert run("app.py", "synth", "--check") == 0

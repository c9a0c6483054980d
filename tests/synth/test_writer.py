"""The writer: the tree is the old or the new one, whole, whatever stops a run."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from constructs_lib.synth.writer import Change, WriteError, compare, recover, write

OWNED = ("dist/local/", "argocd/local/", "bootstrap/*/secrets.json")

OLD = {
    "dist/local/same.yaml": b"same: 1\n",
    "dist/local/differs.yaml": b"old: 1\n",
    "dist/local/differs-too.yaml": b"new: 2\nand a line more\n",
    "dist/local/gone.yaml": b"gone: 1\n",
    "dist/local/gone/deep/a.yaml": b"gone: 2\n",
    "dist/local/was-file": b"file\n",
    "dist/local/was-folder/a": b"a\n",
    "dist/local/was-folder/b/c": b"c\n",
    "bootstrap/local/secrets.json": b"{}\n",
    "bootstrap/stale/secrets.json": b"{}\n",
}
NEW = {
    "dist/local/same.yaml": b"same: 1\n",
    "dist/local/differs.yaml": b"new: 1\n",
    "dist/local/differs-too.yaml": b"new: 2\n",
    "dist/local/was-file/a": b"a\n",
    "dist/local/was-file/b/c": b"c\n",
    "dist/local/was-folder": b"file\n",
    "dist/local/was-link.yaml": b"no link\n",
    "argocd/local/new/app.yaml": b"new: 3\n",
    "bootstrap/local/secrets.json": b"{}\n",
}
CHANGE = Change(
    created=(
        "argocd/local/new/app.yaml",
        "dist/local/was-file/a",
        "dist/local/was-file/b/c",
        "dist/local/was-folder",
    ),
    updated=("dist/local/differs-too.yaml", "dist/local/differs.yaml", "dist/local/was-link.yaml"),
    removed=(
        "bootstrap/stale/secrets.json",
        "dist/local/gone.yaml",
        "dist/local/gone/deep/a.yaml",
        "dist/local/link",
        "dist/local/was-file",
        "dist/local/was-folder/a",
        "dist/local/was-folder/b/c",
    ),
    unchanged=2,
)
MINE = {"README.md": b"mine\n", "dist/mine.yaml": b"mine\n", "bootstrap/local/mine.json": b"mine\n"}


def lay_out(root: Path, files: dict[str, bytes]) -> None:
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


def tree(root: Path) -> dict[str, bytes | str]:
    """Give all files by content and links by target, without the writer's own folder."""
    return {
        path.relative_to(root).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in root.rglob("*")
        if (path.is_symlink() or path.is_file()) and path.relative_to(root).parts[0] != ".synth"
    }


def own_folder(root: Path) -> set[str]:
    """Give the names in the writer's own folder."""
    return {path.name for path in (root / ".synth").iterdir()}


def in_child(action: Callable[[], object], before: Callable[[], object] = lambda: None) -> int:
    """Run an action in a forked child and return its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            before()
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_at(step: int) -> Callable[[], None]:
    """Give what makes this process kill itself just before its n-th operation on files, counted from 1."""

    def arm() -> None:
        seen = 0

        def count(event: str, _: object) -> None:
            nonlocal seen
            if event == "open" or event.startswith(("os.", "shutil.")):
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)

    return arm


NEW_TREE = {**MINE, **NEW}


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes | str]:
    """The tree before the change."""
    return tree(old_tree(tmp_path_factory.mktemp("old")))


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
    assert recover(root) is None


def test_unchanged_files_are_not_touched(tmp_path: Path) -> None:
    """A second run changes neither inode nor times, and a run that changes others does not either."""
    write(tmp_path, NEW, OWNED)
    before = {path: (tmp_path / path).stat() for path in NEW}
    assert write(tmp_path, NEW, OWNED) == Change((), (), (), len(NEW))
    write(tmp_path, {**NEW, "dist/local/differs.yaml": b"other\n"}, OWNED)
    for path, was in before.items():
        now = (tmp_path / path).stat()
        same = (now.st_ino, now.st_mtime_ns, now.st_ctime_ns) == (
            was.st_ino,
            was.st_mtime_ns,
            was.st_ctime_ns,
        )
        assert same == (path != "dist/local/differs.yaml")


def test_everything_owned_can_go(tmp_path: Path) -> None:
    """With no files wanted, no owned file or folder is left, and the user's own stay."""
    write(old_tree(tmp_path), {}, OWNED)
    assert tree(tmp_path) == MINE
    assert not (tmp_path / "dist/local").exists()
    assert not (tmp_path / "bootstrap/stale").exists()


def test_bytes_are_kept_and_permissions_are_not(tmp_path: Path) -> None:
    """Line breaks are not translated; a read-only or executable file is replaced by an ordinary one."""
    lay_out(tmp_path, {"dist/local/a": b"old", "dist/local/same": b"x"})
    (tmp_path / "dist/local/a").chmod(0o555)
    (tmp_path / "dist/local/same").chmod(0o444)
    write(
        tmp_path,
        {"dist/local/a": b"1\r\n2\n\xff\x00", "dist/local/same": b"x", "dist/local/none": b""},
        OWNED,
    )
    assert (tmp_path / "dist/local/a").read_bytes() == b"1\r\n2\n\xff\x00"
    assert (tmp_path / "dist/local/none").read_bytes() == b""
    assert (tmp_path / "dist/local/a").stat().st_mode & 0o111 == 0


@pytest.mark.parametrize("old_kind", ["folder", "file", "link", "pipe"])
def test_anything_in_the_place_of_an_owned_folder(tmp_path: Path, old_kind: str) -> None:
    """Whatever stands where an owned folder belongs makes way for it; what a link leads to is left alone."""
    outside = tmp_path / "outside"
    lay_out(outside, {"precious": b"x"})
    place = tmp_path / "root/dist/local"
    place.parent.mkdir(parents=True)
    if old_kind == "link":
        place.symlink_to(outside)
    elif old_kind == "pipe":
        os.mkfifo(place)
    elif old_kind == "file":
        place.touch()
    else:
        place.mkdir()
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
    write(root, {"dist/local/file": b"new", "dist/local/folder/precious": b"new", "plain": b"new"}, OWNED)
    assert tree(outside) == {"precious": b"x", "secrets.json": b"x"}
    assert (root / "dist/local/file").read_bytes() == b"new"
    assert not (root / "dist/local/folder").is_symlink()
    assert not (root / "plain").is_symlink()
    assert (root / "bootstrap/linked").is_symlink()


@pytest.mark.parametrize("path", ["dist", ".synth", "bootstrap/local"])
def test_links_above_owned_files_are_refused(tmp_path: Path, path: str) -> None:
    """A link that would lead out of the root is refused before anything is written."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (root / path).parent.mkdir(parents=True)
    (root / path).symlink_to(outside)
    with pytest.raises(WriteError, match=path):
        write(root, NEW, OWNED)
    assert tree(outside) == {}


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["../a"], "no path"),
        (["a/../b"], "no path"),
        (["/etc/a"], "no path"),
        (["a//b"], "no path"),
        (["./a"], "no path"),
        (["a/"], "no path"),
        ([""], "no path"),
        (["a\0b"], "no path"),
        ([".git/config"], "no path"),
        (["a/.GIT/config"], "no path"),
        ([".synth/lock"], "no path"),
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


@pytest.mark.parametrize("in_the_way", ["bootstrap", "bootstrap/local/secrets.json/"])
def test_foreign_things_in_the_way(tmp_path: Path, in_the_way: str) -> None:
    """Outside of owned folders, nothing of another kind is replaced."""
    lay_out(tmp_path, {in_the_way.rstrip("/") + ("/x" if in_the_way.endswith("/") else ""): b"x"})
    before = tree(tmp_path)
    with pytest.raises(WriteError, match="please move it away"):
        write(tmp_path, NEW, OWNED)
    assert tree(tmp_path) == before


def test_missing_root(tmp_path: Path) -> None:
    """A root that is not there is an error, and nothing to recover."""
    for action in (write, compare):
        with pytest.raises(WriteError, match="is not a folder"):
            action(tmp_path / "none", NEW, OWNED)
    assert recover(tmp_path / "none") is None


def test_second_run_is_refused(tmp_path: Path) -> None:
    """While one process writes, others are refused and change nothing; reading is free."""
    write(tmp_path, NEW, OWNED)
    with (tmp_path / ".synth/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        with pytest.raises(WriteError, match="another run is writing"):
            write(tmp_path, {}, OWNED)
        with pytest.raises(WriteError, match="another run is writing"):
            recover(tmp_path)
        assert compare(tmp_path, NEW, OWNED).unchanged == len(NEW)
    assert tree(tmp_path) == NEW
    write(tmp_path, {}, OWNED)


class FailingReplace:
    """Stands in for ``os.replace`` and fails from one call on, as often as told."""

    def __init__(self, first: int, times: int, error: BaseException) -> None:
        """Fail at call ``first``, counted from 1, and at the following until ``times`` are used up."""
        self.left = first
        self.times = times
        self.error = error
        self.real = os.replace

    def __call__(self, source: str, target: str) -> None:
        """Move, or fail."""
        self.left -= 1
        if self.left <= 0 and self.times > 0:
            self.times -= 1
            raise self.error
        self.real(source, target)


def full_disk() -> OSError:
    """Give the error of a full disk."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a", None, "b")


@pytest.mark.parametrize("error", [full_disk(), KeyboardInterrupt(), RuntimeError("mistake")])
def test_failing_run_changes_nothing(
    tmp_path: Path, old: dict[str, bytes | str], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Whichever move fails, all others are undone at once."""
    failures = 0
    while True:
        root = old_tree(tmp_path / str(failures))
        inode = (root / "dist/local/differs.yaml").stat().st_ino
        failing = FailingReplace(failures + 1, 1, error)
        monkeypatch.setattr(os, "replace", failing)
        try:
            write(root, NEW, OWNED)
            break
        except WriteError as refusal:
            assert error.__class__ is OSError
            assert "No space left" in str(refusal)
            assert "as they were before" in str(refusal)
        except BaseException as other:
            assert other is error
        monkeypatch.undo()
        assert tree(root) == old
        assert (root / "dist/local/differs.yaml").stat().st_ino == inode
        assert own_folder(root) == {".gitignore", "lock"}
        failures += 1
    assert failures > len(CHANGE.created) + len(CHANGE.updated) + len(CHANGE.removed)
    assert tree(root) == NEW_TREE


def test_failing_undo_is_tried_again(
    tmp_path: Path, old: dict[str, bytes | str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk gives no way back either, the next run finds it."""
    root = old_tree(tmp_path)
    monkeypatch.setattr(os, "replace", FailingReplace(15, 1000, full_disk()))
    with pytest.raises(WriteError, match=r"failed as well .* tried again by the next run"):
        write(root, NEW, OWNED)
    monkeypatch.undo()
    assert tree(root) != old
    assert "undone" in (recover(root) or "")
    assert tree(root) == old


def test_undo_without_hard_links(tmp_path: Path, old: dict[str, bytes | str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that has no hard links, the old files are put back all the same."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    root = old_tree(tmp_path)
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "replace", FailingReplace(15, 1, full_disk()))
    with pytest.raises(WriteError, match="as they were before"):
        write(root, NEW, OWNED)
    assert tree(root) == old
    monkeypatch.undo()
    monkeypatch.setattr(os, "link", refuse)
    write(root, NEW, OWNED)
    assert tree(root) == NEW_TREE


def test_undo_after_the_user_cleaned_up(tmp_path: Path, old: dict[str, bytes | str]) -> None:
    """What the user has put right by hand after a kill does not stop the undoing."""
    root, step = tmp_path, 0
    while not (root / "dist/local/was-file/b/c").is_file():
        step += 1
        root = old_tree(tmp_path / str(step))
        assert in_child(partial(write, root, NEW, OWNED), die_at(step)) == -signal.SIGKILL
    (root / "dist/local/was-file/b/c").unlink()
    lay_out(root, {"dist/local/gone.yaml": OLD["dist/local/gone.yaml"]})
    assert "undone" in (recover(root) or "")
    assert tree(root) == old


def test_damaged_journal(tmp_path: Path) -> None:
    """A journal that nobody can read is reported, not guessed at."""
    write(tmp_path, NEW, OWNED)
    (tmp_path / ".synth/journal").write_bytes(b"{")
    with pytest.raises(WriteError, match="is damaged"):
        recover(tmp_path)


def test_killed_at_every_step(tmp_path: Path, old: dict[str, bytes | str]) -> None:
    """Wherever a run dies, the tree is whole after recovery, and the next run succeeds."""
    step, outcomes = 0, []
    while True:
        step += 1
        root = old_tree(tmp_path / str(step))
        code = in_child(partial(write, root, NEW, OWNED), die_at(step))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        said = recover(root) or ""
        assert tree(root) in (old, NEW_TREE)
        assert tree(root) == old or "undone" not in said
        assert own_folder(root) <= {".gitignore", "lock"} if (root / ".synth").exists() else not said
        outcomes.append((tree(root) == old, "undone" in said))
        assert recover(root) is None
        write(root, NEW, OWNED)
        assert tree(root) == NEW_TREE
    assert outcomes == sorted(outcomes, key=lambda outcome: not outcome[0])
    assert set(outcomes) == {(True, False), (True, True), (False, False)}


def test_recovery_killed_at_every_step(tmp_path: Path, old: dict[str, bytes | str]) -> None:
    """Undoing may itself be killed, again and again, one operation further each time."""
    died_at = 10  # Before that, the folder of the writer is not complete, and there is nothing to undo.
    while True:
        root = old_tree(tmp_path / str(died_at))
        if in_child(partial(write, root, NEW, OWNED), die_at(died_at)) == 0:
            break
        step = 1
        while in_child(partial(recover, root), die_at(step)) != 0:
            step += 1
        assert tree(root) in (old, NEW_TREE)
        assert own_folder(root) == {".gitignore", "lock"}
        died_at += 2
    assert died_at > 60


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """A process that writes one tree after another is killed from outside, sixty times."""
    first = {f"dist/local/{index % 9}/{index}.yaml": b"first\n" * index for index in range(150)}
    second = {f"dist/local/{index % 7}/{index}.yaml": b"second\n" * index for index in range(50, 200)}
    trees = [{**MINE, **first}, {**MINE, **second}]
    lay_out(tmp_path, MINE)
    write(tmp_path, first, OWNED)
    chance = random.Random(20)
    undone = 0

    def write_for_ever() -> None:
        while True:
            write(tmp_path, second, OWNED)
            write(tmp_path, first, OWNED)

    for _ in range(60):
        child = os.fork()
        if child == 0:
            try:
                write_for_ever()
            finally:
                os._exit(1)
        time.sleep(chance.uniform(0.01, 0.1))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        undone += "undone" in (recover(tmp_path) or "")
        assert tree(tmp_path) in trees
        assert own_folder(tmp_path) == {".gitignore", "lock"}
    assert undone

"""``synth --watch``: the same process synthesizes again after each save, and tells what it wrote and what follows.

The file that calls ``main()`` runs again, and so do the modules of the repository that it imports; the library stays as
it is loaded. What is read of manifests that did not change is remembered by their content.
"""

from __future__ import annotations

import gc
import importlib
import linecache
import os
import runpy
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from constructs_lib.api import model_of, with_refusals
from constructs_lib.check.report.formats import show
from constructs_lib.cli.app import App, taking
from constructs_lib.cli.output import result_console
from constructs_lib.cli.synth import report
from constructs_lib.declare.diagnostics import DeclarationError, is_library_code, is_user_code
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.plan.plan import plan
from constructs_lib.plan.published import published
from constructs_lib.plan.report.terminal import print_plan
from constructs_lib.repository.applications import find_applications
from constructs_lib.repository.deployed import History
from constructs_lib.repository.git import Git, GitError
from constructs_lib.repository.snapshot import Snapshot
from constructs_lib.synth.paths import is_owned, owned_paths
from constructs_lib.synth.pipeline import put, synthesize_all
from constructs_lib.text import listed
from constructs_lib.user_error import UserError

if TYPE_CHECKING:
    from constructs_lib.synth.tree import Tree

#: Seconds between two looks at the files, at least; and how much longer than a look takes, so that it costs little.
_PAUSE, _RARELY = 0.1, 20
#: Seconds after which files that were being saved are looked at once more.
_SETTLE = 0.02
#: The most files that are named.
_NAMED = 5
_SKIPPED = {"node_modules", "__pycache__"}
#: What a file is known by: when it was changed, its size, and which file it is.
_Stamp = tuple[int, int, int]
#: When each file was changed, by its path.
_Files = Mapping[str, _Stamp]


def watch_for_changes(app: App, names: Sequence[str], *, check: bool = False, adopt: bool = False) -> None:
    """Synthesize some environments, and again whenever something is saved, until Ctrl-C.

    Args:
        app: The app.
        names: The environments. None: all.
        check: Whether to write nothing, and only compare.
        adopt: Whether to remove files of others from the folders of the generator.

    Raises:
        CommandError: There is no such environment.
    """
    app.choose(names)
    # What is saved twice within a second, with as many letters, would be taken from the cache of the first one.
    sys.dont_write_bytecode = True
    watch = Watch(app, names, check=check, adopt=adopt)
    with suppress(KeyboardInterrupt):
        watch.again(())
        while True:
            watch.again(watch.wait())


class Watch:
    """A process that synthesizes again and again."""

    def __init__(self, app: App, names: Sequence[str], *, check: bool = False, adopt: bool = False) -> None:
        """Do nothing yet; the arguments are those of :func:`watch_for_changes`."""
        self._app, self._names, self._check, self._adopt = app, names, check, adopt
        self._out, self._cache = result_console(), Cache()
        self._files, self._state = files_of(app.root), _state_of_git(app.root)
        #: What is published, by environment, as long as nothing changes in Git.
        self._published: dict[str, Snapshot] = {}
        #: The contents of its files.
        self._read: dict[str, list[bytes]] = {}
        self._verified: object = None

    def wait(self, pause: Callable[[float], object] = time.sleep) -> list[str]:
        """Return what was saved, once something is; paths relative to the root, and nothing if only Git changed."""
        # The command line collects no garbage, because it ends soon; here is time for it.
        gc.collect()
        while True:
            begin = time.perf_counter()
            files, state = files_of(self._app.root), _state_of_git(self._app.root)
            settled = files == self._files
            while not settled:
                pause(_SETTLE)
                later = files_of(self._app.root)
                settled, files = later == files, later
            if files != self._files or state != self._state:
                if state != self._state:
                    self._published.clear()
                changed = sorted(path for path, _ in self._files.items() ^ files.items())
                self._files, self._state = files, state
                return list(dict.fromkeys(changed))
            pause(max(_PAUSE, _RARELY * (time.perf_counter() - begin)))

    def again(self, changed: Sequence[str]) -> None:
        """Synthesize, and print what follows; a mistake is told, and nothing is written.

        Args:
            changed: The files that were saved; none at the beginning.
        """
        out = self._out
        if changed:
            out.print(Text(f"\n{listed(changed, _NAMED)}", "bold"))
        try:
            if changed:
                self._app = taken_again(self._app)
            self._show()
        except DeclarationError as error:
            out.print(error.report(self._app.root))
        except UserError as error:
            out.print(str(error))
        except (Exception, SystemExit) as error:
            out.print(_told(error, self._app.root))
        out.print(Text(f"Watching {self._app.root.name or 'the repository'}; Ctrl-C ends it.", "dim"))
        out.file.flush()

    def _show(self) -> None:
        app, out = self._app, self._out
        chosen = app.choose(self._names)
        trees = synthesize_all(app.declaration, chosen, app.root, keep_manifests=True, verify=False)
        pins = [tree.pins for tree in trees]
        if (self._state, pins) != self._verified:
            for environment, found in zip(chosen, pins, strict=True):
                if found:
                    History.of(Git(app.root), environment.repository.branch).verify(environment.name, found)
            self._verified = self._state, pins
        change = put(trees, app.root, complete=not self._names, check=self._check, adopt=self._adopt)
        report(trees, change, check=self._check)
        models = {tree.environment: model_of(tree, self._cache) for tree in trees}
        for environment, tree in zip(chosen, trees, strict=True):
            self._show_plan(tree, environment.repository.branch, environment.publication_branch)
        found_by_check = app.check(models, complete=not self._names)
        if any(True for _ in found_by_check.findings):
            show(found_by_check, out)
        else:
            out.print(f"check: {found_by_check.summary}.")
        written = (content for tree in trees for content in tree.files.values())
        self._cache.only([*written, *(content for contents in self._read.values() for content in contents)])

    def _show_plan(self, tree: Tree, branch: str, publication: str) -> None:
        """Print what publishing would do, or if nothing is published, what changes from the first look on."""
        name, folder = tree.environment, f"argocd/{tree.environment}"
        if name not in self._published:
            now = published(Git(self._app.root), name, branch, publication)
            self._published[name] = now if now.files else Snapshot.of_files("the beginning", tree.files)
            read = find_applications(self._published[name], [folder], self._cache).all
            self._read[name] = [content for each in read for content in each.files.values()]
        now = self._published[name]
        tree.keep_open(now, cache=self._cache)
        declared = Snapshot.of_files("the declaration", tree.files)
        found = with_refusals(plan(now, declared, folder=folder, cache=self._cache), declared, folder, self._cache)
        self._out.print(f"{name}: from {found.old} to {found.new}")
        print_plan(found, self._out)


def taken_again(app: App) -> App:
    """Return an app whose files were run again.

    Raises:
        UserError: They do not call ``main()``.
        Exception: Whatever they raise.
    """
    for name, module in [*sys.modules.items()]:
        file = getattr(module, "__file__", None)
        if name != "__main__" and file and is_user_code(file) and Path(file).resolve().is_relative_to(app.root):
            del sys.modules[name]
    importlib.invalidate_caches()
    linecache.checkcache()
    found: list[App] = []
    token = taking.set(found)
    try:
        runpy.run_path(str(app.file), run_name="__main__")
    finally:
        taking.reset(token)
    if not found:
        raise UserError(f"{app.program} does not call main().")
    return found[-1]


def files_of(root: Path) -> dict[str, _Stamp]:
    """Return the files of a repository, but for hidden ones and what is generated or installed."""
    owned, found = owned_paths(), {}
    pending = [""]
    while pending:
        here = pending.pop()
        with suppress(OSError), os.scandir(root / here) as entries:
            for entry in entries:
                path = f"{here}{entry.name}"
                if entry.name.startswith(".") or entry.name in _SKIPPED or is_owned(path, owned):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    is_library = is_library_code(f"{root / path}/")
                    if f"{path}/" not in owned and not is_library and not (root / path / "pyvenv.cfg").exists():
                        pending.append(f"{path}/")
                    continue
                with suppress(OSError):
                    stat = entry.stat()
                    found[path] = stat.st_mtime_ns, stat.st_size, stat.st_ino
    return found


def _state_of_git(root: Path) -> dict[str, int]:
    """Return when what Git knows of commits and branches was changed, by its path."""
    folder = root / ".git"
    if folder.is_file():
        with suppress(GitError):
            folder = root / Git(root).run("rev-parse", "--git-common-dir")
    found = {}
    for path in _with_references(folder):
        with suppress(OSError):
            found[str(path)] = path.stat().st_mtime_ns
    return found


def _with_references(folder: Path) -> Iterator[Path]:
    yield from (folder / "HEAD", folder / "packed-refs", folder / "config")
    yield from (folder / "refs").rglob("*")


def _told(error: BaseException, root: Path) -> str:
    """Return a fault in one's own code with its line; of any other, everything."""
    told = "".join(traceback.format_exception_only(error)).strip()
    if isinstance(error, SyntaxError) and error.filename:
        place, told = (error.filename, error.lineno or 0), f"{type(error).__name__}: {error.msg}"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        if not frames or not is_user_code(frames[-1].filename):
            return "".join(traceback.format_exception(error)).rstrip()
        place = frames[-1].filename, frames[-1].lineno or 0
    file = Path(place[0])
    with suppress(ValueError):
        file = file.resolve().relative_to(root)
    return f"{file.as_posix()}:{place[1]}: {told}\nNothing was written."

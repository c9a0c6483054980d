"""Where the programs of a rehearsal come from: a folder, what ``set_up`` has built, or PATH.

What is built is pinned by the Go modules in the folder beside this file, and by them alone: a ``tool`` directive for
each program, and checksums in ``go.sum``. A module of its own keeps what one needs out of the way of the others.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

import yaml

from constructs_lib.repository import user_cache
from constructs_lib.text import plural
from constructs_lib.user_error import UserError

MODULES = Path(__file__).with_suffix("")

#: How many times the size of the programs Go's own caches hold afterwards: 10 GB of sources, compiled packages and, for
#: Argo CD, a newer Go, for 0.6 GB of programs (measured).
CACHED_TIMES = 16
BUILT = "`--setup` builds it, or `--tools` names a folder that holds it (an official release will do)"


@dataclass(frozen=True)
class Program:
    """A program that a rehearsal starts: a row of ``tools.yaml``, which explains it."""

    name: str
    asked: Sequence[str] = ("--version",)
    otherwise: str = BUILT
    folder: str = ""
    pin: str = ""
    package: str = ""
    stamps: Sequence[str] = ()
    minutes: float = 0
    megabytes: int = 0
    definitions: str = ""
    for_tests: bool = False

    @property
    def version(self) -> str:
        """The version that ``go.mod`` pins, without its ``v``."""
        return _required(self.folder)[self.pin]

    @property
    def built(self) -> Path:
        """Where ``set_up`` puts it: the pinned version is part of the path, so an update is built anew."""
        return cache_folder() / f"{self.folder}-{self.version}" / self.name

    def command(self, go: str, to: Path) -> list[str]:
        """Return the command that builds it."""
        major, minor, *_ = self.version.split(".")
        stamps = (stamp.format(version=self.version, major=major, minor=minor) for stamp in self.stamps)
        flags = " ".join(("-s -w", *(f"-X {stamp}" for stamp in stamps)))
        # Whatever GOFLAGS says, no go.mod is changed and no repository around it is asked for a version.
        return [go, "build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", flags, "-o", str(to),
                self.package or self.pin]  # fmt: skip


_ALL = tuple(Program(**row) for row in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_bytes()))
#: In the order of the fields of `Tools`.
PROGRAMS = tuple(program for program in _ALL if not program.for_tests)
#: What the tests of this library measure a rehearsal with.
FOR_TESTS = tuple(program for program in _ALL if program.for_tests)


@dataclass(frozen=True)
class Tool(os.PathLike[str]):
    """A program that was found, and can stand in a command as it is.

    Attributes:
        name: Of the program.
        path: Its file, absolute.
        found: Where: ``--tools``, ``--setup`` or ``PATH``.
        version: What it told when it was asked.
        made_for: The minor version that a rehearsal is made for, if this one is another.
    """

    name: str
    path: Path
    found: str
    version: str
    made_for: str | None = None

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        other = f", made for {self.made_for}" if self.made_for else ""
        return f"{self.name} {self.version}{other} ({self.found}: {self.path})"


@dataclass(frozen=True)
class Tools:
    """All programs of a rehearsal."""

    etcd: Tool
    kube_apiserver: Tool
    kube_controller_manager: Tool
    kube_scheduler: Tool
    kubectl: Tool
    kwok: Tool
    argocd: Tool
    helm: Tool
    redis_server: Tool
    git: Tool

    @property
    def definitions(self) -> Path:
        """The folder with the CustomResourceDefinitions of Argo CD, beside its program; it need not be there."""
        return self.argocd.path.parent / "crds"

    def __str__(self) -> str:
        return "\n".join(str(tool) for tool in vars(self).values())


def find_tools(folder: Path | None = None) -> Tools:
    """Find all programs: in a folder, in what ``set_up`` has built, or on PATH, in this order.

    Args:
        folder: Holds executable files of these names, official releases for instance; it need not hold all.

    Raises:
        UserError: Some are missing or cannot work; each has its line with what to do.
    """
    if folder is not None and not folder.is_dir():
        raise UserError(f"--tools: {folder} is no folder.")
    with ThreadPoolExecutor() as pool:
        looked = list(pool.map(lambda program: _find(program, folder and folder.absolute()), PROGRAMS))
    wrong = [tool for tool in looked if isinstance(tool, str)]
    tools = [tool for tool in looked if isinstance(tool, Tool)]
    kubernetes = [tool for tool in tools if tool.name.startswith("kube-")]
    if len({_minor(tool.version) for tool in kubernetes}) > 1:
        wrong.append(f"{', '.join(map(str, kubernetes))}: these must be of one minor version")
    if wrong:
        raise UserError("\n  ".join(("A rehearsal cannot start:", *wrong)))
    return Tools(*tools)


def set_up(tell: Callable[[str], None], only: Collection[str] | None = None) -> None:
    """Build with Go what is not built yet; programs that are not built this way are left to `find_tools`.

    Args:
        tell: Takes each line of progress.
        only: The names of the programs to build; by default all, without a stand-in for a Redis that is on PATH.

    Raises:
        UserError: There is no Go or it is too old, a build failed, or the cache cannot be written.
    """
    root = cache_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / ".lock").open("w")
    except OSError as error:
        raise UserError(f"{root} cannot be written: {error.strerror}.") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("Waiting: another --setup builds, or what it started …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for rest in root.glob("*.part"):  # of one that was killed
            shutil.rmtree(rest)
        if only is None:
            only = {each.name for each in PROGRAMS if each.name != "redis-server" or not shutil.which(each.name)}
        wanted = [program for program in _ALL if program.folder and program.name in only]
        missing = [program for program in wanted if not program.built.exists()]
        if not missing:
            tell(f"All is built already: {root}")
            return
        go = _go()
        cores = os.cpu_count() or 1
        minutes = max(1, round(sum(program.minutes for program in missing) / cores))
        megabytes = sum(program.megabytes for program in missing)
        tell(
            f"Building {plural(len(missing), 'program')}: about {minutes} min on {plural(cores, 'core')} that do "
            f"nothing else, and the time to download the sources; {megabytes} MB in {root}, and at first up to "
            f"{megabytes * CACHED_TIMES / 1000:.1f} GB in Go's own caches, which `go clean -cache -modcache` frees"
        )
        for program in missing:
            began = time.monotonic()
            _build(program, go, lock, tell)
            size = program.built.stat().st_size / 1e6
            tell(f"{program.name} {program.version}: {time.monotonic() - began:.0f} s, {size:.0f} MB")


def _build(program: Program, go: str, lock: IO[str], tell: Callable[[str], None]) -> None:
    """Build a program beside its place and put it there whole."""
    tell(f"{program.name} {program.version} …")
    # `auto` lets Go fetch the newer Go that a module asks for; a go.work of the user's is about other modules.
    environment = {**os.environ, "GOTOOLCHAIN": "auto", "GOWORK": "off"}
    folder, part = MODULES / program.folder, TemporaryDirectory(dir=cache_folder(), prefix=program.name, suffix=".part")
    with part, TemporaryFile("w+") as said:
        to = Path(part.name) / program.name
        # It inherits the lock: if only we are killed, the next --setup waits until it has ended as well.
        process = subprocess.Popen(
            program.command(go, to),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            pass_fds=[lock.fileno()],
        )
        began = time.monotonic()
        try:
            while process.poll() is None:
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    tell(f"{program.name}: {time.monotonic() - began:.0f} s so far …")
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait()
        if process.returncode != 0:
            said.seek(0)
            lines = [line.rstrip() for line in said if not line.startswith("go: downloading ")]
            raise UserError("\n  ".join((f"{program.name} {program.version} was not built:", *lines[-8:])))
        program.built.parent.mkdir(exist_ok=True)
        if program.definitions:
            listed = [go, "list", "-m", "-f", "{{.Dir}}", program.pin]
            module = subprocess.check_output(listed, cwd=folder, env=environment, stderr=subprocess.DEVNULL, text=True)
            # Without the permissions of Go's cache, where nobody may write or remove anything.
            (program.built.parent / "crds").mkdir(exist_ok=True)
            for file in (Path(module.strip()) / program.definitions).glob("*.yaml"):
                shutil.copyfile(file, program.built.parent / "crds" / file.name)
        to.rename(program.built)


def _find(program: Program, folder: Path | None) -> Tool | str:
    """Return a program, or in one line what is wrong and what to do."""
    places = [("--tools", folder / program.name)] if folder else []
    if program.folder:
        places.append(("--setup", program.built))
    if on_path := shutil.which(program.name):
        places.append(("PATH", Path(on_path).absolute()))
    found, path = next((place for place in places if place[1].is_file()), ("", Path()))
    if not found:
        return f"{program.name} is missing: {program.otherwise}"
    if not os.access(path, os.X_OK):
        return f"{path} may not be executed: `chmod +x {path}`"
    # Argo CD's only binary is whatever this variable says.
    environment = {name: value for name, value in os.environ.items() if name != "ARGOCD_BINARY_NAME"}
    try:
        command = [str(path), *program.asked]
        asked = subprocess.run(command, env=environment, capture_output=True, errors="replace", timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        why = error.strerror if isinstance(error, OSError) else "no answer in a minute"
        return f"{path} does not run here ({why}): {program.otherwise}"
    version = re.search(r"(?<![\w.])v?(\d+\.\d+\.\d+)", asked.stdout + asked.stderr)
    if version is None:
        return f"{path} {' '.join(program.asked)} tells no version: {program.otherwise}"
    # A Redis is not measured by what stands in for it, nor Git, which has no pin.
    pinned = program.version if program.folder and program.package != "." else version[1]
    if version[1].split(".")[0] != pinned.split(".")[0]:
        return f"{path} is {version[1]}, and only {_minor(pinned)} is known to work: {program.otherwise}"
    other = _minor(version[1]) != _minor(pinned)
    return Tool(program.name, path, found, version[1], _minor(pinned) if other else None)


def _go() -> str:
    """Return the path of a Go that is new enough to fetch a newer one by itself."""
    go = shutil.which("go")
    if go is None:
        raise UserError("--setup builds with Go 1.21 or later, and there is none on PATH: install it, or give --tools.")
    told = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"go(\d+)\.(\d+)", told)
    if version and (int(version[1]), int(version[2])) < (1, 21):
        raise UserError(f"--setup builds with Go 1.21 or later, and {go} is older: update it, or give --tools.")
    return go


def cache_folder() -> Path:
    """Return the folder of what `set_up` builds, and of rehearsals at work."""
    return user_cache.cache_folder("rehearse")


@cache
def _required(folder: str) -> dict[str, str]:
    """Return the versions of the modules that a ``go.mod`` requires."""
    text = (MODULES / folder / "go.mod").read_text(encoding="utf-8")
    return dict(re.findall(r"^(?:require |\t)(\S+) v(\S+)", text, re.MULTILINE))


def _minor(version: str) -> str:
    """Return the first two numbers of a version."""
    return ".".join(version.split(".")[:2])

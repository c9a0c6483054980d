"""What all commands share: the declaration, its environments, and the repository."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from constructs_lib.cli.output import console
from constructs_lib.declare.declaration import Declaration, run_all
from constructs_lib.declare.diagnostics import DeclarationError, Diagnostic
from constructs_lib.declare.environment import Environment
from constructs_lib.declare.system import System
from constructs_lib.text import nearest
from constructs_lib.user_error import UserError

if TYPE_CHECKING:
    from constructs_lib.check.model import ClusterModel
    from constructs_lib.check.report.report import Report
    from constructs_lib.synth.tree import Tree
    from constructs_lib.synth.writer import Change

Result = TypeVar("Result")


def print_some(lines: Sequence[str], out: Console, most: int) -> None:
    """Print the first of some lines, and how many more there are."""
    for line in lines[:most]:
        out.print(f"  {line}")
    if len(lines) > most:
        out.print(f"  … and {len(lines) - most} more")


#: An option of the commands that judge manifests.
CHARTS = typer.Option(
    True,
    "--charts/--no-charts",
    envvar="CONSTRUCTS_LIB_CHARTS",
    help="Look into charts, with Helm; what is not in the cache is fetched.",
)


def look_into_charts(wanted: bool) -> None:
    """Have the rest of this run look into charts, if it is wanted."""
    from constructs_lib.repository.rendering import Charts, looking

    looking.set(Charts() if wanted else None)


class NotJudgedError(UserError):
    """What is to be judged cannot be read."""


class CommandError(UserError):
    """A command was called with wrong arguments."""


class NoDeclarationError(CommandError):
    """A command needs the declaration, and the console command, which has none, runs it.

    Attributes:
        app: The file of the app that is to run. Default: that of the current folder.
    """

    def __init__(self, app: Path | None = None) -> None:
        """Ask for an app."""
        super().__init__("There is no declaration.")
        self.app = app


@dataclass(frozen=True)
class App:
    """What ``main()`` was called with, and the repository's root: the folder of the file that holds the declaration.

    Attributes:
        declared: The declaration; None for commands that the console command runs without an app.
        environments: All environments; none without a declaration.
        root: The repository's root; without a declaration the current folder.
        file: The file that called ``main()``; None without a declaration.
    """

    declared: Declaration | None
    environments: Sequence[Environment]
    root: Path
    file: Path | None = None

    @property
    def declaration(self) -> Declaration:
        """The declaration.

        Raises:
            NoDeclarationError: There is none.
        """
        if self.declared is None:
            raise NoDeclarationError
        return self.declared

    @property
    def program(self) -> str:
        """The file that called ``main()``, relative to the root.

        Raises:
            NoDeclarationError: There is no declaration.
        """
        if self.file is None:
            raise NoDeclarationError
        return self.file.resolve().relative_to(self.root).as_posix()

    def choose(self, names: Sequence[str]) -> list[Environment]:
        """Return the environments with these names, each once; all of them if there are no names.

        Raises:
            CommandError: There is no such environment.
            NoDeclarationError: There is no declaration.
        """
        if self.declared is None:
            raise NoDeclarationError
        known = {environment.name: environment for environment in self.environments}
        for name in names:
            if name not in known:
                raise CommandError(f'There is no environment "{name}"; {nearest(name, known)}')
        return [known[name] for name in dict.fromkeys(names)] if names else list(self.environments)

    def declare_one(self, name: str | None, finish: Callable[[System], Result]) -> Result:
        """Return what ``finish`` makes of the system in one environment. Default: the last one declared.

        Raises:
            CommandError: There is no such environment.
            DeclarationError: The declaration has errors.
        """
        chosen = self.choose([name] if name is not None else [])[-1:]
        [found] = run_all(self.declaration, chosen, finish)
        return found

    def synthesize(
        self, environments: Sequence[Environment], *, keep_manifests: bool = False, verify: bool = True
    ) -> list[Tree]:
        """Return the files of some environments, with progress on the standard error.

        Raises:
            DeclarationError: The declaration has errors, in any of them.
            PinsError: The pins of one of them cannot be read, or are wrong and it was asked to ``verify`` them.
        """
        from constructs_lib.synth.pipeline import synthesize_all

        self._demand_root()
        with self._telling("reading the declaration") as tell:
            return synthesize_all(
                self.declaration, environments, self.root, tell, keep_manifests=keep_manifests, verify=verify
            )

    def process(
        self, environments: Sequence[Environment], *, complete: bool, check: bool, adopt: bool = False
    ) -> tuple[list[Tree], Change]:
        """Write or compare the files of some environments, with progress on the standard error.

        Raises:
            DeclarationError: The declaration has errors, in any of them.
            PinsError: The pins of one of them cannot be read, or are wrong.
            WriteError: The files cannot be written.
        """
        from constructs_lib.synth.pipeline import process

        self._demand_root()
        with self._telling("reading the declaration") as tell:
            return process(self.declaration, environments, self.root, tell, complete=complete, check=check, adopt=adopt)

    def _demand_root(self) -> None:
        """Refuse to make files where Argo CD does not look for them.

        A repository around the declaration counts if it may be the one that is declared: it has no other address.

        Raises:
            DeclarationError: The declaration is in another folder of the repository than it says.
        """
        from constructs_lib.repository.git import Git, GitError
        from constructs_lib.repository.remote import is_same_repository, repository_name

        is_top = (self.root / ".git").exists()
        if is_top and not any(environment.repository.path for environment in self.environments):
            return
        if not is_top and not any((each / ".git").exists() for each in self.root.parents):
            return
        git = Git(self.root)
        try:
            folder = git.folder
            addresses = {repository_name(line.split()[1]) for line in git.run("remote", "--verbose").splitlines()}
            if folder and git.succeeds("check-ignore", "--quiet", "--", "."):
                return
        except GitError:
            return
        wrong = [
            Diagnostic(environment.location, f"environment {environment.name}", _says_where(folder, environment))
            for environment in self.environments
            # What is no path at all is told with all else that is wrong.
            if environment.repository.path != folder
            and not environment.repository.folder_problem()
            and (
                # What is pushed to a folder gets to an address that nobody tells.
                not any(addresses)
                or any(is_same_repository(each, repository_name(environment.repository.url)) for each in addresses)
            )
        ]
        if wrong:
            raise DeclarationError(wrong)

    @contextmanager
    def _telling(self, first: str) -> Iterator[Callable[[str], None]]:
        """Show progress on the standard error while the context lasts."""
        out = console()
        with out.status(first) as status:
            # Without a terminal nobody sees the texts, and formatting them would take a noticeable time.
            yield (lambda name: status.update(Text(name))) if out.is_terminal else lambda name: None

    def check(
        self,
        models: Mapping[str, ClusterModel],
        waivers: Path | None = None,
        tree: Path | None = None,
        *,
        complete: bool = False,
    ) -> Report:
        """Return what the proofs find in the models of environments, with progress on the standard error.

        Waivers are by default those of ``waivers.yaml`` in the repository, if it is there: not those in a ``tree`` of
        other people, the folder that was read instead of the declaration. ``complete`` tells that these are all
        environments.

        Raises:
            UserError: The waivers have errors, or there is no such file.
        """
        from constructs_lib.api import lines_of
        from constructs_lib.check.report.report import located, look, report
        from constructs_lib.check.waivers.waivers import WAIVERS_FILE, read_waivers

        is_own = tree is None or tree.resolve() == self.root.resolve()
        known, file = read_waivers(waivers, self.root if is_own else None)
        with self._telling("reading the tree") as tell:

            def tell_of(environment: str) -> Callable[[str], None]:
                return lambda proof: tell(f"{environment}: {proof}" if environment else proof)

            found = [look(model, name, tell_of(name)) for name, model in models.items()]
        if tree and not is_own and not waivers and (tree / WAIVERS_FILE).is_file():
            remark = f"the waivers in {tree / WAIVERS_FILE}; --waivers {tree / WAIVERS_FILE} has them count."
            found = [replace(looked, remarks=(*looked.remarks, remark)) for looked in found]
        if not tree and any(looked.findings for looked in found):
            # The declaration runs once more, to find the line from which each object comes.
            lines = run_all(self.declaration, self.choose([*models]), lambda system: lines_of(system, self.root))
            found = [located(looked, places) for looked, places in zip(found, lines, strict=True)]
        base = _seen_from_here(tree) if tree else next((each.repository.path for each in self.environments), "")
        return report(found, known, datetime.date.today(), file, complete=complete, base=base)


#: Takes what a file calls ``main()`` with, in place of running a command, while it is run again.
taking: ContextVar[list[App] | None] = ContextVar("taking", default=None)


def _says_where(folder: str, environment: Environment) -> str:
    """Return what is wrong with a repository that names another folder than the declaration is in."""
    said, add = environment.repository.path, f'GitRepository(…, path="{folder}")'
    where = f"in the folder {folder}" if folder else "in the root"
    told = f"in the folder {said}" if said else "in the root"
    return (
        f"the declaration is {where} of a Git repository, and Argo CD would look for dist/ and argocd/ {told}: "
        + (f"write {add}" if folder else "leave out path in GitRepository(…)")
        + (", or give it a repository of its own (git init)." if folder and not said else ".")
    )


def _seen_from_here(tree: Path) -> str:
    """Return a folder relative to the working directory, so that paths in the report can be opened from there."""
    try:
        relative = tree.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return tree.as_posix()
    return "" if relative == "." else relative

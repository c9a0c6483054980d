"""An app: the declaration, its environments and the repository around it, as the commands see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console

from constructs_lib.cli.declaration import Declaration, run
from constructs_lib.declare.diagnostics import DeclarationError, Mistake
from constructs_lib.declare.environment import Environment
from constructs_lib.declare.system import System
from constructs_lib.text import nearest
from constructs_lib.user_error import UserError

if TYPE_CHECKING:
    from constructs_lib.synth.tree import Tree

Result = TypeVar("Result")


class CommandError(UserError):
    """A command was called with something that it does not take."""


@dataclass(frozen=True)
class App:
    """What ``main()`` was called with.

    Attributes:
        declaration: Function that declares the system for one environment.
        environments: All environments.
        root: Root of the repository: the folder of the file that holds the declaration.
    """

    declaration: Declaration
    environments: Sequence[Environment]
    root: Path

    def choose(self, names: Sequence[str]) -> list[Environment]:
        """Return the environments with these names, each once; all of them if there are no names.

        Raises:
            CommandError: There is no such environment.
        """
        known = {environment.name: environment for environment in self.environments}
        for name in names:
            if name not in known:
                raise CommandError(f'There is no environment "{name}"; {nearest(name, known)}')
        return [known[name] for name in dict.fromkeys(names)] if names else list(self.environments)

    def declare(self, environments: Sequence[Environment], finish: Callable[[System], Result]) -> list[Result]:
        """Return what ``finish`` makes of the system in each of some environments.

        Raises:
            DeclarationError: The declaration has mistakes, in any of them.
        """
        results: list[Result] = []
        mistakes: list[Mistake] = []
        for environment in environments:
            try:
                results.append(run(self.declaration, environment, finish))
            except DeclarationError as error:
                mistakes += error.mistakes
        if mistakes:
            raise DeclarationError(mistakes)
        return results

    def synthesize(self, environments: Sequence[Environment], *, keep_manifests: bool = False) -> list[Tree]:
        """Return the files of some environments, and show on the standard error how far it is.

        Args:
            environments: The environments.
            keep_manifests: Whether the trees keep the objects, which takes memory.

        Raises:
            DeclarationError: The declaration has mistakes, in any of them.
            PinsError: The pins of one of them cannot be read.
        """
        from constructs_lib.repository.pins import read_pins
        from constructs_lib.synth.tree import synthesize

        pins = {environment.name: read_pins(self.root, environment.name) for environment in environments}
        with Console(stderr=True, highlight=False).status("reading the declaration") as status:
            return self.declare(
                environments,
                lambda system: synthesize(
                    system, status.update, pins[system.environment.name], keep_manifests=keep_manifests
                ),
            )

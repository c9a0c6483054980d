"""Runs of ``constructs-lib init`` in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from typer.testing import CliRunner

from constructs_lib.cli import init, synth
from constructs_lib.cli.app import CommandError
from constructs_lib.cli.commands import command_line
from constructs_lib.user_error import UserError

URL = "https://github.com/example/shop.git"
LIBRARY = "constructs-lib==1.2.3"
#: One environment of each kind.
ALL = ("local:k3d", "production:existing", "eu:digitalocean")


def run(*arguments: str, code: int = 0, given: str | None = None) -> str:
    """Return what ``init`` says, which has to end with a code; nobody is asked."""
    cli = command_line([init, synth], "")
    result = CliRunner().invoke(cli, ["init", *arguments], input=given)
    if isinstance(result.exception, UserError):
        found = 2 if isinstance(result.exception, CommandError) else 1
        assert found == code, result.exception
        return str(result.exception)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def begin(folder: Path, environments: Sequence[str] = ALL, *options: str, library: str = LIBRARY) -> str:
    """Return what ``init`` says when it begins the repository of a shop."""
    told = [word for environment in environments for word in ("--environment", environment)]
    named = [] if "--name" in options else ["--name", "shop"]
    addressed = [] if "--repository" in options else ["--repository", URL]
    return run(str(folder), *named, *addressed, *told, "--library", library, *options)


def files(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, but those of Git and of the writer."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in (".git", ".synth")
    }

"""The command ``import``: what it says, what it writes, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from constructs_lib.cli import import_
from constructs_lib.cli.entry import ALONE
from constructs_lib.importer.declaration import EXTERNAL_SECRETS
from constructs_lib.importer.words import LIBRARY
from constructs_lib.user_error import UserError

COMPOSE = "services:\n  web: {image: 'example/web:1.0.0', ports: ['8080:8080']}\n"


def run(*arguments: str) -> Result:
    """Run the command in this process."""
    app = typer.Typer()
    app.command()(import_.command)
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Compose file in the current folder."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE)
    return file


def test_it_writes_and_tells(source: Path) -> None:
    said = run("compose.yaml", "--into", "made", "--name", "desk", "--environment", "test").output
    assert said.startswith("desk: 1 workload of compose.yaml in ")
    assert "  + made/app.py\n" in said
    assert "guessed:\n" in said
    text = Path("made/app.py").read_text()
    assert 'TEST = Environment(\n    name="test",' in text
    assert "main(desk, [TEST])" in text


def test_an_app_that_is_there_stays(source: Path) -> None:
    Path("app.py").write_text("mine\n")
    error = run("compose.yaml").exception
    assert isinstance(error, UserError)
    assert str(error) == "app.py is there already; name another folder with --into. Nothing was written."
    assert Path("app.py").read_text() == "mine\n"
    assert sorted(each.name for each in Path().iterdir()) == ["app.py", "compose.yaml"]


def test_a_mistake_writes_nothing(source: Path) -> None:
    source.write_text("services: {web: {imag: x}}\n")
    error = run("compose.yaml", "--into", "made").exception
    assert isinstance(error, UserError)
    assert not Path("made").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.yaml", "There is no file or folder nothing.yaml; name a Compose file, "),
        ("notes.txt", "notes.txt is no YAML file; name a Compose file, "),
    ],
)
def test_a_source_that_is_none_is_told(source: Path, name: str, message: str) -> None:
    Path("notes.txt").write_text("notes")
    assert str(run(name).exception).startswith(message)


def test_the_console_command_has_it() -> None:
    assert import_ in ALONE


def test_it_knows_the_versions_and_names_of_the_library() -> None:
    import constructs_lib
    import versions

    assert versions.EXTERNAL_SECRETS_CHART == EXTERNAL_SECRETS
    assert {*constructs_lib.__all__} >= LIBRARY

"""The command ``graph``: what it prints and writes, and how it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from app_runs import ROOT, Outcome, run, state

DECLARATION = """from constructs_lib import *

REPOSITORY = GitRepository("https://github.com/example/shop.git")
LOCAL = Environment(name="local", repository=REPOSITORY, cluster=K3d(kubernetes="1.36", nodes=1))
STAGING = Environment(name="staging", repository=REPOSITORY, cluster=K3d(kubernetes="1.36", nodes=3))


def shop(environment):
    system = System(environment, "shop")
    orders = Microservice(system, "orders", image="example/orders:1.4.0", ports={"http": 8080})
    web = Microservice(system, "web", image="example/web:2.0.1", ports={"http": 3000}, exposed="http")
    web.needs(orders.endpoint("http"))
    return system


main(shop, [LOCAL, STAGING])
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an app, in whose folder its commands run."""
    app = tmp_path / "app.py"
    app.write_text(DECLARATION)
    monkeypatch.chdir(tmp_path)
    return app


def printed(app: Path, *arguments: str, **variables: str) -> str:
    """Return what a run of its own prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, app.name, "graph", *arguments]
    result = subprocess.run(command, cwd=app.parent, env=environment, capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    return result.stdout.decode()


def test_default_is_the_architecture_of_the_last_environment_as_mermaid(app: Path) -> None:
    text = printed(app)
    assert "\nflowchart LR\n  accTitle: Architecture of shop in staging\n" in text
    assert text == printed(app, "staging", "--view", "architecture", "--format", "mermaid")


def test_views_formats_and_environments(app: Path) -> None:
    assert "accTitle: Order of deployment of shop in local\n" in printed(app, "local", "--view", "order")
    svg = printed(app, "local", "--format", "svg")
    assert svg.startswith("<svg ")
    assert '<title id="title">Architecture of shop in local</title>' in svg


def test_prints_utf_8_whatever_the_locale(app: Path) -> None:
    plain = printed(app)
    assert "→" in plain
    assert printed(app, PYTHONIOENCODING="latin-1") == plain


@pytest.mark.parametrize(
    ("arguments", "beginning"),
    [
        (["--output", "a.svg"], "<svg "),
        (["--output", "a.mmd"], "%%{init: "),
        (["--output", "a.md"], "%%{init: "),
        (["--output", "A.SVG"], "<svg "),
        (["--output", "picture"], "%%{init: "),
        (["--output", "a.txt", "--format", "svg"], "<svg "),
    ],
)
def test_output(app: Path, arguments: list[str], beginning: str) -> None:
    assert run(app, "graph", *arguments) == Outcome(0, [f"Wrote {arguments[1]}."])
    assert Path(arguments[1]).read_text().startswith(beginning)
    assert [path.name for path in Path(arguments[1]).parent.iterdir() if path.name.startswith(".")] == []


def test_output_replaces_a_file_and_keeps_the_permissions_of_new_ones(app: Path) -> None:
    Path("a.svg").write_text("before")
    usual = Path("a.svg").stat().st_mode
    assert run(app, "graph", "--output", "a.svg") == Outcome(0, ["Wrote a.svg."])
    assert Path("a.svg").read_text().startswith("<svg ")
    assert Path("a.svg").stat().st_mode == usual


DOCS = "docs/architecture.md, docs/architecture.svg, docs/deployment-order.svg"


def test_docs(app: Path) -> None:
    assert run(app, "graph", "--docs", "docs") == Outcome(0, [f"Wrote {DOCS}."])
    assert sorted(path.name for path in Path("docs").iterdir()) == [
        "architecture.md",
        "architecture.svg",
        "deployment-order.svg",
    ]
    assert Path("docs/architecture.md").read_text().startswith("# shop in staging\n")
    before = state(Path("docs"))
    assert run(app, "graph", "--docs", "docs") == Outcome(0, [f"Up to date: {DOCS}; nothing was written."])
    assert state(Path("docs")) == before


def test_docs_writes_what_differs_alone(app: Path) -> None:
    assert run(app, "graph", "--docs", "docs").code == 0
    with Path("docs/architecture.svg").open("a") as picture:
        picture.write("by hand")
    Path("docs/deployment-order.svg").unlink()
    assert run(app, "graph", "--docs", "docs") == Outcome(
        0, ["Wrote docs/architecture.svg, docs/deployment-order.svg."]
    )


@pytest.mark.parametrize("command", [["graph", "--docs", "docs"], ["check", "--docs", "docs/architecture.md"]])
def test_page_of_somebody_else_is_not_replaced(app: Path, command: list[str]) -> None:
    Path("docs").mkdir()
    Path("docs/architecture.md").write_text("# How it is built\n")
    said = "docs/architecture.md is not generated; move it away, or name another folder. Nothing was written."
    assert run(app, *command) == Outcome(2, [said])
    assert [path.name for path in Path("docs").iterdir()] == ["architecture.md"]
    assert Path("docs/architecture.md").read_text() == "# How it is built\n"


def test_check_of_docs_writes_nothing(app: Path) -> None:
    """Exit code 1 where something would be written, 0 where nothing would."""

    def checked(outcome: Outcome) -> None:
        before = state(app.parent)
        assert run(app, "graph", "--docs", "docs", "--check") == outcome
        assert state(app.parent) == before

    advice = "run the command without --check and commit what it writes."
    checked(Outcome(1, [f"Not up to date: {DOCS}; {advice}"]))
    assert run(app, "graph", "--docs", "docs").code == 0
    checked(Outcome(0, [f"Up to date: {DOCS}; nothing was written."]))
    app.write_text(DECLARATION.replace("3000", "3001"))
    checked(Outcome(1, [f"Not up to date: docs/architecture.md, docs/architecture.svg; {advice}"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stagin"], 'There is no environment "stagin"; did you mean "staging"?'),
        (
            ["--docs", "docs", "--view", "order"],
            "--docs writes both views as it needs them; leave out --view, --format and --output.",
        ),
        (
            ["--docs", "docs", "--output", "a.svg"],
            "--docs writes both views as it needs them; leave out --view, --format and --output.",
        ),
        (
            ["--format", "mermaid", "--output", "a.svg"],
            "a.svg would hold Mermaid; name it .mmd, or choose --format svg.",
        ),
        (["--output", "folder"], "folder is a folder; name a file."),
        (["--output", "new/folder/a.svg"], "The folder new/folder does not exist; make it, or name another one."),
        (["--output", "app.py/a.svg"], "app.py is a file; name a folder."),
        (["--docs", "new/docs"], "The folder new does not exist; make it, or name another one."),
        (["--docs", "app.py"], "app.py is a file; name a folder."),
        (
            ["--output", "a.png"],
            "a.png: nothing can be drawn as .png; end the name in .svg for SVG, in .mmd, .md, .txt or nothing for "
            "Mermaid.",
        ),
        (["--check"], "--check compares what --docs would write; name the folder with --docs FOLDER."),
    ],
)
def test_refusals(app: Path, arguments: list[str], message: str) -> None:
    Path("folder").mkdir()
    before = state(app.parent)
    assert run(app, "graph", *arguments) == Outcome(2, [message])
    assert state(app.parent) == before


@pytest.mark.parametrize("arguments", [["--view", "orders"], ["--format", "png"], ["local", "staging"], ["--colour"]])
def test_usage(app: Path, arguments: list[str]) -> None:
    outcome = run(app, "graph", *arguments)
    assert outcome.code == 2
    assert len(outcome.said) == 1


def test_mistakes_in_the_declaration(app: Path) -> None:
    app.write_text(DECLARATION.replace('endpoint("http")', 'endpoint("htpp")'))
    before = state(app.parent)
    outcome = run(app, "graph", "--docs", "docs")
    assert outcome.code == 1
    assert outcome.said[0] == 'app.py:12: orders: there is no endpoint "htpp"; did you mean "http"?'
    assert state(app.parent) == before


def test_a_failure_leaves_all_files_as_they_were(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(app, "graph", "--docs", "docs").code == 0
    before = {path.name: path.read_bytes() for path in Path("docs").iterdir()}
    app.write_text(DECLARATION.replace("3000", "3001"))
    prepared = 0
    write = Path.write_text

    def fail(path: Path, *arguments: Any, **options: Any) -> int:
        nonlocal prepared
        prepared += 1
        if prepared == 2:
            raise OSError(28, "No space left on device", "docs/architecture.svg")
        return write(path, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", fail)
    assert run(app, "graph", "--docs", "docs") == Outcome(1, ["docs/architecture.svg: No space left on device."])
    assert {path.name: path.read_bytes() for path in Path("docs").iterdir()} == before


def test_help_has_an_example(app: Path) -> None:
    assert "Example: python app.py graph " in printed(app, "--help")

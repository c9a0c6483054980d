"""The console command: it is ``python app.py`` where there is an app, and judges any folder where there is none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from app_runs import ROOT, Run, run_process

from constructs_lib import __version__

APP = """
from constructs_lib import Environment, GitRepository, K3d, Microservice, Postgres, System, main


def shop(environment: Environment) -> System:
    system = System(environment, "shop")
    stock = Microservice(system, "stock", image="example/stock:1.4.0", ports={"http": 8080})
    # more
    return system


repository = GitRepository("https://example.com/shop.git")
main(shop, [Environment(name="here", repository=repository, cluster=K3d(kubernetes="1.36", nodes=1))])
"""
ENTRY = ROOT / "constructs_lib/__main__.py"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an app and what it gives."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "app.py").write_text(APP)
    assert console(folder).out.startswith("here: 12 objects of 1 components in 1 waves\n")
    assert (folder / "dist/here/stock/Deployment-stock.yaml").is_file()
    return folder


def console(folder: Path, *arguments: str, **variables: str) -> Run:
    """Run ``constructs-lib`` with these arguments."""
    return run_process(folder, *arguments, app=ENTRY, **variables)


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "synth --check",
        "check",
        "check her",
        "plan here",
        "plan --strict",
        "publish here",
        "graph",
        "why stock",
        "why Deployment/stok",
        "observe",
        "rehearse",
        "--debug why stock here",
    ],
)
def test_it_is_what_the_app_does(shop: Path, arguments: str) -> None:
    words = arguments.split()
    said = console(shop, *words)
    assert said == run_process(shop, *words)
    assert said.out or said.code


def test_the_app_of_another_folder(shop: Path, tmp_path: Path) -> None:
    assert console(tmp_path, "--app", str(shop / "app.py"), "synth", "--check").code == 0
    assert (
        console(tmp_path, f"--app={shop / 'app.py'}", "check", "--tree", ".").err
        == "--tree: . holds no YAML and no JSON.\n"
    )
    missing = console(tmp_path, "--app", "apps.py", "synth")
    assert (missing.code, missing.err) == (2, "--app: there is no file apps.py.\n")


def test_without_an_app_trees_are_judged(shop: Path, tmp_path: Path) -> None:
    # Other people's apps are called so, too.
    (tmp_path / "app.py").write_text("from constructs_lib import main\nraise SystemExit('I ran')\n")
    checked = console(tmp_path, "check", "--tree", str(shop))
    assert (checked.code, checked.out.splitlines()[0]) == (0, "here: 12 objects, Kubernetes 1.36")
    newer = tmp_path / "newer"
    shutil.copytree(shop, newer)
    deployment = newer / "dist/here/stock/Deployment-stock.yaml"
    deployment.write_text(deployment.read_text().replace("stock:1.4.0", "stock:1.5.0"))
    planned = console(tmp_path, "plan", "--from", str(shop), "--to", "newer")
    assert (planned.code, planned.err) == (0, "")
    assert planned.out.endswith("Plan: 1 component in 1 wave: 1 rolling restart (1 pod); nothing is lost.\n")
    assert (
        "There is nothing in argocd/her/ of newer"
        in console(tmp_path, "plan", "her", "--from", "newer", "--to", "newer").err
    )


@pytest.mark.parametrize(
    "arguments", ["synth", "check", "plan --to .", "publish here", "why a", "graph", "observe here"]
)
def test_what_needs_an_app_says_so(tmp_path: Path, arguments: str) -> None:
    said = console(tmp_path, *arguments.split())
    assert said.code == 2
    assert said.said.startswith("There is no app.py here, which declares the system that this is about. ")
    (tmp_path / "app.py").write_text("from flask import Flask\nopen('ran', 'w')\n")
    said = console(tmp_path, *arguments.split())
    assert said.code == 2
    assert said.said.startswith("The app.py here does not use constructs_lib, and was not run. ")
    assert [*tmp_path.iterdir()] == [tmp_path / "app.py"]


def test_help_and_version(tmp_path: Path, shop: Path) -> None:
    assert console(tmp_path).out == console(tmp_path, "-h").out == console(shop, "--help").out
    assert "Usage: constructs-lib [OPTIONS] COMMAND" in console(tmp_path).out
    assert console(tmp_path, "synth", "-h").out == console(shop, "synth", "--help").out
    for found in (console(tmp_path, "--version"), run_process(shop, "--version")):
        assert found == Run(0, f"constructs-lib {__version__}\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "mistake", ["1 / 0", "def (", "import nothing_of_this_name", "shop(THERE).environment.pick(x=1)"]
)
def test_an_app_that_fails_by_itself(tmp_path: Path, mistake: str) -> None:
    there = 'THERE = Environment(name="there", repository=repository, cluster=K3d(kubernetes="1.36", nodes=1))'
    (tmp_path / "app.py").write_text(APP.replace("main(shop", f"{there}\n{mistake}\nmain(shop"))
    (tmp_path / "link.py").symlink_to("app.py")

    def said(*command: str) -> tuple[int, bytes]:
        run = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False
        )
        return run.returncode, run.stdout + run.stderr

    expected = said("link.py", "check")
    assert expected[0] == 1
    assert said("-m", "constructs_lib", "--app", "link.py", "check") == expected


def test_debug_shows_where_it_broke_off(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP.replace("# more", "{}['price']"))
    said = console(tmp_path, "check")
    assert said.err.startswith("app.py:8: declaration: it broke off here with KeyError: 'price'.\n")
    shown = console(tmp_path, "--debug", "check")
    assert shown.code == said.code == 1
    assert shown.err.startswith("Traceback (most recent call last):\n")
    assert "{}['price']" in shown.err
    assert shown.err.endswith(said.err)
    assert console(tmp_path, "check", CONSTRUCTS_LIB_DEBUG="1").err == shown.err
    # A message that nothing is behind stays what it is.
    (tmp_path / "app.py").write_text(APP.replace("8080", "80800"))
    assert console(tmp_path, "--debug", "check").err == console(tmp_path, "check").err


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("constructs-lib plan ", "here"),
        ("constructs-lib why st", "stock"),
        ("constructs-lib publish here --only ", "stock"),
        ("constructs-lib pub", "publish"),
        ("constructs-lib plan x", ""),
    ],
)
def test_a_shell_completes_names(shop: Path, line: str, offered: str) -> None:
    variables = {"_CONSTRUCTS_LIB_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    assert console(shop, **variables).out.split() == offered.split()
    assert (
        "complete -o default -F _constructs_lib_completion constructs-lib"
        in console(shop, "--show-completion", "bash").out
    )

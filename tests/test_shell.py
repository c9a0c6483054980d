"""Every shell script of the repository, and every one in the generated objects, is sound by sh and by shellcheck."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from github_runner import heard
from synthesized import Synthesized
from systems import monitored

from constructs_lib import RabbitMQ, Valkey, synthesize

ROOT = Path(__file__).parent.parent
SHEBANG = re.compile(r"#!\s*/(?:usr/)?bin/(?:env )?(bash|sh)\b")


def files() -> dict[str, tuple[str, str]]:
    """Return the shell and the text of every script of the repository: ``*.sh``, and what says it at its beginning."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    found = {}
    for name in listing.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and not path.is_symlink() and path.suffix in ("", ".sh"):
            text = path.read_text(encoding="utf-8", errors="replace")
            if match := SHEBANG.match(text):
                found[name] = (match[1], text)
            elif path.suffix == ".sh":
                found[name] = ("sh", text)
    return found


def steps() -> dict[str, str]:
    """Return the commands of every step of the GitHub workflows, by the workflow and the step's place in it."""
    return {
        f"{file.name}, {job}, step {number}": step["run"]
        for file in sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
        for job, content in yaml.safe_load(file.read_text())["jobs"].items()
        for number, step in enumerate(content["steps"], 1)
        if "run" in step
    }


def embedded(part: Any) -> set[tuple[str, str]]:
    """Return the shell and the text of every command ``sh -c`` below a part of an object."""
    found: set[tuple[str, str]] = set()
    if isinstance(part, dict):
        for value in part.values():
            found |= embedded(value)
    elif isinstance(part, list):
        if len(part) > 2 and part[1] == "-c" and Path(str(part[0])).name in ("bash", "sh"):
            found.add((Path(part[0]).name, part[2]))
        for value in part:
            found |= embedded(value)
    return found


@cache
def check(shell: str, text: str) -> str:
    """Return what shells and shellcheck have to say against a script."""
    found = ""
    shells = [shell] if shell == "bash" else [program for program in ("dash", "bash", "sh") if shutil.which(program)]
    for program in shells:
        result = subprocess.run([program, "-n"], input=text, capture_output=True, text=True, check=False)
        found += result.stdout + result.stderr + (f"{program} -n fails" if result.returncode else "")
    command = ["shellcheck", f"--shell={shell}", "--format=gcc", "-"]
    return found + subprocess.run(command, input=text, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module", autouse=True)
def shellcheck() -> None:
    """Shellcheck is there, or nothing here is tested."""
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")


def test_files_of_the_repository() -> None:
    """Those of the library among them."""
    scripts = files()
    assert {f"constructs_lib/kinds/{name}.sh" for name in ("parts/scripts/wait", "postgres/scripts/schema")} < set(
        scripts
    )
    assert {name: problem for name, (shell, text) in scripts.items() if (problem := check(shell, text))} == {}


def test_steps_of_the_workflows() -> None:
    """No step takes an expression into its text, where it would be run as code."""
    found = steps()
    workflows = {file.name for file in (ROOT / ".github" / "workflows").glob("*.yaml")}
    assert {name.partition(",")[0] for name in found} == workflows
    assert {name: text for name, text in found.items() if "${{" in text} == {}
    assert {name: problem for name, text in found.items() if (problem := check("bash", text))} == {}


def test_commands_of_the_generated_objects(tree: Synthesized, trees: dict[str, Synthesized]) -> None:
    """The library's scripts as they arrive in the pods, and what the constructs add to them."""
    # PositionPal has none of the first kind, and of the other not in both environments.
    system = monitored("test")
    Valkey(system, "cache", image="valkey/valkey:9.0.1")
    RabbitMQ(system, "broker", image="rabbitmq:4.2.1-management", storage="1Gi")
    objects = [*tree.objects(), *Synthesized("test", synthesize(system).files).objects()]
    # Where nothing is saved outside of the cluster, nothing calls a bucket.
    objects += [] if tree.environment == "production" else trees["production"].objects()
    scripts = {script for manifest in objects for script in embedded(manifest)}
    own = {path.read_text(encoding="utf-8") for path in (ROOT / "constructs_lib/kinds").glob("*/scripts/*.sh")}
    # Some begin with the text of another one.
    assert {text for text in own if not any(text in whole for _, whole in scripts)} == set()
    assert [problem for shell, text in scripts if (problem := check(shell, text))] == []


def test_workflows_are_sound() -> None:
    """By actionlint: contexts, types, names of steps and jobs, and the inputs of actions that it knows."""
    program = Path(sys.prefix) / "actionlint/actionlint"
    if not program.exists():
        pytest.skip("actionlint is not built: make test builds it with Go")
    found = subprocess.run([program, "-no-color"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, ""), found.stdout + found.stderr


def test_what_runs_quietly_is_not_heard(tmp_path: Path) -> None:
    """On neither of its outputs; its result goes to a file as it is, and its exit code is passed on."""
    script = "echo ::error::one; echo ::error::two >&2; printf '##[error]three'; exit 3"
    said = []
    for options in ((), ("--to", "result")):
        command = [ROOT / ".ci/quietly", *options, "sh", "-c", script]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (3, "")
        assert [*heard(result.stdout)] == []
        said.append(result.stdout)
    assert all(f"::error::{word}" in said[0] for word in ("one", "two"))
    assert (tmp_path / "result").read_text() == "::error::one\n##[error]three"
    # Nobody can guess the word that ends it.
    assert len({text.splitlines()[0] for text in said}) == 2


def workflows() -> dict[str, dict[str, Any]]:
    """Return the workflows by their file."""
    return {file.name: yaml.safe_load(file.read_text()) for file in sorted((ROOT / ".github/workflows").glob("*.yaml"))}


def test_what_runs_code_has_no_rights() -> None:
    """Only a job that checks nothing out may write, and what is pushed is pushed with a key of its own."""
    for name, workflow in workflows().items():
        for job_name, job in workflow["jobs"].items():
            rights = job.get("permissions", workflow["permissions"])
            uses = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
            if "write" in str(rights):
                assert "actions/checkout" not in uses, f"{name}: {job_name}"


def test_no_checkout_keeps_its_token_and_actions_are_pinned() -> None:
    steps = [step for workflow in workflows().values() for job in workflow["jobs"].values() for step in job["steps"]]
    actions = [step for step in steps if "uses" in step]
    assert [step["uses"] for step in actions if not re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])] == []
    checkouts = [step for step in actions if step["uses"].startswith("actions/checkout@")]
    assert checkouts and all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize(
    ("shell", "text"),
    [
        ("sh", "if true; then echo yes"),
        ("sh", 'echo "never ends'),
        ("sh", "rm -r $folder/*"),
        ("sh", "[[ $a == b ]]"),
        ("bash", "for file in $(ls); do cat $file; done"),
    ],
)
def test_a_faulty_script_is_found(shell: str, text: str) -> None:
    """Syntax, quotes, and what only bash knows in a script for sh."""
    assert check(shell, text)

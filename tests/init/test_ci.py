"""Continuous integration of a new repository: what runs there is sound, and on GitLab, does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import test_shell
import yaml
from app_runs import ROOT
from initialized import begin
from repositories import IDENTITY, git, run

GITLAB = "https://gitlab.example.com/team/shop.git"
HOST = "gitlab.example.com"
#: Answers what the jobs ask of GitLab: its API, and its SSH server, which runs git's own program.
CURL = """#!/bin/sh
printf '%s\\n' "$@" > "$CALLED"
for word; do case "$word" in body@*) cat "${word#body@}" >> "$CALLED" ;; esac; done
"""
SSH = """#!/bin/sh
while [ "$1" != git@gitlab.example.com ]; do [ "$1" != -i ] || cat "$2" > "$CALLED"; shift; done
exec "${2%% *}" "$ORIGIN"
"""


def test_workflows_of_github(tmp_path: Path) -> None:
    """By actionlint and shellcheck; no step takes an expression into its text, where it would be run as code."""
    begin(tmp_path)
    git(tmp_path, "init", "--quiet")
    texts = {file.name: yaml.safe_load(file.read_text()) for file in (tmp_path / ".github/workflows").iterdir()}
    assert sorted(texts) == ["plan.yaml", "publish.yaml", "tests.yaml"]
    steps = [step for text in texts.values() for job in text["jobs"].values() for step in job["steps"]]
    scripts = [step["run"] for step in steps if "run" in step]
    assert [text for text in scripts if "${{" in text] == []
    assert [problem for text in scripts if (problem := test_shell.check("bash", text))] == []
    actions = [step["uses"] for step in steps if "uses" in step]
    assert [action for action in actions if not re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action)] == []
    assert texts["publish.yaml"][True]["workflow_run"]["workflows"] == [texts["tests.yaml"]["name"]]
    program = Path(sys.prefix) / "actionlint/actionlint"
    if not program.exists():
        pytest.skip("actionlint is not built: make test builds it with Go")
    found = subprocess.run([program, "-no-color"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, ""), found.stdout + found.stderr


class GitLab:
    """A pushed repository, and a runner that has checked it out."""

    def __init__(self, folder: Path) -> None:
        self.work, self.called = folder / "work", folder / "called"
        self._bin, self._origin = folder / "bin", folder / "origin.git"
        self._bin.mkdir()
        for name, text in (("curl", CURL), ("ssh", SSH)):
            (self._bin / name).write_text(text)
            (self._bin / name).chmod(0o755)
        begin(self.work, ["local:k3d", "production:existing"], "--repository", GITLAB)
        (self.work / ".venv/bin").mkdir(parents=True)
        python = self.work / ".venv/bin/python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        (self.work / ".venv/ready").touch()
        git(self.work, "init", "--quiet", "--initial-branch=main")
        git(self.work, "init", "--quiet", "--bare", "--initial-branch=main", str(self._origin))
        git(self.work, "remote", "add", "origin", str(self._origin))
        assert run(self.work).code == 0
        self.commit("Declare the shop")
        git(self.work, "push", "--quiet", "--set-upstream", "origin", "main")
        self.jobs: dict[str, Any] = yaml.safe_load((self.work / ".gitlab-ci.yml").read_text())

    def commit(self, message: str) -> None:
        """Commit all that is there."""
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--message", message)

    def run(self, job: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a job on the commit that is checked out, detached as the runner does it."""
        commit = git(self.work, "rev-parse", "HEAD")
        git(self.work, "switch", "--quiet", "--detach", commit)
        lines = [*self.jobs[".ready"]["before_script"], *self.jobs[job]["script"]]
        environment = {
            **os.environ,
            **IDENTITY,
            "PATH": f"{self._bin}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "CALLED": str(self.called),
            "ORIGIN": str(self._origin),
            "CI_COMMIT_SHA": commit,
            "CI_SERVER_HOST": HOST,
            "CI_PROJECT_PATH": "team/shop",
            "CI_PROJECT_ID": "7",
            "CI_API_V4_URL": f"https://{HOST}/api/v4",
            "CI_MERGE_REQUEST_IID": "3",
            **variables,
        }
        command = ["bash", "-eo", "pipefail", "-c", "\n".join(lines)]
        return subprocess.run(command, cwd=self.work, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def gitlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitLab]:
    """A repository of which the first state is pushed."""
    yield GitLab(tmp_path_factory.mktemp("gitlab"))


def test_scripts_of_gitlab_are_sound(gitlab: GitLab) -> None:
    scripts = ["\n".join(job["script"]) for job in gitlab.jobs.values() if isinstance(job, dict) and "script" in job]
    assert len(scripts) == 3
    # What the first of them asks for is there.
    assert scripts[0] == "make up-to-date check test"
    subprocess.run(["make", "--dry-run", *scripts[0].split()[1:]], cwd=gitlab.work, check=True, capture_output=True)
    assert [problem for text in scripts if (problem := test_shell.check("bash", text))] == []


def test_gitlab_plans_and_publishes(gitlab: GitLab, tmp_path: Path) -> None:
    """What is merged is published with the key; a merge request gets a note, and dangers fail it."""
    (tmp_path / "key").write_text("the key of the publisher\n")
    published = gitlab.run("publish", PUBLISH_KEY=str(tmp_path / "key"))
    assert published.returncode == 0, published.stdout + published.stderr
    assert gitlab.called.read_text() == "the key of the publisher\n"
    git(gitlab.work, "fetch", "--quiet", "origin")
    newest = git(gitlab.work, "log", "-1", "--format=%cn %s", "origin/main")
    assert newest == "publish Publish production: backend, frontend"
    # By which the rule of the job knows it.
    assert re.search(r"!~ /\^Publish /", gitlab.jobs["publish"]["rules"][0]["if"])

    git(gitlab.work, "switch", "--quiet", "--create", "change", "origin/main")
    app = gitlab.work / "app.py"
    text = app.read_text()
    app.write_text(text.replace('    frontend.needs(backend.endpoint("http"), {"BACKEND": "address"})\n', ""))
    text = app.read_text()
    app.write_text(text[: text.index("    backend = ")] + text[text.index("    frontend = ") :])
    assert run(gitlab.work).code == 0
    gitlab.commit("Remove the backend")
    change = git(gitlab.work, "rev-parse", "HEAD")
    planned = gitlab.run("plan", PLAN_TOKEN="a token")
    assert planned.returncode == 1, planned.stdout + planned.stderr
    note = gitlab.called.read_text()
    assert f"https://{HOST}/api/v4/projects/7/merge_requests/3/notes" in note
    assert "### Plan of production" in note and "backend" in note
    git(gitlab.work, "switch", "--quiet", "--detach", change)
    labelled = gitlab.run("plan", CI_MERGE_REQUEST_LABELS="urgent,dangerous")
    assert labelled.returncode == 0, labelled.stdout + labelled.stderr
    # The branch has moved on by the publication: its own pipeline is the one that publishes.
    git(gitlab.work, "switch", "--quiet", "--detach", "origin/main~1")
    assert "main has moved since" in gitlab.run("publish", PUBLISH_KEY=str(tmp_path / "key")).stdout

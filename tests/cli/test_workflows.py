"""The steps of the GitHub workflows, run as a runner runs them but for what only GitHub has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from app_runs import ROOT
from repositories import IDENTITY, change, git, positionpal, run


@dataclass(frozen=True)
class Runner:
    """A checkout of PositionPal, published to production, with what a runner sets up around it.

    Attributes:
        work: The checkout.
        temporary: The runner's own folder.
    """

    work: Path
    temporary: Path

    @property
    def summary(self) -> str:
        """What the steps wrote into the summary of the run."""
        return (self.temporary / "summary.md").read_text()

    def step(self, workflow: str, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one step of a workflow."""
        jobs = yaml.safe_load((ROOT / ".github" / "workflows" / workflow).read_text())["jobs"]
        (step,) = (step for job in jobs.values() for step in job["steps"] if step.get("name") == name)
        assert set(step.get("env", {})) == set(variables)
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail"] if step.get("shell") == "bash" else ["bash", "-e"]
        environment = {
            **os.environ,
            **IDENTITY,
            **variables,
            "PYTHONPATH": str(ROOT),
            "RUNNER_TEMP": str(self.temporary),
            "GITHUB_STEP_SUMMARY": str(self.temporary / "summary.md"),
        }
        return subprocess.run(
            [*shell, "-c", step["run"]], cwd=self.work, env=environment, capture_output=True, text=True, check=False
        )

    def publish(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the step that publishes, for the commit that is checked out."""
        inputs = {"ENVIRONMENT": "production", "ONLY": "", "ALLOW": "", "TESTED": git(self.work, "rev-parse", "HEAD")}
        return self.step("publish.yaml", "Publish", **inputs | variables)


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    folder = tmp_path_factory.mktemp("runner")
    work = positionpal(folder)
    python = work / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (work / ".git" / "info" / "exclude").write_text("/.venv/\n")
    (folder / "temporary").mkdir()
    result = run(work, "publish", "production")
    assert result.code == 0, result.err
    return Runner(work, folder / "temporary")


def test_nothing_to_rehearse_is_said_in_the_comment(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    result = runner.step("plan.yaml", "Rehearse")
    assert result.returncode == 0, result.stderr
    said = "Nothing to rehearse: production does not change."
    assert said in runner.summary
    # What comments is GitHub's alone: here it keeps the comment.
    gh = runner.temporary / "gh"
    gh.write_text('#!/bin/sh\nfor file; do :; done\ncp "$file" "$RUNNER_TEMP/commented.md"\n')
    gh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{runner.temporary}:{os.environ['PATH']}")
    result = runner.step("plan.yaml", "Comment the rehearsal", GH_TOKEN="", PULL_REQUEST="")
    assert result.returncode == 0, result.stderr
    comment = (runner.temporary / "commented.md").read_text()
    assert "### Plan of production" in comment and said in comment


def test_plan_of_an_update(runner: Runner) -> None:
    change(runner.work, "versions.py", "chat-service:3.9.0", "chat-service:3.9.1")
    result = runner.step("plan.yaml", "Plan")
    assert result.returncode == 0, result.stderr
    assert "**rolling restart** of 2–4 pods" in (runner.temporary / "plan.md").read_text()
    assert "### Plan of production" in runner.summary
    assert runner.step("plan.yaml", "Dangers", LABELLED="false").returncode == 0


def test_update_is_published(runner: Runner) -> None:
    result = runner.publish()
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Publish production: chat-service" in runner.summary
    assert git(runner.work, "rev-parse", "origin/main") == git(runner.work, "rev-parse", "HEAD")
    assert git(runner.work, "log", "-1", "--format=%cn") in ("github-actions[bot]", "Some Body")


def test_commit_that_was_not_tested_is_left_to_its_own_run(runner: Runner) -> None:
    result = runner.publish(TESTED="0" * 40)
    assert result.returncode == 0
    assert result.stdout == "main has moved since; the run for its newest commit publishes.\n"


def test_dangers_fail_until_they_are_meant(runner: Runner) -> None:
    change(runner.work, "app.py", 'production="10Gi"', 'production="20Gi"')
    refused = runner.step("plan.yaml", "Dangers", LABELLED="false")
    assert refused.returncode == 1
    assert "replacement with data loss" in refused.stdout
    assert "::error title=The plan has dangers::" in refused.stdout
    assert runner.step("plan.yaml", "Dangers", LABELLED="true").returncode == 0
    failed = runner.publish()
    assert failed.returncode == 1
    assert "Nothing was published" in runner.summary
    names = re.findall(r"--allow (\S+)", failed.stdout)
    allowed = runner.publish(ALLOW=" ".join(names))
    assert allowed.returncode == 0, allowed.stdout + allowed.stderr

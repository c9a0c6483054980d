"""The workflow that plans a pull request."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from github_runner import Runner, heard
from repositories import change


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner.create(tmp_path_factory.mktemp("runner"))


def comment(runner: Runner, *reports: str) -> str:
    """Return what another job comments of the reports that are handed over to it."""
    folder = runner.temporary / "reports"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for report in reports:
        shutil.copy(runner.temporary / report, folder)
    result = runner.step("plan.yaml", "Comment", GH_TOKEN="", PULL_REQUEST="")
    assert result.returncode == 0, result.stderr
    return (runner.temporary / "commented.md").read_text()


def plan(runner: Runner) -> subprocess.CompletedProcess[str]:
    return runner.step("plan.yaml", "Plan")


def dangers(runner: Runner, labelled: str = "false") -> subprocess.CompletedProcess[str]:
    return runner.step("plan.yaml", "Dangers", LABELLED=labelled)


def test_nothing_to_rehearse_is_said_in_the_comment(runner: Runner) -> None:
    for step in ("Plan", "Rehearse"):
        result = runner.step("plan.yaml", step)
        assert result.returncode == 0, result.stderr
    said = "Nothing to rehearse: production does not change."
    assert said in runner.summary
    shown = comment(runner, "plan.md", "rehearsal.md")
    assert "### Plan of production" in shown and said in shown
    assert said not in comment(runner, "plan.md")


def test_plan_of_an_update(runner: Runner) -> None:
    change(runner.work, "versions.py", "chat-service:3.9.0", "chat-service:3.9.1")
    result = plan(runner)
    assert result.returncode == 0, result.stderr
    assert "**rolling restart** of 2–4 pods" in comment(runner, "plan.md")
    assert "### Plan of production" in runner.summary
    assert dangers(runner).returncode == 0


def test_dangers_fail_until_they_are_meant(runner: Runner) -> None:
    change(runner.work, "app.py", 'production="10Gi"', 'production="20Gi"')
    refused = dangers(runner)
    assert refused.returncode == 1
    assert "replacement with data loss" in refused.stdout
    assert [command for command, _ in heard(refused.stdout)] == ["error"]
    assert dangers(runner, "true").returncode == 0


def test_a_report_is_data_of_any_size(runner: Runner) -> None:
    """The job that may comment takes the beginning of it, and follows no link."""
    (runner.temporary / "plan.md").write_text("$(id) `id`\n" * 10_000)
    assert comment(runner, "plan.md").startswith("$(id) `id`\n" * 5_000)
    (runner.temporary / "plan.md").unlink()
    folder = runner.temporary / "reports"
    (folder / "plan.md").unlink()
    (folder / "plan.md").symlink_to("/etc/passwd")
    assert runner.step("plan.yaml", "Comment", GH_TOKEN="", PULL_REQUEST="").returncode == 0
    assert (runner.temporary / "commented.md").read_text() == ""

"""The workflow that plans a pull request."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import yaml
from github_runner import Runner, heard
from repositories import change, git, run


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


@dataclass(frozen=True)
class Proposal:
    """A pull request, which the runner has checked out as it would be once merged; what runs is the branch's."""

    runner: Runner
    commit: str

    def plan(self) -> subprocess.CompletedProcess[str]:
        return self.runner.step("plan.yaml", "Plan", CHANGE=self.commit)

    def dangers(self, labelled: str = "false") -> subprocess.CompletedProcess[str]:
        return self.runner.step("plan.yaml", "Dangers", CHANGE=self.commit, LABELLED=labelled)

    def check(self) -> subprocess.CompletedProcess[str]:
        shutil.rmtree(self.runner.temporary / "change", ignore_errors=True)
        return self.runner.step("plan.yaml", "Check", CHANGE=self.commit)


@contextmanager
def proposed(runner: Runner) -> Iterator[Callable[[], Proposal]]:
    """Yield what makes a pull request of all that was changed within the context."""
    git(runner.work, "switch", "--quiet", "--create", "proposal")

    def propose() -> Proposal:
        git(runner.work, "add", "--all")
        git(runner.work, "commit", "--quiet", "--allow-empty", "--message=Propose")
        commit = git(runner.work, "rev-parse", "HEAD")
        result = runner.step("plan.yaml", "Run what is merged already", BASE="main")
        assert result.returncode == 0, result.stderr
        return Proposal(runner, commit)

    yield propose
    git(runner.work, "switch", "--quiet", "--force", "main")
    git(runner.work, "branch", "--quiet", "-D", "proposal")


def synthesized(runner: Runner, file: str, old: str, new: str) -> None:
    """Change the declaration, and what follows from it."""
    change(runner.work, file, old, new)
    assert run(runner.work).code == 0


def test_nothing_to_rehearse_is_said_in_the_comment(runner: Runner) -> None:
    with proposed(runner) as propose:
        proposal = propose()
        assert proposal.plan().returncode == 0
        result = runner.step("plan.yaml", "Rehearse")
        assert result.returncode == 0, result.stderr
        assert proposal.check().returncode == 0
    said = "Nothing to rehearse: production does not change."
    assert said in runner.summary
    shown = comment(runner, "plan.md", "rehearsal.md")
    assert "### Plan of production" in shown and "**No changes.**" in shown and said in shown
    assert said not in comment(runner, "plan.md")


def test_plan_of_an_update(runner: Runner) -> None:
    with proposed(runner) as propose:
        synthesized(runner, "versions.py", "chat-service:3.9.0", "chat-service:3.9.1")
        proposal = propose()
        result = proposal.plan()
        assert result.returncode == 0, result.stderr
        assert "**rolling restart** of 2–4 pods" in comment(runner, "plan.md")
        assert "### Plan of production" in runner.summary
        assert proposal.dangers().returncode == 0
        assert proposal.check().returncode == 0


def test_dangers_fail_until_they_are_meant(runner: Runner) -> None:
    with proposed(runner) as propose:
        synthesized(runner, "app.py", 'production="10Gi"', 'production="20Gi"')
        proposal = propose()
        refused = proposal.dangers()
        assert refused.returncode == 1
        assert "replacement with data loss" in refused.stdout
        assert [command for command, _ in heard(refused.stdout)] == ["error"]
        assert proposal.dangers("true").returncode == 0


def test_a_pull_request_does_not_judge_itself(runner: Runner) -> None:
    """Whatever it brings that the branch would run is not run: its app says that all is well."""
    with proposed(runner) as propose:
        synthesized(runner, "app.py", 'production="10Gi"', 'production="20Gi"')
        ran = runner.temporary / "ran"
        for file in ("app.py", "constructs_lib/__init__.py", ".ci/quietly", "Makefile", "conftest.py"):
            (runner.work / file).parent.mkdir(exist_ok=True)
            text = f"print({file!r}, file=open({str(ran)!r}, 'a'))\nprint('All is well.')\nraise SystemExit\n"
            (runner.work / file).write_text(text)
        proposal = propose()
        for result in (proposal.plan(), proposal.dangers()):
            assert "All is well." not in result.stdout
            assert not ran.exists(), ran.read_text()
        assert result.returncode == 1
        assert proposal.check().returncode == 0
        assert not ran.exists(), ran.read_text()


def test_rights_that_are_only_in_the_generated_files_are_named(runner: Runner) -> None:
    """Whoever opens a pull request writes what he likes into them."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "z"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "pp-gws"}],
    }
    with proposed(runner) as propose:
        (runner.work / "dist/production/gateway/ClusterRoleBinding-z.yaml").write_text(yaml.safe_dump(binding))
        proposal = propose()
        assert proposal.plan().returncode == 0
        assert "`ClusterRoleBinding/z`" in comment(runner, "plan.md")
        assert proposal.dangers().returncode == 1


def test_what_check_finds_fails(runner: Runner) -> None:
    """In what is generated, whatever the declaration says; what it waives itself is reviewed with it."""
    with proposed(runner) as propose:
        path = next((runner.work / "dist/production/gateway").glob("Deployment-*.yaml"))
        path.write_text(
            path.read_text().replace(
                "configMapRef:\n            name: gateway", "configMapRef:\n            name: nowhere"
            )
        )
        proposal = propose()
        result = proposal.check()
    assert result.returncode == 1
    assert "nowhere" in result.stdout
    assert [*heard(result.stdout)] == []


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

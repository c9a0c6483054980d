"""The workflow that publishes: who may, what, and with which key."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from github_runner import Runner, heard, workflow
from repositories import change, git
from signing_key import signing_key

#: What a deploy key looks like is of no concern here.
KEY = "the key of the publisher"


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner.create(tmp_path_factory.mktemp("runner"))


@pytest.fixture(autouse=True)
def pushed(runner: Runner) -> None:
    """A checkout as the runner makes it: of the newest commit, and without a trace of the last test."""
    git(runner.work, "push", "--quiet", "origin", "main")
    runner.tested, runner.reviewers = "", 0
    runner.outputs.clear()
    (runner.temporary / "summary.md").write_text("")


def may(runner: Runner, event: str = "workflow_dispatch", allow: str = "") -> subprocess.CompletedProcess[str]:
    return runner.step(
        *("publish.yaml", "May it be published"),
        GH_TOKEN="",
        GH_REPO="a/b",
        EVENT=event,
        ENVIRONMENT="production",
        ALLOW=allow,
    )


def publish(
    runner: Runner, key: str = KEY, signing: str = "", allow: str = "", only: str = ""
) -> subprocess.CompletedProcess[str]:
    return runner.step(
        *("publish.yaml", "Publish"),
        KEY=key,
        SIGNING_KEY=signing,
        REMOTE="git@github.com:position-pal/gitops.git",
        TESTED=runner.head,
        ENVIRONMENT="production",
        ONLY=only,
        ALLOW=allow,
    )


def newer_chat_service(runner: Runner) -> None:
    """Merge and test an update."""
    image = re.search(r'"positionpal/chat-service:([^@]+)@', (runner.work / "versions.py").read_text())
    assert image
    change(runner.work, "versions.py", f"chat-service:{image[1]}", f"chat-service:{image[1]}1")
    git(runner.work, "push", "--quiet", "origin", "main")


@pytest.mark.parametrize("event", ["workflow_dispatch", "workflow_run"])
def test_what_was_tested_is_published(runner: Runner, event: str) -> None:
    newer_chat_service(runner)
    assert may(runner, event).returncode == 0
    assert runner.outputs["head"] == runner.head
    result = publish(runner)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Publish production: chat-service" in runner.summary
    assert git(runner.work, "rev-parse", "origin/main") == runner.head
    assert git(runner.work, "log", "-1", "--format=%an %cn") == "publish publish"


def test_the_key_is_for_the_push_alone(runner: Runner) -> None:
    """It reaches ssh in a file of its owner, to a host that is known, and is gone afterwards."""
    newer_chat_service(runner)
    assert publish(runner).returncode == 0
    asked = (runner.temporary / "ssh").read_text()
    assert (runner.temporary / "ssh-key").read_text() == f"{KEY}\n"
    assert {"StrictHostKeyChecking=yes", f"UserKnownHostsFile={runner.work}/.ci/known_hosts", "600"} <= {
        *asked.splitlines()
    }
    (runner.temporary / "ssh-key").unlink()
    left = [path for path in runner.temporary.rglob("*") if path.is_file()] + [runner.work / ".git/config"]
    assert [path for path in left if KEY in path.read_text(errors="replace")] == []
    assert list(runner.temporary.glob("keys.*")) == []


def test_without_the_key_nothing_is_published(runner: Runner) -> None:
    """That is so on every other branch, and in an environment that is not protected: there the secret is empty."""
    newer_chat_service(runner)
    result = publish(runner, key="")
    assert result.returncode == 1
    assert next(heard(result.stdout))[0] == "error"
    assert "Publish production" not in git(runner.work, "log", "-1", "--format=%s")
    assert publish(runner).returncode == 0


@pytest.mark.parametrize(("event", "code"), [("workflow_run", 0), ("workflow_dispatch", 1)])
def test_what_was_not_tested_is_not_published(runner: Runner, event: str, code: int) -> None:
    """By hand neither: also not if the tests of an earlier commit have passed."""
    newer_chat_service(runner)
    runner.tested = git(runner.work, "rev-parse", "HEAD^")
    result = may(runner, event)
    assert (result.returncode, runner.outputs) == (code, {})
    assert "main has moved since" in result.stdout if code == 0 else "::error title=Not tested::" in result.stdout


def test_publications_do_not_follow_each_other_by_themselves(runner: Runner) -> None:
    """A push with a key starts the tests and then this workflow; and a publication closes what the last kept open."""
    newer_chat_service(runner)
    assert publish(runner).returncode == 0
    assert (may(runner, "workflow_run").returncode, runner.outputs) == (0, {})
    assert (may(runner, "workflow_dispatch").returncode, runner.outputs) == (0, {"head": runner.head})


def test_dangers_are_allowed_where_somebody_reviews(runner: Runner) -> None:
    change(runner.work, "app.py", 'production="10Gi"', 'production="20Gi"')
    git(runner.work, "push", "--quiet", "origin", "main")
    failed = publish(runner)
    assert failed.returncode == 1
    assert "Nothing was published" in runner.summary
    names = " ".join(re.findall(r"--allow (\S+)", failed.stdout))
    refused = may(runner, allow=names)
    assert (refused.returncode, runner.outputs) == (1, {})
    assert "::error title=Nobody reviews this::" in refused.stdout
    runner.reviewers = 1
    assert may(runner, allow=names).returncode == 0
    allowed = publish(runner, allow=names)
    assert allowed.returncode == 0, allowed.stdout + allowed.stderr


def test_what_is_published_does_not_speak_to_the_runner(runner: Runner) -> None:
    """A value of a manifest that looks like commands is shown in the log, and taken for text."""
    lines = "::stop-commands::deadbeef\\nINFO\\n##[add-mask]dangerous"
    change(runner.work, "app.py", '"LOG_LEVEL": "INFO"', f'"LOG_LEVEL": "{lines}"')
    assert publish(runner).returncode == 0
    # As context of a change, a line begins with what it has itself.
    change(runner.work, "app.py", lines, lines.replace("INFO", "DEBUG"))
    result = publish(runner)
    assert result.returncode == 0
    assert "stop-commands::deadbeef" in result.stdout and "add-mask]dangerous" in result.stdout
    assert [*heard(result.stdout)] == []


def test_rights() -> None:
    """The token of the workflow reads; whoever starts it from another branch gets no key that is for main alone."""
    found = workflow("publish.yaml")
    assert found["permissions"] == {"actions": "read", "contents": "read"}
    (job,) = found["jobs"].values()
    assert "permissions" not in job
    assert job["environment"] == "${{ inputs.environment || 'production' }}"
    with_secrets = [step["name"] for step in job["steps"] if "secrets." in str(step)]
    assert with_secrets == ["Publish"] == [job["steps"][-1]["name"]]


@pytest.fixture
def gnupg(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """A secret key and its fingerprint."""
    with signing_key() as (home, fingerprint, gpg):
        monkeypatch.setenv("GNUPGHOME", home)
        yield gpg("--export-secret-keys", "--armor"), fingerprint


def test_commits_are_signed(runner: Runner, gnupg: tuple[str, str]) -> None:
    """Both of them, with a key that is nowhere afterwards."""
    secret, fingerprint = gnupg
    newer_chat_service(runner)
    before = runner.head
    with tempfile.TemporaryDirectory(prefix="rt") as short:
        (Path(short) / "bin").symlink_to(runner.temporary / "bin")
        result = publish(Runner(runner.work, Path(short)), signing=secret)
        assert result.returncode == 0, result.stdout + result.stderr
        assert list(Path(short).glob("keys.*")) == []
    commits = git(runner.work, "rev-list", f"{before}..").split()
    assert len(commits) == 2
    for commit in commits:
        verified = subprocess.run(
            ["git", "verify-commit", "--raw", commit], cwd=runner.work, capture_output=True, text=True
        )
        assert f"VALIDSIG {fingerprint}" in verified.stderr

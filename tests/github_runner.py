"""Runs the steps of the GitHub workflows as a runner does, but for what only GitHub has: its API and its SSH server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from app_runs import ROOT
from repositories import IDENTITY, git, positionpal, run

#: Some of the commands of the runner: ``IActionCommandExtension`` in ``ActionCommandManager.cs``.
COMMANDS = {
    "add-mask",
    "add-matcher",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "notice",
    "stop-commands",
    "warning",
}

#: Answers GitHub's API from files, and keeps what is commented and attached.
GH = """#!/bin/sh
case "$1 $2" in
*actions/workflows/tests.yaml/runs*) case "$2" in *"$TESTED_COMMIT"*) echo 1;; *) echo 0;; esac;;
*environments/*) echo "$REVIEWERS";;
"pr comment") for file; do :; done; cp "$file" "$RUNNER_TEMP/commented.md";;
*) exit 1;;
esac
"""

#: What GitHub's SSH server does for a key: it runs git's own program. It writes down how it was asked.
SSH = """#!/bin/sh
printf '%s\\n' "$@" > "$RUNNER_TEMP/ssh"
while [ "$1" != git@github.com ]; do
  if [ "$1" = -i ]; then stat -c %a "$2" >> "$RUNNER_TEMP/ssh"; cat "$2" > "$RUNNER_TEMP/ssh-key"; fi
  shift
done
program="${2%% *}"
exec "$program" "$ORIGIN"
"""


def workflow(name: str) -> dict[str, Any]:
    """Return a workflow."""
    content: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    return content


def heard(output: str, commands: set[str] = COMMANDS) -> Iterator[tuple[str, str]]:
    """Yield the commands that the runner takes from an output, as ``ActionCommand.cs`` finds them.

    ``TryParseV2`` trims a line before it looks for ``::``; ``TryParse`` finds ``##[`` anywhere in it.
    """
    stopped = ""
    for line in output.splitlines():
        for expression in (r"\s*::([^ :]+)(?: .*?)?::(.*)", r".*?##\[([^ \]]+)(?: [^\]]*)?\](.*)"):
            match = re.match(expression, line)
            if match and match[1] in commands | ({stopped} - {""}):
                break
        else:
            continue
        if stopped:
            stopped = "" if match[1] == stopped else stopped
        elif match[1] == "stop-commands":
            stopped = match[2]
        else:
            yield match[1], match[2]
    assert not stopped, "the runner listens no more"


@dataclass
class Runner:
    """A checkout of PositionPal, published to production, with what a runner sets up around it.

    Attributes:
        work: The checkout.
        temporary: The runner's own folder.
        tested: The commit whose tests have passed; the one that is checked out if it is empty.
        reviewers: How many rules of the environment ask for reviewers.
        outputs: What steps have given to later ones.
    """

    work: Path
    temporary: Path
    tested: str = ""
    reviewers: int = 0
    outputs: dict[str, str] = field(default_factory=dict)

    @classmethod
    def create(cls, folder: Path) -> Runner:
        """Return a runner with a checkout of its own."""
        work = positionpal(folder)
        python = work / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        (work / ".git" / "info" / "exclude").write_text("/.venv/\n")
        shutil.copytree(ROOT / ".ci", work / ".ci")
        git(work, "add", "--all")
        git(work, "commit", "--quiet", "--message", "Add the scripts of the workflows")
        temporary = folder / "temporary"
        (temporary / "bin").mkdir(parents=True)
        for name, text in (("gh", GH), ("ssh", SSH)):
            (temporary / "bin" / name).write_text(text)
            (temporary / "bin" / name).chmod(0o755)
        result = run(work, "publish", "production")
        assert result.code == 0, result.err
        return cls(work, temporary)

    @property
    def head(self) -> str:
        """The commit that is checked out."""
        return git(self.work, "rev-parse", "HEAD")

    @property
    def summary(self) -> str:
        """What the steps wrote into the summary of the run."""
        return (self.temporary / "summary.md").read_text()

    def step(self, name: str, step: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one step of a workflow; all that its ``env`` names must be given."""
        steps = [each for job in workflow(name)["jobs"].values() for each in job["steps"] if each.get("name") == step]
        found = steps[0]
        assert all(each == found for each in steps)
        assert set(found.get("env", {})) == set(variables)
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail"] if found.get("shell") == "bash" else ["bash", "-e"]
        output = self.temporary / "output"
        output.write_text("")
        environment = {
            **os.environ,
            **IDENTITY,
            **variables,
            "PATH": f"{self.temporary / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "RUNNER_TEMP": str(self.temporary),
            "GITHUB_STEP_SUMMARY": str(self.temporary / "summary.md"),
            "GITHUB_OUTPUT": str(output),
            # For the programs in the place of GitHub's.
            "TESTED_COMMIT": self.tested or self.head,
            "REVIEWERS": str(self.reviewers),
            "ORIGIN": str(self.work.parent / "origin.git"),
        }
        result = subprocess.run(
            [*shell, "-c", found["run"]], cwd=self.work, env=environment, capture_output=True, text=True, check=False
        )
        self.outputs |= dict(line.split("=", 1) for line in output.read_text().splitlines())
        return result

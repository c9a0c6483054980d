"""A declaration in a folder of a Git repository: Argo CD would look for its files in the root."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from app_runs import run_process

APP = """
from constructs_lib import Environment, GitRepository, K3d, Microservice, System, main


def shop(environment: Environment) -> System:
    system = System(environment, "shop")
    Microservice(system, "stock", image="example/stock:1.4.0", ports={"http": 8080})
    return system


if __name__ == "__main__":
    repository = GitRepository("https://example.com/shop.git")
    main(shop, [Environment(name="here", repository=repository, cluster=K3d(kubernetes="1.36", nodes=1))])
"""


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("remote", "ignored", "is_refused"),
    [
        ("", "", True),
        ("git@example.com:shop.git", "", True),
        ("https://example.com/another.git", "", False),
        ("", "deploy/", False),
    ],
)
def test_synth_and_check(tmp_path: Path, remote: str, ignored: str, *, is_refused: bool) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    if remote:
        git(tmp_path, "remote", "add", "origin", remote)
    (tmp_path / ".gitignore").write_text(ignored)
    folder = tmp_path / "deploy"
    folder.mkdir()
    (folder / "app.py").write_text(APP)
    for command in ("synth", "check"):
        found = run_process(folder, command)
        assert found.code == int(is_refused)
        assert ("is in the folder deploy of a Git repository" in " ".join(found.err.split())) is is_refused
    assert (folder / "argocd").exists() is not is_refused
    git(folder, "init", "--quiet")
    assert run_process(folder, "synth").code == 0

"""What ``publish`` refuses, and what interrupts it: nothing is half published."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from shop import BASKET, Shop

# What must hold of the checkout.


@pytest.mark.parametrize("content", ["changed", "new", "staged"])
def test_refuses_changes_that_are_not_committed(published: Shop, content: str) -> None:
    if content == "changed":
        published.edit(*BASKET)
        name = "app.py"
    else:
        name = "notes.txt"
        (published.folder / name).write_text("Notes.\n")
        if content == "staged":
            published.git("add", name)
    before = (published.git("rev-parse", "HEAD"), published.status)
    run = published.run("publish", "laptop")
    assert (run.code, name in run.said, "Traceback" in run.said) == (1, True, False)
    assert (published.git("rev-parse", "HEAD"), published.status) == before


def test_refuses_another_branch(published: Shop) -> None:
    published.git("switch", "--quiet", "--create", "feature")
    run = published.run("publish", "laptop")
    assert run.code == 1
    assert "The branch feature is checked out, and main is deployed; git switch main first." in run.said


def test_refuses_a_detached_head(published: Shop) -> None:
    published.git("switch", "--quiet", "--detach")
    run = published.run("publish", "laptop")
    assert run.code == 1
    assert "A single commit is checked out" in run.said


def test_refuses_without_a_remote(published: Shop) -> None:
    published.git("remote", "remove", "origin")
    run = published.run("publish", "laptop")
    assert run.code == 1
    assert "There is no remote to push to" in run.said


def test_refuses_a_shallow_clone(published: Shop, tmp_path: Path) -> None:
    published.git("clone", "--quiet", "--depth=1", f"file://{published.remote}", str(tmp_path / "shallow"))
    run = Shop(tmp_path / "shallow", published.remote).run("publish", "laptop")
    assert run.code == 1
    assert "The clone is shallow" in run.said


def test_refuses_outside_of_a_repository(tmp_path: Path, published: Shop) -> None:
    shutil.copy(published.folder / "app.py", tmp_path)
    run = Shop(tmp_path, published.remote).run("publish", "laptop")
    assert (run.code, "not a git repository" in run.said, "Traceback" in run.said) == (1, True, False)


def test_refuses_an_app_below_the_root(published: Shop) -> None:
    inner = published.folder / "inner"
    inner.mkdir()
    published.git("mv", "app.py", "inner/app.py")
    published.commit("Move")
    run = Shop(inner, published.remote).run("publish", "laptop")
    assert run.code == 1
    assert 'write GitRepository(…, path="inner")' in run.said


def test_refuses_when_the_remote_has_moved(published: Shop, tmp_path: Path) -> None:
    colleague = Shop(tmp_path / "colleague", published.remote)
    published.git("clone", "--quiet", str(published.remote), str(colleague.folder))
    (colleague.folder / "NOTES.md").write_text("Notes.\n")
    colleague.commit("Take notes")
    colleague.git("push", "--quiet")
    published.change(*BASKET)
    head = published.git("rev-parse", "HEAD")
    run = published.run("publish", "laptop")
    assert run.code == 1
    assert "origin/main has 1 commit that main here lacks; git pull --rebase --autostash" in run.said
    assert (published.git("rev-parse", "HEAD"), published.status) == (head, "")
    published.git("pull", "--quiet", "--rebase", "--autostash")
    published.publish()
    published.check()


def test_pins_that_were_rebased_away_are_set_anew(published: Shop, tmp_path: Path) -> None:
    colleague = Shop(tmp_path / "colleague", published.remote)
    published.git("clone", "--quiet", str(published.remote), str(colleague.folder))
    published.change(*BASKET)
    fails = published.hook("pre-push", "exit 1")
    assert published.run("publish", "laptop").code == 1
    fails.unlink()
    lost = published.pins()["basket"]["revision"]
    (colleague.folder / "NOTES.md").write_text("Notes.\n")
    colleague.commit("Take notes")
    colleague.git("push", "--quiet")
    published.git("pull", "--quiet", "--rebase")
    published.publish()
    published.check()
    assert published.pins()["basket"]["revision"] != lost


def test_manifests_that_git_would_store_differently_are_refused(published: Shop) -> None:
    (published.folder / ".gitattributes").write_text("dist/** text eol=crlf ident\n*.yaml filter=upper\n")
    published.git("config", "filter.upper.clean", "tr a-z A-Z")
    published.git("config", "filter.upper.smudge", "cat")
    published.edit(*BASKET)
    published.commit("Filter")
    pushed = published.pushed
    run = published.run("publish", "laptop")
    assert run.code == 1
    assert "Git does not hold" in run.said
    assert published.pushed == pushed


def test_ignored_folders_are_committed_all_the_same(shop: Shop) -> None:
    (shop.folder / ".gitignore").write_text("__pycache__/\ndist/\n")
    shop.commit("Ignore too much")
    shop.publish()
    shop.check()


def test_pins_with_conflict_markers_are_one_clear_message(published: Shop) -> None:
    file = published.folder / "pins" / "laptop.json"
    file.write_text("<<<<<<< HEAD\n" + file.read_text())
    for command in (["synth"], ["publish", "laptop"]):
        run = published.run(*command)
        assert run.code == 1
        assert run.said.startswith("pins/laptop.json is no JSON")
        assert "git checkout HEAD -- pins/laptop.json" in run.said


# What interrupts it.


def test_a_refused_push_takes_the_commits_back(published: Shop) -> None:
    refusal = published.hook("pre-receive", "echo 'the gate is closed' >&2; exit 1", published.remote)
    published.change(*BASKET)
    head, pushed, pins = published.git("rev-parse", "HEAD"), published.pushed, published.pins()
    run = published.run("publish", "laptop")
    assert run.code == 1
    assert "the gate is closed" in run.said
    assert "refused the push; the commits were taken back" in run.said
    assert (published.git("rev-parse", "HEAD"), published.pushed, published.pins()) == (head, pushed, pins)
    # What is left is what make synth leaves.
    assert published.status == " M dist/laptop/basket/Deployment-basket.yaml"
    refusal.unlink()
    published.publish()
    published.check()


def test_a_refused_first_publication_leaves_no_pins(shop: Shop) -> None:
    refusal = shop.hook("pre-receive", "exit 1", shop.remote)
    assert shop.run("publish", "laptop").code == 1
    assert not (shop.folder / "pins").exists()
    refusal.unlink()
    shop.publish()
    shop.check()


def test_a_push_that_does_not_arrive_is_made_up_for(published: Shop) -> None:
    published.change(*BASKET)
    published.git("config", "remote.origin.pushurl", str(published.remote.with_name("gone.git")))
    run = published.run("publish", "laptop")
    assert run.code == 1
    assert "The push did not get through; the commits are kept" in run.said
    published.git("config", "--unset", "remote.origin.pushurl")
    head = published.git("rev-parse", "HEAD")
    published.publish()
    published.check()
    assert published.git("rev-parse", "HEAD") == head


def test_a_failing_commit_hook_stops_it(published: Shop) -> None:
    published.change(*BASKET)
    refusal = published.hook("pre-commit", "echo 'no commits today' >&2; exit 1")
    pushed = published.pushed
    run = published.run("publish", "laptop")
    assert (run.code, "no commits today" in run.said, "Traceback" in run.said) == (1, True, False)
    assert published.pushed == pushed
    refusal.unlink()
    published.publish()
    published.check()


@pytest.mark.parametrize("first", range(1, 5))
def test_killed_at_every_call_of_git(published: Shop, tmp_path: Path, first: int) -> None:
    """Whichever call of git's is the last one before a SIGKILL, the next run completes the publication."""
    git = shutil.which("git")
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(
        f'#!/bin/sh\necho >> "$CALLS"\n"{git}" "$@"\ncode=$?\n'
        '[ "$(wc -l < "$CALLS")" -ge "$LAST" ] && kill -9 $PPID\nexit $code\n'
    )
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"
    # Each of the four takes every fourth call.
    for killed in range(60):
        last = first + 4 * killed
        published.change(f"example/basket:1.{killed}.0", f"example/basket:1.{killed + 1}.0")
        calls = tmp_path / f"calls-{last}"
        run = published.run("publish", "laptop", PATH=path, CALLS=str(calls), LAST=str(last))
        if run.code == 0:
            break
        assert run.code == -9, run.said
        published.publish()
        published.check()
        image = f"basket:1.{killed + 1}.0"
        assert image in published.git("show", "HEAD:dist/laptop/basket/Deployment-basket.yaml")
        manifests = published.git("log", "--format=%s", "--grep=Synthesize", f"{published.pushed}~3..")
        assert manifests.splitlines() == ["Synthesize laptop"]
    assert killed
    published.check()


@pytest.mark.parametrize("address", ["https://github.com/me/shop.git", "git@gitlab.com:example/shop.git"])
def test_refuses_another_repository_than_argo_cd_reads(published: Shop, address: str) -> None:
    published.git("remote", "set-url", "origin", address)
    run = published.run("publish", "laptop")
    assert run.code == 1
    assert "Argo CD reads https://github.com/example/shop.git, as GitRepository(…) says, and origin is git" in run.said
    # What only passes on what is pushed is none.
    published.git("remote", "set-url", "origin", "git@github.com:example/shop.git")
    published.git("remote", "set-url", "--push", "origin", address)
    published.git("config", "core.sshCommand", "false")
    assert "The remote origin does not answer" in published.run("publish", "laptop").said


def test_what_python_makes_is_no_change(published: Shop) -> None:
    published.git("rm", "--quiet", ".gitignore")
    published.change(*BASKET)
    (published.folder / "__pycache__").mkdir()
    (published.folder / "__pycache__" / "kinds.cpython-311.pyc").write_bytes(b"made")
    said = published.publish()
    assert "origin is a folder: what is there has to get to https://github.com/example/shop.git by itself." in said
    assert published.git("status", "--porcelain") == "?? __pycache__/"
    (published.folder / "notes.txt").write_text("Notes.\n")
    run = published.run("publish", "laptop")
    assert run.code == 1
    assert "notes.txt" in run.said
    assert "__pycache__" not in run.said
    assert "what is no part of the declaration belongs in .gitignore" in run.said

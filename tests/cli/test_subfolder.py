"""Declarations in folders of a Git repository: of one system, and of several in one repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from app_runs import Run, run_process
from repositories import git
from shop import Shop

APP = """
import sys
from pathlib import Path
from constructs_lib import *
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))
import common

def declare(environment):
    system = System(environment, "NAME")
    store = Microservice(system, "NAME-stock", image=common.IMAGE, ports={"http": 8080})
    front = Microservice(system, "NAME-front", image="example/front:1.0.0", ports={"http": 3000})
    front.needs(store.endpoint("http"), {"STOCK": "address"})
    # more
    return system

REPOSITORY = GitRepository("https://github.com/example/mono.git", path="PATH")
main(declare, [Environment(name="here", repository=REPOSITORY, cluster=Cluster(kubernetes="1.36", nodes=1))])
"""


def declared(folder: Path, path: str) -> Run:
    """Run synth for a declaration that says it is in some folder of its repository."""
    folder.mkdir(exist_ok=True)
    (folder / "app.py").write_text(APP.replace("NAME", "shop").replace("PATH", path).replace("import common", ""))
    (folder / "app.py").write_text((folder / "app.py").read_text().replace("common.IMAGE", '"example/stock:1.0.0"'))
    return run_process(folder, "synth")


@pytest.mark.parametrize(
    ("remote", "ignored", "path", "wrong"),
    [
        ("", "", "", 'write GitRepository(…, path="deploy"), or give it a repository of its own (git init).'),
        ("git@github.com:example/mono.git", "", "other", 'write GitRepository(…, path="deploy").'),
        ("https://example.com/another.git", "", "", ""),
        ("", "deploy/", "", ""),
        ("", "", "deploy", ""),
        ("", "", "deploy/", '"deploy/" is a roundabout way to write "deploy".'),
        ("", "", "../deploy", '"../deploy" is no folder of a repository'),
        ("", "", ".", "leave it out, where app.py is in the root of the repository."),
    ],
)
def test_a_declaration_says_in_which_folder_it_is(
    tmp_path: Path, remote: str, ignored: str, path: str, wrong: str
) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    if remote:
        git(tmp_path, "remote", "add", "origin", remote)
    (tmp_path / ".gitignore").write_text(ignored)
    run = declared(tmp_path / "deploy", path)
    said = " ".join(run.err.split())
    assert (run.code, wrong in said, "app.py:" in said) == (int(bool(wrong)), True, bool(wrong))
    assert (tmp_path / "deploy/argocd").exists() is not bool(wrong)


def test_a_folder_that_is_said_and_not_there(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    run = declared(tmp_path, "deploy")
    assert run.code == 1
    assert "the declaration is in the root of a Git repository" in run.err
    assert "leave out path in GitRepository(…)." in run.err


@pytest.fixture(scope="module")
def mono(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Shop]:
    """Two systems in folders of one repository, which share a module; both are published."""
    top = tmp_path_factory.mktemp("mono")
    whole = Shop(top / "work", top / "origin.git")
    whole.folder.mkdir()
    whole.git("init", "--quiet", "--initial-branch=main")
    whole.git("init", "--quiet", "--bare", "--initial-branch=main", str(whole.remote))
    whole.git("remote", "add", "origin", str(whole.remote))
    (whole.folder / "shared").mkdir()
    (whole.folder / "shared/common.py").write_text('IMAGE = "example/stock:1.0.0"\n')
    (whole.folder / ".gitignore").write_text("__pycache__/\n")
    systems = []
    for name, path in (("shop", "systems/shop"), ("bank", "systems/bank")):
        system = Shop(whole.folder / path, whole.remote)
        system.folder.mkdir(parents=True)
        (system.folder / "app.py").write_text(APP.replace("NAME", name).replace("PATH", path))
        systems.append(system)
    whole.commit("Declare")
    whole.git("push", "--quiet", "--set-upstream", "origin", "main")
    return systems[0], systems[1]


def test_two_systems_in_one_repository(mono: tuple[Shop, Shop]) -> None:
    shop, bank = mono
    for system in (shop, bank):
        assert "0 errors, 0 warnings." in (run := system.run("check")).said
        assert run.code == 0, run.said
        system.publish(environment="here")
        path = system.git("rev-parse", "--show-prefix")
        # Each publication is two commits, of its own folder alone.
        changed = system.git("log", "-2", "--name-only", "--format=").splitlines()
        assert all(file.startswith(path) for file in changed if file)
        assert system.run("synth", "--check").code == 0
    root = yaml.safe_load((bank.folder / "argocd/here/root.yaml").read_text())
    assert root["spec"]["source"]["path"] == "systems/bank/argocd/here"
    application = yaml.safe_load((bank.folder / "argocd/here/Application-bank-stock.yaml").read_text())
    assert application["spec"]["source"]["path"] == "systems/bank/dist/here/bank-stock"
    pins = json.loads((bank.folder / "pins/here.json").read_text())["components"]
    assert (
        bank.git("rev-parse", f"{pins['bank-stock']['revision']}:systems/bank/dist/here/bank-stock")
        == (pins["bank-stock"]["content"])
    )
    # Nothing is left to do, from the folder of either.
    assert "Nothing to publish" in shop.publish(environment="here")
    assert shop.run("plan").said.splitlines()[-1] == "No changes."


def test_what_one_changes_is_planned_and_published_alone(mono: tuple[Shop, Shop]) -> None:
    shop, bank = mono
    for system in mono:
        system.publish(environment="here")
    before = bank.pins_file("here")
    shop.edit("example/front:1.0.0", "example/front:1.1.0")
    bank.edit("# more", "# another")
    (bank.folder / "notes.txt").write_text("what somebody else is about to commit\n")
    bank.git("add", "notes.txt")
    said = shop.run("plan").said
    assert "Deployment/shop-front/shop-front: rolling restart" in said
    assert "1 component" in said
    refused = shop.run("publish", "here").said
    assert "There are changes that are not committed: app.py." in refused
    shop.git("commit", "--quiet", "--message", "Change", "--", "app.py")
    shop.publish(environment="here")
    # What is staged elsewhere stays so, and what is changed there stays changed.
    assert shop.status.splitlines() == [" M systems/bank/app.py", "A  systems/bank/notes.txt"]
    assert bank.pins_file("here") == before
    assert shop.pins("here")["shop-front"]["revision"] == shop.git("rev-parse", "HEAD~1")
    assert shop.git("show", "--name-only", "--format=", "HEAD").splitlines() == [
        "systems/shop/argocd/here/Application-shop-front.yaml",
        "systems/shop/pins/here.json",
    ]
    bank.git("commit", "--quiet", "--all", "--message", "Notes")
    shop.git("revert", "--no-edit", "HEAD~1")
    assert "rolls back" in shop.run("plan", "--to", "HEAD").said
    shop.git("revert", "--no-edit", "HEAD")


def test_a_module_that_both_use_has_to_be_committed(mono: tuple[Shop, Shop]) -> None:
    shop, _ = mono
    (shop.folder.parent.parent / "shared/common.py").write_text('IMAGE = "example/stock:1.2.0"\n')
    run = shop.run("publish", "here")
    assert (run.code, "../../shared/common.py" in run.said) == (1, True), run.said
    shop.git("checkout", "--quiet", "--", "../../shared/common.py")


def test_a_refused_push_is_taken_back_and_nothing_of_others(mono: tuple[Shop, Shop]) -> None:
    shop, bank = mono
    (bank.folder / "notes.txt").write_text("more\n")
    bank.git("add", "notes.txt")
    shop.edit("example/front:1.", "example/front:2.")
    shop.git("commit", "--quiet", "--message", "Change", "--", "app.py")
    head = shop.git("rev-parse", "HEAD")
    hook = shop.hook("pre-receive", "exit 1", shop.remote)
    run = shop.run("publish", "here")
    hook.unlink()
    assert (run.code, "the commits were taken back" in run.said) == (1, True), run.said
    assert shop.git("rev-parse", "HEAD") == head
    assert "M  systems/bank/notes.txt" in shop.status
    shop.publish(environment="here")


def test_a_pin_of_another_branch_is_told(mono: tuple[Shop, Shop]) -> None:
    shop, _ = mono
    shop.publish(environment="here")
    file = shop.folder / "pins/here.json"
    pins = json.loads(file.read_text())
    content = pins["components"]["shop-stock"]["content"]
    file.write_text(file.read_text().replace(content, "0" * 40))
    run = shop.run("plan")
    assert run.code == 1
    assert "holds dist/here/shop-stock as" in run.said
    shop.git("checkout", "--quiet", "--", "pins")


def test_the_whole_repository_and_each_folder_are_judged_as_trees(mono: tuple[Shop, Shop]) -> None:
    shop, bank = mono
    for folder in (shop.folder.parent.parent, shop.folder, bank.folder):
        run = shop.run("check", "--tree", str(folder))
        assert (run.code, "0 errors, 0 warnings." in run.said) == (0, True), run.said
    # Each may have a cluster of its own, in which the names of the other are free.
    whole = shop.run("check", "--tree", str(shop.folder.parent.parent)).said
    assert whole.count("references     holds") == 2
    assert "systems/bank/here: " in whole
    (shop.folder / "argocd/here/Application-shop-stock.yaml").write_text(
        (shop.folder / "argocd/here/Application-shop-stock.yaml")
        .read_text()
        .replace("systems/shop/dist/here/shop-stock", "dist/here/shop-stock")
    )
    run = shop.run("check", "--tree", str(shop.folder))
    assert "application-folder-empty" in run.said
    shop.git("checkout", "--quiet", "--", "argocd")

"""An environment that follows a branch of its own, which only publications move."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from forged import forge
from shop import BASKET, Shop

BRANCH = "deploy/laptop"
BILLING = (
    "# more",
    'billing = Microservice(system, "billing", image="example/billing:1.0.0", ports={"http": 80})\n    # more',
)
CHART = 'HelmChart(system, "tool", repository="https://charts.example.com", chart="tool", version="{}")'


@pytest.fixture(scope="session")
def first_held(first_shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop whose laptop follows a branch of publications, published once; nobody changes it."""
    shop = first_shop.copied(tmp_path_factory.mktemp("held"))
    follow(shop)
    shop.edit("# more", f"{CHART.format('1.0.0')}\n    # more")
    shop.run()
    shop.commit("Declare and synthesize")
    shop.git("push", "--quiet")
    said = shop.publish()
    assert "Pushed to origin/main and origin/deploy/laptop." in said
    assert "origin/deploy/laptop is new. Now apply bootstrap/argocd" in said
    assert "roll back" not in said
    return shop


@pytest.fixture
def held(first_held: Shop, tmp_path: Path) -> Shop:
    """A shop whose laptop follows a branch of publications, published once."""
    return first_held.copied(tmp_path)


def follow(shop: Shop) -> None:
    """Declare the branch."""
    shop.edit('name="laptop", ', f'name="laptop", publication_branch="{BRANCH}", ')


def deployed(shop: Shop) -> str:
    """Return the commit that Argo CD deploys."""
    return shop.git("rev-parse", BRANCH, folder=shop.remote)


def check(shop: Shop) -> None:
    """Assert that everything is published, and fits to what is declared."""
    shop.check()
    assert deployed(shop) == shop.pushed
    assert shop.run("synth", "--check", "laptop").code == 0
    assert "Nothing to publish: origin/deploy/laptop has everything" in shop.publish()


def synthesized(shop: Shop, old: str, new: str) -> None:
    """Change the declaration, commit that with what follows from it, and push it to main, as a merge does."""
    shop.edit(old, new)
    assert shop.run().code == 0
    shop.commit("Change the shop")
    shop.git("push", "--quiet")


def test_the_root_follows_the_branch(held: Shop) -> None:
    check(held)
    for file in ("argocd/laptop/root.yaml", "argocd/cloud/root.yaml"):
        branch = "deploy/laptop" if "laptop" in file else "main"
        assert f"targetRevision: refs/heads/{branch}\n" in held.git("show", f"HEAD:{file}")


CHANGES = {
    "a chart's version": (CHART.format("1.0.0"), CHART.format("1.1.0"), "Application/tool"),
    "a new component": (*BILLING, ""),
    "a component that goes": (
        CHART.format("1.0.0"),
        "pass",
        "Component/tool NetworkPolicy/default-deny NetworkPolicy/dns",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_push_changes_nothing_and_a_revert_brings_back(held: Shop, change: str) -> None:
    """What was pushed between the publication and its revert stays."""
    old, new, allowed = CHANGES[change]
    before = deployed(held)
    synthesized(held, old, new)
    assert deployed(held) == before
    plan = held.run("plan", "laptop")
    assert plan.said.startswith("laptop: from origin/deploy/laptop to the declaration\n")
    options = [part for name in allowed.split() for part in ("--allow", name)]
    if allowed:
        assert "is dangerous" in plan.said or "are dangerous" in plan.said
        assert held.run("publish", "laptop").code == 1
        assert deployed(held) == before
    said = held.publish(*options)
    assert deployed(held) == held.pushed != before
    check(held)
    (held.folder / "NOTES.md").write_text("Notes.\n")
    held.commit("Take notes")
    way_back(held, said)
    for folder in ("argocd/laptop", "pins", "dist/laptop"):
        assert held.git("rev-parse", f"{deployed(held)}:{folder}") == held.git("rev-parse", f"{before}:{folder}")
    assert "Take notes" in held.git("log", "--format=%s", deployed(held))
    check(held)


def way_back(shop: Shop, said: str) -> None:
    """Do what a publication has named as the way back for all of it."""
    found = re.search(r"goes back with all that was published: (.*)", said)
    assert found
    for command in found[1].split(" && "):
        shop.git(*command.split()[1:])


def test_what_is_reverted_may_as_well_be_published(held: Shop) -> None:
    """The revert of a merge, pushed to main alone, as from a page of a Git host."""
    before = deployed(held)
    held.git("switch", "--quiet", "--create", "pull-request")
    held.edit(*BILLING)
    held.edit(*BASKET)
    held.run()
    held.commit("Change the shop")
    plan = held.run("plan", "laptop").said
    merging, _, publishing = plan.partition("laptop, publishing: from origin/deploy/laptop to the declaration\n")
    assert merging == (
        "laptop, merging: from origin/deploy/laptop to HEAD\n"
        "Nothing happens before publish: Argo CD follows deploy/laptop, which only publish moves.\n"
        "No changes.\n\n"
    )
    assert "Application/argocd/billing: create" in publishing
    held.git("switch", "--quiet", "main")
    merged = held.run("plan", "laptop", "--merge", "pull-request").said
    assert "Nothing happens before publish" in merged
    assert "Application/argocd/billing: create" in merged.partition("laptop, publishing")[2]
    held.git("merge", "--quiet", "--no-ff", "--message", "Merge", "pull-request")
    held.git("push", "--quiet")
    said = held.publish()
    found = re.search(r"goes back with all that was published: (.*)", said)
    assert found
    revert, merge, push = found[1].split(" && ")
    assert re.fullmatch(r"git revert --no-edit \w+", revert)
    assert re.fullmatch(r"git revert --no-edit --mainline 1 \w+", merge)
    assert push == "git push --atomic origin main main:deploy/laptop"
    after = deployed(held)
    for command in (revert, merge):
        held.git(*command.split()[1:])
    held.git("push", "--quiet", "origin", "main")
    assert deployed(held) == after
    assert "Component/billing" in held.run("plan", "laptop", "--strict").said
    run = held.run("publish", "laptop")
    assert "To agree to all of that, add " in run.said
    options = re.findall(r"--allow \S+", run.said.rpartition("add ")[2])
    held.publish(*" ".join(options).split())
    for folder in ("argocd/laptop", "pins", "dist/laptop"):
        assert held.git("rev-parse", f"{deployed(held)}:{folder}") == held.git("rev-parse", f"{before}:{folder}")
    check(held)


def test_pins_that_are_rolled_back_are_published_and_held_back(held: Shop) -> None:
    old = held.pins()["basket"]
    held.change(*BASKET)
    said = held.publish()
    publication = held.git("rev-parse", "HEAD")
    assert f"To roll back: git revert {publication[:12]} && git push --atomic origin main main:deploy/laptop" in said
    held.git("revert", "--no-edit", "HEAD")
    for _ in range(2):
        plan = held.run("plan", "laptop").said
        assert f"Publishing rolls back basket to {old['revision'][:12]}: what it was before the publication" in plan
        assert "example/basket:1.1.0 → example/basket:1.0.0" in plan
        held.git("push", "--quiet", "origin", "main")
    said = held.publish()
    assert "example/basket:1.1.0 → example/basket:1.0.0" in said
    assert "Held back: basket, because" in said
    assert deployed(held) == held.pushed == held.git("rev-parse", "HEAD")
    assert held.pins()["basket"] == old
    assert "No changes." in held.run("plan", "laptop").said
    assert "Nothing to publish: origin/deploy/laptop has everything else" in held.publish()
    assert "Publish laptop: basket" in held.publish("--only", "basket")


def test_a_pin_that_was_moved_by_hand_is_no_rollback(held: Shop) -> None:
    first = held.pins()["basket"]
    held.change(*BASKET)
    held.publish()
    held.change("example/basket:1.1.0", "example/basket:1.2.0")
    held.publish()
    forge(held, **first)
    held.commit("Move the pin")
    held.git("push", "--quiet")
    plan = held.run("plan", "laptop", "--strict")
    assert plan.code == 1
    assert "Publishing deploys that commit: its pin was moved" in plan.said


def test_what_does_not_concern_the_environment_is_not_published(held: Shop) -> None:
    before, pushed = deployed(held), held.pushed
    held.edit("LAPTOP = ", "# A note.\nLAPTOP = ")
    held.commit("Take notes")
    assert "Nothing to publish: origin/deploy/laptop has everything" in held.publish()
    assert (deployed(held), held.pushed) == (before, pushed)
    held.publish(environment="cloud")
    assert deployed(held) == before != held.pushed
    assert "follows main" not in held.publish()


def test_both_branches_are_pushed_or_none(held: Shop) -> None:
    before, pushed = deployed(held), held.pushed
    hook = held.hook("update", f'[ "$1" != refs/heads/{BRANCH} ]', held.remote)
    head = held.change(*BASKET)
    run = held.run("publish", "laptop")
    assert run.code == 1
    assert "origin/main and origin/deploy/laptop refused the push; the commits were taken back." in run.said
    assert (deployed(held), held.pushed, held.git("rev-parse", "HEAD")) == (before, pushed, head)
    hook.unlink()
    held.publish()
    check(held)


def test_commits_that_are_not_on_main_are_an_error(held: Shop) -> None:
    """Somebody pushes to the branch, past main and all that is asked there."""
    good = deployed(held)
    held.git("switch", "--quiet", "--create", "side")
    smuggled = held.folder / "argocd" / "laptop" / "Application-smuggled.yaml"
    smuggled.write_text((held.folder / "argocd" / "laptop" / "Application-basket.yaml").read_text())
    stray = held.commit("Smuggle")
    held.git("push", "--quiet", "origin", f"side:{BRANCH}")
    held.git("switch", "--quiet", "main")
    for command in ("plan", "publish"):
        run = held.run(command, "laptop")
        assert run.code == 1
        assert run.said == (
            "origin/deploy/laptop has 1 commit that origin/main (as it was last fetched) lacks, and Argo CD deploys "
            f"that: {stray[:7]} Smuggle.\n"
            "Only publish moves it, to commits of origin/main. What is yours, merge into main. If nobody knows of it, "
            f"see who may push there, and set the branch back: git push --force-with-lease=deploy/laptop:{stray} "
            f"origin {good}:refs/heads/deploy/laptop\n"
        )
    assert deployed(held) == stray
    held.git(*run.said.partition("set the branch back: git ")[2].split())
    check(held)


def test_an_environment_moves_to_a_branch(published: Shop) -> None:
    """Until it is there, and the bootstrap has told the root, the root follows main as before."""
    follow(published)
    published.run()
    published.commit("Follow a branch of publications")
    plan = published.run("plan", "laptop")
    assert (
        "laptop follows deploy/laptop, which is not here: it was not fetched, or publish has not made it yet."
        in plan.said
    )
    assert "What is published is taken from origin/main." in plan.said
    said = published.publish()
    assert "Pushed to origin/main and origin/deploy/laptop." in said
    assert "A root that laptop has already follows main until then, as before." in said
    check(published)


def test_promotions_begin_and_end_with_the_branches(held: Shop) -> None:
    held.edit('name="cloud", ', 'name="cloud", publication_branch="deploy/cloud", ')
    held.run()
    held.commit("Follow a branch of publications")
    held.publish(environment="cloud")
    held.change(*BASKET)
    held.publish()
    run = held.run("promote", "laptop", "cloud", "--skip-health")
    assert run.code == 0, run.said
    assert "Pushed to origin/main and origin/deploy/cloud." in run.said
    assert held.git("rev-parse", "deploy/cloud", folder=held.remote) == held.pushed
    held.git("revert", "--no-edit", "HEAD~2")
    held.git("push", "--quiet", "origin", "main")
    run = held.run("promote", "laptop", "cloud", "--skip-health")
    assert run.said == (
        "pins/laptop.json is another one here than in origin/deploy/laptop; python app.py publish laptop first, and "
        "wait until laptop runs it.\n"
    )


def test_each_environment_has_a_branch_of_its_own(held: Shop) -> None:
    held.edit('name="cloud", ', 'name="cloud", publication_branch="deploy/laptop", ')
    run = held.run()
    assert run.code == 1
    assert "its publication_branch is that of laptop, declared at" in run.said
    assert 'give it one of its own, such as "deploy/cloud".' in run.said


def test_another_system_of_the_repository_may_not_follow_the_branch(held: Shop) -> None:
    """Its declaration is in another folder, and knows nothing of this one."""
    root = held.folder / "other" / "argocd" / "production" / "root.yaml"
    root.parent.mkdir(parents=True)
    root.write_text((held.folder / "argocd" / "laptop" / "root.yaml").read_text())
    held.commit("Add another system")
    run = held.run("publish", "laptop")
    assert run.code == 1
    assert run.said.startswith("other/argocd/production/root.yaml: that environment follows deploy/laptop as well")
    root.write_text(root.read_text().replace("deploy/laptop", "deploy/laptop-2"))
    held.commit("Give it a branch of its own")
    assert "Nothing to publish" in held.publish()

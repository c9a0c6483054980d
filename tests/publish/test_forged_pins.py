"""Pins that somebody sets by hand: whoever reads them says so, with real repositories and remotes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from forged import forge, merge, smuggle, write
from shop import BASKET, Shop

NOWHERE = "b" * 40

#: Everything that reads pins, but publish, which sets them right.
READERS = [
    ["synth", "--check", "laptop"],
    ["synth", "laptop"],
    ["check", "laptop"],
    ["plan", "--strict"],
    ["plan", "laptop", "--format", "markdown"],
    ["plan", "laptop", "--to", "HEAD"],
    ["plan", "laptop", "--from", "origin/main", "--to", "HEAD"],
    ["plan", "--from", "origin/main", "--to", "HEAD"],
]


def refused(shop: Shop, *said: str) -> None:
    """Assert that all that reads pins refuses them with the same words, and changes nothing."""
    before = shop.status
    for command in READERS:
        run = shop.run(*command)
        assert (run.code, run.out, "Traceback" in run.err) == (1, "", False), (command, run.said)
        for text in said:
            assert text in run.err, (command, run.said)
    assert shop.status == before


def to_a_side_branch(shop: Shop) -> str:
    revision = smuggle(shop)
    forge(shop, revision=revision)
    return f"basket: the commit {revision} is not on origin/main."


def to_no_branch(shop: Shop) -> str:
    forge(shop, revision=NOWHERE)
    return f"basket: there is no commit {NOWHERE} here, and so none on origin/main."


def to_the_pull_request_itself(shop: Shop) -> str:
    file = shop.folder / "dist" / "laptop" / "basket" / "ConfigMap-smuggled.yaml"
    file.write_text("a: b\n")
    revision = shop.commit("Look harmless")
    content = shop.git("rev-parse", "HEAD:dist/laptop/basket")
    file.unlink()
    forge(shop, revision=revision, content=content)
    return f"basket: the commit {revision} is not on origin/main."


def to_other_content(shop: Shop) -> str:
    revision = shop.git("rev-list", "--max-parents=0", "main")
    forge(shop, revision=revision)
    return f"basket: the commit {revision} has no folder dist/laptop/basket, and the pin says"


def with_other_content(shop: Shop) -> str:
    forge(shop, content=shop.pins()["stock"]["content"])
    pin = shop.pins()["basket"]
    return f"basket: the commit {pin['revision']} holds dist/laptop/basket as {pin['content']}, and the pin says"


def with_another_namespace(shop: Shop) -> str:
    forge(shop, namespace="kube-system")
    said = "its Application deploys to the namespace basket, and the pin says kube-system."
    return f"basket: in the commit {shop.pins()['basket']['revision']}, {said}"


def with_a_retired_namespace(shop: Shop) -> str:
    write(shop, {**shop.pins_file(), "retired": {"basket": ["kube-system"]}})
    return "basket: the retired namespace kube-system was never its own on origin/main."


@pytest.mark.parametrize(
    "how",
    [
        to_a_side_branch,
        to_no_branch,
        to_the_pull_request_itself,
        to_other_content,
        with_other_content,
        with_another_namespace,
        with_a_retired_namespace,
    ],
)
def test_a_wrong_pin_is_an_error_everywhere(published: Shop, how: Callable[[Shop], str]) -> None:
    published.git("switch", "--quiet", "--create", "pull-request")
    said = how(published)
    published.commit("Tidy up")
    refused(
        published, f"pins/laptop.json: {said}", "Only publish moves pins. Restore the file with git checkout origin"
    )


def test_an_application_that_reads_another_commit_than_its_pin_says(published: Shop) -> None:
    published.git("switch", "--quiet", "--create", "pull-request")
    revision, pins = smuggle(published), (published.folder / "pins" / "laptop.json").read_bytes()
    forge(published, revision=revision)
    (published.folder / "pins" / "laptop.json").write_bytes(pins)
    published.commit("Tidy up")
    said = f"the Application basket reads dist/laptop/basket from {revision}, and pins/laptop.json pins it to"
    for command in READERS[3:]:
        run = published.run(*command)
        assert (run.code, said in run.err) == (1, True), (command, run.said)
    run = published.run("synth", "--check", "laptop")
    assert (run.code, "~ argocd/laptop/Application-basket.yaml" in run.out) == (1, True)


def test_a_commit_without_a_pin(shop: Shop) -> None:
    """An environment that was never published follows the branch; its Applications name no commit."""
    assert shop.run("synth").code == 0
    shop.commit("Synthesize")
    shop.git("push", "--quiet")
    shop.git("switch", "--quiet", "--create", "pull-request")
    revision = smuggle(shop)
    file = shop.folder / "argocd" / "laptop" / "Application-basket.yaml"
    file.write_text(file.read_text().replace("refs/heads/main", revision))
    shop.commit("Tidy up")
    run = shop.run("plan", "laptop", "--strict")
    assert run.code == 1
    assert f"reads dist/laptop/basket from {revision}, and pins/laptop.json does not pin it." in run.err


def test_right_pins_are_read_wherever_they_can_be_verified(published: Shop, tmp_path: Path) -> None:
    """A pull request that is behind, a single commit, a clone without trees, and a repository without a remote."""
    published.change(*BASKET)
    published.publish()
    published.git("switch", "--quiet", "--create", "behind", "HEAD~2")
    assert published.run("synth", "--check", "laptop").out.startswith("laptop: ")
    published.git("switch", "--quiet", "--detach", "origin/main")
    assert published.run("synth", "--check", "laptop").code == 0
    url = f"file://{published.remote}"
    published.git("config", "uploadpack.allowFilter", "true", folder=published.remote)
    published.git("clone", "--quiet", "--filter=tree:0", url, str(tmp_path / "treeless"))
    assert Shop(tmp_path / "treeless", published.remote).run("synth", "--check", "laptop").code == 0
    published.git("remote", "remove", "origin")
    assert published.run("synth", "--check", "laptop").code == 0


def test_what_is_needed_is_said_where_pins_cannot_be_verified(published: Shop, tmp_path: Path) -> None:
    url = f"file://{published.remote}"
    published.change(*BASKET)
    published.publish()
    published.git("push", "--quiet", "origin", "HEAD:refs/heads/feature")
    for name, options in (("shallow", ["--depth=1"]), ("single", ["--single-branch", "--branch=feature"])):
        published.git("clone", "--quiet", *options, url, str(tmp_path / name))
    shutil.copytree(published.folder, tmp_path / "exported", ignore=shutil.ignore_patterns(".git"))
    for name, need in (
        ("shallow", "the clone is shallow, and its commits may be older; git fetch --unshallow"),
        ("single", "origin/main is not here; git fetch origin main:refs/remotes/origin/main brings it."),
        ("exported", "this is no Git repository, and pins name commits of one; clone it."),
    ):
        run = Shop(tmp_path / name, published.remote).run("synth", "laptop")
        assert run.code == 1
        assert run.err.startswith(f"pins/laptop.json cannot be verified: {need}"), run.said
    single = Shop(tmp_path / "single", published.remote)
    published.git("fetch", "--quiet", "origin", "main:refs/remotes/origin/main", folder=single.folder)
    assert single.run("synth", "--check", "laptop").code == 0


# What publish makes of it, once it was merged.


@pytest.mark.parametrize(
    "how", [to_a_side_branch, with_other_content, with_another_namespace, with_a_retired_namespace]
)
def test_publish_sets_right_what_was_merged(published: Shop, how: Callable[[Shop], str]) -> None:
    before, file = published.pinned(), published.pins_file()
    published.git("switch", "--quiet", "--create", "pull-request")
    said = how(published)
    if how is with_a_retired_namespace or how is with_another_namespace:
        project = published.folder / "argocd" / "laptop" / "AppProject-shop-basket.yaml"
        project.write_text(project.read_text().replace("namespace: basket", "namespace: kube-system"))
    published.commit("Tidy up")
    merge(published)
    assert f"Set right: {said}" in published.publish()
    published.check()
    assert published.pins_file() == file
    assert published.pinned() == before
    assert published.permitted("basket") == {"basket"}
    assert published.run("synth", "--check", "laptop").code == 0


def test_what_was_smuggled_in_goes_without_being_asked_for(published: Shop) -> None:
    published.git("switch", "--quiet", "--create", "pull-request")
    ours = "ConfigMap-basket.yaml"
    text = (published.folder / "dist" / "laptop" / "basket" / "NetworkPolicy-basket.yaml").read_text()
    opened = text.replace("ingress:\n", "ingress:\n    - {}\n", 1)
    assert opened != text
    published.git("switch", "--quiet", "--create", "side")
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "evil", "namespace": "basket"}}
    (published.folder / "dist" / "laptop" / "basket" / "evil.yaml").write_text(json.dumps({**claim, "spec": {}}))
    (published.folder / "dist" / "laptop" / "basket" / ours).unlink()
    (published.folder / "dist" / "laptop" / "basket" / "NetworkPolicy-basket.yaml").write_text(opened)
    revision = published.commit("Smuggle")
    published.git("push", "--quiet", "origin", "HEAD:refs/pull/1/head")
    published.git("switch", "--quiet", "pull-request")
    forge(published, revision=revision)
    published.commit("Tidy up")
    merge(published)
    published.git("branch", "--quiet", "--delete", "--force", "side")
    # A checkout that never had the commit fetches it by its id, as Argo CD does.
    published.git("config", "uploadpack.allowAnySHA1InWant", "true", folder=published.remote)
    clone = Shop(published.folder.with_name("clone"), published.remote)
    published.git("clone", "--quiet", f"file://{published.remote}", str(clone.folder))
    assert clone.run("plan", "laptop").code == 1
    said = clone.publish()
    assert f"Set right: basket: there is no commit {revision} here" in said
    assert "‼ PersistentVolumeClaim/basket/evil: data loss\n" in said
    assert "No publication brought it: it came by a pin that was set by hand, and goes." in said
    assert f"+ ConfigMap/basket/{ours.removeprefix('ConfigMap-').removesuffix('.yaml')}: create" in said
    # Nothing that it opened stays open until another publication.
    assert "Kept open" not in said
    clone.check()


def test_what_is_ours_is_asked_for_though_a_pin_is_wrong(published: Shop) -> None:
    """Who forges a pin gets nothing of ours deleted unseen."""
    published.git("switch", "--quiet", "--create", "pull-request")
    forge(published, "front", revision=smuggle(published, component="front"))
    published.commit("Tidy up")
    merge(published)
    published.change(', exposed="http"', "")
    run = published.run("publish", "laptop")
    assert (run.code, "No publication brought it" in run.out) == (1, True), run.said
    assert "Nothing was published: the plan has 1 dangerous change." in run.err
    assert "--allow Service/front" in run.err
    published.publish("--allow", "Service/front")
    published.check()


def test_a_wrong_pin_is_set_right_whatever_is_published(published: Shop) -> None:
    published.git("switch", "--quiet", "--create", "pull-request")
    before = published.pins()["front"]
    forge(published, "front", revision=smuggle(published, component="front"))
    published.commit("Tidy up")
    merge(published)
    published.change(*BASKET)
    published.change("example/front:1.0.0", "example/front:1.1.0")
    said = published.publish("--only", "basket")
    assert "Held back: front." in said
    # It becomes what it was, and not what is declared.
    assert "- ConfigMap/front/smuggled: delete\n" in said
    assert "front:1.1.0" not in said
    assert published.pins()["front"] == before
    assert published.run("synth", "--check", "laptop").code == 0
    published.publish()
    published.check()


def test_what_was_rolled_back_stays_so_though_its_pin_is_set_right(published: Shop) -> None:
    published.change(*BASKET)
    published.publish()
    published.git("revert", "--no-edit", "HEAD")
    published.git("push", "--quiet")
    before = published.pins()
    published.git("switch", "--quiet", "--create", "pull-request")
    forge(published, revision=smuggle(published))
    published.commit("Tidy up")
    merge(published)
    said = published.publish()
    assert "Set right: basket" in said
    assert "Held back: basket, because" in said
    assert "- ConfigMap/basket/smuggled: delete\n" in said
    assert "To roll back" not in said
    assert published.pins() == before
    # And so it can be rolled back as ever.
    published.publish("--only", "basket")
    published.git("switch", "--quiet", "--create", "rollback")
    published.git("revert", "--no-edit", "HEAD")
    run = published.run("plan", "laptop", "--strict")
    assert (run.code, "Merging rolls back basket to" in run.out) == (0, True), run.said


def test_what_is_ours_is_asked_for_where_the_history_was_written_anew(published: Shop) -> None:
    """Then no pin is on the branch any more, and all that is deployed is ours all the same."""
    published.change(', exposed="http"', "")
    assert published.run("synth", "laptop").code == 0
    published.git("checkout", "--quiet", "--orphan", "anew")
    published.commit("Begin anew")
    published.git("branch", "--quiet", "--force", "main", "anew")
    published.git("switch", "--quiet", "main")
    published.git("push", "--quiet", "--force", "origin", "main")
    assert published.run("synth", "laptop").code == 1
    run = published.run("publish", "laptop")
    assert (run.code, "--allow Service/front" in run.err) == (1, True), run.said
    published.publish("--allow", "Service/front")
    published.check()


def test_what_publish_wrote_is_right_whatever_was_published(published: Shop) -> None:
    """A component that comes, moves to another namespace and goes, and what is kept open for a time."""
    billing = 'Microservice(system, "billing", image="example/billing:1.0.0", ports={"http": 8080})'
    moved = billing.replace('"billing", image', '"billing", namespace="money", image')
    edge = 'front.needs(stock.endpoint("http"), {"STOCK": "address"})'
    states = ["# more", f"{edge}\n    # more", billing, moved, "# none"]
    seen = set()
    for number, (old, new) in enumerate(pairwise(states)):
        published.git("switch", "--quiet", "--create", f"pull-request-{number}")
        published.change(old, new)
        assert published.run("synth", "laptop").code == 0
        published.commit("Synthesize")
        plan = published.run("plan", "laptop")
        assert plan.code == 0, plan.said
        assert ("not what the declaration gives" in plan.out, "Only publish moves pins" in plan.out) == (False, False)
        merge(published, f"pull-request-{number}")
        names = re.findall(r"--allow (\S+)", published.run("publish", "laptop", "--dry-run").err)
        published.publish(*(f"--allow={name}" for name in names))
        published.check()
        assert published.run("synth", "--check", "laptop").code == 0
        seen |= {key for key, value in published.pins_file().items() if value}
    assert seen == {"components", "retired", "kept"}

"""What merging does by itself, told apart from what publishing does: with real repositories and remotes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from forged import forge, merge, write
from shop import BASKET, Shop

STOCK = ("example/stock:1.0.0", "example/stock:1.1.0")
BILLING = ("# more", 'Microservice(system, "billing", image="example/billing:1.0.0", ports={"http": 8080})\n    # more')


@pytest.fixture
def request_(published: Shop) -> Shop:
    """A pull request to a shop of which the basket was published three times."""
    for number in range(2):
        published.change(f"example/basket:1.{number}.0", f"example/basket:1.{number + 1}.0")
        published.publish()
    published.git("switch", "--quiet", "--create", "pull-request")
    return published


def dangers(shop: Shop) -> dict[str, list[str]]:
    """Return the names that allow what is dangerous in each part of a plan, and assert that --strict goes by them."""
    parts = json.loads(shop.run("plan", "laptop", "--format", "json").out)["plans"]
    found = {part["phase"]: part["allow"] for part in parts}
    names = [name for allowed in found.values() for name in allowed]
    assert shop.run("plan", "laptop", "--strict").code == bool(names)
    assert shop.run("plan", "laptop", "--strict", *(f"--allow={name}" for name in names)).code == 0
    return found


def earlier(shop: Shop, ago: int) -> dict[str, str]:
    """Return a pin that the basket had some publications ago."""
    commits = shop.git("log", "--format=%H", "main", "--", "pins/laptop.json").splitlines()
    return shop.pins(revision=commits[ago])["basket"]


# The documented rollback, and what else changes pins.


def test_a_rollback_is_told_in_full(request_: Shop) -> None:
    last, before = request_.git("rev-parse", "HEAD"), earlier(request_, 1)["revision"]
    request_.git("revert", "--no-edit", "HEAD")
    reverted = request_.git("rev-parse", "HEAD")
    assert dangers(request_) == {"merging": [], "publishing": []}
    out = request_.run("plan", "laptop").out
    merging, publishing = out.split("\nlaptop, publishing: from HEAD to the declaration\n")
    assert merging.startswith("laptop, merging: from origin/main to HEAD\n")
    told = f"Merging rolls back basket to {before[:12]}: what it was before the publication {last[:12]}."
    assert told in merging
    assert "image: example/basket:1.2.0 → example/basket:1.1.0" in merging
    assert publishing == f"Warning: publish holds back basket, because {reverted[:12]} rolled it back.\nNo changes.\n"
    assert told in request_.run("plan", "laptop", "--to", "HEAD", "--strict").out
    assert told in request_.run("plan", "--from", "origin/main", "--to", "HEAD", "--strict").out
    assert told in request_.run("plan", "laptop", "--format", "markdown").out
    merge(request_)
    assert "Held back: basket" in request_.publish()
    # Rolled out again, by a revert of the revert.
    request_.git("switch", "--quiet", "--create", "again")
    request_.git("revert", "--no-edit", reverted)
    assert dangers(request_)["merging"] == []
    assert "image: example/basket:1.1.0 → example/basket:1.2.0" in request_.run("plan", "laptop").out


def test_a_rollback_of_a_part_of_a_publication_is_dangerous(published: Shop) -> None:
    before = published.pins()["basket"]
    published.change(*BASKET)
    published.change(*STOCK)
    published.publish()
    last = published.git("rev-parse", "HEAD")
    published.git("switch", "--quiet", "--create", "pull-request")
    forge(published, **before)
    published.commit("Roll back by hand")
    assert dangers(published)["merging"] == ["Application/basket"]
    published.git("reset", "--quiet", "--hard", "main")
    published.git("revert", "--no-edit", last)
    assert dangers(published)["merging"] == []


def test_a_pin_that_is_moved_back_by_hand_is_dangerous(request_: Shop) -> None:
    forge(request_, **earlier(request_, 2))
    request_.commit("Roll back by hand")
    assert dangers(request_)["merging"] == ["Application/basket"]
    out = request_.run("plan", "laptop").out
    assert "image: example/basket:1.2.0 → example/basket:1.0.0" in out
    assert "neither a publication nor the rollback of its newest one moves it" in out


def test_a_pin_that_is_moved_by_a_pull_request_is_dangerous_though_it_is_right(request_: Shop) -> None:
    """It is what publish would do, without the people whom the environment asks."""
    request_.git("switch", "--quiet", "main")
    request_.change("example/basket:1.2.0", "example/basket:1.3.0")
    assert request_.run("synth", "laptop").code == 0
    head = request_.commit("Synthesize")
    request_.git("push", "--quiet")
    request_.git("switch", "--quiet", "--create", "hasty")
    forge(request_, revision=head, content=request_.git("rev-parse", "HEAD:dist/laptop/basket"))
    request_.commit("Publish")
    assert request_.run("synth", "--check", "laptop").code == 0
    assert dangers(request_)["merging"] == ["Application/basket"]
    assert "image: example/basket:1.2.0 → example/basket:1.3.0" in request_.run("plan", "laptop").out


def test_a_pin_that_is_taken_away_is_dangerous(request_: Shop) -> None:
    content = request_.pins_file()
    del content["components"]["basket"]
    write(request_, content)
    assert request_.run("synth", "laptop").code == 0
    request_.commit("Tidy up")
    assert dangers(request_)["merging"] == ["Application/basket"]
    (request_.folder / "pins" / "laptop.json").unlink()
    assert request_.run("synth", "laptop").code == 0
    request_.commit("Tidy up")
    assert dangers(request_)["merging"] == [f"Application/{name}" for name in ("stock", "basket", "front")]
    assert "Merging takes the pins of all components away" in request_.run("plan", "laptop").out


def test_pins_that_a_pull_request_brings_are_dangerous(shop: Shop) -> None:
    """Of an environment that was never published."""
    assert shop.run("synth").code == 0
    head = shop.commit("Synthesize")
    shop.git("push", "--quiet")
    shop.git("switch", "--quiet", "--create", "pull-request")
    content = shop.git("rev-parse", "HEAD:dist/laptop/basket")
    (shop.folder / "pins").mkdir()
    pin = {"revision": head, "content": content, "namespace": "basket"}
    write(shop, {"components": {"basket": pin}, "retired": {}})
    assert shop.run("synth", "laptop").code == 0
    shop.commit("Pin")
    assert dangers(shop)["merging"] == ["Application/basket"]


def test_what_is_kept_open_by_hand_is_dangerous(request_: Shop) -> None:
    path = "dist/laptop/basket/NetworkPolicy-basket.yaml"
    write(request_, {**request_.pins_file(), "kept": {path: {"spec.ingress[0]": {"ports": [{"port": 22}]}}}})
    assert request_.run("synth", "laptop").code == 0
    request_.commit("Tidy up")
    assert "constructs-lib/kept-open" in (request_.folder / path).read_text()
    assert dangers(request_)["merging"] == ["Application/basket"]
    assert "kept open in" in request_.run("plan", "laptop").out
    # Publishing does not take it over.
    merge(request_)
    request_.publish()
    assert "kept" not in request_.pins_file()


# What the root reads from the branch.


def test_a_change_of_the_declaration_is_told_in_the_part_in_which_it_takes_effect(request_: Shop) -> None:
    request_.change("example/basket:1.2.0", "example/basket:1.3.0")
    request_.change(*BILLING)
    assert request_.run("synth", "laptop").code == 0
    request_.commit("Synthesize")
    assert dangers(request_) == {"merging": [], "publishing": []}
    merging, publishing = request_.run("plan", "laptop").out.split("\nlaptop, publishing: ")
    assert "+ Application/argocd/billing: create" in merging
    assert "+ AppProject/argocd/shop-billing: create" in merging
    assert "basket:1.3.0" not in merging
    assert "image: example/basket:1.2.0 → example/basket:1.3.0" in publishing
    assert "billing" not in publishing
    request_.git("switch", "--quiet", "main")
    merge(request_)
    request_.change(BILLING[1], BILLING[0])
    assert request_.run("synth", "laptop").code == 0
    request_.commit("Synthesize")
    assert "Component/billing" in dangers(request_)["merging"]


@pytest.mark.parametrize("component", ["Application-basket", "AppProject-shop-basket", "root"])
def test_what_is_changed_by_hand_and_takes_effect_is_dangerous(request_: Shop, component: str) -> None:
    file = request_.folder / "argocd" / "laptop" / f"{component}.yaml"
    file.write_text(file.read_text().replace("https://github.com/example/shop.git", "https://example.com/other.git"))
    request_.commit("Tidy up")
    kind = {"root": "Application/shop"}.get(component, component.replace("-", "/", 1))
    assert dangers(request_)["merging"] == [kind]
    assert f"argocd/laptop/{component}.yaml is not what the declaration gives" in request_.run("plan", "laptop").out


def test_an_object_beside_the_applications_is_dangerous(request_: Shop) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "all"},
        "rules": [],
    }
    (request_.folder / "argocd" / "laptop" / "ClusterRole-all.yaml").write_text(json.dumps(role))
    request_.commit("Tidy up")
    assert dangers(request_)["merging"] == ["ClusterRole/all"]


def test_what_reads_another_branch_or_repository_is_dangerous_whatever_is_declared(shop: Shop) -> None:
    """Also where nothing is declared, as between two commits."""
    assert shop.run("synth").code == 0
    shop.commit("Synthesize")
    shop.git("push", "--quiet")
    shop.git("switch", "--quiet", "--create", "pull-request")
    file = shop.folder / "argocd" / "laptop" / "Application-basket.yaml"
    text = file.read_text()
    for old, new, said in (
        ("refs/heads/main", "refs/heads/side", "It reads dist/laptop/basket from refs/heads/side, which is neither"),
        ("/example/shop.git", "/example/other.git", "It deploys from another repository"),
    ):
        file.write_text(text.replace(old, new))
        shop.commit("Tidy up")
        assert dangers(shop)["merging"] == ["Application/basket"]
        run = shop.run("plan", "laptop", "--to", "HEAD", "--strict")
        assert (run.code, said in run.out) == (1, True), run.said
    manifest = yaml.safe_load(text)
    manifest["spec"]["sources"] = [manifest["spec"].pop("source")]
    manifest["spec"]["sources"].append({"repoURL": "https://x.example", "ref": "v", "targetRevision": "any\nthing"})
    file.write_text(yaml.safe_dump(manifest))
    shop.commit("Tidy up")
    run = shop.run("plan", "laptop", "--to", "HEAD", "--strict")
    assert (run.code, "It reads the repository from any" in run.out) == (1, True), run.said


def test_a_revision_that_can_be_none_is_no_traceback(published: Shop) -> None:
    published.git("switch", "--quiet", "--create", "pull-request")
    forge(published, revision='"a\\nb"', content=published.pins()["basket"]["content"])
    write(published, published.pins_file())
    published.commit("Tidy up")
    assert "reads dist/laptop/basket from a" in published.run("plan", "laptop").err
    merge(published)
    assert "Set right: argocd/laptop: the Application basket reads" in published.publish()
    published.check()


def test_an_environment_without_pins_is_deployed_by_merging(shop: Shop) -> None:
    assert shop.run("synth").code == 0
    shop.commit("Synthesize")
    shop.git("push", "--quiet")
    shop.git("switch", "--quiet", "--create", "pull-request")
    shop.change(*BASKET)
    assert shop.run("synth").code == 0
    shop.commit("Synthesize")
    assert dangers(shop) == {"merging": [], "publishing": []}
    assert "image: example/basket:1.0.0 → example/basket:1.1.0" in shop.run("plan", "laptop").out
    (shop.folder / "dist" / "laptop" / "basket" / "Service-basket.yaml").unlink()
    shop.commit("Tidy up")
    assert dangers(shop)["merging"] == ["Service/basket"]


# What is merged, where the branch went on.


def test_a_pull_request_that_is_behind_moves_no_pin(published: Shop, tmp_path: Path) -> None:
    published.git("switch", "--quiet", "--create", "pull-request")
    published.change(*BILLING)
    assert published.run("synth", "laptop").code == 0
    published.commit("Synthesize")
    published.git("switch", "--quiet", "main")
    published.change(*BASKET)
    published.publish()
    published.git("switch", "--quiet", "pull-request")
    out = published.run("plan", "laptop").out
    merging = out.split("\nlaptop, publishing: ")[0]
    assert merging.startswith("laptop, merging: from origin/main to origin/main with HEAD\n")
    assert "+ Application/argocd/billing: create" in merging
    assert "basket" not in merging.replace("basket-", "")
    assert dangers(published)["merging"] == []
    # With conflicts, nobody knows.
    published.change("example/basket:1.0.0", "example/basket:1.0.1")
    warning = "Warning: HEAD cannot be merged into origin/main as it is"
    assert warning in published.run("plan", "laptop").out


def test_nothing_is_merged_where_nothing_is_committed(published: Shop) -> None:
    published.edit(*BASKET)
    assert published.run("plan", "laptop").out.startswith("laptop: from origin/main to the declaration\n")
    published.commit("Change the shop")
    assert published.run("plan", "laptop").out.startswith("laptop: from origin/main to the declaration\n")


# The same of a revision, by another checkout's code, as the workflow for pull requests does.


def judged(shop: Shop, code: int = 0) -> dict[str, str]:
    """Return what the branch says of the pull request that is checked out, by phase."""
    revision = shop.git("rev-parse", "HEAD")
    shop.git("switch", "--quiet", "--detach", "origin/main")
    assert shop.run("plan", "laptop", "--merge", revision, "--strict").code == code
    run = shop.run("plan", "laptop", "--merge", revision)
    shop.git("switch", "--quiet", "pull-request")
    assert run.code == 0, run.said
    parts = run.out.split("laptop, ")[1:] or [run.out.replace("laptop: ", ": ")]
    return {head: text for head, _, text in (part.partition(": ") for part in parts)}


def test_what_a_revision_changes_is_told_by_its_files(request_: Shop) -> None:
    """Its declaration is not run: here it would end the command."""
    request_.change("example/basket:1.2.0", "example/basket:1.3.0")
    assert request_.run("synth", "laptop").code == 0
    (request_.folder / "app.py").write_text("raise SystemExit(0)\n")
    request_.commit("Update the basket")
    assert "image: example/basket:1.2.0 → example/basket:1.3.0" in judged(request_)[""]


def test_a_revision_that_moves_a_pin_is_told_in_both_parts(request_: Shop) -> None:
    forge(request_, **earlier(request_, 2))
    request_.commit("Roll back by hand")
    parts = judged(request_, code=1)
    assert "image: example/basket:1.2.0 → example/basket:1.0.0" in parts["merging"]
    assert "neither a publication nor the rollback of its newest one moves it" in parts["merging"]
    assert "publish holds back basket" in parts["publishing"]


def test_a_revision_that_rolls_back_stays_rolled_back(request_: Shop) -> None:
    request_.git("revert", "--no-edit", "HEAD")
    parts = judged(request_)
    assert "Merging rolls back basket" in parts["merging"]
    assert "publish holds back basket" in parts["publishing"] and "No changes." in parts["publishing"]


def test_a_revision_beside_trees_is_refused(request_: Shop) -> None:
    for arguments in (("--merge", "HEAD", "--to", "HEAD"), ("--merge", "HEAD", "--from", "."), ("--merge", "nowhere")):
        run = request_.run("plan", "laptop", *arguments)
        assert run.code == 2
        assert "leave out --from and --to" in run.err or 'no Git revision "nowhere"' in run.err

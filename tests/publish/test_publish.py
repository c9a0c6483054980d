"""``publish`` against real Git repositories."""

from __future__ import annotations

from typing import Any

import pytest
from json_schemas import valid
from shop import BASKET, Shop

BILLING = (
    "# more",
    'billing = Microservice(system, "billing", image="example/billing:1.0.0", ports={"http": 80})\n    # more',
)

#: A Service of which everybody believes that somebody else makes its pods.
ADMIN = (
    "# more",
    """from cdk8s_plus_28 import k8s
    k8s.KubeService(
        front,
        "admin",
        metadata=k8s.ObjectMeta(name="admin"),
        spec=k8s.ServiceSpec(selector={"app": "admin"}, ports=[k8s.ServicePort(port=80)]),
    )
    # more""",
)


def subjects(shop: Shop, span: str) -> list[str]:
    """Return the first lines of the messages of some commits, oldest first."""
    return shop.git("log", "--reverse", "--format=%s", span).splitlines()


def test_first_publication_pins_every_component(shop: Shop) -> None:
    before = shop.pushed
    # Without pins, the Applications follow the branch again: that is no way back.
    assert "roll back" not in shop.publish() + shop.git("log", "-1", "--format=%B")
    shop.check()
    assert subjects(shop, f"{before}..") == ["Synthesize laptop", "Publish laptop: basket, front, stock"]
    assert set(shop.pinned().values()) == {shop.git("rev-parse", "HEAD~1")}


def test_only_the_pin_of_what_changed_moves(published: Shop) -> None:
    before = published.pins()
    published.change(*BASKET)
    published.publish()
    published.check()
    after = published.pins()
    assert {component for component in after if after[component] != before[component]} == {"basket"}
    assert after["basket"]["revision"] == published.git("rev-parse", "HEAD~1")
    changed = published.git("show", "--name-only", "--format=", "HEAD").splitlines()
    assert changed == ["argocd/laptop/Application-basket.yaml", "pins/laptop.json"]
    message = published.git("show", "--no-patch", "--format=%B", "HEAD").splitlines()
    assert message[2] == "Plan: 1 component in 1 wave: 1 rolling restart (1 pod); nothing is lost."
    assert message[4] == f"basket: {before['basket']['revision'][:12]} -> {after['basket']['revision'][:12]}"


def test_manifests_that_are_committed_already_are_pinned_where_they_are(published: Shop) -> None:
    published.edit(*BASKET)
    assert "Not published to laptop yet: basket (changed)" in published.run().said
    published.git("add", "--all", "app.py", "dist/laptop", "argocd/laptop", "bootstrap/argocd/laptop.tfvars.json")
    published.git("commit", "--quiet", "--message", "Update the basket")
    manifests = published.git("rev-parse", "HEAD")
    published.publish()
    assert published.pins()["basket"]["revision"] == manifests
    assert subjects(published, f"{manifests}..") == ["Publish laptop: basket"]
    assert published.pushed == published.git("rev-parse", "HEAD")


def test_commits_and_environments_that_go_along_are_told(published: Shop) -> None:
    published.edit(*BASKET)
    published.run()
    published.commit("Update the basket everywhere")
    said = published.publish()
    assert "Pushed with it:\n" in said
    assert "Update the basket everywhere" in said
    assert "These commits change cloud too, which was never published and follows main" in said


def test_an_empty_remote_has_nothing_of_what_an_old_one_had(published: Shop) -> None:
    empty = published.remote.with_name("empty.git")
    published.git("init", "--quiet", "--bare", "--initial-branch=main", str(empty))
    published.git("remote", "set-url", "origin", str(empty))
    published.change(*BASKET)
    said = published.publish()
    assert "Everything is new." in said
    assert published.git("rev-parse", "main", folder=empty) == published.git("rev-parse", "HEAD")


def test_a_remote_that_does_not_answer_is_told(published: Shop) -> None:
    published.git("remote", "set-url", "origin", str(published.remote.with_name("nowhere")))
    run = published.run("publish", "laptop")
    assert run.code == 1
    assert run.said.startswith("The remote origin does not answer, so nothing was published:\n")


def test_pins_edited_by_hand_are_told(published: Shop) -> None:
    file = published.folder / "pins" / "laptop.json"
    file.write_text(file.read_text().replace(published.pins()["basket"]["revision"], "0" * 40))
    run = published.run("publish", "laptop")
    assert run.code == 1
    assert run.said == "pins/laptop.json is not as publish wrote it; git checkout HEAD -- pins first.\n"


def test_nothing_to_do(published: Shop) -> None:
    before = published.git("rev-parse", "HEAD")
    assert "Nothing to publish" in published.publish()
    assert published.git("rev-parse", "HEAD") == published.pushed == before


def test_a_commit_that_changes_no_manifest_is_pushed_and_moves_no_pin(published: Shop) -> None:
    pins = published.pins()
    (published.folder / "NOTES.md").write_text("Notes.\n")
    head = published.commit("Take notes")
    published.publish()
    assert published.pushed == head
    assert published.pins() == pins


def test_environments_are_published_one_at_a_time(published: Shop) -> None:
    laptop = published.pins()
    published.publish(environment="cloud")
    published.check("cloud")
    assert published.pins() == laptop
    published.change(*BASKET)
    published.publish(environment="cloud")
    assert published.pins() == laptop
    assert published.git("rev-parse", "HEAD:dist/laptop") == published.git("rev-parse", "HEAD~3:dist/laptop")
    published.publish()
    published.check()


def test_generated_files_of_another_environment_are_left_alone(published: Shop) -> None:
    published.change(*BASKET)
    published.run()
    status = published.status
    assert "?? dist/cloud/" in status
    published.publish()
    assert published.pins()["basket"]["revision"] == published.git("rev-parse", "HEAD~1")
    assert "?? dist/cloud/" in published.status
    assert not [line for line in published.status.splitlines() if "laptop" in line]


def test_new_component_is_pinned(published: Shop) -> None:
    published.change(*BILLING)
    assert "billing (new)" in published.run("synth", "laptop").said
    published.publish()
    published.check()
    assert "billing" in published.pins()


def test_removed_component_loses_its_pin(published: Shop) -> None:
    published.change(*BILLING)
    published.publish()
    published.change(BILLING[1], BILLING[0])
    assert "billing (removed)" in published.run("synth", "laptop").said
    published.publish("--allow", "Application/billing", "--allow", "Namespace/billing", *ALLOW_BILLING)
    published.check()
    assert "billing" not in published.pins()
    assert "billing: removed" in published.git("show", "--no-patch", "--format=%B", "HEAD")


def test_a_namespace_that_was_left_stays_permitted(published: Shop) -> None:
    """Argo CD deletes only what the project permits, updates the project first, and deletes last, maybe never."""
    published.change(*BILLING)
    published.publish()
    published.change(*MOVED)
    published.publish("--allow", "Application/billing")
    # In both commits, because the first one may be merged and synced long before the second.
    assert published.permitted("billing", revision="HEAD~1") == published.permitted("billing") == {"billing", "till"}
    assert published.pins_file()["retired"] == {"billing": ["billing"]}
    published.change(*BASKET)
    published.publish()
    assert published.permitted("billing") == {"billing", "till"}
    assert published.permitted("basket") == {"basket"}
    # Somebody else's now.
    published.change("# more", TENANT)
    published.publish("--allow=AppProject/shop-tenant")
    assert published.permitted("billing") == {"till"}
    assert published.permitted("tenant") == {"billing"}
    assert published.pins_file()["retired"] == {}


MOVED = ('"billing", image', '"billing", namespace="till", image')
TENANT = 'Microservice(system, "tenant", namespace="billing", image="example/billing:1.0.0", ports={"http": 80})'
ALLOW_BILLING = ("--allow", "Deployment/billing", "--allow", "Service/billing")


def test_renamed_component_is_refused_and_then_published(published: Shop) -> None:
    published.change(*BILLING)
    published.publish()
    published.change('"billing", image', '"invoices", image')
    head = published.git("rev-parse", "HEAD")
    run = published.run("publish", "laptop")
    assert run.code == 1
    assert "To agree to all of that, add --allow Application/billing\n" in run.said
    assert published.git("rev-parse", "HEAD") == head
    published.publish("--allow", "Application/billing")
    published.check()
    assert {"billing", "invoices"} & set(published.pins()) == {"invoices"}


# What check finds.


def test_refuses_what_check_finds_an_error_in(published: Shop) -> None:
    published.change(*ADMIN)
    before = published.git("rev-parse", "HEAD"), published.pushed, published.status
    for arguments in ([], ["--dry-run"]):
        run = published.run("publish", "laptop", *arguments)
        assert run.code == 1
        assert "service-without-pods" in run.said
        assert "Service/front/admin" in run.said
        assert run.said.endswith("\nNothing was published: check finds 1 error.\n")
    assert (published.git("rev-parse", "HEAD"), published.pushed, published.status) == before


def test_waived_errors_and_warnings_do_not_refuse(published: Shop) -> None:
    published.edit(*ADMIN)
    published.edit("# more", 'k8s.KubeEndpoints(front, "old", metadata=k8s.ObjectMeta(name="old"))\n    # more')
    (published.folder / "waivers.yaml").write_text(
        "- code: service-without-pods\n"
        "  object: Service/front/admin\n"
        "  reason: An operator makes its pods.\n"
        "  expires: 2999-12-31\n"
    )
    published.commit("Waive it")
    assert "0 errors, 1 warning, 1 waived" in published.run("check", "laptop").said
    published.publish("--allow=AppProject/shop-front")
    published.check()


# Dry runs and parts.


def test_dry_run_shows_the_commits_and_makes_none(published: Shop) -> None:
    published.change(*BASKET)
    before = (published.git("rev-parse", "HEAD"), published.pushed, published.status)
    said = published.publish("--dry-run")
    assert "Synthesize laptop" in said
    assert "dist/laptop/basket/Deployment-basket.yaml" in said
    assert "Publish laptop: basket" in said
    assert (published.git("rev-parse", "HEAD"), published.pushed, published.status) == before


def test_programs_are_told_what_people_are(published: Shop) -> None:
    published.change(*BASKET)
    published.change("example/stock:1.0.0", "example/stock:1.1.0")

    def told(*arguments: str) -> dict[str, Any]:
        run = published.run("publish", "laptop", "--format", "json", *arguments)
        assert run.code == 0, run.said
        # Whoever looks on reads the rest.
        assert "laptop" in run.err
        return valid("publish", run.out)

    would = told("--dry-run", "--only", "basket")
    assert [commit["id"] for commit in would["commits"]] == [None, None]
    assert would["commits"][0]["message"] == "Synthesize laptop"
    done = told("--only", "basket")
    made = published.git("log", "--reverse", "--format=%H", "-2").split()
    assert [commit["id"] for commit in done["commits"]] == made
    assert published.git("log", "-1", "--format=%B") == done["commits"][1]["message"]
    assert (would["pushed"], done["pushed"], done["moved"]) == (False, True, ["basket"])
    assert done["held_back"] == {"stock": ""}
    assert done["plan"]["summary"] == {"rolling restart": 1}
    assert told()["moved"] == ["stock"]
    nothing = told()
    assert (nothing["pushed"], nothing["plan"], nothing["commits"]) == (False, None, [])


def test_reverting_the_pins_rolls_back(published: Shop) -> None:
    before = published.pinned()
    published.change(*BASKET)
    published.publish()
    published.git("revert", "--no-edit", "HEAD")
    assert published.pinned() == before
    old = published.git("show", f"{before['basket']}:dist/laptop/basket/Deployment-basket.yaml")
    assert "example/basket:1.0.0" in old
    assert "Not published to laptop yet: basket (changed)" in published.run("synth", "laptop").said


def test_a_rollback_lasts(published: Shop) -> None:
    """Somebody, or a workflow, publishes something else: what was rolled back stays so until it is meant."""
    before = published.pinned()
    published.change(*BASKET)
    published.publish()
    published.git("revert", "--no-edit", "HEAD")
    reverted = published.git("rev-parse", "--short=12", "HEAD")
    published.git("push", "--quiet")
    said = published.publish()
    assert f"Held back: basket, because {reverted} rolled back these manifests" in said
    assert "Nothing to publish: origin/main has everything else that laptop is declared to be." in said
    published.change("example/stock:1.0.0", "example/stock:1.1.0")
    said = published.publish()
    assert f"Held back: basket, because {reverted}" in said
    assert published.pinned()["basket"] == before["basket"]
    assert published.pinned()["stock"] != before["stock"]
    # A mending version is no rollback any more, and neither is the same one by name.
    published.publish("--only", "basket")
    published.check()


def test_a_fixed_version_goes_out_after_a_rollback(published: Shop) -> None:
    published.change(*BASKET)
    published.publish()
    published.git("revert", "--no-edit", "HEAD")
    published.git("push", "--quiet")
    published.change("basket:1.1.0", "basket:1.1.1")
    assert "Held back" not in published.publish()
    published.check()


def test_a_declaration_that_returns_to_an_earlier_state_is_published(published: Shop) -> None:
    published.change(*BASKET)
    published.publish()
    published.change(*reversed(BASKET))
    assert "Held back" not in published.publish()
    published.check()


def test_what_a_rollback_does_can_be_planned_before_its_push(published: Shop) -> None:
    published.change(*BASKET)
    published.publish()
    published.git("revert", "--no-edit", "HEAD")
    said = published.run("plan", "laptop", "--to", "HEAD").said
    assert "image: example/basket:1.1.0 → example/basket:1.0.0" in said
    # The declaration, however, is what is published.
    assert "No changes." in published.run("plan", "laptop").said


def test_only_one_component(published: Shop) -> None:
    published.change(*BASKET)
    published.change("example/stock:1.0.0", "example/stock:1.1.0")
    before = published.pins()
    said = published.publish("--only", "basket")
    after = published.pins()
    assert {component for component in after if after[component] != before[component]} == {"basket"}
    assert "Held back: stock" in said
    assert published.pushed == published.git("rev-parse", "HEAD")
    published.publish()
    published.check()


def test_both_sides_of_an_edge_go_together(published: Shop) -> None:
    published.change("# more", 'front.needs(stock.endpoint("http"), {"STOCK": "address"})\n    # more')
    published.change(*BASKET)
    before = published.pins()
    said = published.publish("--only", "front", "--allow=NetworkPolicy/front", "--allow=NetworkPolicy/stock")
    after = published.pins()
    assert {component for component in after if after[component] != before[component]} == {"front", "stock"}
    assert "With it: stock" in said
    assert "Held back: basket" in said


def test_a_new_component_cannot_be_held_back(published: Shop) -> None:
    published.change(*BILLING)
    published.change(*BASKET)
    said = published.publish("--only", "basket")
    assert "With it: billing" in said
    published.check()


def test_applications_are_not_held_back(published: Shop) -> None:
    """A wave is in the Application, which follows no pin; the manifests of its component do."""
    published.change("# more", 'stock.after(front, reason="to see")\n    # more')
    published.change('basket.needs(stock.endpoint("http"), {"STOCK": "address"})', "pass")
    published.change("example/front:1.0.0", "example/front:1.1.0")
    before = published.pins()
    said = published.publish("--only", "front")
    assert "~ Application/argocd/stock: update in place" in said
    assert "Held back: basket" in said
    assert "Held back: stock" not in said or published.pins()["stock"] == before["stock"]
    assert published.pins()["basket"] == before["basket"]
    assert published.pins()["front"] != before["front"]


def test_a_component_that_is_held_back_does_not_move_to_another_namespace(published: Shop) -> None:
    published.change(*BILLING)
    published.publish()
    published.change('"billing", image', '"billing", namespace="money", image')
    published.change(*BASKET)
    run = published.run("publish", "laptop")
    assert (run.code, "To agree to all of that, add --allow Application/billing\n" in run.said) == (1, True)
    said = published.publish("--only", "basket")
    assert "Held back: billing" in said
    assert "nothing is lost" in said
    run = published.run("publish", "laptop")
    assert (run.code, "To agree to all of that, add --allow Deployment/billing\n" in run.said) == (1, True)


def test_only_needs_an_environment_that_was_published(shop: Shop) -> None:
    run = shop.run("publish", "laptop", "--only", "basket")
    assert run.code == 1
    assert "laptop was never published" in run.said


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["labtop"], 2, 'There is no environment "labtop"; did you mean "laptop"?'),
        (["laptop", "--only", "baskets"], 1, 'There is no component "baskets"; did you mean "basket"?'),
        (["laptop", "--only", "stock"], 1, "stock has nothing to publish; what has: basket."),
        (["laptop", "--allow", "Deployment/baskets"], 1, 'There is nothing dangerous called "Deployment/baskets"'),
    ],
)
def test_wrong_arguments(published: Shop, arguments: list[str], code: int, message: str) -> None:
    published.change(*BASKET)
    run = published.run("publish", *arguments)
    assert (run.code, message in run.said, "Traceback" in run.said) == (code, True, False), run.said

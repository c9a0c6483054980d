"""What a publication keeps open for pods that still run, and what closes it, against real Git repositories."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from shop import BASKET, Shop

#: The basket stops calling the stock.
DROPPED = ('basket.needs(stock.endpoint("http"), {"STOCK": "address"})', "pass")
#: The basket listens on another port, which the front learns.
PORT = ('"example/basket:1.0.0", ports={"http": 8080}', '"example/basket:1.0.0", ports={"http": 8081}')
BOTH_SIDES = {"dist/laptop/basket/NetworkPolicy-basket.yaml", "dist/laptop/stock/NetworkPolicy-stock.yaml"}
CLOSES = "What the last publication kept open closes"


def kept(shop: Shop, revision: str = "HEAD") -> dict[str, dict[str, Any]]:
    """Return what the committed pins keep open."""
    found: dict[str, dict[str, Any]] = shop.pins_file(revision=revision).get("kept", {})
    return found


def deployed(shop: Shop, component: str, file: str) -> dict[str, Any]:
    """Return an object as Argo CD reads it: from the commit to which its component is pinned."""
    revision = shop.pinned()[component]
    manifest: dict[str, Any] = yaml.safe_load(shop.git("show", f"{revision}:dist/laptop/{component}/{file}"))
    return manifest


def callers(shop: Shop, component: str) -> list[str]:
    """Return the namespaces that the deployed policy of a component lets in."""
    rules = deployed(shop, component, f"NetworkPolicy-{component}.yaml")["spec"].get("ingress", [])
    peers = [peer for rule in rules for peer in rule.get("from", [])]
    return [peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in peers]


def up_to_date(shop: Shop) -> None:
    """Assert that everything is published and that synthesis gives what is committed."""
    shop.check()
    run = shop.run("synth", "laptop", "--check")
    assert (run.code, "Not published" in run.said) == (0, False), run.said


def test_a_dropped_edge_stays_open_on_both_sides_and_closes_when_published_again(published: Shop) -> None:
    published.change(*DROPPED)
    planned = published.run("plan", "laptop").said
    assert "Stays open for the old pods until the next publication: spec.ingress[0]." in planned
    said = published.publish()
    # The plan is that of the very tree that is published.
    assert planned.partition("\n\n")[2] in said
    assert (
        "Kept open for the old pods: 2 connections. A later publication closes that, or python app.py publish" in said
    )
    assert kept(published).keys() == BOTH_SIDES
    assert callers(published, "stock") == ["basket"]
    assert deployed(published, "basket", "NetworkPolicy-basket.yaml")["spec"]["egress"]
    up_to_date(published)
    assert "Kept open in laptop until the next publication: 2 connections." in published.run("synth", "laptop").said
    assert "0 errors, 0 warnings" in published.run("check", "laptop").said
    # Nothing else has changed.
    planned = published.run("plan", "laptop").said
    assert CLOSES in planned
    assert "2 updated in place; nothing is lost." in planned
    assert "Closes 2 connections that the last publication kept open." in published.publish()
    assert kept(published) == {}
    assert callers(published, "stock") == []
    assert "egress" not in deployed(published, "basket", "NetworkPolicy-basket.yaml")["spec"]
    up_to_date(published)
    assert "Nothing to publish" in published.publish()
    assert "No changes." in published.run("plan", "laptop").said


def test_the_next_publication_closes_what_the_last_one_kept(published: Shop) -> None:
    published.change(*DROPPED)
    published.publish()
    published.change("example/front:1.0.0", "example/front:1.1.0")
    said = published.publish()
    assert "Closes 2 connections that the last publication kept open." in said
    assert "Kept open" not in said
    assert (kept(published), callers(published, "stock")) == ({}, [])
    up_to_date(published)


def test_what_may_mend_the_last_publication_closes_nothing(published: Shop) -> None:
    """The old pods of a publication that hangs still run while the next one is rolled out."""
    published.change(*DROPPED)
    published.change(*BASKET)
    published.publish()
    content = published.pins()["stock"]["content"]
    for old, new in (("1.1.0", "1.1.1"), ("1.1.1", "1.1.2")):
        published.change(f"example/basket:{old}", f"example/basket:{new}")
        said = published.publish()
        assert "Kept open for the old pods: 2 connections." in said
        assert "Closes" not in said
        assert CLOSES not in said
        assert callers(published, "stock") == ["basket"]
        assert published.pins()["stock"]["content"] == content
        up_to_date(published)
    # Another component has nothing to do with it.
    published.change("example/front:1.0.0", "example/front:1.1.0")
    said = published.publish()
    assert "Closes 2 connections that the last publication kept open." in said
    assert "Kept open" not in said
    assert callers(published, "stock") == []
    up_to_date(published)


def test_a_changed_port_is_served_under_its_old_number_too(published: Shop) -> None:
    published.change(*PORT)
    published.publish("--allow=NetworkPolicy/basket")
    ports = deployed(published, "basket", "Service-basket.yaml")["spec"]["ports"]
    assert [(port["name"], port["port"], port["targetPort"]) for port in ports] == [
        ("http", 8081, "http"),
        ("http-8080", 8080, "http"),
    ]
    rules = deployed(published, "basket", "NetworkPolicy-basket.yaml")["spec"]["ingress"]
    assert [port["port"] for rule in rules for port in rule["ports"]] == [8080, 8081]
    assert "0 errors, 0 warnings" in published.run("check", "laptop").said
    up_to_date(published)
    published.publish()
    assert [port["port"] for port in deployed(published, "basket", "Service-basket.yaml")["spec"]["ports"]] == [8081]
    up_to_date(published)


def test_what_only_opens_or_has_nobody_left_keeps_nothing(published: Shop) -> None:
    published.change("# more", 'front.needs(stock.endpoint("http"), {"STOCK": "address"})\n    # more')
    published.publish("--allow=NetworkPolicy/front", "--allow=NetworkPolicy/stock")
    assert kept(published) == {}
    published.change("# more", 'Microservice(system, "billing", image="example/billing:1.0.0", ports={"http": 80})')
    published.publish()
    assert kept(published) == {}


def test_a_removed_client_keeps_its_way_to_what_stays(published: Shop) -> None:
    published.change(
        "# more",
        'billing = Microservice(system, "billing", image="example/billing:1.0.0", ports={"http": 80})\n'
        '    billing.needs(stock.endpoint("http"), {"STOCK": "address"})\n    # more',
    )
    published.publish("--allow=NetworkPolicy/stock")
    app = published.folder / "app.py"
    app.write_text("\n".join(line for line in app.read_text().splitlines() if "billing" not in line))
    published.commit("Remove billing")
    names = [f"--allow={kind}/billing" for kind in ("Application", "Namespace", "Deployment", "Service")]
    published.publish(*names)
    assert kept(published).keys() == {"dist/laptop/stock/NetworkPolicy-stock.yaml"}
    assert sorted(callers(published, "stock")) == ["basket", "billing"]
    up_to_date(published)


def test_what_is_declared_again_is_kept_no_more(published: Shop) -> None:
    published.change(*DROPPED)
    published.publish()
    published.change(*reversed(DROPPED))
    published.publish()
    assert (kept(published), callers(published, "stock")) == ({}, ["basket"])
    up_to_date(published)


def test_a_rollback_lasts_and_leaves_everything_up_to_date(published: Shop) -> None:
    published.change(*DROPPED)
    published.publish()
    content = published.pins()["stock"]["content"]
    published.git("revert", "--no-edit", "HEAD")
    published.git("push", "--quiet")
    assert "constructs-lib/kept-open" not in str(deployed(published, "stock", "NetworkPolicy-stock.yaml"))
    assert published.run("synth", "laptop", "--check").code == 0
    said = published.publish()
    assert "Held back: basket" in said
    assert "Held back: stock" in said
    # By name it goes out as it did the first time.
    published.publish("--only", "basket", "--only", "stock")
    assert published.pins()["stock"]["content"] == content
    assert callers(published, "stock") == ["basket"]
    up_to_date(published)


def test_a_rollback_of_what_closed_opens_it_again(published: Shop) -> None:
    published.change(*DROPPED)
    published.publish()
    published.publish()
    published.git("revert", "--no-edit", "HEAD")
    published.git("push", "--quiet")
    assert callers(published, "stock") == ["basket"]
    assert "Held back: stock" in published.publish()
    published.publish("--only", "basket", "--only", "stock")
    assert (kept(published), callers(published, "stock")) == ({}, [])
    up_to_date(published)


def test_what_is_held_back_keeps_open_what_it_is_to_close(published: Shop) -> None:
    published.change(*DROPPED)
    published.change("example/front:1.0.0", "example/front:1.1.0")
    said = published.publish("--only", "front")
    assert "Held back: basket" in said
    assert "Kept open" not in said
    assert published.run("synth", "laptop", "--check").code == 0
    said = published.publish()
    assert "Kept open for the old pods: 2 connections." in said
    assert callers(published, "stock") == ["basket"]
    up_to_date(published)


def test_a_push_that_did_not_arrive_keeps_what_it_keeps(published: Shop) -> None:
    """The commits are there, but nobody has seen them yet: publishing them closes nothing."""
    published.change(*DROPPED)
    published.git("config", "remote.origin.pushurl", str(published.remote.with_name("gone.git")))
    assert published.run("publish", "laptop").code == 1
    published.git("config", "--unset", "remote.origin.pushurl")
    head = published.git("rev-parse", "HEAD")
    published.publish()
    assert published.git("rev-parse", "HEAD") == head
    assert callers(published, "stock") == ["basket"]
    up_to_date(published)


def test_a_refused_push_leaves_what_make_synth_leaves(published: Shop) -> None:
    refusal = published.hook("pre-receive", "exit 1", published.remote)
    published.change(*DROPPED)
    assert published.run("publish", "laptop").code == 1
    assert "pins" not in published.status
    assert published.run("synth", "laptop", "--check").code == 0
    refusal.unlink()
    published.publish()
    assert kept(published).keys() == BOTH_SIDES
    up_to_date(published)


@pytest.mark.parametrize("first", range(1, 5))
def test_killed_before_the_push_it_keeps_the_same(published: Shop, tmp_path: Path, first: int) -> None:
    git = shutil.which("git")
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    # Each of the four is killed at every fourth call, until one is killed as it pushes.
    wrapper.write_text(
        '#!/bin/sh\ncase "$*" in *--porcelain\\ origin*) kill -9 $PPID; exit 1;; esac\necho >> "$CALLS"\n'
        f'"{git}" "$@"\ncode=$?\n[ "$(wc -l < "$CALLS")" -ge "$LAST" ] && kill -9 $PPID\nexit $code\n'
    )
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"
    published.change(*DROPPED)
    for last in range(first, 60, 4):
        calls = tmp_path / f"calls-{last}"
        run = published.run("publish", "laptop", PATH=path, CALLS=str(calls), LAST=str(last))
        assert run.code == -9, run.said
        if len(calls.read_text()) < last:
            break
    published.publish()
    assert kept(published).keys() == BOTH_SIDES
    assert callers(published, "stock") == ["basket"]
    up_to_date(published)


def test_pins_from_before_are_read_and_written_as_they_are(published: Shop) -> None:
    assert published.pins_file().keys() == {"components", "retired"}
    published.change(*BASKET)
    published.publish()
    assert published.pins_file().keys() == {"components", "retired"}


def test_an_environment_without_pins_keeps_nothing(shop: Shop) -> None:
    assert shop.run("synth", "laptop").code == 0
    shop.commit("Synthesize")
    shop.git("push", "--quiet")
    shop.change(*DROPPED)
    assert "Stays open" not in shop.run("plan", "laptop").said
    assert "Kept open" not in shop.publish()
    assert kept(shop) == {}

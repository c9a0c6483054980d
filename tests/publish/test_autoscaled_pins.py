"""What is pinned has its autoscaler as long as it is deployed: until then, Argo CD leaves the number of pods to it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from shop import Shop

FIXED = ('image="example/basket:1.0.0"', 'image="example/basket:1.0.0", replicas=3')
SCALED = ('image="example/basket:1.0.0"', 'image="example/basket:1.0.0", replicas=Autoscale(3, 6)')


@pytest.fixture
def scaled(shop: Shop) -> Shop:
    """A published shop with an autoscaler."""
    shop.change(*SCALED)
    shop.publish()
    return shop


def ignored(shop: Shop, revision: str = "HEAD") -> list[str]:
    """Return whose number of pods Argo CD leaves alone in the basket."""
    made: dict[str, Any] = yaml.safe_load(shop.git("show", f"{revision}:argocd/laptop/Application-basket.yaml"))
    return [each["name"] for each in made["spec"].get("ignoreDifferences", ())]


def test_the_number_is_left_alone_until_the_pin_moves_and_after_its_revert(scaled: Shop) -> None:
    pins = scaled.pins_file()["components"]
    assert {name: pin.get("autoscaled", []) for name, pin in pins.items()} == {
        "basket": ["Deployment/basket"],
        "front": [],
        "stock": [],
    }
    scaled.edit(SCALED[1], FIXED[1])
    scaled.run()
    scaled.commit("Take the autoscaler away")
    scaled.git("push", "--quiet")
    assert ignored(scaled) == ["basket"]
    plans = scaled.run("plan", "laptop"), scaled.run("plan", "laptop", "--merge", "HEAD")
    for plan in plans:
        assert "Application/argocd/basket: update in place" in plan.said
        assert "HorizontalPodAutoscaler/basket/basket: delete" in plan.said
    scaled.publish()
    assert ignored(scaled) == []
    assert "autoscaled" not in scaled.pins()["basket"]
    assert "No changes." in scaled.run("plan", "laptop").said
    scaled.git("revert", "--no-edit", "HEAD")
    scaled.git("push", "--quiet")
    assert ignored(scaled) == ["basket"]
    assert scaled.run("synth", "--check", "laptop").code == 0
    assert "Nothing to publish: origin/main has everything else" in scaled.publish()
    scaled.publish("--only", "basket")
    assert ignored(scaled) == []


def test_a_changed_number_is_told_although_it_is_left_alone_until_then(scaled: Shop) -> None:
    scaled.change(SCALED[1], 'image="example/basket:1.0.0", replicas=4')
    for said in (scaled.run("plan", "laptop").said, scaled.publish("--dry-run")):
        assert "spec.replicas: 3 → 4" in said


def test_pins_that_say_so_in_another_way_are_told(scaled: Shop) -> None:
    file = scaled.folder / "pins" / "laptop.json"
    file.write_text(file.read_text().replace('[\n        "Deployment/basket"\n      ]', '"Deployment/basket"'))
    run = scaled.run("plan", "laptop")
    assert run.code == 1
    assert "pins/laptop.json: basket: what is autoscaled is no list of workloads" in run.said

"""Whether an environment is healthy with what it is pinned to, with Applications as a cluster holds them.

That a real Argo CD says it like this is in tests/rehearse/test_rehearsed_order.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from hanging_cluster import BAD, GOOD, NEW, Cluster, Item, child, pod, root, takeover, workload

from constructs_lib.publish.checkout import PublishError
from constructs_lib.publish.health import unhealthy
from constructs_lib.repository.pins import Pin, Pins

PINS = Pins({name: Pin(GOOD, "content", name) for name in ("stock", "front")})


def settled(name: str, **sync: Any) -> Item:
    """Return an Application that is there, and healthy."""
    found = child(name, GOOD, "Deployment", settled=True)
    found["status"]["sync"] |= {"revision": GOOD, **sync}
    return found


def said(*items: Item) -> list[str]:
    """Return why the environment is not healthy."""
    names = [item["metadata"]["name"] for item in items if item["kind"] == "Application"]
    return unhealthy(takeover(Cluster(root(NEW, *names, settled=True), *items))[0], PINS)


def test_healthy() -> None:
    assert said(settled("stock"), settled("front")) == []


def test_a_chart_is_known_by_the_commit_beside_its_version() -> None:
    chart = settled("stock", revisions=["1.2.3", GOOD])
    del chart["status"]["sync"]["revision"]
    assert said(chart, settled("front")) == []


def test_not_healthy() -> None:
    stock = settled("stock")
    stock["status"]["health"]["status"] = "Degraded"
    assert said(stock, settled("front")) == ["stock: Degraded and Synced, with good."]


def test_not_there_yet() -> None:
    assert said(settled("stock", revision=BAD), settled("front")) == [
        "stock: Argo CD is at bad, and good is published."
    ]
    assert said(settled("stock", status="OutOfSync"), settled("front")) == ["stock: Healthy and OutOfSync, with good."]
    stock = settled("stock")
    stock["operation"] = {"sync": {}}
    assert said(stock, settled("front")) == ["stock: Healthy and Synced, with good, while a sync runs."]


def test_what_hangs_says_why() -> None:
    stock = settled("stock")
    stock["status"]["health"]["status"] = "Progressing"
    assert said(stock, settled("front"), workload("Deployment", "stock"), pod("stock", waits="ImagePullBackOff")) == [
        "stock: Progressing and Synced, with good.",
        "  Deployment/stock: Pod/stock-0: ImagePullBackOff: Back-off pulling image",
    ]


def test_not_installed() -> None:
    assert said(settled("stock")) == ["front: Argo CD has no such Application."]


def test_another_cluster() -> None:
    other = root(NEW, "stock", settled=True)
    other["spec"] = {"source": {"repoURL": "https://github.com/example/shop.git", "path": "argocd/cloud"}}
    with pytest.raises(PublishError, match=r"deploys argocd/cloud from .*, not argocd/laptop"):
        unhealthy(takeover(Cluster(other))[0], PINS)

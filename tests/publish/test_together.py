"""What must be published together."""

from __future__ import annotations

from typing import Any

import pytest

from constructs_lib.publish.scope import Pair, together

NAMESPACES = {"front": "web", "basket": "basket", "stock": "warehouse", "store": "store"}


def config(**data: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "data": data}


def deployment(image: str, *addresses: str) -> dict[str, Any]:
    """Return pods of two containers, of which one waits for addresses."""
    containers = [{"name": "wait", "args": list(addresses)}, {"name": "program", "image": image}]
    return {"kind": "Deployment", "spec": {"containers": containers}}


def policy(*namespaces: str) -> dict[str, Any]:
    rules = [{"to": [{"namespaceSelector": {"matchLabels": {"name": name}}}], "ports": [1]} for name in namespaces]
    return {"kind": "NetworkPolicy", "spec": {"egress": rules}}


def role(*names: str) -> dict[str, Any]:
    return {"kind": "Role", "rules": [{"resources": ["secrets"], "resourceNames": list(names)}]}


def secret(store: str) -> dict[str, Any]:
    return {"kind": "ExternalSecret", "spec": {"data": [{"secretKey": "a", "remoteRef": {"key": store}}]}}


@pytest.mark.parametrize(
    ("changes", "goes_along"),
    [
        pytest.param({"front": [], "basket": []}, set(), id="nothing in common"),
        pytest.param(
            {
                "front": [(deployment("a:1", "x.warehouse.svc:80"), deployment("a:2", "x.warehouse.svc:80"))],
                "stock": [(deployment("b:1"), deployment("b:2"))],
            },
            set(),
            id="two images",
        ),
        pytest.param(
            {"front": [(config(URL="x.warehouse.svc:80"), config(URL="x.warehouse.svc:81"))], "stock": []},
            {"stock"},
            id="an address",
        ),
        pytest.param({"front": [(policy(), policy("warehouse"))], "stock": []}, {"stock"}, id="a new edge"),
        pytest.param({"front": [(policy("warehouse"), policy())], "stock": []}, {"stock"}, id="an edge that goes"),
        pytest.param({"front": [], "stock": [(policy(), policy("web"))]}, {"stock"}, id="the other side's policy"),
        pytest.param(
            {"front": [(policy("basket"), policy("basket", "warehouse"))], "stock": [], "basket": []},
            {"stock"},
            id="an edge beside one that stays",
        ),
        pytest.param(
            {"front": [(role("warehouse"), role("basket", "warehouse"))], "stock": []}, set(), id="one more in a list"
        ),
        pytest.param({"front": [(None, secret("store"))], "store": []}, {"store"}, id="a secret"),
        pytest.param({"front": [(policy(), policy("warehouse"))]}, set(), id="the other side did not change"),
        pytest.param(
            {"front": [(policy(), policy("basket"))], "basket": [(policy(), policy("warehouse"))], "stock": []},
            {"basket", "stock"},
            id="a chain",
        ),
    ],
)
def test_together(changes: dict[str, list[Pair]], goes_along: set[str]) -> None:
    assert set(together(["front"], {}, changes, NAMESPACES)) == goes_along


def test_reasons_name_who_speaks_of_whom() -> None:
    changes: dict[str, list[Pair]] = {
        "front": [(policy(), policy("basket"))],
        "basket": [],
        "stock": [(policy(), policy("web"))],
    }
    assert together(["front"], {}, changes, NAMESPACES) == {
        "basket": "the changes of front speak of it",
        "stock": "its changes speak of front",
    }


def test_what_cannot_wait_goes_along_with_what_belongs_to_it() -> None:
    changes: dict[str, list[Pair]] = {"front": [], "basket": [(None, policy("warehouse"))], "stock": [], "store": []}
    assert together(["front"], {"basket": "it is new"}, changes, NAMESPACES) == {
        "basket": "it is new",
        "stock": "the changes of basket speak of it",
    }


def test_what_is_wanted_is_no_companion() -> None:
    assert together(["front", "basket"], {"front": "it is new"}, {"front": [], "basket": []}, NAMESPACES) == {}

"""What LabelSelectorAsSelector (k8s.io/apimachinery 0.34) selected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from constructs_lib.kubernetes.selectors import LabelIndex, Selector

WEB = {"app": "web", "tier": "front"}


def asks(operator: str, *values: str, key: str = "app") -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": list(values)} if values else {})}]}


@pytest.mark.parametrize(
    ("written", "matches"),
    [
        (None, False),
        ("app=web", False),
        ({}, True),
        ({"matchLabels": None, "matchExpressions": []}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "tier": "front"}}, True),
        ({"matchLabels": {"app": "web", "tier": "back"}}, False),
        ({"matchLabels": {"zone": "a"}}, False),
        (asks("In", "api", "web"), True),
        (asks("In", "api"), False),
        (asks("In", "a", key="zone"), False),
        (asks("NotIn", "api"), True),
        (asks("NotIn", "web"), False),
        (asks("NotIn", "a", key="zone"), True),
        (asks("Exists"), True),
        (asks("Exists", key="zone"), False),
        (asks("DoesNotExist"), False),
        (asks("DoesNotExist", key="zone"), True),
        ({"matchLabels": {"app": "web"}, **asks("DoesNotExist", key="tier")}, False),
        # What the API server refuses selects nothing.
        (asks("In"), False),
        (asks("NotIn", key="zone"), False),
        (asks("Exists", "web"), False),
        (asks("DoesNotExist", "a", key="zone"), False),
        (asks("Equals", "web"), False),
    ],
)
def test_selectors(written: object, matches: bool) -> None:
    selector = Selector(written)
    assert selector.matches(WEB) is matches
    # A label that it asks for may only leave out what it does not select.
    assert not matches or selector.pair is None or selector.pair in WEB.items()


@pytest.mark.parametrize(
    ("labels", "matches"), [({"app": "web"}, True), ({"app": "api"}, False), ({}, False), (None, False)]
)
def test_services_select_by_plain_labels(labels: object, matches: bool) -> None:
    assert Selector.of_labels(labels).matches(WEB) is matches


@pytest.mark.parametrize(
    ("written", "shown", "is_empty"),
    [
        ({}, "everything", True),
        ({"matchLabels": {"a": "1", "b": "2"}}, "a=1, b=2", False),
        ({"matchLabels": {"a": "1"}, **asks("In", "x", "y")}, "a=1, app In x, y", False),
        (asks("Exists"), "app Exists", False),
        (None, "everything", False),
    ],
)
def test_as_messages_show_it(written: object, shown: str, is_empty: bool) -> None:
    assert (str(Selector(written)), Selector(written).is_empty) == (shown, is_empty)


@dataclass(frozen=True)
class Thing:
    namespace: str
    labels: Mapping[str, str]


def test_index() -> None:
    things = [Thing("shop", {"app": "web"}), Thing("shop", {"app": "api"}), Thing("other", {"app": "web"})]
    index = LabelIndex(things)
    assert index.select("shop", Selector({"matchLabels": {"app": "web"}})) == things[:1]
    assert index.select("shop", Selector({})) == things[:2]
    assert index.select("shop", Selector(asks("NotIn", "web"))) == things[1:2]
    assert index.select("none", Selector({})) == []

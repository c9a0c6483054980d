"""Label selectors, and an index of what they select.

``LabelSelectorAsSelector`` of https://github.com/kubernetes/apimachinery/blob/master/pkg/apis/meta/v1/helpers.go: none
selects nothing, an empty one everything, and one with a requirement that the API server refuses nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from constructs_lib.kubernetes.manifest import mapping, mappings, sequence, texts

_Requirement = tuple[str, str, tuple[str, ...]]


class Selector:
    """A label selector."""

    def __init__(self, written: object) -> None:
        """Take in a selector as it is written.

        Args:
            written: A mapping with ``matchLabels`` and ``matchExpressions``, either of which may be missing; anything
                else selects nothing. Fields that are no pointers in Kubernetes, such as ``podSelector`` of a
                NetworkPolicy, are empty where they are missing: give an empty mapping for them.
        """
        selector = mapping(written)
        self.labels = texts(selector.get("matchLabels"))
        self._requirements: list[_Requirement] = [
            (str(entry.get("key")), str(entry.get("operator")), tuple(map(str, sequence(entry.get("values")))))
            for entry in mappings(selector.get("matchExpressions"))
        ]
        self._is_valid = isinstance(written, dict) and all(map(_is_valid, self._requirements))

    @classmethod
    def of_labels(cls, labels: object) -> Selector:
        """Return the selector of a Service: plain labels, of which none select nothing."""
        return cls({"matchLabels": labels} if mapping(labels) else None)

    @property
    def is_empty(self) -> bool:
        """Whether it selects everything."""
        return self._is_valid and not self.labels and not self._requirements

    @cached_property
    def pair(self) -> tuple[str, str] | None:
        """A label that everything has that it selects; None if there is none."""
        wanted = dict(self.labels)
        for key, operator, values in self._requirements:
            if operator == "In" and len(values) == 1:
                wanted.setdefault(key, *values)
        # The first label selects best: part-of, which many share, is usually the last.
        return next(iter(wanted.items()), None)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether it selects something with these labels."""
        if not self._is_valid or not self.labels.items() <= labels.items():
            return False
        return all(_holds(labels.get(key), operator, values) for key, operator, values in self._requirements)

    def __str__(self) -> str:
        """Return it as messages show it."""
        parts = [f"{key}={value}" for key, value in self.labels.items()]
        parts += [" ".join((key, operator, ", ".join(values))).strip() for key, operator, values in self._requirements]
        return ", ".join(parts) or "everything"


def _is_valid(requirement: _Requirement) -> bool:
    _, operator, values = requirement
    return bool(values) if operator in ("In", "NotIn") else operator in ("Exists", "DoesNotExist") and not values


def _holds(value: str | None, operator: str, values: tuple[str, ...]) -> bool:
    if operator in ("In", "NotIn"):
        return (value in values) is (operator == "In")
    return (value is not None) is (operator == "Exists")


class Labelled(Protocol):
    """Something in a namespace that has labels."""

    @property
    def namespace(self) -> str:
        """Its namespace."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""


Item = TypeVar("Item", bound=Labelled)


class LabelIndex(Generic[Item]):
    """Things by their labels, so that no selector has to look at all of them."""

    def __init__(self, items: Iterable[Item]) -> None:
        """Index them."""
        self._by_pair: dict[tuple[str, tuple[str, str] | None], list[Item]] = defaultdict(list)
        for item in items:
            for pair in (None, *item.labels.items()):
                self._by_pair[item.namespace, pair].append(item)

    def select(self, namespace: str, selector: Selector) -> list[Item]:
        """Return what a selector selects in a namespace."""
        candidates = self._by_pair.get((namespace, selector.pair), ())
        return [item for item in candidates if selector.matches(item.labels)]

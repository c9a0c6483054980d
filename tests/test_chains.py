from __future__ import annotations

from graphlib import CycleError

import pytest

from constructs_lib.chains import cycles, longest_chains


@pytest.mark.parametrize(
    ("targets", "lengths"),
    [
        ({}, {}),
        ({"a": [], "b": ["a"], "c": ["b", "a"], "d": []}, {"a": 0, "b": 1, "c": 2, "d": 0}),
        ({"c": ["b"], "b": ["a", "a"], "a": []}, {"a": 0, "b": 1, "c": 2}),
    ],
)
def test_longest_chains(targets: dict[str, list[str]], lengths: dict[str, int]) -> None:
    assert (longest_chains(targets), cycles(targets)) == (lengths, [])


@pytest.mark.parametrize(
    ("targets", "found"),
    [
        ({"a": ["a"]}, [["a"]]),
        ({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}, [["a", "b", "c"]]),
        ({"a": ["b"], "b": ["a"], "c": ["d"], "d": ["c"]}, [["a", "b"], ["c", "d"]]),
        # Two cycles that share a node are told one after the other.
        ({"a": ["b", "c"], "b": ["a"], "c": ["a"]}, [["a", "b"]]),
    ],
)
def test_cycles(targets: dict[str, list[str]], found: list[list[str]]) -> None:
    assert cycles(targets) == found
    for cycle in cycles(targets):
        assert all(after in targets[node] for node, after in zip(cycle, cycle[1:] + cycle[:1], strict=True))
    with pytest.raises(CycleError):
        longest_chains(targets)


def test_no_more_cycles_than_asked_for() -> None:
    assert len(cycles({number: [number] for number in range(20)}, most=3)) == 3

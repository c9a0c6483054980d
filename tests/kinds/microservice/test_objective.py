"""What a service may promise."""

from __future__ import annotations

import pytest

from constructs_lib import Objective
from constructs_lib.declare.arguments import misfits


@pytest.mark.parametrize(
    "objective", [Objective(), Objective(94, 94, 0.005), Objective(99.999, 99.999, 10), Objective(99)]
)
def test_right_objectives(objective: Objective) -> None:
    assert [*misfits("objective", objective, Objective)] == []
    assert [*objective.problems()] == []


@pytest.mark.parametrize("seconds", [0, -1, 0.3, 11])
def test_seconds_between_boundaries(seconds: float) -> None:
    (mistake,) = Objective(seconds=seconds).problems()
    assert mistake.startswith(f"objective, seconds: the histograms cannot tell {seconds:g} s apart; the nearest")


@pytest.mark.parametrize("percent", [0, 93.99, 99.9991, 100])
def test_percent_out_of_range(percent: float) -> None:
    problem = f"{percent} is out of range; 94 to 99.999 percent are allowed."
    assert [*Objective(percent, percent).problems()] == [
        f"objective, availability: {problem}",
        f"objective, fast: {problem}",
    ]

"""Work that must not grow with the number of components, counted instead of timed."""

import sys
from pathlib import Path

import pytest
from work import calls_of

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from generated import generated

from constructs_lib import synthesize


@pytest.mark.parametrize("action", ["declare", "synthesize"])
def test_work_is_linear_in_the_number_of_services(action: str) -> None:
    def measure(services: int) -> int:
        if action == "declare":
            return calls_of(lambda: generated(services))
        system = generated(services)
        return calls_of(lambda: synthesize(system))

    measure(1)
    small, large = measure(20), measure(200)
    assert large / small == pytest.approx(10, rel=0.05)

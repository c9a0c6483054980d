"""What containers ask for."""

from __future__ import annotations

import pytest

from constructs_lib import Resources


@pytest.mark.parametrize(
    ("resources", "memory", "found"),
    [
        (Resources("1", "256Mi", "512Mi"), "64Mi", ("320Mi", "576Mi")),
        (Resources("1", "1Gi", "2Gi"), "128Mi", ("1152Mi", "2176Mi")),
        (Resources("1", "1.5Gi", "2Gi"), "0.5Gi", ("2048Mi", "2560Mi")),
        # What is reserved is the limit where none is given, and both grow.
        (Resources("1", "256Mi"), "64Mi", ("320Mi", "320Mi")),
        # Decimal units and bytes are exact, too.
        (Resources("1", "100M", "200M"), "64Mi", ("167108864", "267108864")),
        (Resources("1", "268435456", "1Gi"), "64Mi", ("320Mi", "1088Mi")),
        (Resources("1", "1Ti", "2Ti"), "1Mi", ("1048577Mi", "2097153Mi")),
    ],
)
def test_resources_plus(resources: Resources, memory: str, found: tuple[str, str]) -> None:
    more = resources.plus(memory)
    assert (more.cpu, more.memory, more.memory_limit) == (resources.cpu, *found)
    assert [*more.problems()] == []

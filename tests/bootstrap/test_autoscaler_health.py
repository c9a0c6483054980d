"""The health check of autoscalers, run over the states that Kubernetes writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lupa import lua51  # type: ignore[import-untyped, unused-ignore]

SCRIPT = (Path(__file__).resolve().parent.parent.parent / "bootstrap/argocd/autoscaler-health.lua").read_text()


def condition(kind: str, status: str, reason: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": f"because of {reason}"}


def health(status: dict[str, Any] | None, minimum: int | None = None) -> tuple[str, str | None]:
    """Run the script as Argo CD does, with the object in ``obj``."""
    lua = lua51.LuaRuntime(unpack_returned_tuples=True)
    autoscaler = {"spec": {"minReplicas": minimum, "maxReplicas": 6}, "status": status}
    lua.globals()["obj"] = lua.table_from(autoscaler, recursive=True)
    result = lua.execute(SCRIPT)
    return result["status"], result["message"]


@pytest.mark.parametrize(
    "status",
    [
        None,
        {},
        {"conditions": [condition("AbleToScale", "True", "SucceededGetScale")]},
        {
            "conditions": [
                condition("AbleToScale", "True", "SucceededGetScale"),
                condition("ScalingActive", "False", "FailedGetResourceMetric"),
            ]
        },
        {"conditions": [condition("ScalingActive", "False", "ScalingDisabled")]},
    ],
    ids=["new", "empty", "able", "without-metrics", "switched-off"],
)
def test_nothing_waits_for_metrics(status: dict[str, Any] | None) -> None:
    assert health(status) == ("Healthy", None)
    assert health(status, 1) == ("Healthy", None)


ABLE = condition("AbleToScale", "True", "SucceededGetScale")
BLIND = condition("ScalingActive", "False", "FailedGetResourceMetric")
#: What the controller writes, one reconciliation after the other, with the health that follows for a minimum of 2.
HISTORIES: dict[str, list[tuple[dict[str, Any] | None, str]]] = {
    "a workload that starts with one pod": [
        (None, "Progressing"),
        ({"currentMetrics": None, "desiredReplicas": 0}, "Progressing"),
        ({"currentReplicas": 1, "desiredReplicas": 2, "conditions": [ABLE]}, "Healthy"),
        ({"currentReplicas": 2, "desiredReplicas": 2, "conditions": [ABLE, BLIND]}, "Healthy"),
        ({"currentReplicas": 5, "desiredReplicas": 6, "conditions": [ABLE]}, "Healthy"),
    ],
    "a workload that has its pods, and no metrics": [
        ({"desiredReplicas": 0}, "Progressing"),
        ({"currentReplicas": 2, "desiredReplicas": 0, "conditions": [ABLE, BLIND]}, "Healthy"),
    ],
    "a minimum that was raised": [
        ({"currentReplicas": 1, "desiredReplicas": 1, "conditions": [ABLE]}, "Progressing"),
        ({"currentReplicas": 1, "desiredReplicas": 2, "conditions": [ABLE]}, "Healthy"),
    ],
    "a workload that somebody scaled to 0": [
        (
            {"desiredReplicas": 0, "conditions": [ABLE, condition("ScalingActive", "False", "ScalingDisabled")]},
            "Healthy",
        ),
    ],
}


@pytest.mark.parametrize("history", HISTORIES)
def test_it_is_healthy_once_its_minimum_is_asked_for(history: str) -> None:
    """From then on, the health of the workload counts its pods."""
    for status, expected in HISTORIES[history]:
        assert health(status, 2)[0] == expected


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("AbleToScale", "FailedGetScale"),
        ("AbleToScale", "FailedUpdateScale"),
        ("ScalingActive", "InvalidSelector"),
    ],
)
def test_one_that_cannot_scale_is_degraded(kind: str, reason: str) -> None:
    conditions = [condition("AbleToScale", "True", "SucceededGetScale"), condition(kind, "False", reason)]
    assert health({"conditions": conditions}) == ("Degraded", f"because of {reason}")

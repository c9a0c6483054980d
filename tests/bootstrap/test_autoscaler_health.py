"""The health check of autoscalers, run over the states that Kubernetes writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lupa import lua51  # type: ignore[import-untyped, unused-ignore]

SCRIPT = (Path(__file__).resolve().parent.parent.parent / "bootstrap/argocd/autoscaler-health.lua").read_text()


def condition(kind: str, status: str, reason: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": f"because of {reason}"}


def health(status: dict[str, Any] | None) -> tuple[str, str | None]:
    """Run the script as Argo CD does, with the object in ``obj``."""
    lua = lua51.LuaRuntime(unpack_returned_tuples=True)
    lua.globals()["obj"] = lua.table_from({} if status is None else {"status": status}, recursive=True)
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

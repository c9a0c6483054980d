"""The health check that gates the waves, run over states of an Application as Argo CD records them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from lupa import lua51  # type: ignore[import-untyped, unused-ignore]
from synthesized import Synthesized

SCRIPT = (Path(__file__).resolve().parent.parent.parent / "bootstrap/argocd/application-health.lua").read_text()

SPEC: dict[str, Any] = {
    "project": "shop",
    "source": {"repoURL": "https://git.example/shop.git", "targetRevision": "abc", "path": "dist/production/stock"},
    "destination": {"server": "https://kubernetes.default.svc", "namespace": "stock"},
}
#: What the controller writes once all is well; it fills in empty fields.
SETTLED: dict[str, Any] = {
    "sync": {
        "status": "Synced",
        "revision": "abc",
        "comparedTo": {
            "source": {**SPEC["source"], "directory": {"jsonnet": {}}},
            "destination": SPEC["destination"],
        },
    },
    "health": {"status": "Healthy"},
    "operationState": {
        "phase": "Succeeded",
        "message": "successfully synced (all tasks run)",
        "syncResult": {"resources": [{"kind": "Deployment", "hookPhase": "Running", "status": "Synced"}]},
    },
}


def health(application: dict[str, Any]) -> tuple[str, str | None]:
    """Run the script as Argo CD does: Lua 5.1 with the base and table libraries, the object in ``obj``."""
    lua = lua51.LuaRuntime(unpack_returned_tuples=True)
    lua.execute("string, io, os, debug, math, coroutine, package, require, dofile, loadfile = nil")
    # By way of JSON, as from the API server: no two parts are one and the same object.
    lua.globals()["obj"] = lua.table_from(json.loads(json.dumps(application)), recursive=True)
    result = lua.execute(SCRIPT)
    return result["status"], result["message"]


def changed(**parts: Any) -> dict[str, Any]:
    """Return a settled Application with parts of its status replaced, or removed by None."""
    status = {**copy.deepcopy(SETTLED), **parts}
    return {"spec": SPEC, "status": {key: value for key, value in status.items() if value is not None}}


def sync(status: str, **parts: Any) -> dict[str, Any]:
    return {**SETTLED["sync"], "status": status, **parts}


def respecified(**parts: Any) -> dict[str, Any]:
    return {"spec": {**SPEC, "source": {**SPEC["source"], **parts}}}


ASKED = {"operation": {"sync": {"revision": "abc"}}}
STATES: dict[str, tuple[dict[str, Any], str]] = {
    "fresh": ({"spec": SPEC}, "Progressing"),
    "status is empty": ({"spec": SPEC, "status": {}}, "Progressing"),
    "not compared yet": (changed(sync={}, operationState=None), "Progressing"),
    "settled": (changed(), "Healthy"),
    "settled, never synced by an operation": (changed(operationState=None), "Healthy"),
    "old Healthy after a spec change": (changed() | respecified(targetRevision="def"), "Progressing"),
    "old Healthy after another destination": (
        changed() | {"spec": {**SPEC, "destination": {**SPEC["destination"], "namespace": "other"}}},
        "Progressing",
    ),
    "old Healthy after a field was added": (changed() | respecified(directory={"recurse": True}), "Progressing"),
    "old Healthy after a field was removed": (
        changed(
            sync=sync(
                "Synced",
                comparedTo={
                    "source": {**SPEC["source"], "directory": {"recurse": True}},
                    "destination": SPEC["destination"],
                },
            )
        ),
        "Progressing",
    ),
    "old Healthy, new content not synced yet": (changed(sync=sync("OutOfSync")), "Progressing"),
    "sync about to start": (changed() | {"operation": {"sync": {"revision": "def"}}}, "Progressing"),
    "sync running": (changed(operationState={"phase": "Running", "message": "waiting for hooks"}), "Progressing"),
    # While a sync runs, what was asked for is there as well.
    "sync tried again": (
        changed(operationState={"phase": "Running", "retryCount": 1, "message": "no such kind"}) | ASKED,
        "Degraded",
    ),
    "sync of another commit tried again": (
        changed(operationState={"phase": "Running", "retryCount": 1}) | respecified(targetRevision="def") | ASKED,
        "Degraded",
    ),
    "sync running for the first time": (changed(operationState={"phase": "Running"}) | ASKED, "Progressing"),
    "sync ended that was tried again": (
        changed(operationState={"phase": "Terminating", "retryCount": 1}) | ASKED,
        "Progressing",
    ),
    "sync about to start after one that was tried again": (
        changed(operationState={"phase": "Failed", "retryCount": 1}) | ASKED,
        "Progressing",
    ),
    "synced at the second try": (changed(operationState={"phase": "Succeeded", "retryCount": 1}), "Healthy"),
    "Synced but Progressing": (changed(health={"status": "Progressing"}), "Progressing"),
    "Synced but Missing": (changed(health={"status": "Missing"}), "Progressing"),
    "Synced without health": (changed(health=None), "Progressing"),
    "Degraded": (changed(health={"status": "Degraded"}), "Degraded"),
    "Degraded before a new sync": (changed(health={"status": "Degraded"}, sync=sync("OutOfSync")), "Progressing"),
    "Suspended": (changed(health={"status": "Suspended"}), "Suspended"),
    "operation failed": (
        changed(sync=sync("OutOfSync"), operationState={"phase": "Failed", "message": "no such kind"}),
        "Degraded",
    ),
    "operation failed, spec changed since": (
        changed(operationState={"phase": "Failed", "message": "no such kind"}) | respecified(targetRevision="def"),
        "Progressing",
    ),
    "hook failed": (
        changed(
            operationState={
                "phase": "Failed",
                "syncResult": {"resources": [{"kind": "Job", "hookType": "PostSync", "hookPhase": "Failed"}]},
            }
        ),
        "Degraded",
    ),
    "ran into the time limit, healthy since": (
        changed(operationState={"phase": "Failed", "message": "Operation forcefully terminated"}),
        "Healthy",
    ),
    "cannot be rendered": (
        changed(
            sync=sync("Unknown"),
            conditions=[{"type": "ComparisonError", "message": "app path does not exist"}],
        ),
        "Degraded",
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_state(state: str) -> None:
    application, expected = STATES[state]
    assert health(application)[0] == expected


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("operation failed", "no such kind"),
        ("cannot be rendered", "app path does not exist"),
        ("sync running", "waiting for hooks"),
    ],
)
def test_messages_are_passed_on(state: str, message: str) -> None:
    assert health(STATES[state][0])[1] == message


def test_generated_applications(tree: Synthesized) -> None:
    """Each generated Application is Healthy once it is compared with what it says, and with nothing else."""
    for application in tree.applications.values():
        spec = application["spec"]
        compared = {key: copy.deepcopy(spec[key]) for key in ("source", "sources", "destination") if key in spec}
        # The controller always writes a source.
        compared.setdefault("source", {"repoURL": ""})
        settled = {**application, "status": {**SETTLED, "sync": {**SETTLED["sync"], "comparedTo": compared}}}
        assert health(settled)[0] == "Healthy"
        source = compared.get("sources", [compared["source"]])[-1]
        source["targetRevision"] = "another"
        assert health(settled)[0] == "Progressing"

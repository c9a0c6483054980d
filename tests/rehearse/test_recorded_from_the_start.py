"""No change is missed between two phases: what happens while something is pushed is in one of them."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from constructs_lib.rehearse import rehearsal
from constructs_lib.rehearse.recording import Recording
from constructs_lib.rehearse.rehearsal import Rehearsal
from constructs_lib.repository.snapshot import Snapshot


def test_what_changes_while_it_is_pushed_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    live: list[dict[str, Any]] = []
    seen: list[tuple[float, str, dict[str, Any]]] = []

    def push() -> None:
        item = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "uid": "1"}}
        live.append(item)
        seen.append((time.monotonic(), "ADDED", item))

    found: Any = Rehearsal.__new__(Rehearsal)
    found._tell, found._installed, found._settings = print, True, SimpleNamespace(environment="laptop")
    found._wait, found._prove = lambda *arguments, **options: None, lambda tree: ()
    found.scratch = SimpleNamespace(snapshot=lambda environment, name: Snapshot(name, {}))
    found.argocd = SimpleNamespace(refresh=lambda: None)
    found.watcher = SimpleNamespace(
        snapshot=lambda: [*live], seen_since=lambda start: [entry for entry in seen if entry[0] >= start]
    )
    monkeypatch.setattr(rehearsal, "judge", lambda recording, *arguments, **options: recording)
    recording = found.run("Publish", push)
    assert isinstance(recording, Recording)
    assert [*recording.identities] == [("", "Pod", "", "pod")]

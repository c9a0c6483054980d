"""Recordings as JSON."""

from __future__ import annotations

import pytest
from lab import Lab

from constructs_lib.rehearse.recording import Recording
from constructs_lib.user_error import UserError


def test_comes_back_from_json() -> None:
    recording = Lab({"db": {}}, {"db": {"image": 2}}).play({1: ["app db"], 2: ["all db"]})
    assert recording.moments
    assert Recording.from_json(recording.to_json()) == recording


@pytest.mark.parametrize("text", ["", "[]", '{"before": [], "moments": [{}], "began": "now"}'])
def test_says_what_is_no_recording(text: str) -> None:
    with pytest.raises(UserError, match="no recording of a rehearsal"):
        Recording.from_json(text)

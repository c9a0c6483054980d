"""Charts that no rehearsal can stand in for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from systems import empty

from constructs_lib import HelmChart, synthesize
from constructs_lib.rehearse.processes import RehearsalError
from constructs_lib.rehearse.rehearsal import Rehearsal
from constructs_lib.rehearse.settings import settings_of
from constructs_lib.rehearse.tools import Tools
from constructs_lib.repository.snapshot import Snapshot

CASES: dict[str, dict[str, Any]] = {
    "digest": {
        "repository": "oci://registry.example.com/charts",
        "chart": "cache",
        "version": "1.0.0",
        "digest": "sha256:" + "0" * 64,
    },
    "Git": {"repository": "https://git.example.com/charts.git", "path": "charts/cache", "revision": "v1.0.0"},
}


@pytest.mark.parametrize("case", CASES)
def test_one_that_cannot_be_made_up_is_told_before_anything_starts(case: str, tmp_path: Path) -> None:
    system = empty()
    HelmChart(system, "cache", **CASES[case])
    tree = Snapshot.of_files("tree", synthesize(system).files)
    settings = settings_of(system.environment, tmp_path, None, 1)
    with pytest.raises(RehearsalError, match=r"cache reads the .* cache.* rendered=True, to rehearse"):
        Rehearsal(cast(Tools, None), settings, [tree], lambda text: None)

"""What docs/constructs.md shows is what comes out."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_samples import Reader, samples


@pytest.mark.slow
def test_samples(root: Path, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for sample in samples(root / "docs" / "constructs.md"):
        reader.follow(sample)

"""What docs/import.md shows is what comes out."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_samples import Reader, samples


@pytest.mark.slow
def test_samples(root: Path, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for sample in samples(root / "docs" / "import.md"):
        reader.follow(sample)
    assert (tmp_path / "find/existing/find.yaml").is_file()

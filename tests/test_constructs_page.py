"""What the pages of samples in docs/ show is what comes out, and has the types that it should."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_samples import Reader, samples
from type_checker import mypy


@pytest.mark.slow
@pytest.mark.parametrize("page", ["constructs", "programs", "topologies"])
def test_samples(root: Path, tmp_path: Path, page: str) -> None:
    reader = Reader(tmp_path)
    for sample in samples(root / "docs" / f"{page}.md"):
        reader.follow(sample)
    folders = sorted({file.parent for file in tmp_path.rglob("*.py")})
    assert folders
    for folder in folders:
        checked = mypy(*sorted(folder.glob("*.py")))
        assert checked.returncode == 0, checked.stdout + checked.stderr

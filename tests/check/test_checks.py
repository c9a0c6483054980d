"""The texts of the checks: every code is used where its proof is, and no code is used that has no text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import constructs_lib.check
from constructs_lib.check import finding
from constructs_lib.check.proofs import all_checks

CHECK = Path(constructs_lib.check.__file__).parent
CODES = set(all_checks())
MAKERS = ("Finding.of", "Finding.missing", "Fault")


def texts() -> Iterator[str]:
    """Yield every string in the code of the proofs."""
    for file in CHECK.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def codes_of_findings() -> Iterator[str]:
    """Yield the codes that are written where a finding or a fault is made."""
    for file in CHECK.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in MAKERS:
                code = node.args[0]
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    yield code.value


def test_every_check_is_used() -> None:
    assert CODES - set(texts()) == set()


def test_every_finding_has_a_check() -> None:
    used = set(codes_of_findings())
    assert len(used) > len(CODES) / 2
    assert used - CODES == set()


def test_no_code_is_there_twice() -> None:
    codes = [
        code
        for file in CHECK.glob("*/checks.yaml")
        for code in re.findall(r"^([a-z0-9-]+):$", file.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert sorted(codes) == sorted(CODES)


@pytest.mark.parametrize(
    "fields",
    ["{severity: error, title: t, why: w, fix: f, sorce: s}", "{severity: error, title: t}", "{severity: bad}", "text"],
)
def test_a_wrong_entry_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: str) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "checks.yaml").write_text(f"some-code: {fields}\n")
    monkeypatch.setattr(finding, "_FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"check/odd/checks\.yaml: some-code: "):
        finding.checks_of("odd")

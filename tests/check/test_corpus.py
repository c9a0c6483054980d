"""Every planted fault is found by the check that is there for it, and nothing is found where nothing is wrong."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from corpus import Fault, Harmless, Tree, described, findings
from synthesized import Synthesized

from constructs_lib.check.proofs import PROOFS, all_checks

MODULES = [importlib.import_module(file.stem) for file in sorted(Path(__file__).parent.glob("faults_*.py"))]
FAULTS: list[Fault] = [fault for module in MODULES for fault in module.FAULTS]
HARMLESS: list[Harmless] = [change for module in MODULES for change in module.HARMLESS]


@pytest.mark.parametrize("environment", ["local", "production"])
def test_nothing_is_wrong_with_positionpal(trees: Mapping[str, Synthesized], environment: str) -> None:
    assert [*described(findings(Tree(environment, dict(trees[environment].files))))] == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.code}:{fault.name.replace(' ', '-')}")
def test_fault(trees: Mapping[str, Synthesized], fault: Fault) -> None:
    tree = Tree(fault.environment, dict(trees[fault.environment].files))
    fault.plant(tree)
    found = findings(tree)
    shown = "\n".join(described(found)) or "nothing is found"
    subject = fault.subject.replace("*", "[*]")
    assert any(finding.check.code == fault.code and fnmatchcase(finding.subject, subject) for finding in found), shown
    assert {finding.check.code for finding in found} <= {fault.code, *fault.also}, shown


@pytest.mark.parametrize("change", HARMLESS, ids=lambda change: change.name.replace(" ", "-"))
def test_harmless_change(trees: Mapping[str, Synthesized], change: Harmless) -> None:
    tree = Tree(change.environment, dict(trees[change.environment].files))
    change.make(tree)
    assert [*described(findings(tree))] == []


def test_the_corpus_is_large_and_covers_every_check() -> None:
    names = Counter(fault.name for fault in FAULTS)
    assert [name for name, count in names.items() if count > 1] == []
    assert len(FAULTS) >= 150
    assert len(HARMLESS) >= 30
    assert {check.code for proof in PROOFS for check in proof.checks} - {fault.code for fault in FAULTS} == set()
    assert {fault.code for fault in FAULTS} <= all_checks().keys()

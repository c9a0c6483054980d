"""Every planted fault is found by the check that is there for it, and nothing is found where nothing is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from corpus import Fault, Harmless, Tree, described, findings
from planting import tables
from synthesized import Synthesized

from constructs_lib.check.proofs import PROOFS, all_checks

FAULTS, HARMLESS = tables()


@pytest.mark.parametrize("environment", ["local", "production"])
def test_nothing_is_wrong_with_positionpal(trees: Mapping[str, Synthesized], environment: str) -> None:
    assert [*described(findings(Tree(environment, dict(trees[environment].files))))] == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.code}:{fault.name.replace(' ', '-')}")
def test_fault(trees: Mapping[str, Synthesized], fault: Fault) -> None:
    tree = Tree(fault.environment, dict(trees[fault.environment].files))
    fault.plant(tree)
    found = findings(tree)
    shown = "\n".join(described(found)) or "nothing is found"
    assert fault.is_found(found), shown
    assert {finding.check.code for finding in found} <= {fault.code, *fault.also}, shown


@pytest.mark.parametrize("change", HARMLESS, ids=lambda change: change.name.replace(" ", "-"))
def test_harmless_change(trees: Mapping[str, Synthesized], change: Harmless) -> None:
    tree = Tree(change.environment, dict(trees[change.environment].files))
    change.plant(tree)
    assert [*described(findings(tree))] == []


def test_every_check_has_a_fault_that_it_must_find() -> None:
    names = Counter([*(fault.name for fault in FAULTS), *(change.name for change in HARMLESS)])
    assert [name for name, count in names.items() if count > 1] == []
    twins = yaml.safe_load(Path(__file__).with_name("twins.yaml").read_text(encoding="utf-8"))["trees"]
    planted = {fault.code for fault in FAULTS} | {fault["code"] for tree in twins for fault in tree["faults"]}
    assert {check.code for proof in PROOFS for check in proof.checks} - planted == set()
    assert {fault.code for fault in FAULTS} <= all_checks().keys()

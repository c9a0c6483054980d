"""Small trees in which nothing is wrong, and the faults that one text of each makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from small_trees import model_of

from constructs_lib.check.finding import Finding
from constructs_lib.check.proofs import prove

TREES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("twins.yaml").read_text())["trees"]
CLUSTER_KINDS = (
    *("Namespace", "ClusterSecretStore", "ClusterIssuer", "IngressClass", "PriorityClass"),
    "ValidatingWebhookConfiguration",
)
FAULTS = [(tree, fault) for tree in TREES for fault in tree["faults"]]


def found_in(tree: dict[str, Any], text: str) -> list[Finding]:
    manifests = [found for found in yaml.safe_load_all(text) if found]
    for manifest in manifests:
        if manifest["kind"] not in CLUSTER_KINDS:
            manifest["metadata"].setdefault("namespace", "shop")
    return prove(model_of(*manifests, charts=tuple(tree.get("charts", ()))))


@pytest.mark.parametrize("tree", TREES, ids=[tree["name"] for tree in TREES])
def test_nothing_is_wrong(tree: dict[str, Any]) -> None:
    codes = {fault["code"] for fault in tree["faults"]}
    assert [
        f"{each.check.code}: {each.problem}" for each in found_in(tree, tree["tree"]) if each.check.code in codes
    ] == []


@pytest.mark.parametrize(("tree", "fault"), FAULTS, ids=[f"{fault['code']}: {fault['is']}" for _, fault in FAULTS])
def test_a_fault_is_found(tree: dict[str, Any], fault: dict[str, str]) -> None:
    assert fault["was"] in tree["tree"]
    found = found_in(tree, tree["tree"].replace(fault["was"], fault["is"]))
    assert (fault["code"], fault["subject"]) in {(each.check.code, each.subject) for each in found}

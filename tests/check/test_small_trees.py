"""What is found in small trees of other people's making: the table is ``small_trees.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from small_trees import model_of

from constructs_lib.check.proofs import prove
from constructs_lib.kubernetes.objects import CLUSTER_SCOPED

TABLE = yaml.safe_load(Path(__file__).with_name("small_trees.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("tree", TABLE["trees"], ids=[tree["name"].replace(" ", "-") for tree in TABLE["trees"]])
def test_small_tree(tree: dict[str, Any]) -> None:
    objects = [*yaml.safe_load_all(tree["tree"])]
    for each in objects:
        if each["kind"] not in CLUSTER_SCOPED:
            each["metadata"].setdefault("namespace", "shop")
    found = [finding for finding in prove(model_of(*objects)) if finding.check.code not in TABLE["ambient"]]
    assert [finding.check.code for finding in found] == tree["finds"], found

"""What ``init`` writes and this repository has as well is the same: each text is kept in one place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import test_renovate

from constructs_lib.init.repository import RECORD, update_of

ROOT = Path(__file__).resolve().parent.parent.parent
#: What is this repository's own: it is about a library as well, and has tests, tools and documentation of its own.
OWN = {".github/workflows/tests.yaml", ".gitignore", "Makefile", "renovate.json"}
#: What it does not have, for the same reason.
NOT_HERE = {"bootstrap/README.md", "requirements.txt"}


def test_what_is_shared_is_what_init_gives() -> None:
    update = update_of(ROOT)
    mend = "python -m constructs_lib init --update --yes brings this repository up to constructs_lib/init/files"
    assert update.files == {}, mend
    assert not update.touches, mend
    assert {path for path, why in update.own.items() if why == "you removed it"} == NOT_HERE
    assert {path for path in update.own if path not in NOT_HERE} == OWN
    shared = json.loads((ROOT / RECORD).read_text())["files"].keys() - OWN - NOT_HERE
    assert {"bootstrap/argocd/main.tf", "bootstrap/local.py", ".github/workflows/publish.yaml"} <= shared


def test_all_of_the_bootstrap_is_in_the_package() -> None:
    """But for what is generated, and the modules' own tests, which are about this system."""
    shared = json.loads((ROOT / RECORD).read_text())["files"].keys()
    for file in (ROOT / "bootstrap").rglob("*"):
        path = file.relative_to(ROOT).as_posix()
        generated = re.fullmatch(r"bootstrap/(k3d/.*|\w+/\w+\.tfvars\.json)", path)
        ignored = re.search(r"/\.|/tests/|\.tfstate|\.secrets\.tfvars|__pycache__|/keys/|/backend\.tf", path)
        if file.is_file() and not generated and not ignored:
            assert path in shared


def test_new_repositories_get_the_managers_and_rules_of_renovate() -> None:
    new: dict[str, Any] = json.loads((ROOT / "constructs_lib/init/files/renovate.json").read_text())
    own = test_renovate.CONFIGURATION
    for part in ("extends", "ignorePaths"):
        assert new[part] == own[part]
    expressions = {text for manager in own["customManagers"] for text in manager["matchStrings"]}
    assert {text for manager in new["customManagers"] for text in manager["matchStrings"]} <= expressions
    assert [rule for rule in new["packageRules"] if rule.get("matchUpdateTypes")] == [
        rule for rule in own["packageRules"] if rule.get("matchUpdateTypes") == ["major"]
    ]

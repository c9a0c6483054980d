"""What several tests share."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from synthesized import Synthesized

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

ENVIRONMENTS = ("local", "production")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository: the declaration and the files that were committed with it."""
    return ROOT


@pytest.fixture(scope="session")
def trees() -> dict[str, Synthesized]:
    """PositionPal in both environments, synthesized once and read back from the bytes."""
    from constructs_lib import synthesize

    # Under its path: other tests run apps of their own under the same name.
    app = runpy.run_path(str(ROOT / "app.py"))
    systems = (app["positionpal"](app[name.upper()]) for name in ENVIRONMENTS)
    return {
        system.environment.name: Synthesized(system.environment.name, synthesize(system).files) for system in systems
    }


@pytest.fixture(scope="session", params=ENVIRONMENTS)
def tree(request: pytest.FixtureRequest, trees: dict[str, Synthesized]) -> Synthesized:
    """PositionPal in each of the environments in turn."""
    return trees[request.param]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test that cannot run here fail where everything is installed: in continuous integration."""
    report = yield
    if report.skipped and os.environ.get("FAIL_ON_SKIP"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {report.longrepr}"
    return report

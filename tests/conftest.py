"""What several tests share."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from synthesized import Synthesized
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from shop import Shop

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# PositionPal's charts are on the internet, and no test asks there: those of charts of our own say that they look.
os.environ["CONSTRUCTS_LIB_CHARTS"] = "0"

ENVIRONMENTS = ("local", "production")

# The programs in Go that tests start live for minutes: they take more memory, and less time to collect it.
os.environ.setdefault("GOGC", "200")

# On a busy machine an example may take long, whatever it is of.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

#: Slow is a test in one of these folders, in a file that uses one of these helpers, or with one of these fixtures: it
#: starts servers, installs programs or runs whole processes.
SLOW_FOLDERS = {"publish"}
SLOW_HELPERS = {"postgres_server", "processes", "rabbitmq_node", "repo_server", "repositories", "running", "stage"}
SLOW_FIXTURES = {"cdk8s", "mono", "parse", "providers", "runner", "topology"}
#: What takes longest, which is waiting for the most part: it begins first, beside what keeps the processor busy.
LONGEST = ("positionpal_local", "positionpal_production", "rehearsed_edges", "rehearsed_order", "taken_over")


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


@pytest.fixture(scope="session")
def first_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop that nobody changes."""
    from shop import Shop

    return Shop.create(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def first_published(first_shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A published shop that nobody changes."""
    shop = first_shop.copied(tmp_path_factory.mktemp("published"))
    shop.publish()
    return shop


@pytest.fixture(autouse=True)
def nothing_declared_before() -> Iterator[None]:
    """Forget the environments of a command line that ran in this process: those of the next declaration are others."""
    from constructs_lib.declare.environment import declared_environments

    yield
    declared_environments.set(())


@pytest.fixture
def shop(first_shop: Shop, tmp_path: Path) -> Shop:
    """A shop whose declaration is committed and pushed."""
    return first_shop.copied(tmp_path)


@pytest.fixture
def published(first_published: Shop, tmp_path: Path) -> Shop:
    """A shop that was published once, to the laptop."""
    return first_published.copied(tmp_path)


@cache
def shares_a_fixture(file: str) -> bool:
    """Tell whether the tests of a file share something that takes long to make, such as a server."""
    return any(f'scope="{scope}"' in (ROOT / file).read_text(encoding="utf-8") for scope in ("module", "session"))


class ByFixtures(LoadScopeScheduling):  # type: ignore[misc]
    """Has the tests of a file that share a fixture run in one process, in their order, and all others in any.

    The marker xdist_group is without effect since pytest 9.2 (pytest-xdist 3.8 adds it to a name that is read no more).
    """

    def _split_scope(self, nodeid: str) -> str:
        file, *names = nodeid.split("::")
        return file if shares_a_fixture(file) else "::".join((file, *names[:1]))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of processes: with rehearsals, which wait now and then, three more than cores."""
    return (os.cpu_count() or 1) + (0 if config.option.markexpr == "not slow" else 3)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFixtures:
    """Say which tests run in which process."""
    return ByFixtures(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests, and begin with those of them that take longest, then with those that share a fixture."""
    for item in items:
        fixtures = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
        helpers = {getattr(value, "__module__", None) for value in vars(item.module).values()}  # type: ignore[attr-defined]
        folders = item.path.relative_to(ROOT).parts
        if helpers & SLOW_HELPERS or fixtures.keys() & SLOW_FIXTURES or SLOW_FOLDERS.intersection(folders):
            item.add_marker("slow")
    shared = {item: bool(item.cls) or shares_a_fixture(item.nodeid.partition("::")[0]) for item in items}  # type: ignore[attr-defined]
    order = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(
        key=lambda item: (
            not item.get_closest_marker("slow"),
            not shared[item],
            order.get(item.path.stem, len(order)),
        )
    )


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

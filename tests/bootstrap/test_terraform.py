"""The Terraform modules, run by the real Terraform against providers that know their schemas only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_samples import samples
from provider_schemas import served
from synthesized import Synthesized

ROOT = Path(__file__).resolve().parent.parent.parent
WHEELS = Path(sys.prefix) / "provider-schemas"
#: What is not in Git lies in these.
NOT_COPIED = shutil.ignore_patterns(
    *(".terraform", ".terraform.lock.hcl", ".kube", "*.tfstate*", "terraform.tfstate.d", "*.secrets.tfvars"),
    # Not ours to have: a user's remote backend, for which tests have no credentials.
    "backend.tf",
)
#: What every value is called that must never be seen.
MARK = "marked-"
RUNS = [("cluster", "production"), ("argocd", "production"), ("argocd", "local")]


class Terraform:
    """Runs Terraform in a copy of the modules."""

    def __init__(self, modules: Path, environment: dict[str, str]) -> None:
        self.modules = modules
        self._environment = {**os.environ, **environment, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}

    def run(self, module: str, *arguments: str, workspace: str = "default") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", f"-chdir={self.modules / module}", *arguments],
            env={**self._environment, "TF_WORKSPACE": workspace},
            capture_output=True,
            text=True,
            check=False,
        )

    def test(self, module: str, environment: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        tests = (f"-filter=tests/{environment}.tftest.hcl", f"-var-file={environment}.tfvars.json", "-no-color")
        return self.run(module, "test", *tests, *arguments, workspace=environment)


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variable of the environment that names the providers."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    wheels = sorted(WHEELS.glob("*.whl"))
    if not wheels:
        pytest.skip("the schemas of the providers are missing: make test downloads them")
    with served(wheels, tmp_path_factory.mktemp("providers")) as variables:
        yield variables


@pytest.fixture
def terraform(providers: dict[str, str], trees: dict[str, Synthesized], tmp_path: Path) -> Terraform:
    """Terraform in a copy of the modules, initialized, with what the declaration gives."""
    shutil.copytree(ROOT / "bootstrap", tmp_path / "bootstrap", ignore=NOT_COPIED)
    for tree in trees.values():
        for path, content in tree.files.items():
            if path.startswith(("argocd/", "bootstrap/")):
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / path).write_bytes(content)
    terraform = Terraform(tmp_path / "bootstrap", providers)
    for module in ("cluster", "argocd"):
        result = terraform.run(module, "init", "-no-color", "-input=false")
        assert result.returncode == 0, result.stderr
    return terraform


def test_formatted() -> None:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    command = ["terraform", "fmt", "-check", "-diff", "-recursive", str(ROOT / "bootstrap")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_state_gets_the_rights_that_the_umask_leaves(tmp_path: Path) -> None:
    """On this stand ``make local-up`` and the documentation. The resource is one that Terraform brings along."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    (tmp_path / "main.tf").write_text('resource "terraform_data" "value" {\n  input = "value"\n}\n')
    commands = "terraform init && terraform workspace new production && terraform apply -auto-approve"
    subprocess.run(["sh", "-ec", f"umask 077 && {commands}"], cwd=tmp_path, capture_output=True, check=True)
    states = tmp_path / "terraform.tfstate.d"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (states, *states.rglob("*"))}
    assert modes == {"terraform.tfstate.d": 0o700, "production": 0o700, "terraform.tfstate": 0o600}


@pytest.mark.parametrize("module", ["cluster", "argocd"])
def test_valid(terraform: Terraform, module: str) -> None:
    result = terraform.run(module, "validate", "-no-color")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("file", "right", "wrong", "message"),
    [
        ("cluster/main.tf", "node_count =", "nodes_count =", 'An argument named "nodes_count" is not expected here'),
        ("cluster/main.tf", "  region  = var.region\n", "", 'The argument "region" is required'),
        ("cluster/main.tf", "ha = var.ha", 'ha = "maybe"', "a bool is required"),
        ("cluster/main.tf", "[0].raw_config", "[0].config", 'attribute named "config"'),
        ("argocd/versions.tf", "kubernetes = {\n    config_path", "kubernetes {\n    config_path", "Unsupported block"),
        ("argocd/main.tf", "cleanup_on_fail", "cleanup_on_failure", '"cleanup_on_failure" is not expected here'),
        ("argocd/secrets.tf", "data_wo_revision =", "data_revision =", '"data_revision" is not expected here'),
        ("argocd/secrets.tf", "special = false", "special = []", "bool required"),
    ],
)
def test_wrong_arguments_are_found(terraform: Terraform, file: str, right: str, wrong: str, message: str) -> None:
    path = terraform.modules / file
    assert right in path.read_text()
    path.write_text(path.read_text().replace(right, wrong))
    result = terraform.run(file.partition("/")[0], "validate", "-no-color")
    assert result.returncode == 1
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(("module", "environment"), RUNS)
def test_modules(terraform: Terraform, module: str, environment: str) -> None:
    """The modules' own tests pass, and no secret value is in what Terraform prints of its plans."""
    result = terraform.test(module, environment, "-verbose")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "(sensitive value)" in result.stdout
    assert MARK in (ROOT / f"bootstrap/{module}/tests/{environment}.tftest.hcl").read_text()
    assert MARK not in result.stdout + result.stderr


def page_sample(file: str) -> str:
    """Return a file that docs/bootstrap.md shows."""
    found = [each.text for each in samples(ROOT / "docs/bootstrap.md") if each.file == file]
    assert len(found) == 1
    return found[0]


def test_own_values_come_after_those_of_the_module(terraform: Terraform) -> None:
    module = terraform.modules / "argocd"
    (module / "production.values.yaml").write_text(page_sample("bootstrap/argocd/production.values.yaml"))
    tests = module / "tests/production.tftest.hcl"
    mocks = tests.read_text().partition('run "')[0]
    tests.write_text(
        f"""{mocks}
run "own" {{
  command = plan

  assert {{
    condition     = helm_release.argocd[0].values[1] == file("production.values.yaml")
    error_message = "They are the last, as Helm takes the last."
  }}
}}
"""
    )
    result = terraform.test("argocd", "production")
    assert result.returncode == 0, result.stdout + result.stderr
    (module / "production.values.yaml").rename(module / "local.values.yaml")
    assert terraform.test("argocd", "production").returncode == 1


def test_previews_are_a_sound_tree(tmp_path: Path) -> None:
    (tmp_path / "previews.yaml").write_text(page_sample("previews.yaml"))
    command = [sys.executable, "app.py", "check", "--tree", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "error  " not in result.stdout


def test_every_run_asserts_something() -> None:
    for module, environment in RUNS:
        text = (ROOT / f"bootstrap/{module}/tests/{environment}.tftest.hcl").read_text()
        for run in re.split(r"^run ", text, flags=re.MULTILINE)[1:]:
            assert "assert {" in run or "expect_failures" in run, run


@pytest.mark.parametrize(
    ("module", "environment", "file", "right", "wrong"),
    [
        ("cluster", "production", "cluster/main.tf", "ha = var.ha", "ha = false"),
        ("cluster", "production", "cluster/main.tf", 'setsubtract(var.tags, ["k8s"])', "var.tags"),
        ("cluster", "production", "cluster/variables.tf", "^[a-z]{3}[0-9]$", ".*"),
        ("argocd", "production", "argocd/main.tf", "enabled = var.ha\n", "enabled = false\n"),
        ("argocd", "local", "argocd/main.tf", "enabled = var.ha\n", "enabled = true\n"),
        ("argocd", "production", "argocd/main.tf", "health.argoproj.io_Application", "health.argoproj.io_App"),
        ("argocd", "production", "argocd/secrets.tf", "data_wo          =", "data ="),
        ("argocd", "production", "argocd/main.tf", "/root.yaml", "/Application-gateway.yaml"),
        ("argocd", "production", "argocd/secrets.tf", "= [each.key]", "= keys(var.secret_readers)"),
        ("argocd", "production", "argocd/secrets.tf", "namespace = each.value.namespace", 'namespace = "default"'),
        ("argocd", "production", "argocd/secrets.tf", "if secret.component == component", ""),
    ],
)
def test_modules_tests_notice(
    terraform: Terraform, module: str, environment: str, file: str, right: str, wrong: str
) -> None:
    """The modules' tests fail when what they are about is broken."""
    path = terraform.modules / file
    assert right in path.read_text()
    path.write_text(path.read_text().replace(right, wrong))
    assert terraform.test(module, environment).returncode == 1


def test_message_for_missing_values_names_them(terraform: Terraform) -> None:
    """A user who plans without the supplied values reads which are missing and what they are for."""
    result = terraform.run(
        *("argocd", "plan", "-no-color", "-input=false", "-refresh=false", "-var-file=local.tfvars.json"),
        *("-var=kubeconfig=main.tf", "-var=context=none"),
        workspace="local",
    )
    assert result.returncode == 1
    assert "location-service/MAPBOX_API_KEY (Mapbox API key)" in " ".join(result.stderr.replace("│", "").split())

"""``make local-up`` and ``make local-down``, as far as they go without Docker: refusals, and the order of commands.

The programs are stubs that write down how they were called. Nothing here shows that k3d or Argo CD work.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from synthesized import Synthesized

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = "positionpal-local"
URL = "https://github.com/position-pal/gitops.git"
HEAD = "0" * 40

#: Answers by program and first arguments; all else succeeds without a word.
STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$*" in
*ls-remote*) echo "$HOME $GIT_TERMINAL_PROMPT$GIT_ASKPASS $GIT_CONFIG_GLOBAL $PWD" > "$CALLS-environment";;
esac
case "$(basename "$0") $*" in
k3d*kubeconfig*) for file; do :; done; : > "$file";;
terraform*apply*)
  # As the real one does: its workspace's folder and state, with the rights that the umask leaves.
  folder="$(echo "$1" | cut -d= -f2)/terraform.tfstate.d/local"
  mkdir -p "$folder" && : > "$folder/terraform.tfstate";;
esac
answer="$ANSWERS/$(echo "$(basename "$0") $*" | tr -c 'a-z0-9\\n' -)"
for file in "$ANSWERS"/*; do
  case "$answer" in "$file"*) cat "$file"; [ -s "$file" ]; exit;; esac
done
"""


class Machine:
    """A checkout, and the programs that are installed beside it."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self._bin, self._answers, self._calls = folder / "bin", folder / "answers", folder / "calls"
        for made in (self._bin, self._answers):
            made.mkdir()

    def install(self, *programs: str) -> None:
        for program in programs:
            (self._bin / program).write_text(STUB)
            (self._bin / program).chmod(0o755)

    def answer(self, call: str, text: str) -> None:
        """Have a call that starts like this print something, or fail if that is nothing."""
        name = "".join(char if char.isdigit() or (char.isascii() and char.islower()) else "-" for char in call)
        (self._answers / name).write_text(text)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        self._calls.write_text("")
        environment = {
            "PATH": os.pathsep.join([str(self._bin), str(self._bin.parent / "system")]),
            "ANSWERS": str(self._answers),
            "CALLS": str(self._calls),
            "HOME": str(self.checkout),
            "GIT_ASKPASS": "marked-askpass",
        }
        script = self.checkout / "bootstrap/local.py"
        return subprocess.run(
            [sys.executable, str(script), command], env=environment, capture_output=True, text=True, check=False
        )

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines()

    def told_to(self, *words: str) -> bool:
        return any(all(word in call for word in words) for call in self.calls)


@pytest.fixture
def machine(tmp_path: Path, trees: dict[str, Synthesized]) -> Machine:
    """A machine on which all is well: nothing is there yet, and the branch is pushed."""
    machine = Machine(tmp_path)
    (tmp_path / "system").mkdir()
    for program in ("sh", "cat", "tr", "basename", "cut", "mkdir"):
        (tmp_path / "system" / program).symlink_to(shutil.which(program) or program)
    for path, content in trees["local"].files.items():
        if path.startswith(("argocd/", "bootstrap/")):
            (machine.checkout / path).parent.mkdir(parents=True, exist_ok=True)
            (machine.checkout / path).write_bytes(content)
    shutil.copy(ROOT / "bootstrap/local.py", machine.checkout / "bootstrap")
    (machine.checkout / "bootstrap/argocd/local.secrets.tfvars").write_text("secret_values = {}\n")
    machine.install("docker", "k3d", "terraform", "git")
    machine.answer("docker version", "29.0\n")
    machine.answer("k3d cluster list", "[]")
    machine.answer("git remote get-url origin", "git@github.com:position-pal/gitops.git\n")
    machine.answer("git -c credential.helper=", f"{HEAD}\trefs/heads/main\n")
    machine.answer("git rev-parse HEAD", f"{HEAD}\n")
    healthy = {"sync": {"status": "Synced"}, "health": {"status": "Healthy"}}
    items = [{"metadata": {"name": name}, "status": healthy} for name in trees["local"].applications]
    machine.answer(f"docker exec k3d-{NAME}-server-0 kubectl get applications", json.dumps({"items": items}))
    return machine


def test_up(machine: Machine, trees: dict[str, Synthesized]) -> None:
    result = machine.run("up")
    assert result.returncode == 0, result.stderr
    programs = [call for call in machine.calls if call.startswith(("k3d", "terraform"))]
    folder = machine.checkout / "bootstrap"
    assert programs == [
        "k3d cluster list --output json",
        f"k3d cluster create --config {folder}/k3d/local.yaml",
        f"k3d kubeconfig write {NAME} --output {folder}/k3d/.kube/local.yaml",
        f"terraform -chdir={folder}/argocd init -input=false",
        f"terraform -chdir={folder}/argocd workspace select -or-create local",
        f"terraform -chdir={folder}/argocd apply -input=false -auto-approve -var-file=local.tfvars.json "
        f"-var-file=local.secrets.tfvars -var=kubeconfig={folder}/k3d/.kube/local.yaml -var=context=k3d-{NAME}",
    ]
    count = len(trees["local"].applications)
    assert f"{count}/{count} healthy" in result.stdout
    assert "https://127.0.0.1:8443" in result.stdout
    assert "http://127.0.0.1:3000" in result.stdout


@pytest.mark.parametrize("before", [False, True])
def test_secrets_are_their_owners_alone(machine: Machine, before: bool) -> None:
    """What is made, and what an earlier version or a person left readable to everybody."""
    bootstrap = machine.checkout / "bootstrap"
    states = bootstrap / "argocd/terraform.tfstate.d"
    left = [bootstrap / "argocd/terraform.tfstate.backup", states / "other/terraform.tfstate"] if before else []
    for file in left:
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        file.write_text("{}")
        file.chmod(0o644)
    umask = os.umask(0o022)
    try:
        assert machine.run("up").returncode == 0
    finally:
        os.umask(umask)
    made = [*states.rglob("*"), *(bootstrap / "k3d/.kube").rglob("*"), states, bootstrap / "k3d/.kube"]
    secrets = bootstrap / "argocd/local.secrets.tfvars"
    assert {states / "local/terraform.tfstate", bootstrap / "k3d/.kube/local.yaml", *left[1:]} <= {*made}
    assert {path: oct(path.stat().st_mode) for path in (*made, *left, secrets) if path.stat().st_mode & 0o077} == {}


def test_up_again(machine: Machine) -> None:
    machine.answer("k3d cluster list", json.dumps([{"name": NAME}]))
    assert machine.run("up").returncode == 0
    assert machine.told_to("k3d cluster start", NAME)
    assert not machine.told_to("k3d cluster create")


@pytest.mark.parametrize("command", ["up", "down"])
@pytest.mark.parametrize("missing", ["docker", "k3d", "terraform"])
def test_missing_program(machine: Machine, command: str, missing: str) -> None:
    (machine._bin / missing).unlink()
    result = machine.run(command)
    assert result.returncode == 1
    assert result.stderr.startswith(f"Not installed:\n  {missing}: https://")
    assert not machine.told_to("k3d cluster create")


@pytest.mark.parametrize("command", ["up", "down"])
def test_docker_does_not_run(machine: Machine, command: str) -> None:
    machine.answer("docker version", "")
    result = machine.run(command)
    assert result.returncode == 1
    assert result.stderr.startswith("Docker is installed but does not answer.")


@pytest.mark.parametrize(
    ("call", "answer", "message"),
    [
        ("git remote get-url origin", "", "this checkout has none called origin"),
        (
            "git remote get-url origin",
            "https://github.com/me/fork.git\n",
            f"The Applications name {URL}, but origin is",
        ),
        ("git -c credential.helper=", "", "cannot be read without a login"),
        ("git -c credential.helper=", "\n", "has no branch main: git push origin HEAD:main"),
    ],
)
def test_repository(machine: Machine, call: str, answer: str, message: str) -> None:
    machine.answer(call, answer)
    result = machine.run("up")
    assert result.returncode == 1
    assert message in result.stderr
    assert not machine.told_to("k3d")


def test_branch_of_publications_that_no_publication_has_made(machine: Machine) -> None:
    inputs = machine.checkout / "bootstrap/argocd/local.tfvars.json"
    values = json.loads(inputs.read_text())
    values["repository"]["publication_branch"] = "deploy/local"
    inputs.write_text(json.dumps(values))
    machine.answer("git -c credential.helper=", "\n")
    result = machine.run("up")
    assert result.returncode == 1
    assert "has no branch deploy/local: python app.py publish local" in result.stderr


CREDENTIAL = 'repository_credential = { username = "git", password = "marked" }'
KEY = 'repository_credential = {\n  ssh_private_key = "marked"\n}'


@pytest.mark.parametrize(
    ("url", "secrets", "accepted"),
    [
        (URL, CREDENTIAL, True),
        (URL, f"  {CREDENTIAL}", True),
        (URL, f"# {CREDENTIAL}", False),
        (URL, f"  // {CREDENTIAL}", False),
        (URL, f"/*\n{CREDENTIAL}\n*/", False),
        (URL, "repository_credential = null", False),
        (URL, KEY, False),
        ("git@github.com:position-pal/gitops.git", KEY, True),
        ("ssh://git@github.com/position-pal/gitops.git", KEY, True),
        ("ssh://git@github.com/position-pal/gitops.git", CREDENTIAL, False),
        ("ssh://git@github.com/position-pal/gitops.git", KEY.replace("ssh_private_key", "# ssh_private_key"), False),
        ("ssh://git@github.com/position-pal/gitops.git", "", False),
    ],
)
def test_private_repository(machine: Machine, url: str, secrets: str, accepted: bool) -> None:
    """What cannot be read by anybody needs a credential, not commented out and of the kind that its address takes."""
    inputs = machine.checkout / "bootstrap/argocd/local.tfvars.json"
    inputs.write_text(inputs.read_text().replace(URL, url))
    (machine.checkout / "bootstrap/argocd/local.secrets.tfvars").write_text(f"secret_values = {{}}\n{secrets}\n")
    machine.answer("git -c credential.helper=", "")
    machine.answer("git ls-remote origin", f"{HEAD}\trefs/heads/main\n")
    result = machine.run("up")
    assert (result.returncode == 0) is accepted, result.stderr
    if not accepted:
        assert "add to bootstrap/argocd/local.secrets.tfvars:\n  repository_credential = {" in result.stderr
        assert ("ssh_private_key" in result.stderr) is (url != URL)


def test_anonymous_borrows_nothing(machine: Machine) -> None:
    """Whether anybody may read the repository is asked without the user's home, configuration and checkout."""
    assert machine.run("up").returncode == 0
    home, prompt, configuration, folder = Path(f"{machine._calls}-environment").read_text().split()
    assert home == folder != str(machine.checkout)
    assert (prompt, configuration) == ("0true", os.devnull)
    assert not Path(home).exists()


def test_all_that_is_missing_is_said_at_once(machine: Machine) -> None:
    (machine._bin / "k3d").unlink()
    (machine.checkout / "bootstrap/argocd/local.secrets.tfvars").unlink()
    machine.answer("git remote get-url origin", "")
    result = machine.run("up")
    assert result.returncode == 1
    for message in ("Not installed:\n  k3d", "Some secret values only you can give", "has none called origin"):
        assert message in result.stderr


def test_what_is_not_committed(machine: Machine) -> None:
    machine.answer("git status", " M app.py\n")
    result = machine.run("up")
    assert result.returncode == 0
    assert "changes that are not committed" in result.stdout


def test_a_token_in_the_remote_is_not_shown(machine: Machine) -> None:
    machine.answer("git remote get-url origin", "https://me:marked-token@github.com/me/fork.git\n")
    assert "marked-token" not in machine.run("up").stderr


def test_what_is_not_pushed(machine: Machine) -> None:
    machine.answer("git rev-parse HEAD", f"{'1' * 40}\n")
    result = machine.run("up")
    assert result.returncode == 0
    assert "Argo CD deploys what is pushed" in result.stdout


def test_no_secret_values(machine: Machine) -> None:
    (machine.checkout / "bootstrap/argocd/local.secrets.tfvars").unlink()
    result = machine.run("up")
    assert result.returncode == 1
    assert "Write them to bootstrap/argocd/local.secrets.tfvars, which Git ignores" in result.stderr
    assert '"location-service/MAPBOX_API_KEY" = "" # Mapbox API key' in result.stderr
    assert not machine.told_to("k3d")


def test_down(machine: Machine) -> None:
    assert machine.run("up").returncode == 0
    machine.answer("k3d cluster list", json.dumps([{"name": NAME}]))
    machine.answer(f"terraform -chdir={machine.checkout}/bootstrap/argocd workspace list", "  default\n* local\n")
    assert machine.run("down").returncode == 0
    assert machine.told_to("k3d cluster delete", NAME)
    assert machine.told_to("terraform", "workspace delete -force local")
    assert not (machine.checkout / "bootstrap/k3d/.kube/local.yaml").exists()


def test_down_again(machine: Machine) -> None:
    for _ in range(2):
        result = machine.run("down")
        assert (result.returncode, result.stdout) == (0, f"There is no cluster {NAME}.\n")
    assert not machine.told_to("delete")


def test_password(machine: Machine) -> None:
    machine.answer(f"docker exec k3d-{NAME}-server-0 kubectl get secret", "bWFya2Vk")
    assert machine.run("password").stdout == "marked\n"


def test_ignored_by_git() -> None:
    """Whatever holds a secret or is made on the way stays out of the repository."""
    made = (
        *(
            "argocd/local.secrets.tfvars",
            "argocd/terraform.tfstate",
            "argocd/terraform.tfstate.d/local/terraform.tfstate",
        ),
        *("cluster/.kube/production.yaml", "k3d/.kube/local.yaml", "cluster/.terraform/environment"),
    )
    patterns = (ROOT / ".gitignore").read_text().splitlines()
    assert {"*.secrets.tfvars", "*.tfstate", "terraform.tfstate.d/", "/bootstrap/*/.kube/", ".terraform/"} <= set(
        patterns
    )
    if (ROOT / ".git").exists():
        for path in made:
            command = ["git", "check-ignore", "--quiet", f"bootstrap/{path}"]
            assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0, path

"""``make local-up`` and ``make local-down``: the system on this machine, in k3d. Running either twice does no harm."""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MODULE = ROOT / "bootstrap/argocd"
#: What each command needs, and where it is to be had.
TOOLS = {
    "docker": "https://docs.docker.com/get-started/get-docker/",
    "k3d": "https://k3d.io/stable/#installation",
    "terraform": "https://developer.hashicorp.com/terraform/install",
    "git": "https://git-scm.com/downloads",
}
#: Longest time to Healthy: images are pulled, and two Cassandra rings start.
PATIENCE_SECONDS = 45 * 60


class RefusalError(Exception):
    """Something is missing, and the message says what to do."""


def run(*command: str, cwd: Path = ROOT) -> None:
    """Run a command whose output the user should see.

    Raises:
        RefusalError: It failed; it has said why.
    """
    if subprocess.run(command, cwd=cwd, check=False).returncode:
        raise RefusalError(f"This failed: {' '.join(command)}")


def ask(*command: str, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str | None:
    """Return what a command prints, or None if it failed."""
    result = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    return result.stdout.strip() if result.returncode == 0 else None


def say(text: str) -> None:
    """Tell the user something, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Local:
    """A local environment, as ``make synth`` described it.

    Attributes:
        environment: Its name.
        cluster: Name of its k3d cluster.
        url: The repository that its Applications name.
        branch: The branch that they follow.
        push: What brings this checkout to that branch.
        supplied: Purpose of every secret value that a person gives, by its ``component/key``.
        argocd: Address of Argo CD.
        namespaces: Those of Argo CD and of its Applications.
        services: Addresses of what else the cluster offers on this machine.
    """

    environment: str
    cluster: str
    url: str
    branch: str
    push: str
    supplied: dict[str, str]
    argocd: str
    namespaces: tuple[str, str]
    services: tuple[str, ...]

    @property
    def k3d(self) -> Path:
        """The configuration of k3d."""
        return ROOT / f"bootstrap/k3d/{self.environment}.yaml"

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of its own, so that the user's stays as it is."""
        return ROOT / f"bootstrap/k3d/.kube/{self.environment}.yaml"

    @property
    def secrets(self) -> Path:
        """The supplied values; Git ignores the file."""
        return MODULE / f"{self.environment}.secrets.tfvars"

    def kubectl(self, *arguments: str) -> str | None:
        """Run the kubectl that k3s brings along, so that the machine needs none."""
        return ask("docker", "exec", f"k3d-{self.cluster}-server-0", "kubectl", *arguments)


def load(environment: str) -> Local:
    """Return an environment.

    Raises:
        RefusalError: The declaration has no such environment with a k3d cluster.
    """
    k3d, inputs = ROOT / f"bootstrap/k3d/{environment}.yaml", MODULE / f"{environment}.tfvars.json"
    if not k3d.is_file() or not inputs.is_file():
        raise RefusalError(
            f"There is no bootstrap/k3d/{environment}.yaml. app.py must declare an environment {environment} "
            f"on K3d(…, image=…), and make synth writes its files."
        )
    values, config = json.loads(inputs.read_text()), k3d.read_text()
    told = values.get("argocd", {})
    ports = dict(reversed(match) for match in re.findall(r"port: 127\.0\.0\.1:(\d+):(\d+)", config))
    argocd = ports.pop(str(values["node_port"]))
    repository, publication = values["repository"], values["repository"].get("publication_branch")
    given = [secret for secret in values["secrets"] if secret["owner"] == "supplied"]
    name = re.search(r"^metadata:\n  name: (\S+)$", config, re.MULTILINE)
    assert name
    return Local(
        environment=environment,
        cluster=name[1],
        url=repository["url"],
        branch=publication or repository["branch"],
        push=f"python app.py publish {environment}" if publication else f"git push origin HEAD:{repository['branch']}",
        supplied={f"{secret['component']}/{secret['key']}": secret["purpose"] for secret in given},
        argocd=f"https://127.0.0.1:{argocd}",
        namespaces=(told.get("namespace", "argocd"), told.get("applications", "argocd")),
        services=tuple(f"http://127.0.0.1:{port}" for port in ports.values()),
    )


def check_tools(names: Sequence[str]) -> None:
    """Check that programs are installed and that Docker runs.

    Raises:
        RefusalError: One is not.
    """
    missing = [f"  {name}: {TOOLS[name]}" for name in names if shutil.which(name) is None]
    if missing:
        raise RefusalError("\n".join(["Not installed:", *missing]))
    if ask("docker", "version", "--format", "{{.Server.Version}}") is None:
        raise RefusalError(
            "Docker is installed but does not answer. Start it, and see that `docker version` shows a server."
        )


# Both as in constructs_lib/repository/remote.py.


def repository_name(address: str) -> str:
    """Return host and path of a repository's address, the same for https and ssh; empty for a folder."""
    scheme, separator, rest = address.strip().partition("://")
    if separator:
        host, _, path = rest.partition("/")
    else:
        # As for Git: a colon before the first slash ends the name of a host.
        host, separator, path = scheme.partition(":")
    if not separator or "/" in host or scheme == "file":
        return ""
    host = host.rpartition("@")[2].lower()
    host = host.partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    # Hosts of ssh where port 22 is closed, and how Azure DevOps writes the same in its two forms.
    host = host.removeprefix("altssh.").removeprefix("ssh.")
    path = path.strip("/").removesuffix(".git").lower()
    return f"{host}/{path.removeprefix('v3/').replace('/_git/', '/') if host == 'dev.azure.com' else path}"


def is_same_repository(one: str, other: str) -> bool:
    """Tell whether two names of :func:`repository_name` are of the same repository.

    A host without a dot is a name from somebody's configuration of ssh. On some servers, only one of the two forms has
    a part such as ``scm/`` before the path.
    """
    (host, _, path), (other_host, _, other_path) = one.partition("/"), other.partition("/")
    is_known = all("." in each for each in (host, other_host))
    is_alike = path == other_path or any(
        "/" in short and long.endswith(f"/{short}") for short, long in ((path, other_path), (other_path, path))
    )
    return is_alike and (host == other_host or not is_known)


def ask_anonymously(url: str, branch: str) -> str | None:
    """Return what anybody reads of a branch, or None if that takes a login: nothing of the user's is borrowed."""
    with tempfile.TemporaryDirectory() as empty:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "SSH_"))} | {
            "HOME": empty,
            "XDG_CONFIG_HOME": empty,
            "GIT_CEILING_DIRECTORIES": str(Path(empty).parent),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
        }
        command = ("git", "-c", "credential.helper=", "ls-remote", url, f"refs/heads/{branch}")
        return ask(*command, cwd=Path(empty), env=environment)


def credential(local: Local) -> str | None:
    """Return which credential of the repository the file of supplied values has: "password", "ssh_private_key" or none.

    What is behind a comment does not count.
    """
    text = local.secrets.read_text() if local.secrets.is_file() else ""
    text = re.sub(r"^[ \t]*(#|//).*$", "", re.sub(r"^[ \t]*/\*.*?\*/", "", text, flags=re.M | re.S), flags=re.M)
    if not re.search(r"^[ \t]*repository_credential\s*=(?!\s*null\b)", text, re.MULTILINE):
        return None
    return "ssh_private_key" if re.search(r"^[^#\n]*\bssh_private_key\s*=", text, re.MULTILINE) else "password"


def check_repository(local: Local) -> None:
    """Check that Argo CD will read the user's own remote, and find there what is committed here.

    Raises:
        RefusalError: It would not.
    """
    how = (
        f"  1. create an empty repository, and: git remote add origin <its address> (or: git remote set-url origin …)\n"
        f'  2. in app.py: REPOSITORY = GitRepository("<its https address>")\n'
        f"  3. make synth && git add --all && git commit -m 'Deploy from our own repository'\n"
        f"  4. {local.push}"
    )
    origin = ask("git", "remote", "get-url", "origin")
    if origin is None:
        raise RefusalError(f"Argo CD reads a Git remote, and this checkout has none called origin:\n{how}")
    if not is_same_repository(repository_name(origin), repository_name(local.url)):
        raise RefusalError(
            f"The Applications name {local.url}, but origin is {re.sub('//[^/@]*@', '//', origin)}. "
            f"Argo CD would read the former, to which you may not push:\n{how}"
        )
    ssh = not re.match(r"https?://", local.url)
    anonymous = None if ssh else ask_anonymously(local.url, local.branch)
    needed = "ssh_private_key" if ssh else "password"
    if anonymous is None and credential(local) != needed:
        value = (
            "{ ssh_private_key = <<-EOT … EOT }"
            if ssh
            else '{ username = "git", password = "<token that may read it>" }'
        )
        raise RefusalError(
            f"{local.url} {'is an ssh address' if ssh else 'cannot be read without a login'}. "
            f"{'Argo CD needs a key for it; add to' if ssh else 'For a private repository, add to'} "
            f"{local.secrets.relative_to(ROOT)}:\n"
            f"  repository_credential = {value}"
        )
    pushed = anonymous if anonymous is not None else ask("git", "ls-remote", "origin", f"refs/heads/{local.branch}")
    if not pushed:
        raise RefusalError(f"{local.url} has no branch {local.branch}: {local.push}")
    if pushed.split()[0] != ask("git", "rev-parse", "HEAD"):
        say(f"Note: {local.branch} of {local.url} is not the commit in this checkout; Argo CD deploys what is pushed.")
    if ask("git", "status", "--porcelain"):
        say("Note: this checkout has changes that are not committed; Argo CD deploys what is pushed.")


def check_secrets(local: Local) -> None:
    """Check that there is a file with the supplied values; what is in it is for Terraform to check.

    Raises:
        RefusalError: There is none.
    """
    if not local.supplied or local.secrets.is_file():
        return
    lines = [f'    "{id}" = "" # {purpose}' for id, purpose in local.supplied.items()]
    raise RefusalError(
        "\n".join(
            [
                "Some secret values only you can give.",
                f"Write them to {local.secrets.relative_to(ROOT)}, which Git ignores:",
                "  secret_values = {",
                *lines,
                "  }",
                "A value of several lines goes between <<EOT and EOT. To look around without these accounts, write",
                '"none": a service that checks its value will not become healthy, what does not need it will.',
            ]
        )
    )


def check(local: Local) -> None:
    """Check all that can be checked before anything is made.

    Raises:
        RefusalError: Something is missing; the message has all that is.
    """
    problems = []
    checks: list[Callable[[], None]] = [
        lambda: check_tools(["docker", "k3d", "terraform", "git"]),
        lambda: check_repository(local),
        lambda: check_secrets(local),
    ]
    for step in checks if shutil.which("git") else checks[:1]:
        try:
            step()
        except RefusalError as refusal:
            problems.append(str(refusal))
    if problems:
        raise RefusalError("\n\n".join(problems))


def guard(local: Local) -> None:
    """Keep what holds secrets to its owner alone: what is made from here on, and what is there from before.

    Terraform writes its state, with the generated passwords, with the rights that the umask leaves.
    """
    os.umask(0o077)
    for module in (MODULE, ROOT / "bootstrap/k3d"):
        for folder in (module / name for name in (".terraform", "terraform.tfstate.d", ".kube")):
            for path in (folder, *folder.rglob("*")) if folder.is_dir() else ():
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode & 0o700)
    for path in (local.secrets, *MODULE.glob("*.tfstate*"), *MODULE.glob("crash.*.log")):
        if path.is_file() and not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)


def terraform(local: Local, *arguments: str) -> list[str]:
    """Return a Terraform command for this environment."""
    return ["terraform", f"-chdir={MODULE}", *arguments]


def up(local: Local) -> None:
    """Make the cluster, install Argo CD and the root Application, and wait until all is healthy."""
    check(local)
    guard(local)
    if exists(local):
        say(f"The cluster {local.cluster} is there; starting it.")
        run("k3d", "cluster", "start", local.cluster)
    else:
        run("k3d", "cluster", "create", "--config", str(local.k3d))
    local.kubeconfig.parent.mkdir(exist_ok=True)
    run("k3d", "kubeconfig", "write", local.cluster, "--output", str(local.kubeconfig))

    run(*terraform(local, "init", "-input=false"))
    run(*terraform(local, "workspace", "select", "-or-create", local.environment))
    files = [f"{local.environment}.tfvars.json", *([local.secrets.name] if local.secrets.is_file() else [])]
    run(
        *terraform(local, "apply", "-input=false", "-auto-approve"),
        *(f"-var-file={file}" for file in files),
        f"-var=kubeconfig={local.kubeconfig}",
        f"-var=context=k3d-{local.cluster}",
    )
    wait(local)
    say(
        f"\nArgo CD:  {local.argocd}  (its certificate is its own, so the browser warns)\n"
        f"User:     admin\n"
        f"Password: make local-password\n"
        f"Services: {', '.join(local.services) or 'none'}\n"
        f"kubectl:  export KUBECONFIG={local.kubeconfig}"
    )


def exists(local: Local) -> bool:
    """Tell whether the cluster is there, running or not."""
    clusters = ask("k3d", "cluster", "list", "--output", "json")
    return any(cluster["name"] == local.cluster for cluster in json.loads(clusters or "[]"))


def expected(local: Local) -> set[str]:
    """Return the names of all Applications that the root will bring."""
    return {file.stem.partition("-")[2] for file in (ROOT / f"argocd/{local.environment}").glob("Application-*.yaml")}


def state(application: dict[str, Any]) -> str:
    """Return an Application's state in a word or two."""
    status = application.get("status", {})
    sync, health = status.get("sync", {}).get("status"), status.get("health", {}).get("status")
    return "Healthy" if (sync, health) == ("Synced", "Healthy") else f"{sync or 'not compared'}, {health or 'unknown'}"


def wait(local: Local) -> None:
    """Wait until all Applications are healthy, and say what changes.

    Raises:
        RefusalError: It took too long.
    """
    say("\nWaiting for the Applications; the first time takes a while, because images are pulled.")
    start, names = time.monotonic(), expected(local)
    seen: dict[str, str] = {}
    while True:
        answer = local.kubectl("get", "applications.argoproj.io", "--namespace", local.namespaces[1], "--output=json")
        items = json.loads(answer)["items"] if answer else []
        states = dict.fromkeys(names, "not there yet")
        states |= {item["metadata"]["name"]: state(item) for item in items if item["metadata"]["name"] in names}
        healthy = sum(word == "Healthy" for word in states.values())
        minutes, seconds = divmod(int(time.monotonic() - start), 60)
        for name, word in sorted(states.items()):
            if seen.get(name, "not there yet") != word:
                say(f"{minutes:3}:{seconds:02}  {healthy}/{len(states)} healthy  {name}: {word}")
        seen = states
        if healthy == len(states):
            return
        if time.monotonic() - start > PATIENCE_SECONDS:
            late = ", ".join(f"{name} ({word})" for name, word in sorted(states.items()) if word != "Healthy")
            raise RefusalError(
                f"Not healthy after {minutes} minutes: {late}. Look at {local.argocd}; make local-up goes on."
            )
        time.sleep(5)


def down(local: Local) -> None:
    """Remove the cluster with all its data, and Terraform's memory of it."""
    check_tools(["docker", "k3d", "terraform"])
    if exists(local):
        run("k3d", "cluster", "delete", local.cluster)
    else:
        say(f"There is no cluster {local.cluster}.")
    local.kubeconfig.unlink(missing_ok=True)
    workspaces = ask(*terraform(local, "workspace", "list")) or ""
    if local.environment in workspaces.replace("*", " ").split():
        run(*terraform(local, "workspace", "select", "default"))
        # What the state names went with the cluster.
        run(*terraform(local, "workspace", "delete", "-force", local.environment))


def password(local: Local) -> None:
    """Print the password that Argo CD made for its user admin."""
    check_tools(["docker"])
    encoded = local.kubectl(
        *("get", "secret", "argocd-initial-admin-secret", "--namespace", local.namespaces[0]),
        *("--output", "jsonpath={.data.password}"),
    )
    if not encoded:
        raise RefusalError("There is no initial password: the cluster does not run, or the password was changed.")
    say(base64.b64decode(encoded).decode())


def main() -> None:
    """Run one of the commands."""
    commands = {"up": up, "down": down, "password": password}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=commands)
    parser.add_argument("environment", nargs="?", default="local", help="default: local")
    arguments = parser.parse_args()
    try:
        commands[arguments.command](load(arguments.environment))
    except RefusalError as refusal:
        sys.exit(str(refusal))
    except KeyboardInterrupt:
        sys.exit("Stopped. make local-up goes on from here.")


if __name__ == "__main__":
    main()

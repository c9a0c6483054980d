"""A real Argo CD without containers: redis, the repository server, and the application controller.

It is configured as the bootstrap configures it in the cluster.
"""

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from constructs_lib.argocd.refresh import refresh
from constructs_lib.declare.argocd import ArgoCD as Installed
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.rehearse.api_client import Resource
from constructs_lib.rehearse.control_plane import Authority, ControlPlane
from constructs_lib.rehearse.processes import Workspace, free_port
from constructs_lib.rehearse.remotes import Remotes
from constructs_lib.rehearse.tools import Tools

API = "argoproj.io/v1alpha1"
#: The controller of ApplicationSets, among the names of Argo CD's one program.
APPLICATION_SETS = "argocd-applicationset-controller"
#: The kinds without which nothing of it runs.
KINDS = ("Application", "AppProject")
APPLICATIONS = Resource(API, "Application", "applications", True)
#: Scripts that the image of Argo CD brings, and without which the repository server renders nothing: they tell whether
#: a commit is signed.
_WRAPPERS = {"git-verify-wrapper.sh": 'git verify-commit "$1" 2>&1 || true', "gpg-wrapper.sh": 'exec gpg "$@"'}
#: Seconds in which a controller has assigned the cluster to a shard.
_ASSIGNED = 4


class ArgoCD:
    """An Argo CD that runs.

    Attributes:
        installed: Where it runs, and where its Applications are.
        metrics: The port at which its application controller tells its metrics.
    """

    def __init__(
        self,
        workspace: Workspace,
        tools: Tools,
        plane: ControlPlane,
        authority: Authority,
        remotes: Remotes,
        installed: Installed,
    ) -> None:
        """Start nothing yet.

        Args:
            workspace: Where its programs run.
            tools: The programs.
            plane: The control plane that it deploys to.
            authority: Who signed the certificates of the remotes.
            remotes: Where it reads from.
            installed: Where it runs, and where its Applications are.
        """
        self.installed = installed
        self._workspace = workspace
        self._tools = tools
        self._plane = plane
        self._redis, self._repositories, self.metrics = free_port(), free_port(), free_port()
        folder = workspace.folder / "argocd"
        for name in ("tls", "ssh", "gpg", "plugins", "home", "tmp", "bin"):
            (folder / name).mkdir(parents=True)
        for name, line in _WRAPPERS.items():
            (folder / "bin" / name).touch(mode=0o755)
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
        self._environment = {
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "KUBECONFIG": str(plane.kubeconfig),
            "ARGOCD_FAKE_IN_CLUSTER": "true",
            "ARGOCD_GPG_ENABLED": "false",
            "ARGOCD_TLS_DATA_PATH": str(folder / "tls"),
            "ARGOCD_SSH_DATA_PATH": str(folder / "ssh"),
            "ARGOCD_GPG_DATA_PATH": str(folder / "gpg"),
            "ARGOCD_GNUPGHOME": str(folder / "gpg"),
            "ARGOCD_PLUGINSOCKFILEPATH": str(folder / "plugins"),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSL_CAINFO": str(authority.file),
            "SSL_CERT_FILE": str(authority.file),
            "PATH": f"{folder / 'bin'}:{tools.helm.path.parent}:{tools.git.path.parent}:/usr/local/bin:/usr/bin:/bin",
        }
        self._remotes = remotes

    def start(self, settings: Mapping[str, str], timeout: int) -> None:
        """Start it.

        Args:
            settings: Entries of the ConfigMap ``argocd-cm``.
            timeout: Seconds after which the controller ends a sync.

        Raises:
            RehearsalError: A program does not start.
        """
        client = self._plane.client
        for manifest in _configuration(settings, self.installed.namespace):
            client.apply(manifest)
        self.start_repositories()
        self._timeout = timeout
        self.start_controller()

    def start_repositories(self) -> int:
        """Start the repository server, which renders manifests and needs no cluster; return its port."""
        listen = ["--bind", "127.0.0.1", "--port", str(self._redis)]
        self._workspace.start("redis", [self._tools.redis_server, *listen, "--save", "", "--appendonly", "no"])
        self._workspace.start(
            "argocd-repo-server",
            [
                self._tools.argocd,
                "--address=127.0.0.1",
                f"--port={self._repositories}",
                "--metrics-address=127.0.0.1",
                f"--metrics-port={free_port()}",
                f"--redis=127.0.0.1:{self._redis}",
                "--disable-tls",
                "--client-ca-path=",
            ],
            {
                **self._environment,
                "ARGOCD_BINARY_NAME": "argocd-repo-server",
                "HTTPS_PROXY": self._remotes.url,
                "NO_PROXY": "127.0.0.1",
            },
        )
        return self._repositories

    def start_controller(self) -> None:
        """Start the application controller."""
        self._workspace.start(
            "argocd-application-controller",
            [
                self._tools.argocd,
                f"--kubeconfig={self._plane.kubeconfig}",
                f"--namespace={self.installed.namespace}",
                *(f"--application-namespaces={each}" for each in self.installed.namespaces[1:]),
                f"--repo-server=127.0.0.1:{self._repositories}",
                "--repo-server-plaintext",
                f"--redis=127.0.0.1:{self._redis}",
                f"--metrics-port={self.metrics}",
                "--server-side-diff-enabled=true",
                f"--sync-timeout={self._timeout}",
            ],
            {**self._environment, "ARGOCD_BINARY_NAME": "argocd-application-controller"},
        )

    def kill_controller(self) -> None:
        """Kill the application controller, as a node that dies does, and start another.

        One that starts may miss what is there until its next resync, minutes later: it takes up Applications only once
        it has assigned the cluster to a shard. So all are refreshed a few seconds after it began.
        """
        self._workspace.stop("argocd-application-controller", kill=True)
        self.start_controller()
        time.sleep(_ASSIGNED)
        self.refresh()

    def start_application_sets(self) -> None:
        """Start the controller of ApplicationSets, with progressive syncs; no rehearsal of our own needs it.

        https://argo-cd.readthedocs.io/en/stable/operator-manual/applicationset/Progressive-Syncs/
        """
        for definition in definitions(self._tools.definitions, ["ApplicationSet"]):
            self._plane.client.apply(definition)
        self._workspace.wait_for("kube-apiserver", lambda: bool(self._plane.client.resource(API, "ApplicationSet")))
        self._workspace.start(
            APPLICATION_SETS,
            [
                self._tools.argocd,
                f"--kubeconfig={self._plane.kubeconfig}",
                f"--namespace={self.installed.namespace}",
                *(f"--application-namespaces={each}" for each in self.installed.namespaces[1:]),
                f"--argocd-repo-server=127.0.0.1:{self._repositories}",
                "--repo-server-plaintext",
                "--enable-progressive-syncs",
                *(f"--{kind}-addr=127.0.0.1:{free_port()}" for kind in ("metrics", "probe", "webhook")),
            ],
            {**self._environment, "ARGOCD_BINARY_NAME": APPLICATION_SETS},
        )

    def refresh(self, applications: Iterable[dict[str, Any]] | None = None) -> None:
        """Have Applications compared anew, by default all, as the webhook of a Git host does after a push."""
        for application in self.applications() if applications is None else applications:
            self._plane.client.patch(application, refresh(datetime.now(UTC)))

    def applications(self) -> list[dict[str, Any]]:
        """Return all Applications."""
        return self._plane.client.list(APPLICATIONS)


def _configuration(settings: Mapping[str, str], namespace: str) -> Iterator[Manifest]:
    """Yield what the chart of Argo CD makes beside its programs."""
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    part = {"app.kubernetes.io/part-of": "argocd"}
    for name in ("cm", "rbac-cm", "cmd-params-cm", "ssh-known-hosts-cm", "tls-certs-cm", "gpg-keys-cm"):
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"argocd-{name}", "namespace": namespace, "labels": part},
            "data": dict(settings) if name == "cm" else {},
        }
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "argocd-secret", "namespace": namespace, "labels": part},
        "stringData": {"server.secretkey": secrets.token_hex(16)},
    }


def definitions(folder: Path, kinds: Iterable[str] = KINDS) -> Iterator[Manifest]:
    """Yield the CustomResourceDefinitions of some kinds of Argo CD that lie in a folder.

    That of ApplicationSets takes the API server as long as all else until it is ready, and half of its memory.
    """
    for file in sorted(folder.glob("*.yaml")):
        text = file.read_text()
        if any(f" kind: {kind}\n" in text for kind in kinds):
            for manifest in yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
                if manifest and manifest.get("kind") == "CustomResourceDefinition":
                    yield manifest

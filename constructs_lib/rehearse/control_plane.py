"""A real control plane without containers: etcd, API server, controller manager, scheduler, and simulated nodes.

https://kubernetes.io/docs/concepts/overview/components/
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import trustme
import yaml

from constructs_lib.rehearse.api_client import ApiClient
from constructs_lib.rehearse.metrics import Metrics
from constructs_lib.rehearse.processes import Workspace, free_port
from constructs_lib.rehearse.tools import Tools

_FOLDER = Path(__file__).parent
#: The label of simulated nodes.
SIMULATED = {"node.kubernetes.io/instance-type": "simulated"}
#: Addresses of Services. Nothing listens on them: no packet of a pod is ever sent.
_SERVICE_ADDRESSES = "10.96.0.0/16"


@dataclass(frozen=True)
class Nodes:
    """Simulated nodes.

    Attributes:
        count: How many.
        cpu: CPUs of each.
        memory: Memory of each, as a quantity.
    """

    count: int = 4
    cpu: str = "4"
    memory: str = "8Gi"


class Authority:
    """A certificate authority that nobody outside of the rehearsal knows.

    Attributes:
        file: The file with its certificate.
    """

    def __init__(self, folder: Path) -> None:
        """Make an authority whose files lie in a folder."""
        self._folder = folder
        self._authority = trustme.CA(organization_name="rehearsal")
        self.file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.file)
        self.key = self._write("ca-key.pem", self._authority.private_key_pem)

    def _write(self, name: str, content: trustme.Blob) -> Path:
        path = self._folder / name
        path.touch(mode=0o600)
        content.write_to_path(path)
        return path

    def issue(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """Return the files with a certificate and with its key.

        Args:
            name: Names of the files, and the name of the subject.
            hosts: Names and addresses for which it holds.
        """
        certificate = self._authority.issue_cert(*hosts, common_name=name)
        chain = self._folder / f"{name}.pem"
        certificate.cert_chain_pems[0].write_to_path(chain)
        return chain, self._write(f"{name}-key.pem", certificate.private_key_pem)


@dataclass(frozen=True)
class ControlPlane:
    """A control plane that runs.

    Attributes:
        client: A client with all rights.
        kubeconfig: A kubeconfig with all rights.
        metrics: Who tells autoscalers what pods use, once it is registered; None if that is left to the cluster.
    """

    client: ApiClient
    kubeconfig: Path
    metrics: Metrics | None = None


def start_control_plane(workspace: Workspace, tools: Tools, authority: Authority) -> ControlPlane:
    """Start a control plane on loopback addresses.

    Raises:
        RehearsalError: A program does not start.
    """
    plane = start_api_server(workspace, tools, authority)
    workspace.start(
        "kube-controller-manager",
        [
            tools.kube_controller_manager,
            f"--kubeconfig={plane.kubeconfig}",
            f"--service-account-private-key-file={authority.key}",
            f"--root-ca-file={authority.file}",
            f"--secure-port={free_port()}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--use-service-account-credentials=false",
            "--horizontal-pod-autoscaler-sync-period=5s",
        ],
    )
    workspace.start(
        "kube-scheduler",
        [
            tools.kube_scheduler,
            f"--kubeconfig={plane.kubeconfig}",
            f"--authentication-kubeconfig={plane.kubeconfig}",
            f"--authorization-kubeconfig={plane.kubeconfig}",
            f"--secure-port={free_port()}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ],
    )
    return plane


def start_api_server(workspace: Workspace, tools: Tools, authority: Authority) -> ControlPlane:
    """Start an API server on a loopback address, with its store and without anything that acts on its objects.

    Raises:
        RehearsalError: A program does not start.
    """
    folder = workspace.folder
    token = secrets.token_hex(16)
    tokens = folder / "tokens.csv"
    tokens.touch(mode=0o600)
    tokens.write_text(f'{token},rehearsal,rehearsal,"system:masters"\n')
    etcd, peers, port = free_port(), free_port(), free_port()
    server = f"https://127.0.0.1:{port}"
    certificate, key = authority.issue(
        "kube-apiserver", "127.0.0.1", "localhost", "kubernetes.default.svc", "10.96.0.1"
    )
    front_proxy, front_proxy_key = authority.issue("front-proxy", "front-proxy.local")
    client = ApiClient(server, authority.file, token)
    metrics = Metrics(client, folder, *authority.issue("metrics", "metrics.rehearsal"))
    egress = folder / "egress-selector.yaml"
    egress.write_text(yaml.safe_dump(metrics.egress))
    workspace.start(
        "etcd",
        [
            tools.etcd,
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peers}",
            "--log-level=error",
            # Nothing has to outlive a loss of power.
            "--unsafe-no-fsync",
        ],
    )
    workspace.start(
        "kube-apiserver",
        [
            tools.kube_apiserver,
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--token-auth-file={tokens}",
            f"--client-ca-file={authority.file}",
            "--authorization-mode=RBAC",
            f"--service-cluster-ip-range={_SERVICE_ADDRESSES}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={authority.key}",
            f"--service-account-signing-key-file={authority.key}",
            "--endpoint-reconciler-type=none",
            f"--requestheader-client-ca-file={authority.file}",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={front_proxy}",
            f"--proxy-client-key-file={front_proxy_key}",
            f"--egress-selector-config-file={egress}",
            "--max-requests-inflight=0",
            "--max-mutating-requests-inflight=0",
            "--enable-priority-and-fairness=false",
            "--profiling=false",
        ],
    )
    kubeconfig = write_kubeconfig(folder, server, authority.file, {"token": token})
    workspace.wait_for("kube-apiserver", client.is_ready)
    return ControlPlane(client, kubeconfig, metrics)


def start_nodes(workspace: Workspace, tools: Tools, plane: ControlPlane, nodes: Nodes) -> None:
    """Start simulated nodes, whose pods become ready as their probes say.

    https://kwok.sigs.k8s.io/docs/user/stages-configuration/
    """
    for number in range(1, nodes.count + 1):
        plane.client.apply(_node(f"node-{number}", nodes))
    workspace.start(
        "kwok",
        [
            tools.kwok,
            f"--kubeconfig={plane.kubeconfig}",
            f"--config={_FOLDER / 'kubelet.yaml'}",
            "--manage-all-nodes=false",
            f"--manage-nodes-with-label-selector={','.join(f'{key}={value}' for key, value in SIMULATED.items())}",
            "--node-lease-duration-seconds=40",
            "--cidr=10.244.0.0/16",
            f"--server-address=127.0.0.1:{free_port()}",
        ],
    )


def _node(name: str, nodes: Nodes) -> dict[str, object]:
    capacity = {"cpu": nodes.cpu, "memory": nodes.memory, "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                **SIMULATED,
            },
        },
        "status": {"capacity": capacity, "allocatable": capacity},
    }


def write_kubeconfig(folder: Path, server: str, ca: Path, user: Mapping[str, str]) -> Path:
    """Return the file with a kubeconfig.

    Args:
        folder: Where it lies.
        server: URL of the API server.
        ca: The file with the certificate of its authority.
        user: How it is logged in to.
    """
    name, file = "rehearsal", folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "users": [{"name": name, "user": {**user}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(content))
    return file

"""What happens to PositionPal's cluster on a bad day, for panels and alerts that are about it.

Nodes are simulated, so that what a kubelet would tell of a container is written into the pod's status.
"""

from __future__ import annotations

from typing import Any

from constructs_lib.kubernetes.manifest import Manifest, manifest
from constructs_lib.rehearse.api_client import ApiClient, Resource

PODS = Resource("v1", "Pod", "pods", True)
CRONJOBS = Resource("batch/v1", "CronJob", "cronjobs", True)
SECRETS = Resource("external-secrets.io/v1", "ExternalSecret", "externalsecrets", True)


def begin(client: ApiClient) -> None:
    """Let all of it happen: to a database, to a program, to a secret, and to Jobs."""
    # Their charts were not at hand.
    for namespace in ("external-secrets", "metrics-server", "monitoring"):
        _add_agent(client, namespace, "agent")
    for name in ("cert-manager", "reloader", "traefik"):
        _add_agent(client, name, name)
    database, program = (_first(client, PODS, name) for name in ("user-service-database", "gateway"))
    _stop_being_ready(client, database)
    _run_out_of_memory(client, program, times=3)
    for pod in (database, program):
        # Almost all of its memory, and of its volume if it has one; read by rehearse/tools/kubelet.
        client.patch(pod, {"metadata": {"annotations": {"rehearsal/usage": "0.97"}}})
    _lose_secret(client, _first(client, SECRETS, "rabbitmq"))
    backup = _first(client, CRONJOBS, "user-service-database")
    _start_job(client, backup, "by-hand")
    _start_job(client, backup, "in-vain", activeDeadlineSeconds=1)


def _first(client: ApiClient, resource: Resource, name: str) -> dict[str, Any]:
    """Return the first object of a kind whose name begins like this."""
    found = (each for each in client.list(resource) if each["metadata"]["name"].startswith(name))
    return min(found, key=lambda each: str(each["metadata"]["name"]))


def _add_agent(client: ApiClient, namespace: str, name: str) -> None:
    """Add a DaemonSet such as a chart would bring."""
    container = {
        "name": "main",
        "image": "example/of-a-chart:1.0.0",
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "32Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    secure = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": secure, "automountServiceAccountToken": False}
    labels = {"app.kubernetes.io/name": name}
    template = {"metadata": {"labels": labels}, "spec": spec}
    made = {"selector": {"matchLabels": labels}, "template": template}
    client.apply(manifest("apps/v1", "DaemonSet", name, namespace, labels, spec=made))


def _stop_being_ready(client: ApiClient, pod: Manifest) -> None:
    conditions = [
        {**each, "status": "False"} if each["type"] in ("Ready", "ContainersReady") else each
        for each in pod["status"]["conditions"]
    ]
    client.patch(pod, {"status": {"conditions": conditions}}, "status")


def _run_out_of_memory(client: ApiClient, pod: Manifest, times: int) -> None:
    first, *others = pod["status"]["containerStatuses"]
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    changed = {**first, "restartCount": first["restartCount"] + times, "lastState": killed}
    client.patch(pod, {"status": {"containerStatuses": [changed, *others]}}, "status")


def _lose_secret(client: ApiClient, item: Manifest) -> None:
    """Remove from the store what an ExternalSecret reads, and have it read again."""
    for key in {each["remoteRef"]["key"] for each in item["spec"]["data"]}:
        client.delete(manifest("v1", "Secret", key, "secret-store", {}))
    client.patch(item, {"metadata": {"annotations": {"force-sync": "now"}}})


def _start_job(client: ApiClient, cronjob: Manifest, name: str, **changes: object) -> None:
    """Start a Job of a CronJob, as ``kubectl create job --from`` does; one that differs from it belongs to nobody."""
    metadata = cronjob["metadata"]
    made = manifest("batch/v1", "Job", name, metadata["namespace"], {})
    if not changes:
        owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": metadata["name"], "uid": metadata["uid"]}
        made["metadata"]["ownerReferences"] = [{**owner, "controller": True, "blockOwnerDeletion": True}]
    made["spec"] = {**cronjob["spec"]["jobTemplate"]["spec"], **changes}
    client.apply(made)

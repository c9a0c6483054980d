"""Whether an environment is healthy with what it is pinned to, as Argo CD says it."""

from collections.abc import Mapping

from constructs_lib.kubernetes.manifest import Manifest, inner, mapping
from constructs_lib.publish.hanging import is_running, is_settled
from constructs_lib.publish.takeover import Takeover
from constructs_lib.repository.pins import Pins


def unhealthy(cluster: Takeover, pins: Pins) -> list[str]:
    """Return why an environment is not healthy with what is pinned, a line for each reason; nothing if it is.

    Args:
        cluster: The environment's root Application in its cluster.
        pins: The pins that were pushed.

    Raises:
        KubectlError: The cluster does not answer.
        PublishError: The cluster has no such root, or one that deploys something else.
    """
    rollout = cluster.look()
    _, applications = cluster.applications()
    reasons = {name: _unsettled(name, applications, pin.revision) for name, pin in sorted(pins.components.items())}
    return [
        line
        for component, reason in reasons.items()
        if reason
        for line in (
            f"{component}: {reason}.",
            *(f"  {each}" for each in dict.fromkeys(rollout.hangs.get(component, ()))),
        )
    ]


def _unsettled(component: str, applications: Mapping[str, Manifest], revision: str) -> str:
    """Return why an Application is not there yet, or not healthy; empty if it is."""
    application = applications.get(component)
    if application is None:
        return "Argo CD has no such Application"
    status = mapping(application.get("status"))
    compared = {inner(status, "sync", "revision"), *(inner(status, "sync", "revisions") or ())} - {None, ""}
    if revision not in compared:
        at = ", ".join(sorted(str(each)[:12] for each in compared)) or "nothing"
        return f"Argo CD is at {at}, and {revision[:12]} is published"
    if is_settled(application):
        return ""
    synced, health = inner(status, "sync", "status") or "Unknown", inner(status, "health", "status") or "Unknown"
    return f"{health} and {synced}, with {revision[:12]}{', while a sync runs' if is_running(application) else ''}"

"""What the pods of a client get from its edges: variables, and a wait until what it needs is there."""

from collections.abc import Collection
from typing import Any

from constructs_lib.declare.secret import Field, Plain, SecretReference
from constructs_lib.declare.workload import Workload
from constructs_lib.kinds.parts import images
from constructs_lib.kinds.parts.pods import container, script
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.workloads import references


def container_variables(workload: Workload, names: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Return the environment variables of a workload's container, by name: all of them, or those with the ``names``.

    What a text refers to by ``$(NAME)`` comes before it: Kubernetes fills in only what it knows by then.
    """
    chosen = [name for name in sorted(workload.environment) if names is None or name in names]
    found: dict[str, object] = {}

    def take(name: str, around: frozenset[str]) -> None:
        if name in found or name in around:
            return
        value = workload.environment[name]
        for each in references(value) if isinstance(value, str) else ():
            if each in chosen:
                take(each, around | {name})
        found[name] = value

    for name in chosen:
        take(name, frozenset())
    return [variable(workload, name, value) for name, value in found.items()]


def referring(workload: Workload) -> set[str]:
    """Return the variables whose texts refer to others of the workload by ``$(NAME)``, and those others.

    https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
    Kubernetes fills in none of them in what a ConfigMap holds, nor from there.
    """
    found: set[str] = set()
    for name, value in workload.environment.items():
        known = workload.environment.keys() - {name}
        if isinstance(value, str) and (named := {*references(value)} & known):
            found |= {name, *named}
    return found


def variable(workload: Workload, name: str, value: object) -> dict[str, Any]:
    """Return an environment variable of a container of a workload, by what its value is."""
    if isinstance(value, SecretReference):
        return pod.secret_variable(name, workload.component.id, workload.component.secret_key(value))
    if isinstance(value, Field):
        return pod.field_variable(name, value.path)
    return {"name": name, "value": value.text if isinstance(value, Plain) else value}


def wait_containers(workload: Workload, image: str = images.WAIT) -> list[dict[str, Any]]:
    """Return the init container that waits until all that a workload needs accepts connections; none if it needs none.

    The order of deployment says the same. This is for when all pods start at once, such as after a loss of power. The
    image has a shell. Default: one of the library's, because many programs come without.
    """
    targets = [str(edge.endpoint.attributes["address"]) for edge in workload.waits]
    if not targets:
        return []
    return [container("wait", image, command=["/bin/sh", "-c", script("parts", "wait.sh"), "wait", *targets])]

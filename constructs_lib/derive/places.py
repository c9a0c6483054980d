"""What no component may bring, because its AppProject would have to permit it: what deploys, and what is others'."""

from collections.abc import Iterable

from constructs_lib.declare.component import Component
from constructs_lib.derive.patches import Derived
from constructs_lib.text import joined

#: Whoever may make one of these deploys whatever they like, with the rights of Argo CD.
_DEPLOYING = ("AppProject", "Application", "ApplicationSet")
_API_GROUP = "argoproj.io"
_ROOTS = "the root alone makes those, because they deploy anything anywhere; declare a component for what it deploys"


def check_place(component: Component, derived: Derived) -> None:
    """Report an object that deploys others, or that is in a namespace of somebody else."""
    manifest = derived.manifest
    kind, metadata = manifest["kind"], manifest["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace")
    system = component.system
    owner = system.owner_of(namespace) if namespace else None
    if manifest["apiVersion"].startswith(f"{_API_GROUP}/") and kind in _DEPLOYING:
        problem = f'it brings the {kind} "{name}", and {_ROOTS}.'
    elif namespace in (*system.environment.argocd.namespaces, system.environment.secret_store_namespace):
        problem = f'the {kind} "{name}" would be in the namespace {namespace}, where the bootstrap alone deploys.'
    elif owner is not None and owner is not component:
        problem = (
            f'the {kind} "{name}" would be in the namespace {namespace}, which belongs to {owner.id}: declare it '
            f"inside of that one."
        )
    else:
        return
    derived.source.report(problem, derived.source.location)


def check_kinds(component: Component, kinds: Iterable[tuple[str, str]]) -> None:
    """Report kinds that deploy others, among those that a chart is declared to contain."""
    found = sorted({kind for group, kind in kinds if group == _API_GROUP and kind in _DEPLOYING})
    if found:
        component.report(f"kinds: it would bring {joined(found, 'and')}, and {_ROOTS}.", component.location)

"""Whether Applications gate each other, sync by themselves, and try again."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.order.settings import settings
from constructs_lib.check.order.syncs import ignores_replicas
from constructs_lib.check.order.timeline import Timeline
from constructs_lib.kubernetes.manifest import mapping
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.repository.applications import BY_HAND, Application

_HEALTH = "resource.customizations.health.argoproj.io_Application"


def prove_applications(model: ClusterModel) -> Iterator[Finding]:
    """Yield what is wrong with Applications."""
    siblings: dict[int, list[Application]] = defaultdict(list)
    for application in model.applications:
        if application.parent is not None and application.parent.name != BY_HAND:
            siblings[id(application.parent)].append(application)
    yield from _without_health_check(model, siblings)
    yield from _defined_twice(model)
    for application in model.applications:
        if application.item is None:
            continue
        if application.item.path in application.files and _has_several_steps(model, application):
            problem = f"Its own file {application.item.path} is among those that it deploys."
            yield Finding.of("application-deploys-itself", application.item, problem, at="spec.source")
        yield from _policy(application, application.item, siblings[id(application.parent)])


def _without_health_check(model: ClusterModel, siblings: Mapping[int, list[Application]]) -> Iterator[Finding]:
    found = settings(model, "argocd-cm")
    if not found or any(map(_has_health_check, found)):
        return
    for group in siblings.values():
        first = min(group, key=lambda application: application.wave)
        last = max(group, key=lambda application: application.wave)
        if first.parent is not None and first.wave < last.wave:
            waves = f"{first.name} has the wave {first.wave} and {last.name} {last.wave}"
            problem = f"{waves}, and argocd-cm has no health check of Applications."
            yield Finding.of("waves-gate-nothing", first.parent.item, problem)


def _has_health_check(config: Mapping[str, Any]) -> bool:
    return _HEALTH in config or "argoproj.io/Application" in str(config.get("resource.customizations", ""))


def _defined_twice(model: ClusterModel) -> Iterator[Finding]:
    seen: dict[Identity, tuple[Application, Object]] = {}
    for application, item in model.deployed:
        if item.kind != "Application" or item.group != "argoproj.io":
            continue
        first, known = seen.setdefault(item.identity, (application, item))
        # An Application that deploys its own file has a check of its own.
        if known is not item and not (first.name == BY_HAND and known.path == item.path):
            where = f"in {known.path}" if first is application else f"by {first.name}, from {known.path},"
            problem = f"The Application {item.name} is defined {where} as well."
            yield Finding.of("application-defined-twice", item, problem, at="metadata.name")


def _has_several_steps(model: ClusterModel, application: Application) -> bool:
    """Tell whether a sync waits for health at all: after its last step, it does not."""
    timeline = model.once(Timeline)
    return len({timeline.step(item) for owner, item in model.deployed if owner is application}) > 1


def _policy(application: Application, item: Object, siblings: Sequence[Application]) -> Iterator[Finding]:
    """Yield what is wrong with the sync policy of an Application.

    Args:
        application: The Application.
        item: Its object.
        siblings: The Applications of the same sync.
    """
    policy = mapping(item.spec.get("syncPolicy"))
    if not application.automated:
        later = next((other.name for other in siblings if other.wave > application.wave), None)
        if later:
            problem = f"It is synced by hand only, and {later} in a later wave waits for it."
            yield Finding.of("application-not-automated", item, problem, at="spec.syncPolicy.automated")
    elif not isinstance(policy.get("retry"), dict):
        yield Finding.of("application-without-retry", item, "It has no retry.", at="spec.syncPolicy")
    elif policy["retry"].get("refresh") is not True:
        yield Finding.of("retry-without-refresh", item, "Its retry has no refresh.", at="spec.syncPolicy.retry")
    if application.sync_options.get("RespectIgnoreDifferences") == "true":
        return
    for number, entry in enumerate(application.ignored_differences):
        if ignores_replicas(entry):
            problem = "It ignores differences of replicas without RespectIgnoreDifferences=true."
            yield Finding.of("ignored-differences-applied", item, problem, at=f"spec.ignoreDifferences[{number}]")

"""Proof that what Argo CD waits for gets healthy, that its syncs can be repeated, and that they lose no data.

What is healthy: https://argo-cd.readthedocs.io/en/stable/operator-manual/health/. A wave waits for the health of an
object whatever the annotation ignore-healthcheck says, which is about the Application's own health alone
(``sync_context.go``).
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object, options
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.order.timeline import Timeline
from constructs_lib.check.references.configuration import claim_names
from constructs_lib.check.storage import claims, class_of, known_classes
from constructs_lib.kubernetes.manifest import mapping, sequence
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.repository.applications import BY_HAND, Application

_ARGO = "https://argo-cd.readthedocs.io/en/stable/"
_ISSUES = "https://github.com/argoproj/argo-cd/issues/"
_JOBS = "https://kubernetes.io/docs/concepts/workloads/controllers/job/"


#: ``controller.sync.timeout.seconds`` in bootstrap/argocd/main.tf.
SYNC_TIMEOUT = 1800
#: ``TotalAnnotationSizeLimitB`` in apimachinery/pkg/api/validation/objectmeta.go.
_MOST_ANNOTATIONS = 262_144
_DIGEST = re.compile(r"[-.](?:(?=[a-f]*[0-9])[0-9a-f]{5,}|v?[0-9]+(?:[.-][0-9]+)*)\Z")
_CONTROLLERS = ("ingress", "traefik", "contour", "haproxy", "kong", "gateway", "istio", "envoy", "cilium")
_APPLICATION_HEALTH = "resource.customizations.health.argoproj.io_Application"
_COMPARE_OPTIONS = "argocd.argoproj.io/compare-options"


def prove_gates(model: ClusterModel) -> Iterator[Finding]:
    """Yield what never gets healthy, what cannot be synced again, and what a sync would lose."""
    yield from _Gates(model).prove()
    yield from _Applications(model).prove()


class _Gates:
    """What is wrong with objects as Argo CD waits for them."""

    def __init__(self, model: ClusterModel) -> None:
        self._model = model
        self._timeline = model.once(Timeline)
        self._consumers: dict[tuple[str, str], list[Pods]] = defaultdict(list)
        for pods in model.pods:
            for name, _ in claim_names(pods):
                self._consumers[pods.namespace, name].append(pods)

    def prove(self) -> Iterator[Finding]:
        for claim in self._model.kind("PersistentVolumeClaim"):
            yield from self._claim(claim)
        yield from self._addresses()
        yield from self._autoscalers()
        timeout = _sync_timeout(self._model)
        for deployment in self._model.kind("Deployment"):
            yield from _deployment(deployment, timeout)
        for job in self._model.kind("Job"):
            yield from self._job(job)
        for item in self._model.objects:
            yield from self._names(item)

    def _claim(self, claim: Object) -> Iterator[Finding]:
        known = known_classes(self._model).get(class_of(self._model, claim.spec) or "")
        if known is None or not known.waits or claim.spec.get("volumeName"):
            return
        consumers = [pods.owner for pods in self._consumers.get((claim.namespace, claim.name), ())]
        starting = [item for item in consumers if item.kind != "CronJob" and item.spec.get("replicas") != 0]
        if not starting:
            who = f"only the CronJob {consumers[0].name}, in its time, mounts it" if consumers else "nothing mounts it"
            yield Finding.of("claim-waits-for-pod", claim, f"Its volume is made for the first pod, and {who}.")
        elif all(self._timeline.compare(claim, item) < 0 for item in starting):
            first = starting[0]
            yield Finding.of(
                "claim-waits-for-pod",
                claim,
                f"Its volume is made for the first pod, and the {first.kind} {first.name} that mounts it comes in wave "
                f"{first.wave}, after wave {claim.wave} of the claim.",
                at="metadata.annotations",
            )

    def _addresses(self) -> Iterator[Finding]:
        kind = self._model.cluster.kind
        disabled = self._model.bootstrap.k3s_disabled() if kind == "k3d" else frozenset()
        if "servicelb" in disabled and not self._brings(("metallb", "kube-vip", *_CONTROLLERS)):
            for service in self._model.kind("Service"):
                if service.spec.get("type") == "LoadBalancer":
                    yield Finding.of(
                        "address-never-given",
                        service,
                        "The cluster runs k3s without servicelb, and gives no addresses.",
                        at="spec.type",
                    )
        without = kind == "digitalocean" or "traefik" in disabled
        if without and not self._brings(_CONTROLLERS) and not self._model.by_kind.get("IngressClass"):
            for ingress in self._model.kind("Ingress"):
                yield Finding.of(
                    "address-never-given", ingress, "Neither the cluster nor a chart brings an ingress controller."
                )

    def _brings(self, words: tuple[str, ...]) -> bool:
        charts = (chart.name for application in self._model.all_applications for chart in application.charts)
        return any(word in chart for chart in charts for word in words)

    def _autoscalers(self) -> Iterator[Finding]:
        kind = self._model.cluster.kind
        if not kind or (kind == "k3d" and "metrics-server" not in self._model.bootstrap.k3s_disabled()):
            return
        services = {item.name for item in self._model.kind("APIService")}
        if "v1beta1.metrics.k8s.io" in services:
            return
        servers = [
            application
            for application in self._model.all_applications
            if any("metrics-server" in chart.name for chart in application.charts)
        ]
        for autoscaler in self._model.kind("HorizontalPodAutoscaler"):
            types = [mapping(metric).get("type") for metric in sequence(autoscaler.spec.get("metrics"))]
            if not any(metric in ("Resource", "ContainerResource") for metric in types):
                continue
            if not servers:
                yield Finding.of(
                    "autoscaler-without-metrics",
                    autoscaler,
                    "Neither the cluster nor the tree brings metrics-server.",
                    at="spec.metrics",
                )
            elif all(self._timeline.compare_application(server, autoscaler) > 0 for server in servers):
                yield Finding.of(
                    "autoscaler-without-metrics",
                    autoscaler,
                    f"metrics-server comes later, with the Application {servers[0].name} in wave {servers[0].wave}.",
                    at="spec.metrics",
                )

    def _job(self, job: Object) -> Iterator[Finding]:
        application = self._timeline.application(job)
        if job.is_hook or application.item is None or "name" not in job.metadata:
            return
        if "ttlSecondsAfterFinished" in job.spec and application.automated:
            yield Finding.of(
                "job-with-ttl",
                job,
                f"It is deleted {job.spec['ttlSecondsAfterFinished']} seconds after its end, and the Application "
                f"{application.name} makes it again.",
                at="spec.ttlSecondsAfterFinished",
            )
        chosen = {**application.sync_options, **job.sync_options}
        replaced = "true" in (chosen.get("Replace"), chosen.get("Force"))
        if not replaced and not _DIGEST.search(job.name):
            yield Finding.of(
                "job-cannot-change",
                job,
                f"Its name {job.name} stays the same when its template changes.",
                at="metadata.name",
            )

    def _names(self, item: Object) -> Iterator[Finding]:
        fixed = "name" in item.metadata
        if not fixed and "generateName" in item.metadata and not item.is_hook:
            yield Finding.of(
                "generated-name-without-hook", item, "It has a generateName and is no hook.", at="metadata.generateName"
            )
        if fixed and item.is_hook and item.phases:
            policies = item.hook_delete_policies
            if "BeforeHookCreation" not in policies and not {"HookSucceeded", "HookFailed"} <= policies:
                yield Finding.of(
                    "hook-runs-once",
                    item,
                    f"With the policy {', '.join(sorted(policies))}, {item.name} may still be there at the next sync.",
                    at="metadata.annotations",
                )


def _deployment(deployment: Object, timeout: int | None) -> Iterator[Finding]:
    spec = deployment.spec
    if spec.get("paused") is True:
        yield Finding.of("deployment-paused", deployment, "Its rollout is paused.", at="spec.paused")
    deadline = _number(spec.get("progressDeadlineSeconds"), 600)
    containers = map(mapping, sequence(mapping(mapping(spec.get("template")).get("spec")).get("containers")))
    start = max((_start_seconds(container) for container in containers), default=0)
    start += _number(spec.get("minReadySeconds"), 0)
    if start > deadline:
        yield Finding.of(
            "start-exceeds-deadline",
            deployment,
            f"Its pods may take {start} seconds to start, and progressDeadlineSeconds is {deadline}.",
            at="spec.progressDeadlineSeconds",
        )
    if timeout is not None and deadline >= timeout:
        yield Finding.of(
            "deadline-exceeds-sync",
            deployment,
            f"progressDeadlineSeconds is {deadline}, and a sync is ended after {timeout} seconds.",
            at="spec.progressDeadlineSeconds",
        )


def _start_seconds(container: Mapping[str, Any]) -> int:
    """Return how long a container may take to start: until its startup probe gives up."""
    probe = mapping(container.get("startupProbe"))
    if not probe:
        return _number(mapping(container.get("readinessProbe")).get("initialDelaySeconds"), 0)
    tries = _number(probe.get("failureThreshold"), 3) * _number(probe.get("periodSeconds"), 10)
    return _number(probe.get("initialDelaySeconds"), 0) + tries


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _sync_timeout(model: ClusterModel) -> int | None:
    """Return after how many seconds Argo CD ends a sync, or None if the tree does not say."""
    for config in _settings(model, "argocd-cmd-params-cm", "params"):
        value = str(config.get("controller.sync.timeout.seconds", ""))
        if value.isdecimal():
            return int(value) or None
    return SYNC_TIMEOUT if model.bootstrap.installs_argocd else None


def _settings(model: ClusterModel, name: str, values: str) -> list[Mapping[str, Any]]:
    """Return the settings of Argo CD that a tree has: in a ConfigMap, or in the values of its chart."""
    maps = [mapping(item.manifest.get("data")) for item in model.kind("ConfigMap") if item.name == name]
    for application in model.all_applications:
        for chart in application.charts:
            if chart.name == "argo-cd":
                configs = mapping(mapping(chart.helm.get("valuesObject")).get("configs"))
                maps.append(mapping(configs.get(values)))
    return maps


class _Applications:
    """What is wrong with Applications, and with what they would do to their objects."""

    def __init__(self, model: ClusterModel) -> None:
        self._model = model
        self._timeline = model.once(Timeline)
        self._siblings: dict[int, list[Application]] = defaultdict(list)
        for application in model.applications:
            if application.parent is not None:
                self._siblings[id(application.parent)].append(application)
        #: Namespaces with an object in them that holds data.
        self._with_data = {
            item.namespace for item in model.kind("PersistentVolumeClaim", "StatefulSet") if any(claims(item))
        }

    def prove(self) -> Iterator[Finding]:
        yield from self._health()
        yield from self._twice()
        for application in self._model.applications:
            if application.item is not None:
                yield from self._application(application, application.item)
        scaled = self._scaled()
        for application, item in self._model.deployed:
            if application.item is None:
                continue
            if item.identity in scaled:
                yield from _replicas(application, item, scaled[item.identity])
            yield from _size(application, item)
            if item.kind == "StatefulSet":
                yield from self._comparison(application, item)
            yield from self._protection(application, item)

    def _health(self) -> Iterator[Finding]:
        settings = _settings(self._model, "argocd-cm", "cm")
        if not settings or any(_has_application_health(config) for config in settings):
            return
        for siblings in self._siblings.values():
            first = min(siblings, key=lambda application: application.wave)
            last = max(siblings, key=lambda application: application.wave)
            parent = first.parent
            if parent is not None and parent.name != BY_HAND and first.wave < last.wave:
                yield Finding.of(
                    "waves-gate-nothing",
                    parent.item,
                    f"{first.name} has the wave {first.wave} and {last.name} {last.wave}, and argocd-cm has no health "
                    f"check of Applications.",
                )

    def _twice(self) -> Iterator[Finding]:
        seen: dict[Identity, tuple[Application, Object]] = {}
        for application, item in self._model.deployed:
            if item.kind != "Application" or item.group != "argoproj.io":
                continue
            first, known = seen.setdefault(item.identity, (application, item))
            # What deploys itself has a check of its own.
            if known is not item and not (first.name == BY_HAND and known.path == item.path):
                where = f"in {known.path}" if first is application else f"by {first.name}, from {known.path},"
                yield Finding.of(
                    "application-defined-twice",
                    item,
                    f"The Application {item.name} is defined {where} as well.",
                    at="metadata.name",
                )

    def _application(self, application: Application, item: Object) -> Iterator[Finding]:
        if item.path in application.files and self._has_several_steps(application):
            yield Finding.of(
                "application-deploys-itself",
                item,
                f"Its own file {item.path} is among those that it deploys.",
                at="spec.source",
            )
        policy = mapping(item.spec.get("syncPolicy"))
        if not application.automated:
            yield from self._not_automated(application, item)
        elif not isinstance(policy.get("retry"), dict):
            yield Finding.of("application-without-retry", item, "It has no retry.", at="spec.syncPolicy")
        elif mapping(policy["retry"]).get("refresh") is not True:
            yield Finding.of("retry-without-refresh", item, "Its retry has no refresh.", at="spec.syncPolicy.retry")
        respected = application.sync_options.get("RespectIgnoreDifferences") == "true"
        for number, entry in enumerate(application.ignored_differences):
            if not respected and _ignores_replicas(entry):
                yield Finding.of(
                    "ignored-differences-applied",
                    item,
                    "It ignores differences of replicas without RespectIgnoreDifferences=true.",
                    at=f"spec.ignoreDifferences[{number}]",
                )

    def _has_several_steps(self, application: Application) -> bool:
        """Tell whether a sync waits for anything: for the health of what it applied last, it does not."""
        items = (item for owner, item in self._model.deployed if owner is application)
        return len({self._timeline.step(item) for item in items}) > 1

    def _not_automated(self, application: Application, item: Object) -> Iterator[Finding]:
        parent = application.parent
        if parent is None or parent.name == BY_HAND:
            return
        later = [other.name for other in self._siblings[id(parent)] if other.wave > application.wave]
        if later:
            yield Finding.of(
                "application-not-automated",
                item,
                f"It is synced by hand only, and {later[0]} in a later wave waits for it.",
                at="spec.syncPolicy.automated",
            )

    def _scaled(self) -> dict[Identity, Object]:
        """Return the autoscalers by what they scale."""
        found: dict[Identity, Object] = {}
        for item in self._model.kind("HorizontalPodAutoscaler"):
            target = mapping(item.spec.get("scaleTargetRef"))
            group = str(target.get("apiVersion") or "").rpartition("/")[0]
            found[group, str(target.get("kind")), item.namespace, str(target.get("name"))] = item
        return found

    def _comparison(self, application: Application, item: Object) -> Iterator[Finding]:
        templates = list(map(mapping, sequence(item.spec.get("volumeClaimTemplates"))))
        complete = all({"apiVersion", "kind"} <= template.keys() for template in templates)
        ignored = any("volumeClaimTemplates" in str(entry) for entry in application.ignored_differences)
        by_server = any(
            str(config.get("controller.diff.server.side")) == "true"
            for config in _settings(self._model, "argocd-cmd-params-cm", "params")
        )
        chosen = _compare_options(item) | _compare_options(application.item)
        if complete or ignored or by_server or chosen.get("ServerSideDiff") == "true" or not application.automated:
            return
        yield Finding.of(
            "claims-compared-locally",
            item,
            "It has volumeClaimTemplates and is not compared by the API server.",
            at="metadata.annotations",
        )

    def _protection(self, application: Application, item: Object) -> Iterator[Finding]:
        if not self._holds_data(application, item):
            return
        chosen = {**application.sync_options, **item.sync_options}
        kept = ("false", "confirm")
        ways = []
        if application.prunes and chosen.get("Prune") not in kept:
            ways.append("Prune=false")
        if (
            application.cascades
            and (application.prunes or _is_pruned(application))
            and chosen.get("Delete") not in kept
        ):
            ways.append("Delete=false")
        if ways:
            yield Finding.of(
                "data-not-protected",
                item,
                f"It holds data and is removed without a question; it lacks {' and '.join(ways)}.",
                at="metadata.annotations",
            )

    def _holds_data(self, application: Application, item: Object) -> bool:
        if item.kind in ("PersistentVolumeClaim", "StatefulSet"):
            return any(claims(item))
        if item.kind != "Namespace":
            return item.kind == "PersistentVolume"
        by_chart = item.name == application.namespace and any(
            "volumeClaimTemplate" in str(chart.helm) for chart in application.charts
        )
        return by_chart or item.name in self._with_data


def _has_application_health(config: Mapping[str, Any]) -> bool:
    return _APPLICATION_HEALTH in config or "argoproj.io/Application" in str(config.get("resource.customizations", ""))


def _ignores_replicas(entry: Mapping[str, Any]) -> bool:
    pointers = map(str, sequence(entry.get("jsonPointers")))
    expressions = map(str, sequence(entry.get("jqPathExpressions")))
    return "/spec/replicas" in pointers or any(".spec.replicas" in expression for expression in expressions)


def _replicas(application: Application, item: Object, autoscaler: Object) -> Iterator[Finding]:
    ignored = any(
        _ignores_replicas(entry) or entry.get("managedFieldsManagers")
        for entry in application.differences_ignored_of(item)
    )
    if "replicas" in item.spec and not ignored:
        yield Finding.of(
            "replicas-of-autoscaler",
            item,
            f"It has {item.spec['replicas']} replicas in Git, and the HorizontalPodAutoscaler {autoscaler.name} sets "
            f"them as well.",
            at="spec.replicas",
        )


def _size(application: Application, item: Object) -> Iterator[Finding]:
    # JSON is longer than its YAML by little but escaped characters.
    if len(application.files[item.path]) * 2 < _MOST_ANNOTATIONS:
        return
    chosen = {**application.sync_options, **item.sync_options}
    if "true" in (chosen.get("ServerSideApply"), chosen.get("Replace")):
        return
    size = len(json.dumps(item.manifest, separators=(",", ":"), ensure_ascii=False).encode(errors="replace"))
    if size > _MOST_ANNOTATIONS:
        yield Finding.of("object-too-large", item, f"It has {size:,} bytes.")


def _compare_options(item: Object | None) -> dict[str, str]:
    return options(item.annotations.get(_COMPARE_OPTIONS, "").split(",")) if item else {}


def _is_pruned(application: Application) -> bool:
    """Tell whether an Application is deleted when it is no longer in the repository."""
    return application.parent is not None and application.parent.prunes

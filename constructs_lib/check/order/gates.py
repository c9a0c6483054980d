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

from constructs_lib.argocd.objects import Identity, Object, mapping, options, sequence
from constructs_lib.check.finding import Check, Finding, Severity
from constructs_lib.check.order.timeline import Timeline
from constructs_lib.check.references.configuration import claim_names
from constructs_lib.check.storage import claims, class_of, known_classes
from constructs_lib.check.surroundings import k3s_disabled, made_here
from constructs_lib.check.tree import Pods, Subject
from constructs_lib.repository.applications import BY_HAND, Delivery

_ARGO = "https://argo-cd.readthedocs.io/en/stable/"
_ISSUES = "https://github.com/argoproj/argo-cd/issues/"
_JOBS = "https://kubernetes.io/docs/concepts/workloads/controllers/job/"

CLAIM_WAITS_FOR_POD = Check(
    "claim-waits-for-pod",
    Severity.ERROR,
    "A volume that waits for its first pod comes before that pod, or has none",
    "The claim stays Progressing, so that Argo CD never goes on to the pod that it waits for.",
    "Put the claim into the wave of the first Job, Deployment or StatefulSet that mounts it.",
    f"{_ISSUES}12840 and {_ISSUES}29201",
)
ADDRESS_NEVER_GIVEN = Check(
    "address-never-given",
    Severity.ERROR,
    "An Ingress or LoadBalancer waits for an address that its cluster does not give",
    "It stays Progressing, and its Application with it.",
    "Install what gives the address, or use a Service of another type.",
    f"{_ARGO}operator-manual/health/",
)
DEPLOYMENT_PAUSED = Check(
    "deployment-paused",
    Severity.ERROR,
    "A Deployment is paused",
    "Argo CD takes it for Suspended: it waits for ever, and no change is rolled out.",
    "Take spec.paused away.",
    "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#pausing-and-resuming-a-deployment",
)
AUTOSCALER_WITHOUT_METRICS = Check(
    "autoscaler-without-metrics",
    Severity.ERROR,
    "A HorizontalPodAutoscaler has no metrics when it comes",
    "It is Degraded, so that the sync fails; and it never scales.",
    "Install metrics-server in an earlier wave.",
    "https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#support-for-metrics-apis",
)
JOB_WITH_TTL = Check(
    "job-with-ttl",
    Severity.ERROR,
    "A Job that is no hook deletes itself",
    "Argo CD misses it and makes it again: it runs for ever and ever.",
    "Take ttlSecondsAfterFinished away, or make it a hook with a hook-delete-policy.",
    f"{_ISSUES}8586",
)
JOB_CANNOT_CHANGE = Check(
    "job-cannot-change",
    Severity.WARNING,
    "A Job would be refused with its next change",
    "The template of a Job cannot be changed: the sync fails until somebody deletes it.",
    "Put a digest of its content into its name, make it a hook, or set the sync options Force=true,Replace=true.",
    _JOBS,
)
START_EXCEEDS_DEADLINE = Check(
    "start-exceeds-deadline",
    Severity.WARNING,
    "Pods may take longer to start than their Deployment has time",
    "The rollout is called Degraded while its pods still start as they may.",
    "Make progressDeadlineSeconds longer than the start, or the startup probe shorter.",
    "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#progress-deadline-seconds",
)
DEADLINE_EXCEEDS_SYNC = Check(
    "deadline-exceeds-sync",
    Severity.WARNING,
    "A Deployment has more time than the sync that waits for it",
    "The sync is ended before the rollout is known to have failed.",
    "Make progressDeadlineSeconds shorter than controller.sync.timeout.seconds.",
    f"{_ARGO}operator-manual/argocd-cmd-params-cm-yaml/",
)
HOOK_RUNS_ONCE = Check(
    "hook-runs-once",
    Severity.WARNING,
    "A hook is in its own way when it is to run again",
    "What is left of the last run is not replaced: the hook does not run, or counts as failed.",
    "Add BeforeHookCreation to its hook-delete-policy, or use generateName.",
    f"{_ARGO}user-guide/resource_hooks/#hook-deletion-policies",
)
GENERATED_NAME = Check(
    "generated-name-without-hook",
    Severity.ERROR,
    "An object without a name is no hook",
    "Argo CD cannot apply it: only hooks may have a generateName.",
    "Give it a name, or make it a hook.",
    f"{_ARGO}user-guide/resource_hooks/#generate-name",
)
WAVES_GATE_NOTHING = Check(
    "waves-gate-nothing",
    Severity.ERROR,
    "Applications have waves, and Argo CD has no health check for Applications",
    "All Applications are synced at once, whatever their waves.",
    "Add resource.customizations.health.argoproj.io_Application to argocd-cm.",
    f"{_ARGO}operator-manual/health/#argocd-app",
)
APPLICATION_NOT_AUTOMATED = Check(
    "application-not-automated",
    Severity.ERROR,
    "An Application that others wait for is not synced by itself",
    "At the first installation, all later waves wait until somebody syncs it by hand.",
    "Add syncPolicy.automated, or put it into the last wave.",
    f"{_ARGO}user-guide/auto_sync/",
)
APPLICATION_WITHOUT_RETRY = Check(
    "application-without-retry",
    Severity.WARNING,
    "An Application gives up after a failed sync",
    "After five failures in some minutes it stays as it is, until the next commit.",
    "Add syncPolicy.retry with a limit of -1.",
    f"{_ARGO}user-guide/auto_sync/",
)
RETRY_WITHOUT_REFRESH = Check(
    "retry-without-refresh",
    Severity.WARNING,
    "An Application tries the commit again that failed",
    "The commit that mends it waits until all tries are used up.",
    "Add refresh: true to syncPolicy.retry.",
    f"{_ISSUES}11494",
)
OBJECT_TOO_LARGE = Check(
    "object-too-large",
    Severity.ERROR,
    "An object is too large for a client-side apply",
    "It is refused: the annotation with its last state would be longer than 262,144 bytes.",
    "Add the sync option ServerSideApply=true.",
    f"{_ARGO}user-guide/sync-options/#server-side-apply",
)
IGNORED_DIFFERENCES_APPLIED = Check(
    "ignored-differences-applied",
    Severity.WARNING,
    "Differences are ignored and overwritten all the same",
    "Every sync sets the fields back, such as the number of replicas that an autoscaler chose.",
    "Add the sync option RespectIgnoreDifferences=true.",
    f"{_ARGO}user-guide/sync-options/#respect-ignore-difference-configs",
)
REPLICAS_OF_AUTOSCALER = Check(
    "replicas-of-autoscaler",
    Severity.ERROR,
    "Git and an autoscaler both set a number of replicas",
    "Every sync sets back what the autoscaler chose, under load as well.",
    "Take spec.replicas away, or ignore its differences and set RespectIgnoreDifferences=true.",
    f"{_ARGO}user-guide/best_practices/#leaving-room-for-imperativeness",
)
CLAIMS_COMPARED_LOCALLY = Check(
    "claims-compared-locally",
    Severity.WARNING,
    "A StatefulSet with claims is compared without what the API server adds to them",
    "It stays OutOfSync, and is synced again and again.",
    "Add the annotation argocd.argoproj.io/compare-options: ServerSideDiff=true.",
    f"{_ISSUES}11143",
)
DATA_NOT_PROTECTED = Check(
    "data-not-protected",
    Severity.ERROR,
    "Data goes with a manifest that is removed, or with its Application",
    "A file that is renamed, or an Application that is taken away, deletes a data store with what it holds.",
    "Add the annotation argocd.argoproj.io/sync-options: Prune=false,Delete=false.",
    f"{_ARGO}user-guide/sync-options/#no-prune-resources and {_ISSUES}9853",
)
APPLICATION_TWICE = Check(
    "application-defined-twice",
    Severity.ERROR,
    "Two files define one Application",
    "The one that comes last counts, and they overwrite each other with every sync.",
    "Give one of them another name.",
    f"{_ARGO}operator-manual/declarative-setup/#applications",
)
APPLICATION_IN_ITSELF = Check(
    "application-deploys-itself",
    Severity.ERROR,
    "An Application deploys itself",
    "Before the next wave, its sync waits for its own health, which stays Progressing as long as the sync goes on.",
    "Exclude its file (source.directory.exclude), or keep it in another folder.",
    f"{_ARGO}operator-manual/cluster-bootstrapping/",
)

CHECKS = (
    CLAIM_WAITS_FOR_POD,
    ADDRESS_NEVER_GIVEN,
    DEPLOYMENT_PAUSED,
    AUTOSCALER_WITHOUT_METRICS,
    JOB_WITH_TTL,
    JOB_CANNOT_CHANGE,
    START_EXCEEDS_DEADLINE,
    DEADLINE_EXCEEDS_SYNC,
    HOOK_RUNS_ONCE,
    GENERATED_NAME,
    WAVES_GATE_NOTHING,
    APPLICATION_NOT_AUTOMATED,
    APPLICATION_WITHOUT_RETRY,
    RETRY_WITHOUT_REFRESH,
    OBJECT_TOO_LARGE,
    IGNORED_DIFFERENCES_APPLIED,
    REPLICAS_OF_AUTOSCALER,
    CLAIMS_COMPARED_LOCALLY,
    DATA_NOT_PROTECTED,
    APPLICATION_TWICE,
    APPLICATION_IN_ITSELF,
)

#: ``controller.sync.timeout.seconds`` in bootstrap/argocd/main.tf.
SYNC_TIMEOUT = 1800
#: ``TotalAnnotationSizeLimitB`` in apimachinery/pkg/api/validation/objectmeta.go.
_MOST_ANNOTATIONS = 262_144
_DIGEST = re.compile(r"[-.](?:(?=[a-f]*[0-9])[0-9a-f]{5,}|v?[0-9]+(?:[.-][0-9]+)*)\Z")
_CONTROLLERS = ("ingress", "traefik", "contour", "haproxy", "kong", "gateway", "istio", "envoy", "cilium")
_APPLICATION_HEALTH = "resource.customizations.health.argoproj.io_Application"
_COMPARE_OPTIONS = "argocd.argoproj.io/compare-options"


def prove_gates(subject: Subject) -> Iterator[Finding]:
    """Yield what never gets healthy, what cannot be synced again, and what a sync would lose."""
    yield from _Gates(subject).prove()
    yield from _Applications(subject).prove()


class _Gates:
    """What is wrong with objects as Argo CD waits for them."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._timeline = subject.once(Timeline)
        self._consumers: dict[tuple[str, str], list[Pods]] = defaultdict(list)
        for pods in subject.pods:
            for name, _ in claim_names(pods):
                self._consumers[pods.namespace, name].append(pods)

    def prove(self) -> Iterator[Finding]:
        for claim in self._subject.kind("PersistentVolumeClaim"):
            yield from self._claim(claim)
        yield from self._addresses()
        yield from self._autoscalers()
        timeout = _sync_timeout(self._subject)
        for deployment in self._subject.kind("Deployment"):
            yield from _deployment(deployment, timeout)
        for job in self._subject.kind("Job"):
            yield from self._job(job)
        for item in self._subject.objects:
            yield from self._names(item)

    def _claim(self, claim: Object) -> Iterator[Finding]:
        known = known_classes(self._subject).get(class_of(self._subject, claim.spec) or "")
        if known is None or not known.waits or claim.spec.get("volumeName"):
            return
        consumers = [pods.owner for pods in self._consumers.get((claim.namespace, claim.name), ())]
        starting = [item for item in consumers if item.kind != "CronJob" and item.spec.get("replicas") != 0]
        if not starting:
            who = f"only the CronJob {consumers[0].name}, in its time, mounts it" if consumers else "nothing mounts it"
            yield CLAIM_WAITS_FOR_POD.at(claim, f"Its volume is made for the first pod, and {who}.")
        elif all(self._timeline.compare(claim, item) < 0 for item in starting):
            first = starting[0]
            yield CLAIM_WAITS_FOR_POD.at(
                claim,
                f"Its volume is made for the first pod, and the {first.kind} {first.name} that mounts it comes in wave "
                f"{first.wave}, after wave {claim.wave} of the claim.",
                at="metadata.annotations",
            )

    def _addresses(self) -> Iterator[Finding]:
        kind = self._subject.cluster.kind
        disabled = k3s_disabled(self._subject) if kind == "k3d" else frozenset()
        if "servicelb" in disabled and not self._brings(("metallb", "kube-vip", *_CONTROLLERS)):
            for service in self._subject.kind("Service"):
                if service.spec.get("type") == "LoadBalancer":
                    yield ADDRESS_NEVER_GIVEN.at(
                        service, "The cluster runs k3s without servicelb, and gives no addresses.", at="spec.type"
                    )
        without = kind == "digitalocean" or "traefik" in disabled
        if without and not self._brings(_CONTROLLERS) and not self._subject.by_kind.get("IngressClass"):
            for ingress in self._subject.kind("Ingress"):
                yield ADDRESS_NEVER_GIVEN.at(ingress, "Neither the cluster nor a chart brings an ingress controller.")

    def _brings(self, words: tuple[str, ...]) -> bool:
        charts = (chart.name for delivery in self._subject.deliveries for chart in delivery.charts)
        return any(word in chart for chart in charts for word in words)

    def _autoscalers(self) -> Iterator[Finding]:
        kind = self._subject.cluster.kind
        if not kind or (kind == "k3d" and "metrics-server" not in k3s_disabled(self._subject)):
            return
        services = {item.name for item in self._subject.kind("APIService")}
        if "v1beta1.metrics.k8s.io" in services:
            return
        servers = [
            delivery
            for delivery in self._subject.deliveries
            if any("metrics-server" in chart.name for chart in delivery.charts)
        ]
        for autoscaler in self._subject.kind("HorizontalPodAutoscaler"):
            types = [mapping(metric).get("type") for metric in sequence(autoscaler.spec.get("metrics"))]
            if not any(metric in ("Resource", "ContainerResource") for metric in types):
                continue
            if not servers:
                yield AUTOSCALER_WITHOUT_METRICS.at(
                    autoscaler, "Neither the cluster nor the tree brings metrics-server.", at="spec.metrics"
                )
            elif all(self._timeline.compare_delivery(server, autoscaler) > 0 for server in servers):
                yield AUTOSCALER_WITHOUT_METRICS.at(
                    autoscaler,
                    f"metrics-server comes later, with the Application {servers[0].name} in wave {servers[0].wave}.",
                    at="spec.metrics",
                )

    def _job(self, job: Object) -> Iterator[Finding]:
        delivery = self._timeline.delivery(job)
        if job.is_hook or delivery.application is None or "name" not in job.metadata:
            return
        if "ttlSecondsAfterFinished" in job.spec and delivery.automated:
            yield JOB_WITH_TTL.at(
                job,
                f"It is deleted {job.spec['ttlSecondsAfterFinished']} seconds after its end, and the Application "
                f"{delivery.name} makes it again.",
                at="spec.ttlSecondsAfterFinished",
            )
        chosen = {**delivery.sync_options, **job.sync_options}
        replaced = "true" in (chosen.get("Replace"), chosen.get("Force"))
        if not replaced and not _DIGEST.search(job.name):
            yield JOB_CANNOT_CHANGE.at(
                job, f"Its name {job.name} stays the same when its template changes.", at="metadata.name"
            )

    def _names(self, item: Object) -> Iterator[Finding]:
        fixed = "name" in item.metadata
        if not fixed and "generateName" in item.metadata and not item.is_hook:
            yield GENERATED_NAME.at(item, "It has a generateName and is no hook.", at="metadata.generateName")
        if fixed and item.is_hook and item.phases:
            policies = item.hook_delete_policies
            if "BeforeHookCreation" not in policies and not {"HookSucceeded", "HookFailed"} <= policies:
                yield HOOK_RUNS_ONCE.at(
                    item,
                    f"With the policy {', '.join(sorted(policies))}, {item.name} may still be there at the next sync.",
                    at="metadata.annotations",
                )


def _deployment(deployment: Object, timeout: int | None) -> Iterator[Finding]:
    spec = deployment.spec
    if spec.get("paused") is True:
        yield DEPLOYMENT_PAUSED.at(deployment, "Its rollout is paused.", at="spec.paused")
    deadline = _number(spec.get("progressDeadlineSeconds"), 600)
    containers = map(mapping, sequence(mapping(mapping(spec.get("template")).get("spec")).get("containers")))
    start = max((_start_seconds(container) for container in containers), default=0)
    start += _number(spec.get("minReadySeconds"), 0)
    if start > deadline:
        yield START_EXCEEDS_DEADLINE.at(
            deployment,
            f"Its pods may take {start} seconds to start, and progressDeadlineSeconds is {deadline}.",
            at="spec.progressDeadlineSeconds",
        )
    if timeout is not None and deadline >= timeout:
        yield DEADLINE_EXCEEDS_SYNC.at(
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


def _sync_timeout(subject: Subject) -> int | None:
    """Return after how many seconds Argo CD ends a sync, or None if the tree does not say."""
    for config in _settings(subject, "argocd-cmd-params-cm", "params"):
        value = str(config.get("controller.sync.timeout.seconds", ""))
        if value.isdecimal():
            return int(value) or None
    return SYNC_TIMEOUT if made_here(subject) else None


def _settings(subject: Subject, name: str, values: str) -> list[Mapping[str, Any]]:
    """Return the settings of Argo CD that a tree has: in a ConfigMap, or in the values of its chart."""
    maps = [mapping(item.manifest.get("data")) for item in subject.kind("ConfigMap") if item.name == name]
    for delivery in subject.deliveries:
        for chart in delivery.charts:
            if chart.name == "argo-cd":
                configs = mapping(mapping(chart.helm.get("valuesObject")).get("configs"))
                maps.append(mapping(configs.get(values)))
    return maps


class _Applications:
    """What is wrong with Applications, and with what they would do to their objects."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._timeline = subject.once(Timeline)
        self._siblings: dict[int, list[Delivery]] = defaultdict(list)
        for delivery in subject.applications:
            if delivery.parent is not None:
                self._siblings[id(delivery.parent)].append(delivery)
        #: Namespaces with an object in them that holds data.
        self._with_data = {
            item.namespace for item in subject.kind("PersistentVolumeClaim", "StatefulSet") if any(claims(item))
        }

    def prove(self) -> Iterator[Finding]:
        yield from self._health()
        yield from self._twice()
        for delivery in self._subject.applications:
            if delivery.application is not None:
                yield from self._application(delivery, delivery.application)
        scaled = self._scaled()
        for delivery, item in self._subject.deployed:
            if delivery.application is None:
                continue
            if item.identity in scaled:
                yield from _replicas(delivery, item, scaled[item.identity])
            yield from _size(delivery, item)
            if item.kind == "StatefulSet":
                yield from self._comparison(delivery, item)
            yield from self._protection(delivery, item)

    def _health(self) -> Iterator[Finding]:
        settings = _settings(self._subject, "argocd-cm", "cm")
        if not settings or any(_has_application_health(config) for config in settings):
            return
        for siblings in self._siblings.values():
            first = min(siblings, key=lambda delivery: delivery.wave)
            last = max(siblings, key=lambda delivery: delivery.wave)
            parent = first.parent
            if parent is not None and parent.name != BY_HAND and first.wave < last.wave:
                yield WAVES_GATE_NOTHING.at(
                    parent.application,
                    f"{first.name} has the wave {first.wave} and {last.name} {last.wave}, and argocd-cm has no health "
                    f"check of Applications.",
                )

    def _twice(self) -> Iterator[Finding]:
        seen: dict[Identity, tuple[Delivery, Object]] = {}
        for delivery, item in self._subject.deployed:
            if item.kind != "Application" or item.group != "argoproj.io":
                continue
            first, known = seen.setdefault(item.identity, (delivery, item))
            # What deploys itself has a check of its own.
            if known is not item and not (first.name == BY_HAND and known.path == item.path):
                where = f"in {known.path}" if first is delivery else f"by {first.name}, from {known.path},"
                yield APPLICATION_TWICE.at(
                    item, f"The Application {item.name} is defined {where} as well.", at="metadata.name"
                )

    def _application(self, delivery: Delivery, application: Object) -> Iterator[Finding]:
        if application.path in delivery.files and self._has_several_steps(delivery):
            yield APPLICATION_IN_ITSELF.at(
                application, f"Its own file {application.path} is among those that it deploys.", at="spec.source"
            )
        policy = mapping(application.spec.get("syncPolicy"))
        if not delivery.automated:
            yield from self._not_automated(delivery, application)
        elif not isinstance(policy.get("retry"), dict):
            yield APPLICATION_WITHOUT_RETRY.at(application, "It has no retry.", at="spec.syncPolicy")
        elif mapping(policy["retry"]).get("refresh") is not True:
            yield RETRY_WITHOUT_REFRESH.at(application, "Its retry has no refresh.", at="spec.syncPolicy.retry")
        respected = delivery.sync_options.get("RespectIgnoreDifferences") == "true"
        for number, entry in enumerate(delivery.ignored_differences):
            if not respected and _ignores_replicas(entry):
                yield IGNORED_DIFFERENCES_APPLIED.at(
                    application,
                    "It ignores differences of replicas without RespectIgnoreDifferences=true.",
                    at=f"spec.ignoreDifferences[{number}]",
                )

    def _has_several_steps(self, delivery: Delivery) -> bool:
        """Tell whether a sync waits for anything: for the health of what it applied last, it does not."""
        items = (item for owner, item in self._subject.deployed if owner is delivery)
        return len({self._timeline.step(item) for item in items}) > 1

    def _not_automated(self, delivery: Delivery, application: Object) -> Iterator[Finding]:
        parent = delivery.parent
        if parent is None or parent.name == BY_HAND:
            return
        later = [other.name for other in self._siblings[id(parent)] if other.wave > delivery.wave]
        if later:
            yield APPLICATION_NOT_AUTOMATED.at(
                application,
                f"It is synced by hand only, and {later[0]} in a later wave waits for it.",
                at="spec.syncPolicy.automated",
            )

    def _scaled(self) -> dict[Identity, Object]:
        """Return the autoscalers by what they scale."""
        found: dict[Identity, Object] = {}
        for item in self._subject.kind("HorizontalPodAutoscaler"):
            target = mapping(item.spec.get("scaleTargetRef"))
            group = str(target.get("apiVersion") or "").rpartition("/")[0]
            found[group, str(target.get("kind")), item.namespace, str(target.get("name"))] = item
        return found

    def _comparison(self, delivery: Delivery, item: Object) -> Iterator[Finding]:
        templates = list(map(mapping, sequence(item.spec.get("volumeClaimTemplates"))))
        complete = all({"apiVersion", "kind"} <= template.keys() for template in templates)
        ignored = any("volumeClaimTemplates" in str(entry) for entry in delivery.ignored_differences)
        by_server = any(
            str(config.get("controller.diff.server.side")) == "true"
            for config in _settings(self._subject, "argocd-cmd-params-cm", "params")
        )
        chosen = _compare_options(item) | _compare_options(delivery.application)
        if complete or ignored or by_server or chosen.get("ServerSideDiff") == "true" or not delivery.automated:
            return
        yield CLAIMS_COMPARED_LOCALLY.at(
            item, "It has volumeClaimTemplates and is not compared by the API server.", at="metadata.annotations"
        )

    def _protection(self, delivery: Delivery, item: Object) -> Iterator[Finding]:
        if not self._holds_data(delivery, item):
            return
        chosen = {**delivery.sync_options, **item.sync_options}
        kept = ("false", "confirm")
        ways = []
        if delivery.prunes and chosen.get("Prune") not in kept:
            ways.append("Prune=false")
        if delivery.cascades and (delivery.prunes or _is_pruned(delivery)) and chosen.get("Delete") not in kept:
            ways.append("Delete=false")
        if ways:
            yield DATA_NOT_PROTECTED.at(
                item,
                f"It holds data and is removed without a question; it lacks {' and '.join(ways)}.",
                at="metadata.annotations",
            )

    def _holds_data(self, delivery: Delivery, item: Object) -> bool:
        if item.kind in ("PersistentVolumeClaim", "StatefulSet"):
            return any(claims(item))
        if item.kind != "Namespace":
            return item.kind == "PersistentVolume"
        by_chart = item.name == delivery.namespace and any(
            "volumeClaimTemplate" in str(chart.helm) for chart in delivery.charts
        )
        return by_chart or item.name in self._with_data


def _has_application_health(config: Mapping[str, Any]) -> bool:
    return _APPLICATION_HEALTH in config or "argoproj.io/Application" in str(config.get("resource.customizations", ""))


def _ignores_replicas(entry: Mapping[str, Any]) -> bool:
    pointers = map(str, sequence(entry.get("jsonPointers")))
    expressions = map(str, sequence(entry.get("jqPathExpressions")))
    return "/spec/replicas" in pointers or any(".spec.replicas" in expression for expression in expressions)


def _ignores_of(entry: Mapping[str, Any], item: Object) -> bool:
    """Tell whether an entry of ignoreDifferences is about an object."""
    wanted = {"group": item.group, "kind": item.kind, "name": item.name, "namespace": item.namespace}
    return all(str(entry.get(field) or "") in ("", "*", value) for field, value in wanted.items())


def _replicas(delivery: Delivery, item: Object, autoscaler: Object) -> Iterator[Finding]:
    ignored = any(
        _ignores_of(entry, item) and (_ignores_replicas(entry) or entry.get("managedFieldsManagers"))
        for entry in delivery.ignored_differences
    )
    if "replicas" in item.spec and not ignored:
        yield REPLICAS_OF_AUTOSCALER.at(
            item,
            f"It has {item.spec['replicas']} replicas in Git, and the HorizontalPodAutoscaler {autoscaler.name} sets "
            f"them as well.",
            at="spec.replicas",
        )


def _size(delivery: Delivery, item: Object) -> Iterator[Finding]:
    # JSON is longer than its YAML by little but escaped characters.
    if len(delivery.files[item.path]) * 2 < _MOST_ANNOTATIONS:
        return
    chosen = {**delivery.sync_options, **item.sync_options}
    if "true" in (chosen.get("ServerSideApply"), chosen.get("Replace")):
        return
    size = len(json.dumps(item.manifest, separators=(",", ":"), ensure_ascii=False).encode(errors="replace"))
    if size > _MOST_ANNOTATIONS:
        yield OBJECT_TOO_LARGE.at(item, f"It has {size:,} bytes.")


def _compare_options(item: Object | None) -> dict[str, str]:
    return options(item.annotations.get(_COMPARE_OPTIONS, "").split(",")) if item else {}


def _is_pruned(delivery: Delivery) -> bool:
    """Tell whether an Application is deleted when it is no longer in the repository."""
    return delivery.parent is not None and delivery.parent.prunes

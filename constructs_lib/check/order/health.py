"""Whether the objects that Argo CD waits for become healthy.

What is healthy: https://argo-cd.readthedocs.io/en/stable/operator-manual/health/. A wave waits for the health of every
object in it. The annotation ignore-healthcheck does not change that: it only leaves an object out of the health of its
Application (``sync_context.go``).
"""

import re
from collections import defaultdict
from collections.abc import Iterator

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.order.syncs import sync_timeout
from constructs_lib.check.order.timeline import Timeline
from constructs_lib.check.storage import class_of, known_classes
from constructs_lib.kubernetes.manifest import inner, mappings
from constructs_lib.kubernetes.workloads import number, start_seconds

_CONTROLLERS = re.compile("ingress|traefik|contour|haproxy|kong|gateway|istio|envoy|cilium")
_BALANCERS = re.compile("metallb|kube-vip")
_METRICS_API = "v1beta1.metrics.k8s.io"


def prove_health(model: ClusterModel) -> Iterator[Finding]:
    """Yield the objects that never become healthy, or not in time."""
    yield from _claims(model)
    yield from _addresses(model)
    yield from _autoscalers(model)
    for deployment in model.kind("Deployment"):
        yield from _deployment(deployment)
    timeout = sync_timeout(model)
    if timeout is not None:
        for item in model.kind("Deployment", "Job"):
            yield from _deadline(item, timeout)


def _claims(model: ClusterModel) -> Iterator[Finding]:
    """Yield the claims whose volume is created for the first pod that mounts it, where no such pod starts in time."""
    timeline, classes = model.once(Timeline), known_classes(model)
    mounting: dict[tuple[str, str], list[Object]] = defaultdict(list)
    for pods in model.pods:
        for mounted in pods.claims:
            mounting[pods.namespace, mounted.name].append(pods.owner)
    for claim in model.kind("PersistentVolumeClaim"):
        known = classes.get(class_of(model, claim.spec) or "")
        if known is None or not known.waits or claim.spec.get("volumeName"):
            continue
        owners = mounting.get((claim.namespace, claim.name), [])
        starting = [item for item in owners if item.kind != "CronJob" and not model.scales.of(item).is_none]
        problem = "Its volume is made for the first pod, and "
        if not starting:
            problem += f"only the CronJob {owners[0].name}, in its time, mounts it." if owners else "nothing mounts it."
            yield Finding.of("claim-waits-for-pod", claim, problem)
        elif all(timeline.compare(claim, item) < 0 for item in starting):
            first = starting[0]
            waves = f"comes in wave {first.wave}, after wave {claim.wave} of the claim"
            problem += f"the {first.kind} {first.name} that mounts it {waves}."
            yield Finding.of("claim-waits-for-pod", claim, problem, at="metadata.annotations")


def _addresses(model: ClusterModel) -> Iterator[Finding]:
    """Yield the LoadBalancers and Ingresses to which nothing gives an address."""
    kind = model.cluster.kind
    disabled = model.bootstrap.k3s_disabled if kind == "k3d" else frozenset()
    charts = [chart.name for application in model.all_applications for chart in application.charts]
    has_controller = any(map(_CONTROLLERS.search, charts))
    if "servicelb" in disabled and not has_controller and not any(map(_BALANCERS.search, charts)):
        for service in model.kind("Service"):
            if service.spec.get("type") == "LoadBalancer":
                problem = "The cluster runs k3s without servicelb, and gives no addresses."
                yield Finding.of("address-never-given", service, problem, at="spec.type")
    without = kind == "digitalocean" or "traefik" in disabled
    if without and not has_controller and not model.by_kind.get("IngressClass"):
        for ingress in model.kind("Ingress"):
            problem = "Neither the cluster nor a chart brings an ingress controller."
            yield Finding.of("address-never-given", ingress, problem)


def _autoscalers(model: ClusterModel) -> Iterator[Finding]:
    """Yield the autoscalers for which there are no metrics when Argo CD applies them."""
    kind, timeline = model.cluster.kind, model.once(Timeline)
    if not kind or (kind == "k3d" and "metrics-server" not in model.bootstrap.k3s_disabled):
        return
    if any(item.name == _METRICS_API for item in model.kind("APIService")):
        return
    servers = [
        application
        for application in model.all_applications
        if any("metrics-server" in chart.name for chart in application.charts)
    ]
    for autoscaler in model.kind("HorizontalPodAutoscaler"):
        types = {metric.get("type") for metric in mappings(autoscaler.spec.get("metrics"))}
        if types.isdisjoint({"Resource", "ContainerResource"}):
            continue
        if not servers:
            problem = "Neither the cluster nor the tree brings metrics-server."
        elif all(timeline.compare_application(server, autoscaler) > 0 for server in servers):
            problem = f"metrics-server comes later, with the Application {servers[0].name} in wave {servers[0].wave}."
        else:
            continue
        yield Finding.of("autoscaler-without-metrics", autoscaler, problem, at="spec.metrics")


def _deployment(deployment: Object) -> Iterator[Finding]:
    spec = deployment.spec
    if spec.get("paused") is True:
        yield Finding.of("deployment-paused", deployment, "Its rollout is paused.", at="spec.paused")
    deadline = number(spec.get("progressDeadlineSeconds"), 600)
    containers = mappings(inner(spec, "template", "spec", "containers"))
    start = max(map(start_seconds, containers), default=0) + number(spec.get("minReadySeconds"), 0)
    if start > deadline:
        problem = f"Its pods may take {start} seconds to start, and progressDeadlineSeconds is {deadline}."
        yield Finding.of("start-exceeds-deadline", deployment, problem, at="spec.progressDeadlineSeconds")


def _deadline(item: Object, timeout: int) -> Iterator[Finding]:
    field, default = ("activeDeadlineSeconds", 0) if item.kind == "Job" else ("progressDeadlineSeconds", 600)
    deadline = number(item.spec.get(field), default)
    if deadline >= timeout:
        problem = f"{field} is {deadline}, and a sync is ended after {timeout} seconds."
        yield Finding.of("deadline-exceeds-sync", item, problem, at=f"spec.{field}")

"""Every argument of every public constructor, given a value of a wrong type or left out, is a mistake with its line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from app_runs import Outcome, run

import constructs_lib

BEGINNING = """from dataclasses import replace
from pathlib import Path

from constructs_lib import *

IMAGE = "example/service:1.2.3"
PORTS = {"http": 8080}
CLUSTER = K3d(kubernetes="1.36", nodes=1, provides=("external-secrets", "metrics-api"))
REPOSITORY = GitRepository("https://github.com/example/shop.git")
CONTROLLER = ExistingController("ingress", {"app": "nginx"}, ingress_class="nginx", gateway_class="nginx")
DNS = Dns01("digitalocean", "api.digitalocean.com", {"token": supplied("token")})
LOCAL = Environment(name="local", repository=REPOSITORY, cluster=CLUSTER)


def shop(environment):
    system = System(environment, "shop")
"""
#: A call that takes a receiver of alerts.
TOLD = (
    'Monitoring(system, "watch", version="1.0.0", storage="1Gi", retention_days=1, receivers={{"critical": {value}}})'
)
#: A call that takes an issuer's configuration, and what a route leads to.
ISSUED = "ClusterIssuer(CertManager(system, version='1.0.0'), 'own', {value})"
ROUTES = '{"/": Microservice(system, "shown", image=IMAGE, ports=PORTS).endpoint("http")}'
TO_SHOWN = ROUTES.replace("{", "{{").replace("}", "}}")
#: The line of a call in the function, and that of a call of ``main()``.
IN_THE_FUNCTION, AT_THE_END = BEGINNING.count("\n") + 1, BEGINNING.count("\n") + 2

#: Right values of the arguments without which nothing can be made, for every public constructor.
NEEDED = {
    "Acme": {"email": '"ops@example.com"', "solver": "DNS"},
    "AkkaCluster": {"service_name": '"web"', "contact_points": "1"},
    "ArgoCD": {},
    "Autoscale": {"minimum": "1", "maximum": "2"},
    "Cassandra": {"image": "IMAGE", "keyspace": '"shop"', "user": '"shop"', "nodes": "1", "storage": '"1Gi"'},
    "Claim": {"size": '"1Gi"'},
    "Cluster": {"kubernetes": '"1.36"', "nodes": "1"},
    "ChartEndpoint": {"service": '"web"', "port": "80", "pods": '{"app": "web"}'},
    "CertManager": {"version": '"1.0.0"'},
    "ClusterIssuer": {"scope": "CertManager(system, version='1.0.0')", "id": '"own"', "config": "SelfSigned()"},
    "Component": {},
    "Container": {"name": '"first"', "image": "IMAGE"},
    "CronJob": {"image": "IMAGE", "schedule": '"@daily"'},
    "DaemonSet": {"image": "IMAGE"},
    "DigitalOcean": {
        "kubernetes": '"1.36"',
        "nodes": "1",
        "name": '"shop"',
        "region": '"fra1"',
        "pool": '"shop"',
        "size": '"s-2vcpu-4gb"',
    },
    "Empty": {},
    "Environment": {"name": '"local"', "cluster": "CLUSTER", "repository": "REPOSITORY"},
    "Exec": {"command": '["true"]'},
    "Existing": {
        "namespace": '"kafka"',
        "service": '"broker"',
        "pods": '{"app": "kafka"}',
        "ports": '{"kafka": 9092}',
    },
    "External": {"host": '"db.example.com"', "ports": '{"sql": 5432}'},
    "Dns01": {"provider": '"digitalocean"', "host": '"api.digitalocean.com"', "settings": '{"key": supplied("token")}'},
    "ExistingController": {"namespace": '"ingress"', "pods": '{"app": "nginx"}', "ingress_class": '"nginx"'},
    "ExistingIssuer": {"name": '"own"'},
    "ExternalSecrets": {"version": '"1.0.0"'},
    "Gateway": {"controller": "CONTROLLER", "listeners": '{"http": Listener()}'},
    "GitRepository": {"url": '"https://github.com/example/shop.git"'},
    "Grpc": {"port": '"http"'},
    "HelmChart": {"repository": '"https://charts.example.com"', "chart": '"cache"', "version": '"1.0.0"'},
    "HostPath": {"path": '"/var/log"'},
    "Http": {"path": '"/ready"', "port": '"http"'},
    "Http01": {"controller": "CONTROLLER"},
    "HttpRoute": {
        "gateway": 'Gateway(system, controller=CONTROLLER, listeners={"http": Listener()})',
        "host": '"shop.example.com"',
        "routes": ROUTES,
    },
    "Ingress": {"host": '"shop.example.com"', "routes": ROUTES, "controller": "CONTROLLER"},
    "IngressController": {
        "scope": 'Component(system, "edge")',
        "pods": '{"app": "nginx"}',
        "ports": '{"http": 8080}',
        "ingress_class": '"nginx"',
    },
    "InternetHost": {"host": '"api.example.com"'},
    "Queue": {},
    "Job": {"image": "IMAGE"},
    "Issuer": {"scope": 'Component(system, "edge")', "id": '"own"', "config": "SelfSigned()"},
    "Jvm": {},
    "K3d": {"kubernetes": '"1.36"', "nodes": "1"},
    "Kind": {"group": '"apps"', "kind": '"Deployment"'},
    "Kustomization": {"repository": '"https://github.com/a/b.git"', "path": '"base"', "revision": '"v1.0.0"'},
    "LoadBalancer": {"ports": '{"http": 80}'},
    "Listener": {},
    "MetricsServer": {"version": '"1.0.0"'},
    "Reloader": {"version": '"1.0.0"'},
    "Memory": {"size": '"64Mi"'},
    "Microservice": {"image": "IMAGE"},
    "Monitoring": {"version": '"1.0.0"', "storage": '"1Gi"', "retention_days": "1"},
    "Node": {"cpu": '"4"', "memory": '"15Gi"'},
    "Nodejs": {},
    "Objective": {},
    "Placement": {},
    "PodAccess": {"name": '"web"', "pods": '{"app": "web"}'},
    "Port": {"container": "8080"},
    "Postgres": {"image": "IMAGE", "database": '"shop"', "user": '"shop"', "storage": '"1Gi"'},
    "RabbitMQ": {"image": "IMAGE", "storage": '"1Gi"'},
    "Resources": {"cpu": '"1"', "memory": '"1Gi"'},
    "Rule": {"resources": '("pods",)', "verbs": '("get",)'},
    "S3Bucket": {"endpoint": '"https://s3.example.com"', "bucket": '"saves"', "region": '"fra1"'},
    "SelfSigned": {},
    "Slack": {"channel": '"#ops"', "url": 'supplied("chat")'},
    "StatefulSet": {"image": "IMAGE"},
    "System": {"environment": "environment", "name": '"shop"'},
    "Tcp": {"port": '"http"'},
    "Toleration": {"key": '"gpu"'},
    "Valkey": {"image": "IMAGE"},
    "Traefik": {"version": '"1.0.0"'},
    "Webhook": {"url": 'supplied("pager")'},
    "Workload": {},
    "field": {"path": '"metadata.name"'},
    "generated": {"purpose": '"signs"'},
    "plain": {"text": '"none"'},
    "supplied": {"purpose": '"key"'},
}

#: Where a value stands in a declaration; a construct stands for itself.
PLACES = {
    "Claim": 'Microservice(system, "web", image=IMAGE, ports=PORTS, volumes={{"/data": {value}}})',
    "Container": 'Microservice(system, "web", image=IMAGE, ports=PORTS, sidecars=[{value}])',
    "Empty": 'Microservice(system, "web", image=IMAGE, ports=PORTS, volumes={{"/data": {value}}})',
    "Exec": 'Microservice(system, "web", image=IMAGE, ports=PORTS, liveness={value})',
    "Grpc": 'Microservice(system, "web", image=IMAGE, ports=PORTS, liveness={value})',
    "HostPath": 'Microservice(Component(system, "c", pod_security="privileged"), "web", image=IMAGE, '
    'volumes={{"/l": {value}}})',
    "LoadBalancer": 'Microservice(system, "web", image=IMAGE, ports=PORTS, exposed={value})',
    "Memory": 'Microservice(system, "web", image=IMAGE, ports=PORTS, volumes={{"/data": {value}}})',
    "Placement": 'Microservice(system, "web", image=IMAGE, ports=PORTS, placement={value})',
    "Port": 'Microservice(system, "web", image=IMAGE, ports={{"http": {value}}})',
    "Toleration": 'Microservice(system, "web", image=IMAGE, ports=PORTS, placement=Placement(tolerations=[{value}]))',
    "AkkaCluster": 'Microservice(system, "web", image=IMAGE, ports=PORTS).add({value})',
    "Acme": ISSUED,
    "Autoscale": 'Microservice(system, "web", image=IMAGE, ports=PORTS, replicas={value})',
    "ChartEndpoint": (
        'HelmChart(system, "c", repository="https://a.example", chart="c", version="1.0.0", endpoints={{"a": {value}}})'
    ),
    "ArgoCD": "main(shop, [Environment(name='local', repository=REPOSITORY, cluster=CLUSTER, argocd={value})])",
    "Cluster": "main(shop, [Environment(name='local', repository=REPOSITORY, cluster={value})])",
    "DigitalOcean": "main(shop, [Environment(name='local', repository=REPOSITORY, cluster={value})])",
    "Dns01": ISSUED.replace("{value}", 'Acme("ops@example.com", {value})'),
    "Environment": "main(shop, [{value}])",
    "ExistingController": f"Ingress(system, 'web', host='a.example.com', routes={TO_SHOWN}, controller={{value}})",
    "ExistingIssuer": (
        f"Ingress(system, 'web', host='a.example.com', routes={TO_SHOWN}, controller=CONTROLLER, tls={{value}})"
    ),
    "GitRepository": "main(shop, [Environment(name='local', repository={value}, cluster=CLUSTER)])",
    "Http": 'Microservice(system, "web", image=IMAGE, ports=PORTS, readiness={value})',
    "Http01": ISSUED.replace("{value}", 'Acme("ops@example.com", {value})'),
    "Queue": 'Microservice(system, "web", image=IMAGE, ports=PORTS, consumes=[{value}])',
    "InternetHost": 'Microservice(system, "web", image=IMAGE, ports=PORTS, internet=[{value}])',
    "Jvm": 'Microservice(system, "web", image=IMAGE, ports=PORTS, telemetry={value})',
    "K3d": "main(shop, [Environment(name='local', repository=REPOSITORY, cluster={value})])",
    "Kind": 'HelmChart(system, "cache", repository="https://a.example", chart="c", version="1.0.0", kinds=[{value}])',
    "Node": "main(shop, [Environment(name='local', repository=REPOSITORY, cluster=replace(CLUSTER, node={value}))])",
    "Listener": 'Gateway(system, controller=CONTROLLER, listeners={{"http": {value}}})',
    "Nodejs": 'Microservice(system, "web", image=IMAGE, ports=PORTS, telemetry={value})',
    "Objective": 'Microservice(system, "web", image=IMAGE, ports=PORTS, telemetry=Jvm(), objective={value})',
    "PodAccess": 'HelmChart(system, "c", repository="https://a.example", chart="c", version="1.0.0", access=[{value}])',
    "Resources": 'Microservice(system, "web", image=IMAGE, ports=PORTS, resources={value})',
    "Rule": 'Microservice(system, "web", image=IMAGE, ports=PORTS, rbac=[{value}])',
    "S3Bucket": "main(shop, [Environment(name='local', repository=REPOSITORY, cluster=CLUSTER, backups={value})])",
    "SelfSigned": ISSUED,
    "Slack": TOLD,
    "Tcp": 'Microservice(system, "web", image=IMAGE, ports=PORTS, readiness={value})',
    "Webhook": TOLD,
    "field": 'Microservice(system, "web", image=IMAGE, ports=PORTS, env={{"NAME": {value}}})',
    "generated": 'Microservice(system, "web", image=IMAGE, ports=PORTS, env={{"NAME": {value}}})',
    "plain": 'Microservice(system, "web", image=IMAGE, ports=PORTS, env={{"NAME": {value}}})',
    "supplied": 'Microservice(system, "web", image=IMAGE, ports=PORTS, env={{"NAME": {value}}})',
}

#: Not called by a declaration: what the library makes itself, what one inherits from, and the functions that take a
#: whole declaration.
NO_PART_OF_A_DECLARATION = {
    "DeclarationError",
    "Diagnostic",
    "Edge",
    "Endpoint",
    "LETS_ENCRYPT",
    "LETS_ENCRYPT_STAGING",
    "Role",
    "Telemetry",
    "main",
    "synthesize",
}


def parameters(name: str) -> list[inspect.Parameter]:
    """Return the parameters of a public constructor or function."""
    target = getattr(constructs_lib, name)
    signature = inspect.signature(target.__init__ if inspect.isclass(target) else target)
    return [parameter for parameter in signature.parameters.values() if parameter.name != "self"]


def written(annotation: object) -> str:
    """Return an annotation as it is written in a signature, whether it was kept as a text or not."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"^(?:typing\.)?Optional\[(.*)\]$", r"\1 | None", text)


def alternatives(annotation: str) -> set[str]:
    """Return the parts of a union such as ``Sequence[int | str] | None``."""
    return set(re.split(r" \| (?![^\[]*\])", annotation))


def wrong_values(annotation: str) -> Iterator[str]:
    """Yield values that are of none of the declared types."""
    types = alternatives(annotation)
    if "None" not in types:
        yield "None"
    if not types & {"int", "float"}:
        yield "7"
    if not any(kind.startswith(("Sequence[str", "tuple[str")) for kind in types):
        yield '["x"]'
    if not any(kind.startswith(("str", "PodSecurity", "Literal")) for kind in types):
        yield '"x"'
    yield "object()"


def calls(name: str) -> Iterator[tuple[str, str]]:
    """Yield calls of a constructor that are right but for one argument, each with what is wrong with it."""
    right = dict(NEEDED[name])
    if "scope" in [parameter.name for parameter in parameters(name)]:
        right = {"scope": "system", "id": '"web"', **right}
    for parameter in parameters(name):
        for value in wrong_values(re.sub(r"[\w.]+\.(?=\w)", "", written(parameter.annotation))):
            arguments = {**right, parameter.name: value}
            yield f"{parameter.name}={value}", f"{name}({', '.join(f'{k}={v}' for k, v in arguments.items())})"
        if parameter.default is parameter.empty:
            arguments = {key: value for key, value in right.items() if key != parameter.name}
            yield f"no {parameter.name}", f"{name}({', '.join(f'{k}={v}' for k, v in arguments.items())})"


def run_with(app: Path, name: str, call: str) -> Outcome:
    """Run an app in which a call stands, and which goes on after it."""
    line = PLACES.get(name, "{value}").format(value=call)
    if line.startswith("main("):
        app.write_text(f"{BEGINNING}    return system\n{line}\n")
    else:
        app.write_text(f"{BEGINNING}    {line}\n    return system\nmain(shop, [LOCAL])\n")
    return run(app)


def test_every_public_name_is_covered() -> None:
    assert NEEDED.keys() | NO_PART_OF_A_DECLARATION == set(constructs_lib.__all__)


@pytest.mark.parametrize("name", NEEDED)
def test_right_arguments_are_no_mistake(tmp_path: Path, name: str) -> None:
    right = NEEDED[name]
    if "scope" in [parameter.name for parameter in parameters(name)]:
        right = {"scope": "system", "id": '"web"', **right}
    call = f"{name}({', '.join(f'{key}={value}' for key, value in right.items())})"
    assert run_with(tmp_path / "app.py", name, call) == Outcome(0, [])


@pytest.mark.parametrize("name", NEEDED)
def test_wrong_call_outside_of_a_system_is_a_mistake(name: str) -> None:
    with pytest.raises(constructs_lib.DeclarationError) as told:
        getattr(constructs_lib, name)(unknown=1)
    assert f'{name}() has no argument "unknown"; ' in str(told.value)
    assert {mistake.location.file for mistake in told.value.diagnostics} == {__file__}


@pytest.mark.parametrize("name", NEEDED)
def test_wrong_argument_is_a_mistake_with_its_line(tmp_path: Path, name: str) -> None:
    app = tmp_path / "app.py"
    unclear = {}
    for what, call in calls(name):
        outcome = run_with(app, name, call)
        place = rf"app\.py:({IN_THE_FUNCTION}|{AT_THE_END}): .*"
        if outcome.code != 1 or not re.fullmatch(place, outcome.said[0]):
            unclear[what] = outcome
    assert unclear == {}

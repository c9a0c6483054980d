"""What serves users in plain HTTP, by Services of all clouds and by the ways in of several controllers."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from small_trees import deployed

from constructs_lib.check.policy.proof import prove

POD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: "example/web:1.0.0"
        ports: [{containerPort: 8080, name: main}, {containerPort: 6000, name: https-api}, {containerPort: 8443}]
"""


def findings(*texts: str) -> list[str]:
    """Return what is found of plain HTTP in a tree."""
    manifests = [manifest for text in texts for manifest in yaml.safe_load_all(text)]
    for manifest in manifests:
        manifest["metadata"].setdefault("namespace", "shop")
    return [each.problem for each in prove(deployed(*manifests)) if each.check.code == "plain-http-at-edge"]


def service(spec: str, annotations: str = "{}") -> str:
    """Return a Service in front of the pods."""
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: web, annotations: {annotations}}}
spec: {{selector: {{app: web}}, {spec}}}
"""


@pytest.mark.parametrize(
    ("spec", "ports"),
    [
        ("type: LoadBalancer, ports: [{port: 80}]", "80"),
        ("type: LoadBalancer, ports: [{port: 3000, name: http}]", "3000"),
        ("type: LoadBalancer, ports: [{port: 443, name: http, targetPort: main}]", "443"),
        ("type: LoadBalancer, ports: [{port: 7000, name: public, targetPort: main}]", "7000"),
        ("type: LoadBalancer, ports: [{port: 7000, appProtocol: kubernetes.io/ws}]", "7000"),
        ("type: LoadBalancer, ports: [{port: 7000, name: api-h2c}, {port: 5432, name: postgres}]", "7000"),
        ("type: LoadBalancer, ports: [{port: 50051, name: grpc}, {port: 8080, name: grpc-web}]", "50051, 8080"),
        ("type: NodePort, ports: [{port: 80, nodePort: 30080}]", "30080"),
        ("type: LoadBalancer, loadBalancerSourceRanges: [203.0.113.0/24, 10.0.0.0/8], ports: [{port: 80}]", "80"),
    ],
)
def test_plain(spec: str, ports: str) -> None:
    [problem] = findings(POD, service(spec))
    assert f"at port {ports} of " in problem


@pytest.mark.parametrize(
    "spec",
    [
        "type: ClusterIP, ports: [{port: 80}]",
        "type: LoadBalancer, ports: [{port: 80}, {port: 443}]",
        "type: LoadBalancer, ports: [{port: 80, name: web}, {port: 7443, name: websecure}]",
        "type: LoadBalancer, ports: [{port: 80, targetPort: 8443}]",
        "type: LoadBalancer, ports: [{port: 80, targetPort: https-api}]",
        "type: LoadBalancer, ports: [{port: 8080, name: https}]",
        "type: LoadBalancer, ports: [{port: 8080, name: http, appProtocol: kubernetes.io/wss}]",
        "type: LoadBalancer, ports: [{port: 5432, name: postgres}, {port: 8883, name: mqtt}]",
        "type: LoadBalancer, ports: [{port: 8080, name: minecraft}]",
        "type: LoadBalancer, ports: [{port: 80, protocol: UDP}]",
        "type: LoadBalancer, loadBalancerClass: tailscale, ports: [{port: 80}]",
        "type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8], ports: [{port: 80}]",
        "type: NodePort, ports: [{port: 80}]",
    ],
)
def test_not_plain(spec: str) -> None:
    assert findings(POD, service(spec)) == []


@pytest.mark.parametrize(
    "annotations",
    [
        '{service.beta.kubernetes.io/do-loadbalancer-certificate-name: "shop"}',
        '{service.beta.kubernetes.io/do-loadbalancer-tls-passthrough: "true"}',
        '{service.beta.kubernetes.io/do-loadbalancer-network: "INTERNAL"}',
        '{service.beta.kubernetes.io/aws-load-balancer-ssl-cert: "arn:aws:acm:eu-central-1:1:certificate/a"}',
        '{service.beta.kubernetes.io/aws-load-balancer-scheme: "internal"}',
        '{service.beta.kubernetes.io/aws-load-balancer-internal: "0.0.0.0/0"}',
        '{service.beta.kubernetes.io/azure-load-balancer-internal: "true"}',
        '{networking.gke.io/load-balancer-type: "Internal"}',
        '{service.beta.kubernetes.io/oci-load-balancer-tls-secret: "shop"}',
        '{service.beta.kubernetes.io/scw-loadbalancer-certificate-ids: "fr-par/a"}',
        '{load-balancer.hetzner.cloud/http-certificates: "shop"}',
        '{load-balancer.hetzner.cloud/disable-public-network: "true"}',
        '{service.beta.kubernetes.io/linode-loadbalancer-port-80: \'{"protocol": "https"}\'}',
        '{kubernetes.io/elb.cert-id: "a"}',
        '{service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type: "private"}',
        '{service.beta.kubernetes.io/openstack-internal-load-balancer: "true"}',
    ],
)
def test_annotations_that_end_tls_or_keep_users_out(annotations: str) -> None:
    assert findings(POD, service("type: LoadBalancer, ports: [{port: 80, name: http}]", annotations)) == []


@pytest.mark.parametrize(
    "annotations",
    [
        '{service.beta.kubernetes.io/do-loadbalancer-tls-passthrough: "false"}',
        '{service.beta.kubernetes.io/do-loadbalancer-network: "EXTERNAL"}',
        '{service.beta.kubernetes.io/azure-load-balancer-internal: "false"}',
        '{load-balancer.hetzner.cloud/use-private-ip: "true"}',
        '{external-dns.alpha.kubernetes.io/internal-hostname: "shop.internal"}',
    ],
)
def test_annotations_that_do_not(annotations: str) -> None:
    assert len(findings(POD, service("type: LoadBalancer, ports: [{port: 80, name: http}]", annotations))) == 1


INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  tls: [{hosts: [shop.example.com], secretName: web-tls}]
  rules:
  - host: shop.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
"""


def test_ports_of_nodes_that_an_ingress_leads_to_are_for_its_load_balancer() -> None:
    spec = "type: NodePort, ports: [{port: 80, nodePort: 30080}]"
    assert findings(POD, service(spec), INGRESS) == []


GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: entrance}
spec:
  gatewayClassName: traefik
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, hostname: shop.example.com, tls: {certificateRefs: [{name: tls}]}}
"""


def route(
    parent: str, rules: str = "[{backendRefs: [{name: web, port: 80}]}]", hosts: str = "[shop.example.com]"
) -> str:
    """Return a route of the Gateway."""
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web}}
spec: {{parentRefs: [{{name: entrance{parent}}}], hostnames: {hosts}, rules: {rules}}}
"""


def test_routes_of_a_plain_listener() -> None:
    assert findings(GATEWAY, route(", sectionName: https")) == []
    assert findings(GATEWAY, route(", port: 443")) == []
    problem = "The listener http of entrance serves it in plain HTTP."
    assert findings(GATEWAY, route(", sectionName: http")) == [problem]
    assert findings(GATEWAY, route("")) == [problem]
    assert findings(GATEWAY, route("", hosts="[shop.localhost]")) == []
    sent = "[{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]}]"
    assert findings(GATEWAY, route(", sectionName: http", sent)) == []
    elsewhere = GATEWAY.replace("protocol: HTTP}", "protocol: HTTP, allowedRoutes: {namespaces: {from: None}}}")
    assert findings(elsewhere, route("")) == []


OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "traefik.io/v1alpha1 IngressRoute": (
        {"entryPoints": ["web"], "routes": [{"match": "Host(`shop.example.com`)", "kind": "Rule"}]},
        {"entryPoints": ["websecure"], "routes": [{"match": "Host(`shop.example.com`)", "kind": "Rule"}]},
    ),
    "projectcontour.io/v1 HTTPProxy": (
        {"virtualhost": {"fqdn": "shop.example.com"}},
        {"virtualhost": {"fqdn": "shop.example.com", "tls": {"secretName": "tls"}}},
    ),
    "route.openshift.io/v1 Route": (
        {"host": "shop.example.com", "tls": {"termination": "edge", "insecureEdgeTerminationPolicy": "Allow"}},
        {"host": "shop.example.com", "tls": {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"}},
    ),
    "networking.istio.io/v1 Gateway": (
        {"servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["shop.example.com"]}]},
        {
            "servers": [
                {
                    "port": {"number": 80, "name": "http", "protocol": "HTTP"},
                    "hosts": ["shop.example.com"],
                    "tls": {"httpsRedirect": True},
                }
            ]
        },
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_controllers(kind: str) -> None:
    version, name = kind.split()
    metadata = {"name": "web", "namespace": "shop"}
    plain, secured = (
        yaml.safe_dump({"apiVersion": version, "kind": name, "metadata": metadata, "spec": spec})
        for spec in OTHERS[kind]
    )
    assert len(findings(plain)) == 1
    assert findings(secured) == []

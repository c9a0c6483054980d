"""Constructs for systems of services that Argo CD deploys in the order of their dependencies.

What a declaration needs is exported here. ``constructs_lib.api`` has the rest of what a program calls: ``check`` and
``plan``, whose names are those of folders here. Importing this package loads neither the command line nor the proofs.
"""

from collections.abc import Callable, Sequence

from constructs_lib.api import objects_of, synthesize
from constructs_lib.declare.argocd import ArgoCD
from constructs_lib.declare.autoscale import Autoscale
from constructs_lib.declare.bucket import S3Bucket
from constructs_lib.declare.calls import explained
from constructs_lib.declare.chart import ChartEndpoint, Kind, PodAccess
from constructs_lib.declare.cluster import Cluster, DigitalOcean, K3d
from constructs_lib.declare.component import Component
from constructs_lib.declare.container import Container
from constructs_lib.declare.controller import IngressController
from constructs_lib.declare.diagnostics import DeclarationError, Diagnostic
from constructs_lib.declare.environment import Environment, GitRepository
from constructs_lib.declare.load_balancer import LoadBalancer
from constructs_lib.declare.outside import Existing, External
from constructs_lib.declare.passage import ExistingController
from constructs_lib.declare.placement import Placement, Toleration
from constructs_lib.declare.port import Port
from constructs_lib.declare.probe import Exec, Grpc, Http, Tcp
from constructs_lib.declare.queue import Queue
from constructs_lib.declare.role import Role
from constructs_lib.declare.rule import Rule
from constructs_lib.declare.secret import field, generated, plain, supplied
from constructs_lib.declare.server import Endpoint
from constructs_lib.declare.system import System
from constructs_lib.declare.volume import Claim, Empty, HostPath, Memory
from constructs_lib.declare.workload import Edge, InternetHost, Workload
from constructs_lib.kinds.cassandra.construct import Cassandra
from constructs_lib.kinds.cert_manager.construct import CertManager
from constructs_lib.kinds.cert_manager.issuer import (
    LETS_ENCRYPT,
    LETS_ENCRYPT_STAGING,
    Acme,
    ClusterIssuer,
    Dns01,
    ExistingIssuer,
    Http01,
    Issuer,
    SelfSigned,
)
from constructs_lib.kinds.cron_job.construct import CronJob
from constructs_lib.kinds.daemon_set.construct import DaemonSet
from constructs_lib.kinds.external_secrets.construct import ExternalSecrets
from constructs_lib.kinds.gateway.construct import Gateway, HttpRoute, Listener
from constructs_lib.kinds.helm_chart.construct import HelmChart
from constructs_lib.kinds.ingress.construct import Ingress
from constructs_lib.kinds.job.construct import Job
from constructs_lib.kinds.kustomization.construct import Kustomization
from constructs_lib.kinds.metrics_server.construct import MetricsServer
from constructs_lib.kinds.microservice.akka import AkkaCluster
from constructs_lib.kinds.microservice.construct import Microservice
from constructs_lib.kinds.microservice.program import Objective
from constructs_lib.kinds.monitoring.construct import Monitoring
from constructs_lib.kinds.monitoring.receiver import Slack, Webhook
from constructs_lib.kinds.parts.telemetry import Jvm, Nodejs, Telemetry
from constructs_lib.kinds.postgres.construct import Postgres
from constructs_lib.kinds.rabbitmq.construct import RabbitMQ
from constructs_lib.kinds.reloader.construct import Reloader
from constructs_lib.kinds.stateful_set.construct import StatefulSet
from constructs_lib.kinds.traefik.construct import Traefik
from constructs_lib.kinds.valkey.construct import Valkey
from constructs_lib.kubernetes.node import Node
from constructs_lib.kubernetes.pod import Resources
from constructs_lib.version import VERSION

__version__ = VERSION


@explained
def main(declaration: Callable[[Environment], System], environments: Sequence[Environment]) -> None:
    """Run the command line of an app and exit.

    Args:
        declaration: Function that declares the system for one environment and returns it.
        environments: All environments.
    """
    from constructs_lib.cli.main import main

    main(declaration, environments)


# Their own modules know nothing of declarations.
explained(Resources)
explained(Node)
# cdk8s asks a chart for its objects.
Component.derivation = staticmethod(objects_of)

# A system and where it runs; its components; what one is made of; values of variables; errors.
__all__ = ["ArgoCD", "Cluster", "DigitalOcean", "Environment", "GitRepository", "K3d", "System", "main", "synthesize"]
__all__ += ["ChartEndpoint", "Component", "Edge", "Endpoint", "Existing", "External", "InternetHost", "Kind"]
__all__ += ["Node", "PodAccess", "S3Bucket", "Workload"]
__all__ += ["Cassandra", "ExternalSecrets", "HelmChart", "Kustomization", "MetricsServer", "Microservice"]
__all__ += ["AkkaCluster", "Autoscale", "Http", "Jvm", "Nodejs", "Objective", "RabbitMQ", "Resources", "Role", "Rule"]
__all__ += ["Claim", "Container", "Empty", "Exec", "Grpc", "HostPath", "LoadBalancer", "Memory", "Placement", "Port"]
__all__ += ["Monitoring", "Postgres", "Queue", "Reloader"]
__all__ += ["CronJob", "DaemonSet", "Job", "StatefulSet", "Toleration", "Valkey"]
__all__ += ["Slack", "Tcp", "Telemetry", "Webhook", "field", "generated", "plain", "supplied"]
# The edge: who serves, what leads where, and who signs.
__all__ += ["ExistingController", "Gateway", "HttpRoute", "Ingress", "IngressController", "Listener", "Traefik"]
__all__ += ["Acme", "CertManager", "ClusterIssuer", "Dns01", "ExistingIssuer", "Http01", "Issuer", "SelfSigned"]
__all__ += ["LETS_ENCRYPT", "LETS_ENCRYPT_STAGING"]
__all__ += ["DeclarationError", "Diagnostic"]

"""Constructs for systems of services that Argo CD deploys in the order of their dependencies.

What a declaration needs is exported here; everything else is found by the name of its folder: ``declare`` holds what
a person writes, ``derive`` what follows from it, ``objects`` parts of Kubernetes objects, ``synth`` the way from
constructs to files, ``cli`` the commands.
"""

from collections.abc import Callable, Sequence

from constructs_lib.declare.autoscale import Autoscale
from constructs_lib.declare.calls import explained
from constructs_lib.declare.cluster import Cluster, DigitalOcean, K3d
from constructs_lib.declare.component import Component
from constructs_lib.declare.diagnostics import DeclarationError, Mistake
from constructs_lib.declare.environment import Environment, GitRepository
from constructs_lib.declare.probe import Http, Tcp
from constructs_lib.declare.secret import field, generated, plain, supplied
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Edge, Endpoint, InternetHost, Workload
from constructs_lib.kinds.cassandra.construct import Cassandra
from constructs_lib.kinds.external_secrets.construct import ExternalSecrets
from constructs_lib.kinds.helm_chart.construct import HelmChart, Kind, PodAccess
from constructs_lib.kinds.metrics_server.construct import MetricsServer
from constructs_lib.kinds.microservice.construct import AkkaCluster, Microservice, Rule
from constructs_lib.kinds.microservice.objective import Objective
from constructs_lib.kinds.monitoring.construct import Monitoring
from constructs_lib.kinds.monitoring.receiver import Slack, Webhook
from constructs_lib.kinds.parts.telemetry import Jvm, Nodejs, Telemetry
from constructs_lib.kinds.postgres.construct import Postgres
from constructs_lib.kinds.rabbitmq.construct import RabbitMQ
from constructs_lib.kubernetes.pod import Resources
from constructs_lib.synth.tree import synthesize
from constructs_lib.version import VERSION

__version__ = VERSION

# Its own module knows nothing of declarations.
explained(Resources)


@explained
def main(declaration: Callable[[Environment], System], environments: Sequence[Environment]) -> None:
    """Run the command line of an app and exit.

    Args:
        declaration: Function that declares the system for one environment and returns it.
        environments: All environments.
    """
    # Whoever only declares or synthesizes does without the command line, and what its commands need.
    from constructs_lib.cli.main import main

    main(declaration, environments)


__all__ = [
    "AkkaCluster",
    "Autoscale",
    "Cassandra",
    "Cluster",
    "Component",
    "DeclarationError",
    "DigitalOcean",
    "Edge",
    "Endpoint",
    "Environment",
    "ExternalSecrets",
    "GitRepository",
    "HelmChart",
    "Http",
    "InternetHost",
    "Jvm",
    "K3d",
    "Kind",
    "MetricsServer",
    "Microservice",
    "Mistake",
    "Monitoring",
    "Nodejs",
    "Objective",
    "PodAccess",
    "Postgres",
    "RabbitMQ",
    "Resources",
    "Rule",
    "Slack",
    "System",
    "Tcp",
    "Telemetry",
    "Webhook",
    "Workload",
    "field",
    "generated",
    "main",
    "plain",
    "supplied",
    "synthesize",
]

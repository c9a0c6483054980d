"""Kinds of mistakes: what somebody declares, and every word that they are told about it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: The file in which the declarations stand; their first line is line 21.
APP = '''"""A shop that somebody declares."""

from pathlib import Path

from constructs_lib import *

import cdk8s

IMAGE = "example/service:1.2.3"
CASSANDRA, POSTGRES, RABBITMQ = "cassandra:5.0.6", "postgres:18.6", "rabbitmq:4.2.1-management"
SCHEMAS = Path(__file__).parent / "schemas"

CLUSTER = {cluster}
REPOSITORY = {repository}
LOCAL = {environment}


def shop(environment):
    """Declare the shop."""
    system = System(environment, "shop")
{code}
{ending}

main(shop, [LOCAL])
'''


@dataclass(frozen=True)
class Bad:
    """A declaration with a mistake of one kind.

    Attributes:
        kind: What is wrong with it, as the name of the test.
        code: What stands in the function from line 21 on.
        messages: All lines that are said about it. ``{root}`` stands for the folder of the file.
        cluster: What stands in line 13.
        repository: What stands in line 14.
        environment: What stands in line 15.
        ending: The last line of the function.
        files: Further files beside it.
    """

    kind: str
    code: str
    messages: tuple[str, ...]
    cluster: str = 'K3d(kubernetes="1.36", nodes=1, provides=("external-secrets", "metrics-api"))'
    repository: str = 'GitRepository("https://github.com/example/shop.git")'
    environment: str = 'Environment(name="local", repository=REPOSITORY, cluster=CLUSTER)'
    ending: str = "return system"
    files: Mapping[str, bytes] = field(default_factory=dict)

    def write(self, root: Path) -> None:
        """Write ``app.py`` and what stands beside it."""
        code = textwrap.dedent(self.code).strip() or "pass"
        text = APP.format(
            code=textwrap.indent(code, "    "),
            ending=f"    {self.ending}",
            cluster=self.cluster,
            repository=self.repository,
            environment=self.environment,
        )
        for path, content in {"app.py": text.encode(), **self.files}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)


def bad(kind: str, code: str, *messages: str, **rest: object) -> Bad:
    """Return a bad declaration; ``rest`` is what differs from the good one around it."""
    return Bad(kind, code, messages, **rest)  # type: ignore[arg-type]


BAD_DECLARATIONS = [
    # Names and namespaces.
    bad(
        "component id is no dns label",
        'Microservice(system, "Web_Shop", image=IMAGE, ports={"http": 8080})',
        'app.py:21: component: "Web_Shop" is no DNS label: only a-z, 0-9 and "-", beginning and ending '
        'with a letter or digit; for instance "web-shop".',
    ),
    bad(
        "component id is empty",
        'Microservice(system, "", image=IMAGE, ports={"http": 8080})',
        'app.py:21: component: a name is a text that is not empty, not "".',
    ),
    bad(
        "component id is no text",
        'Microservice(system, 5, image=IMAGE, ports={"http": 8080})',
        "app.py:21: component: a name is a text that is not empty, not 5.",
    ),
    bad(
        "component id is too long",
        'Microservice(system, "w" * 64, image=IMAGE, ports={"http": 8080})',
        'app.py:21: component: the name "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww…" '
        "has 64 characters; at most 63 are allowed.",
    ),
    bad(
        "workload name is too long",
        'Microservice(system, "w" * 53, image=IMAGE, ports={"http": 8080})',
        "app.py:21: wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww: the name "
        '"wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww" has 53 characters; at most 52 leave room '
        "for what Kubernetes appends to it.",
    ),
    bad(
        "database name is too long",
        'Postgres(system, "d" * 46, image=POSTGRES, database="shop", user="shop", storage="1Gi")',
        "app.py:21: dddddddddddddddddddddddddddddddddddddddddddddd: the name "
        '"dddddddddddddddddddddddddddddddddddddddddddddd" has 46 characters; at most 45 leave room for '
        "what Kubernetes appends to it.",
    ),
    bad(
        "namespace is no dns label",
        'Microservice(system, "web", namespace="web.shop", image=IMAGE, ports={"http": 8080})',
        'app.py:21: web: namespace: "web.shop" is no DNS label: only a-z, 0-9 and "-", beginning and '
        'ending with a letter or digit; for instance "web-shop".',
    ),
    bad(
        "namespace of the cluster",
        'Microservice(system, "web", namespace="kube-system", image=IMAGE, ports={"http": 8080})',
        'app.py:21: web: the namespace "kube-system" has another owner already; choose one that is new.',
    ),
    bad(
        "namespace of the secret store",
        'Microservice(system, "web", namespace="secret-store", image=IMAGE, ports={"http": 8080})',
        'app.py:21: web: the namespace "secret-store" has another owner already; choose one that is new.',
    ),
    bad(
        "namespace inside of a component",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        Microservice(web, "admin", namespace="admin", image=IMAGE, ports={"http": 8080})
        """,
        'app.py:22: web/admin: namespace "admin": a workload inside of web lives in its namespace, web; '
        "leave the namespace out.",
    ),
    bad(
        "two components in one namespace",
        """
        Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        Microservice(system, "admin", namespace="web", image=IMAGE, ports={"http": 8080})
        """,
        'app.py:22: admin: the namespace "web" already belongs to web: a namespace has one owner. Choose '
        "another, or declare the workload inside of web.",
    ),
    bad(
        "component id twice",
        """
        Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        """,
        "app.py:22: web: the id is taken by the component declared at app.py:21; choose another, ids are unique.",
    ),
    bad(
        "workload id twice",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        Microservice(web, "admin", image=IMAGE, ports={"http": 8080})
        Microservice(web, "admin", image=IMAGE, ports={"http": 8080})
        """,
        'app.py:23: web: the id "admin" is taken by the workload declared at app.py:22; choose another, '
        "ids are unique.",
    ),
    bad(
        "component is called like its system",
        'Microservice(system, "shop", image=IMAGE, ports={"http": 8080})',
        "app.py:21: shop: the system has this name, and so has its root Application; choose another for the component.",
    ),
    bad(
        "system name is no dns label",
        'System(environment, "The shop")',
        'app.py:21: system: "The shop" is no DNS label: only a-z, 0-9 and "-", beginning and ending with '
        'a letter or digit; for instance "the-shop".',
    ),
    # Images.
    bad(
        "image without tag",
        'Microservice(system, "web", image="example/web", ports={"http": 8080})',
        'app.py:21: web: the image "example/web" has neither a digest nor a version; write '
        '"example/web:1.2.3@sha256:…".',
    ),
    bad(
        "image latest",
        'Microservice(system, "web", image="example/web:latest", ports={"http": 8080})',
        'app.py:21: web: the image "example/web:latest" has neither a digest nor an exact version: '
        '"latest" can mean another image tomorrow; add "@sha256:…".',
    ),
    bad(
        "image with half a version",
        'RabbitMQ(system, "broker", image="rabbitmq:4-management", user="shop", storage="1Gi")',
        'app.py:21: broker: the image "rabbitmq:4-management" has neither a digest nor an exact version: '
        '"4-management" can mean another image tomorrow; add "@sha256:…".',
    ),
    bad(
        "image malformed",
        'Microservice(system, "web", image="Example Web:1.0.0", ports={"http": 8080})',
        'app.py:21: web: "Example Web:1.0.0" is no image reference; write "name:1.2.3" or '
        '"name:1.2.3@sha256:<64 hex digits>".',
    ),
    bad(
        "image with short digest",
        'Microservice(system, "web", image="example/web@sha256:0123", ports={"http": 8080})',
        'app.py:21: web: "example/web@sha256:0123" is no image reference; write "name:1.2.3" or '
        '"name:1.2.3@sha256:<64 hex digits>".',
    ),
    bad(
        "wait image latest",
        'Microservice(system, "web", image=IMAGE, wait_image="busybox:latest", ports={"http": 8080})',
        'app.py:21: web: wait_image: the image "busybox:latest" has neither a digest nor an exact '
        'version: "latest" can mean another image tomorrow; add "@sha256:…".',
    ),
    # Ports and probes.
    bad(
        "port used twice",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080, "metrics": 8080})',
        "app.py:21: web: the ports http and metrics are both 8080; give each one a number of its own.",
    ),
    bad(
        "port out of range",
        'Microservice(system, "web", image=IMAGE, ports={"http": 80800})',
        "app.py:21: web: port http: 80800 is no port; a whole number from 1 to 65535 is needed.",
    ),
    bad(
        "port name with capitals",
        'Microservice(system, "web", image=IMAGE, ports={"HTTP": 8080})',
        'app.py:21: web: port HTTP: "HTTP" is no DNS label: only a-z, 0-9 and "-", beginning and ending '
        'with a letter or digit; for instance "http".',
    ),
    bad(
        "port name too long",
        'Microservice(system, "web", image=IMAGE, ports={"hypertext-transfer": 8080})',
        'app.py:21: web: port hypertext-transfer: the port name "hypertext-transfer" must have at most 15 '
        'characters, one of them a letter, and no "--".',
    ),
    bad(
        "port is a text",
        'Microservice(system, "web", image=IMAGE, ports={"http": "8080"})',
        'app.py:21: web: ports, http: a whole number is needed, not "8080"; write 8080.',
    ),
    bad(
        "port that is wrong and used",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 0}, exposed="http", readiness=Tcp("http"))
        stock = Microservice(system, "stock", image=IMAGE, ports={"http": 8080})
        stock.needs(web.endpoint("http"), {"WEB": "address"})
        """,
        "app.py:21: web: port http: 0 is no port; a whole number from 1 to 65535 is needed.",
    ),
    bad(
        "no ports",
        'Microservice(system, "web", image=IMAGE, ports={})',
        'app.py:21: web: ports: a microservice offers at least one port; write ports={"http": 8080}.',
    ),
    bad(
        "ports of akka only",
        """
        Microservice(
            system, "web", image=IMAGE, ports={"management": 8558, "remoting": 25520}, akka=AkkaCluster("web", 1)
        )
        """,
        "app.py:21: web: ports: a microservice offers at least one port beside those of Akka; write "
        'ports={"http": 8080}.',
    ),
    bad(
        "exposed port unknown",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, exposed="htpp")',
        'app.py:21: web: exposed: there is no port "htpp"; did you mean "http"?',
    ),
    bad(
        "exposed port of akka",
        """
        Microservice(
            system,
            "web",
            image=IMAGE,
            ports={"http": 8080, "management": 8558, "remoting": 25520},
            akka=AkkaCluster("web", 1),
            exposed="remoting",
        )
        """,
        'app.py:21: web: exposed: the port "remoting" is for the pods of its Akka cluster only; choose another.',
    ),
    bad(
        "metrics port unknown",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080, "metrics": 9090}, metrics="metric")',
        'app.py:21: web: metrics: there is no port "metric"; did you mean "metrics"?',
    ),
    bad(
        "readiness port unknown",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, readiness=Tcp("grpc"))',
        'app.py:21: web: readiness: there is no port "grpc"; there is only "http".',
    ),
    bad(
        "probe path without slash",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, readiness=Http("ready", "http"))',
        'app.py:21: web: readiness: the path "ready" must begin with "/".',
    ),
    bad(
        "akka port unknown",
        """
        Microservice(
            system, "web", image=IMAGE, ports={"http": 8080, "remoting": 25520}, akka=AkkaCluster("web", 1)
        )
        """,
        'app.py:21: web: akka: there is no port "management"; one of http, remoting.',
    ),
    # Telemetry, objectives, and what is said of queues.
    bad(
        "agent latest",
        """
        Microservice(system, "web", image=IMAGE, ports={"http": 8080}, telemetry=Jvm(image="example/agent:latest"))
        """,
        'app.py:21: web: telemetry: the image "example/agent:latest" has neither a digest nor an exact version: '
        '"latest" can mean another image tomorrow; add "@sha256:…".',
    ),
    bad(
        "port of an agent by its variable",
        """
        Microservice(
            system,
            "web",
            image=IMAGE,
            ports={"http": 8080},
            env={"OTEL_EXPORTER_PROMETHEUS_PORT": "9999"},
            telemetry=Jvm(),
        )
        """,
        "app.py:21: web: OTEL_EXPORTER_PROMETHEUS_PORT: Prometheus would look for the metrics at 9464 all the same; "
        "say telemetry=Jvm(port=…).",
    ),
    bad(
        "objective that nothing measures, and a queue of no broker",
        """
        Microservice(
            system, "web", image=IMAGE, ports={"http": 8080}, objective=Objective(99), consumes=["orders.web"]
        )
        """,
        'app.py:21: web: consumes: it needs no RabbitMQ that would have "orders.web"; add '
        'needs(broker.endpoint("amqp"), …).',
        "app.py:21: web: objective: nothing measures whether it is kept; give it telemetry=Jvm() or Nodejs() as well.",
    ),
    bad(
        "receivers of no severity, and of no channel",
        """
        Monitoring(
            system,
            "watch",
            version="88.5.3",
            storage="2Gi",
            retention_days=2,
            receivers={"criticl": Slack("#on call", supplied("chat"))},
        )
        """,
        'app.py:21: watch: receivers, criticl: "#on call" is no channel; write it like "#on-call".',
        'app.py:21: watch: receivers: no alert has the severity "criticl"; did you mean "critical"?',
    ),
    bad(
        "everything wrong with an agent",
        """
        Microservice(
            system,
            "web",
            image=IMAGE,
            ports={"http": 8080},
            telemetry=Nodejs(image="example/agent", port=94640, memory="64m"),
        )
        """,
        'app.py:21: web: telemetry, memory: "64m" is less than a megabyte; write it like "64Mi".',
        "app.py:21: web: telemetry: 94640 is no port; a whole number from 1 to 65535 is needed.",
        'app.py:21: web: telemetry: the image "example/agent" has neither a digest nor a version; write '
        '"example/agent:1.2.3@sha256:…".',
    ),
    bad(
        "fields of an agent of other types",
        """
        Microservice(
            system,
            "web",
            image=IMAGE,
            ports={"http": 8080},
            telemetry=Jvm(image=None, port="9464", memory=64, grpc="no"),
        )
        """,
        'app.py:21: web: telemetry, grpc: True or False is needed, not "no".',
        "app.py:21: web: telemetry, image: a text is needed, not None.",
        'app.py:21: web: telemetry, memory: a text is needed, not 64; write it like "256Mi".',
        'app.py:21: web: telemetry, port: a whole number is needed, not "9464"; write 9464.',
    ),
    bad(
        "fields of an agent of ones own of other types",
        """
        class Python(Telemetry):
            option_variable, option = "PYTHONPATH", "/telemetry"
            copy = ("-r", "/autoinstrumentation/.", "/telemetry/")

        Microservice(system, "web", image=IMAGE, ports={"http": 8080}, telemetry=Python(image=7))
        """,
        'app.py:25: web: telemetry, image: a text is needed, not 7; write "7".',
    ),
    bad(
        "agent as text",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, telemetry="jvm")',
        'app.py:21: web: telemetry: Telemetry(…) or None is needed, not "jvm".',
    ),
    bad(
        "agent as a class",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, telemetry=Jvm)',
        "app.py:21: web: telemetry: Telemetry(…) or None is needed, not an object of type type.",
    ),
    bad(
        "agent of no runtime",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, telemetry=Telemetry(image=IMAGE))',
        "app.py:21: web: telemetry: Telemetry does not say how its runtime starts an agent; write Jvm() or Nodejs(), "
        "or a class of your own with option_variable, option and copy.",
    ),
    bad(
        "agent of a runtime without its files",
        """
        class Python(Telemetry):
            option_variable, option = "PYTHONPATH", "/telemetry"

        Microservice(system, "web", image=IMAGE, ports={"http": 8080}, telemetry=Python(image=IMAGE))
        """,
        "app.py:24: web: telemetry: Python does not say how its runtime starts an agent; write Jvm() or Nodejs(), "
        "or a class of your own with option_variable, option and copy.",
    ),
    bad(
        "argument of an agent unknown",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, telemetry=Jvm(imgae=IMAGE))',
        'app.py:21: declaration: Jvm() has no argument "imgae"; did you mean "image"?',
    ),
    bad(
        "port of the agent taken",
        'Microservice(system, "web", image=IMAGE, ports={"http": 9464}, telemetry=Jvm())',
        "app.py:21: web: the ports http and otel-metrics are both 9464; give each one a number of its own.",
    ),
    bad(
        "name of the agents port taken",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080, "otel-metrics": 9000}, telemetry=Jvm())',
        "app.py:21: web: ports: the agent's port is called otel-metrics; choose another name.",
    ),
    bad(
        "no ports but the agents",
        'Microservice(system, "web", image=IMAGE, ports={}, telemetry=Jvm())',
        'app.py:21: web: ports: a microservice offers at least one port; write ports={"http": 8080}.',
    ),
    bad(
        "exposed port of the agent",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, telemetry=Jvm(), exposed="otel-metrics")',
        'app.py:21: web: exposed: the port "otel-metrics" is for Prometheus only; choose another.',
    ),
    bad(
        "port of the agent called",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080}, telemetry=Jvm())
        stock = Microservice(system, "stock", image=IMAGE, ports={"http": 8080})
        stock.needs(web.endpoint("otel-metrics"), {"WEB": "address"})
        """,
        'app.py:23: stock: the endpoint otel-metrics of web is for its own pods only; there is only "http".',
    ),
    bad(
        "options of the jvm generated",
        """
        Microservice(
            system,
            "web",
            image=IMAGE,
            ports={"http": 8080},
            telemetry=Jvm(),
            env={"JAVA_TOOL_OPTIONS": generated("-Dsecret")},
        )
        """,
        "app.py:21: web: telemetry: the agent is started by JAVA_TOOL_OPTIONS, so that it must be a plain text.",
    ),
    bad(
        "options of node supplied",
        """
        options = {"NODE_OPTIONS": supplied("options")}
        Microservice(system, "web", image=IMAGE, ports={"http": 8080}, telemetry=Nodejs(), env=options)
        """,
        "app.py:22: web: telemetry: the agent is started by NODE_OPTIONS, so that it must be a plain text.",
    ),
    bad(
        "options of node from a field",
        """
        options = {"NODE_OPTIONS": field("metadata.name")}
        Microservice(system, "web", image=IMAGE, ports={"http": 8080}, telemetry=Nodejs(), env=options)
        """,
        "app.py:22: web: telemetry: the agent is started by NODE_OPTIONS, so that it must be a plain text.",
    ),
    bad(
        "variables of the agent by an edge",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080}, telemetry=Jvm())
        stock = Microservice(system, "stock", image=IMAGE, ports={"http": 8080})
        web.needs(stock.endpoint("http"), {"JAVA_TOOL_OPTIONS": "host", "OTEL_SERVICE_NAME": "host"})
        """,
        "app.py:23: web: the variable JAVA_TOOL_OPTIONS is set twice; keep one of the two.",
        "app.py:23: web: the variable OTEL_SERVICE_NAME is set twice; keep one of the two.",
    ),
    bad(
        "objective out of range",
        """
        objective = Objective(availability=93.9, fast=100, seconds=0.4)
        Microservice(system, "web", image=IMAGE, ports={"http": 8080}, objective=objective)
        """,
        "app.py:22: web: objective, availability: 93.9 is out of range; 94 to 99.999 percent are allowed.",
        "app.py:22: web: objective, fast: 100 is out of range; 94 to 99.999 percent are allowed.",
        "app.py:22: web: objective, seconds: the histograms cannot tell 0.4 s apart; the nearest that they can is 0.5.",
    ),
    bad(
        "objective that is no number",
        """
        Microservice(
            system, "web", image=IMAGE, ports={"http": 8080}, objective=Objective(float("nan"), seconds=float("nan"))
        )
        """,
        "app.py:21: web: objective, availability: nan is out of range; 94 to 99.999 percent are allowed.",
        "app.py:21: web: objective, seconds: the histograms cannot tell nan s apart; the nearest that they can is "
        "0.005.",
    ),
    bad(
        "fields of an objective of other types",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, objective=Objective("99.9", None, True))',
        'app.py:21: web: objective, availability: a number is needed, not "99.9".',
        "app.py:21: web: objective, fast: a number is needed, not None.",
        "app.py:21: web: objective, seconds: a number is needed, not True.",
    ),
    bad(
        "no objective",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, objective=None)',
        "app.py:21: web: objective: Objective(…) is needed, not None.",
    ),
    bad(
        "exchange as text",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, publishes="orders")',
        'app.py:21: web: publishes: a list such as ["…"] is needed, not "orders".',
    ),
    bad(
        "queue that is no text",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, consumes=["orders", 7])',
        'app.py:21: web: consumes[1]: a text is needed, not 7; write "7".',
    ),
    bad(
        "names of exchanges and queues",
        """
        broker = RabbitMQ(system, "broker", image=RABBITMQ, user="shop", storage="1Gi")
        Microservice(
            system, "web", image=IMAGE, ports={"http": 8080}, publishes=[""], consumes=["a", "b", "a"]
        ).needs(broker.endpoint("amqp"))
        """,
        'app.py:22: web: consumes: "a" is there twice; name it once.',
        'app.py:22: web: publishes: "" is no name; one of 1 to 255 bytes is needed.',
    ),
    bad(
        "exporter latest",
        """
        Postgres(
            system, "db", image=POSTGRES, database="shop", user="shop", storage="1Gi", exporter="prom/exporter:latest"
        )
        """,
        'app.py:21: db: exporter: the image "prom/exporter:latest" has neither a digest nor an exact version: '
        '"latest" can mean another image tomorrow; add "@sha256:…".',
    ),
    bad(
        "exporter is no text",
        """
        Postgres(system, "db", image=POSTGRES, database="shop", user="shop", storage="1Gi", exporter=False)
        """,
        "app.py:21: db: exporter: a text or None is needed, not False.",
    ),
    bad(
        "user of the exporter",
        """
        Postgres(system, "db", image=POSTGRES, database="shop", user="metrics_exporter", storage="1Gi")
        """,
        'app.py:21: db: user: "metrics_exporter" is the role of the exporter; choose another name.',
    ),
    bad(
        "secret of the exporter taken",
        """
        Monitoring(system, version="88.5.3", storage="10Gi", retention_days=3)
        web = Microservice(
            system,
            "web",
            image=IMAGE,
            ports={"http": 8080},
            files={"/etc/web/database-metrics-password": generated("another one")},
        )
        Postgres(web, "database", image=POSTGRES, database="shop", user="shop", storage="1Gi")
        """,
        'app.py:29: web/database: two secrets would have the key "database-metrics-password"; give the variable or '
        "file another name.",
    ),
    bad(
        "agent of another runtime for cassandra",
        """
        Cassandra(
            system, "db", image=CASSANDRA, keyspace="shop", user="shop", nodes=1, storage="1Gi", telemetry=Nodejs()
        )
        """,
        "app.py:21: db: telemetry: Jvm(…) or None is needed, not an object of type Nodejs.",
    ),
    bad(
        "agent of cassandra wrong",
        """
        agent = Jvm(image="example/agent", port=0, memory="lots")
        Cassandra(system, "db", image=CASSANDRA, keyspace="shop", user="shop", nodes=1, storage="1Gi", telemetry=agent)
        """,
        'app.py:22: db: telemetry, memory: "lots" is no quantity above zero; write it like "64Mi".',
        "app.py:22: db: telemetry: 0 is no port; a whole number from 1 to 65535 is needed.",
        'app.py:22: db: telemetry: the image "example/agent" has neither a digest nor a version; write '
        '"example/agent:1.2.3@sha256:…".',
    ),
    bad(
        "port of cassandras agent taken",
        """
        Monitoring(system, version="88.5.3", storage="10Gi", retention_days=3)
        agent = Jvm(port=7199)
        Cassandra(system, "db", image=CASSANDRA, keyspace="shop", user="shop", nodes=1, storage="1Gi", telemetry=agent)
        """,
        "app.py:23: db: the ports jmx and otel-metrics are both 7199; give each one a number of its own.",
    ),
    bad(
        "runbooks without a scheme",
        """
        Monitoring(system, version="88.5.3", storage="10Gi", retention_days=3, runbooks="docs/runbooks")
        """,
        'app.py:21: monitoring: runbooks: "docs/runbooks" is no address; write it like "https://…".',
    ),
    # Replicas.
    bad(
        "replicas zero",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, replicas=0)',
        "app.py:21: web: replicas: 0 is no number of pods; at least 1, or Autoscale(2, 6).",
    ),
    bad(
        "replicas negative",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, replicas=-1)',
        "app.py:21: web: replicas: -1 is no number of pods; at least 1, or Autoscale(2, 6).",
    ),
    bad(
        "replicas true",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, replicas=True)',
        "app.py:21: web: replicas: a whole number or Autoscale(…) is needed, not True.",
    ),
    bad(
        "replicas as text",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, replicas="2")',
        'app.py:21: web: replicas: a whole number or Autoscale(…) is needed, not "2"; write 2.',
    ),
    bad(
        "autoscale minimum above maximum",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, replicas=Autoscale(4, 2))',
        "app.py:21: web: replicas: a minimum of 4 and a maximum of 2 do not go together; 1 <= minimum <= "
        "maximum is needed.",
    ),
    bad(
        "autoscale cpu zero",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, replicas=Autoscale(1, 2, cpu=0))',
        "app.py:21: web: replicas: cpu=0 is no share of the request in percent; 1 to 100 is allowed.",
    ),
    bad(
        "akka quorum fixed",
        """
        Microservice(
            system,
            "web",
            image=IMAGE,
            ports={"http": 8080, "management": 8558, "remoting": 25520},
            akka=AkkaCluster("web", contact_points=3),
            replicas=2,
        )
        """,
        "app.py:21: web: replicas: 2 can never form an Akka cluster of 3 contact points; at least 3 are needed.",
    ),
    bad(
        "akka quorum autoscaled",
        """
        Microservice(
            system,
            "web",
            image=IMAGE,
            ports={"http": 8080, "management": 8558, "remoting": 25520},
            akka=AkkaCluster("web", contact_points=2),
            replicas=Autoscale(1, 4),
        )
        """,
        "app.py:21: web: replicas: 1 can never form an Akka cluster of 2 contact points; at least 2 are needed.",
    ),
    bad(
        "akka without contact points",
        """
        Microservice(
            system,
            "web",
            image=IMAGE,
            ports={"http": 8080, "management": 8558, "remoting": 25520},
            akka=AkkaCluster("web", contact_points=0),
        )
        """,
        "app.py:21: web: akka: 0 contact points form no cluster; at least 1 is needed.",
    ),
    # Resources, time, users, labels, permissions, hosts.
    bad(
        "memory request above limit",
        """
        Microservice(
            system, "web", image=IMAGE, ports={"http": 8080}, resources=Resources("100m", "1Gi", "512Mi")
        )
        """,
        "app.py:21: web: resources: the memory request 1Gi is above its limit 512Mi; raise the limit or "
        "lower the request.",
    ),
    bad(
        "cpu is no quantity",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, resources=Resources("half", "256Mi"))',
        'app.py:21: web: resources, cpu: "half" is no quantity above zero; write it like "500m".',
    ),
    bad(
        "cpu zero",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, resources=Resources("0", "256Mi"))',
        'app.py:21: web: resources, cpu: "0" is no quantity above zero; write it like "500m".',
    ),
    bad(
        "memory is no quantity",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, resources=Resources("100m", "256MB", "512Mi"))',
        'app.py:21: web: resources, memory: "256MB" is no quantity above zero; write it like "256Mi".',
    ),
    bad(
        "memory in thousandths",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, resources=Resources("100m", "256m", "512Mi"))',
        'app.py:21: web: resources, memory: "256m" is less than a megabyte; write it like "256Mi".',
    ),
    bad(
        "memory limit is no quantity",
        """
        Microservice(
            system, "web", image=IMAGE, ports={"http": 8080}, resources=Resources("100m", "256Mi", "-1Gi")
        )
        """,
        'app.py:21: web: resources, memory_limit: "-1Gi" is no quantity above zero; write it like "512Mi".',
    ),
    bad(
        "seconds out of range",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, start_seconds=0, drain_seconds=86400)',
        "app.py:21: web: drain_seconds: 86400 is out of range; 1 to 3600 seconds are allowed.",
        "app.py:21: web: start_seconds: 0 is out of range; 1 to 3600 seconds are allowed.",
    ),
    bad(
        "root user",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, user=0)',
        "app.py:21: web: user: 0 is no user to run as; 1 to 2147483647 are allowed, and 0 is root.",
    ),
    bad(
        "label of the library",
        """
        Microservice(
            system, "web", image=IMAGE, ports={"http": 8080}, labels={"app.kubernetes.io/name": "shop"}
        )
        """,
        'app.py:21: web: labels: "app.kubernetes.io/name" is set by the library; choose another label.',
    ),
    bad(
        "label value with space",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, labels={"team": "Team Shop"})',
        'app.py:21: web: labels: team: "Team Shop" is no value of a label; at most 63 letters, digits and '
        ". _ - are allowed.",
    ),
    bad(
        "label name with space",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, labels={"my team": "shop"})',
        'app.py:21: web: labels: "my team" is no name of a label; write it like "team" or "example.com/team".',
    ),
    bad(
        "rbac wildcard",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, rbac=[Rule(("*",), ("get",))])',
        'app.py:21: web: rbac: name the resources, for instance "pods"; a wildcard would permit Secrets too.',
    ),
    bad(
        "rbac unknown verb",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, rbac=[Rule(("pods",), ("read", "lst"))])',
        'app.py:21: web: rbac: "lst" is no verb of the Kubernetes API; did you mean "list"?',
        'app.py:21: web: rbac: "read" is no verb of the Kubernetes API; one of create, delete, '
        "deletecollection, get, list, patch, update, watch.",
    ),
    bad(
        "rbac without verbs",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, rbac=[Rule(("pods",), ())])',
        "app.py:21: web: rbac: a rule without verbs permits nothing; name some of get, list, watch, "
        "create, update, patch, delete, deletecollection.",
    ),
    bad(
        "internet host with scheme",
        """
        Microservice(
            system, "web", image=IMAGE, ports={"http": 8080}, internet=[InternetHost("https://api.example.com")]
        )
        """,
        'app.py:21: web: internet: "https://api.example.com" is no full host name; write it like '
        '"api.example.com", without scheme, port or path.',
    ),
    bad(
        "internet port out of range",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, internet=[InternetHost("api.example.com", 0)])',
        "app.py:21: web: internet: 0 is no port; a whole number from 1 to 65535 is needed.",
    ),
    # Variables, secrets and files.
    bad(
        "secret by name",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, env={"DATABASE_PASSWORD": "hunter2"})',
        "app.py:21: web: env: DATABASE_PASSWORD looks like a secret and is given as plain text; use "
        'generated("…") or supplied("…"), or plain("…") if it is none.',
    ),
    bad(
        "secret in url",
        """
        Microservice(
            system, "web", image=IMAGE, ports={"http": 8080}, env={"DATABASE": "postgres://shop:hunter2@database/shop"}
        )
        """,
        "app.py:21: web: env: DATABASE holds a URL with a password in plain text; give the password as a "
        'secret of its own, or use plain("…") if it is none.',
    ),
    bad(
        "variable is no text",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, env={"HTTP_PORT": 8080})',
        'app.py:21: web: env, HTTP_PORT: a text, generated("…") or supplied("…"), field("…") or '
        'plain("…") is needed, not 8080; write "8080".',
    ),
    bad(
        "variable name begins with digit",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, env={"2FA": "on"})',
        'app.py:21: web: "2FA" is no name of an environment variable; letters, digits and "_", not a digit first.',
    ),
    bad(
        "variable set twice",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080}, env={"STOCK": "stock:8080"})
        stock = Microservice(system, "stock", image=IMAGE, ports={"http": 8080})
        web.needs(stock.endpoint("http"), {"STOCK": "address"})
        """,
        "app.py:23: web: the variable STOCK is set twice; keep one of the two.",
    ),
    bad(
        "text with half a character",
        r'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, env={"SIGN": "\ud83d"})',
        r'app.py:21: web: env, SIGN: the text "\ud83d" has half a character (a surrogate), which no file '
        "can hold.",
    ),
    bad(
        "file path relative",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, files={"key.json": supplied("key")})',
        'app.py:21: web: files: "key.json" is no absolute path of a file; write it like "/etc/service/key.json".',
    ),
    bad(
        "file in etc",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, files={"/etc/key.json": supplied("key")})',
        'app.py:21: web: files: "/etc/key.json": a volume would hide what /etc holds; give the file a '
        'folder of its own, for instance "/etc/web/key.json".',
    ),
    bad(
        "file holds text",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, files={"/etc/web/key.json": "{}"})',
        'app.py:21: web: files, /etc/web/key.json: generated("…") or supplied("…") is needed, not a text.',
    ),
    bad(
        "two secrets of one name",
        """
        Microservice(
            system,
            "web",
            image=IMAGE,
            ports={"http": 8080},
            files={"/etc/web/key": supplied("key"), "/etc/other/key": supplied("another key")},
        )
        """,
        'app.py:21: web: two secrets would have the key "key"; give the variable or file another name.',
    ),
    # Edges and order.
    bad(
        "unknown endpoint",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        stock = Microservice(system, "stock", image=IMAGE, ports={"grpc": 9090, "http": 8080})
        web.needs(stock.endpoint("gprc"))
        """,
        'app.py:23: stock: there is no endpoint "gprc"; did you mean "grpc"?',
    ),
    bad(
        "unknown endpoint like none",
        """
        stock = Microservice(system, "stock", image=IMAGE, ports={"grpc": 9090, "http": 8080})
        stock.endpoint("amqp")
        """,
        'app.py:22: stock: there is no endpoint "amqp"; one of grpc, http.',
    ),
    bad(
        "endpoint is no text",
        """
        stock = Microservice(system, "stock", image=IMAGE, ports={"http": 8080})
        stock.endpoint(8080)
        """,
        'app.py:22: stock: endpoint(): a text is needed, not 8080; write "8080".',
    ),
    bad(
        "cycle of components",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        stock = Microservice(system, "stock", image=IMAGE, ports={"http": 8080})
        prices = Microservice(system, "prices", image=IMAGE, ports={"http": 8080})
        web.needs(stock.endpoint("http"))
        stock.needs(prices.endpoint("http"))
        prices.after(web, reason="they are shown there")
        """,
        "app.py:26: prices: these components wait for each other: web → stock → prices → web. web needs "
        "stock http (app.py:24); stock needs prices http (app.py:25); they are shown there (app.py:26). "
        "Take one of the edges away, or declare it with order=False.",
    ),
    bad(
        "cycle inside a component",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        stock = Microservice(web, "stock", image=IMAGE, ports={"http": 8080})
        web.needs(stock.endpoint("http"))
        stock.needs(web.endpoint("http"))
        """,
        "app.py:24: web: these workloads wait for each other: web → web-stock → web. web needs web-stock "
        "http (app.py:23); web-stock needs web http (app.py:24). Take one of the edges away, or declare "
        "it with order=False.",
    ),
    bad(
        "unknown attribute",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        database = Postgres(web, "database", image=POSTGRES, database="shop", user="shop", storage="1Gi")
        web.needs(database.endpoint("sql"), {"DATABASE_USER": "user"})
        """,
        'app.py:23: web: DATABASE_USER: web/database sql has no "user"; did you mean "username"?',
    ),
    bad(
        "needs no endpoint",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        stock = Microservice(system, "stock", image=IMAGE, ports={"http": 8080})
        web.needs(stock)
        """,
        'app.py:23: web: needs() takes an endpoint, such as database.endpoint("sql"), not an object of '
        "type Microservice.",
    ),
    bad(
        "needs list of variables",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        stock = Microservice(system, "stock", image=IMAGE, ports={"http": 8080})
        web.needs(stock.endpoint("http"), ["STOCK"])
        """,
        'app.py:23: web: needs(), variables: a mapping such as {"…": "…"} or None is needed, not a list.',
    ),
    bad(
        "edge twice",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        stock = Microservice(system, "stock", image=IMAGE, ports={"http": 8080})
        web.needs(stock.endpoint("http"), {"STOCK": "address"})
        web.needs(stock.endpoint("http"), {"STOCK": "address"})
        """,
        "app.py:24: web: it already needs stock http since app.py:23; declare an edge once.",
    ),
    bad(
        "edge to another system",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        other = System(environment, "other")
        stock = Microservice(other, "stock", image=IMAGE, ports={"http": 8080})
        web.needs(stock.endpoint("http"))
        """,
        "app.py:24: web: stock belongs to another system; an edge cannot leave its system.",
    ),
    bad(
        "internal endpoint",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        broker = RabbitMQ(system, "broker", image=RABBITMQ, user="shop", storage="1Gi")
        web.needs(broker.endpoint("clustering"))
        """,
        "app.py:23: web: the endpoint clustering of broker is for its own pods only; one of amqp, management, metrics.",
    ),
    bad(
        "after itself",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        web.after(web)
        """,
        "app.py:22: web: after(): a component cannot come after itself; name another one.",
    ),
    bad(
        "after something foreign",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        web.after("stock")
        """,
        'app.py:22: web: after() takes components and workloads, not "stock".',
    ),
    bad(
        "after another system",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        other = System(environment, "other")
        stock = Microservice(other, "stock", image=IMAGE, ports={"http": 8080})
        web.after(stock)
        """,
        "app.py:24: web: after(): stock belongs to another system; the order is that of one system.",
    ),
    bad(
        "unknown component",
        """
        Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        system.component("wep")
        """,
        'app.py:22: system: there is no component "wep"; did you mean "web"?',
    ),
    # Data stores.
    bad(
        "schema missing",
        """
        Postgres(
            system, "database", image=POSTGRES, database="shop", user="shop", storage="1Gi", schema=SCHEMAS / "shop.sql"
        )
        """,
        'app.py:21: database: there is no schema file "{root}/schemas/shop.sql"; in its folder: orders.sql, stock.sql.',
        files={"schemas/orders.sql": b"SELECT 1;", "schemas/stock.sql": b"SELECT 1;"},
    ),
    bad(
        "schema empty",
        """
        Postgres(
            system, "database", image=POSTGRES, database="shop", user="shop", storage="1Gi", schema=SCHEMAS / "shop.sql"
        )
        """,
        'app.py:21: database: the schema file "{root}/schemas/shop.sql" is empty.',
        files={"schemas/shop.sql": b" \n"},
    ),
    bad(
        "schema not utf8",
        """
        Postgres(
            system, "database", image=POSTGRES, database="shop", user="shop", storage="1Gi", schema=SCHEMAS / "shop.sql"
        )
        """,
        'app.py:21: database: the schema file "{root}/schemas/shop.sql" cannot be read as UTF-8 text: '
        """'utf-8' codec can't decode byte 0xe9 in position 3: unexpected end of data""",
        files={"schemas/shop.sql": "café".encode("latin-1")},
    ),
    bad(
        "schema names twice",
        """
        Cassandra(
            system,
            "ring",
            image=CASSANDRA,
            keyspace="shop",
            user="shop",
            nodes=1,
            storage="1Gi",
            schema=[SCHEMAS / "a" / "shop.cql", SCHEMAS / "b" / "shop.cql"],
        )
        """,
        'app.py:21: ring: schema: two files are called "shop.cql"; give each one a name of its own.',
        files={"schemas/a/shop.cql": b"a", "schemas/b/shop.cql": b"b"},
    ),
    bad(
        "schema is a text",
        """
        Cassandra(
            system, "ring", image=CASSANDRA, keyspace="shop", user="shop", nodes=1, storage="1Gi", schema="shop.cql"
        )
        """,
        'app.py:21: ring: schema: a list such as [Path("…")] is needed, not "shop.cql".',
    ),
    bad(
        "volume size is no quantity",
        'Postgres(system, "database", image=POSTGRES, database="shop", user="shop", storage="10 GB")',
        'app.py:21: database: storage: "10 GB" is no quantity above zero; write it like "10Gi".',
    ),
    bad(
        "volume size is a number",
        'Postgres(system, "database", image=POSTGRES, database="shop", user="shop", storage=10)',
        'app.py:21: database: storage: a text is needed, not 10; write it like "10Gi".',
    ),
    bad(
        "database name needs quotes",
        'Postgres(system, "database", image=POSTGRES, database="Shop-Data", user="shop", storage="1Gi")',
        'app.py:21: database: database: "Shop-Data" is no plain name in a database; a-z, 0-9 and "_", at '
        "most 48, a letter first.",
    ),
    bad(
        "cron field out of range",
        """
        Postgres(
            system, "store", image=POSTGRES, database="shop", user="shop", storage="1Gi", backup_schedule="9 24 * * 1"
        )
        """,
        'app.py:21: store: backup_schedule: "9 24 * * 1" is no schedule: "24" is no hour from 0 to 23; '
        'write it like "17 3 * * *".',
    ),
    bad(
        "cron that never comes",
        """
        Postgres(
            system, "store", image=POSTGRES, database="shop", user="shop", storage="1Gi", backup_schedule="0 0 31 2 *"
        )
        """,
        'app.py:21: store: backup_schedule: "0 0 31 2 *" is no schedule: no month has that day, so that it '
        'never comes; write it like "17 3 * * *".',
    ),
    bad(
        "no backup kept",
        """
        Postgres(
            system, "database", image=POSTGRES, database="shop", user="shop", storage="1Gi", backups_kept=0
        )
        """,
        "app.py:21: database: backups_kept: 0 is no number of dumps; at least 1 is kept.",
    ),
    bad(
        "backup volume is no quantity",
        """
        Postgres(
            system, "database", image=POSTGRES, database="shop", user="shop", storage="1Gi", backup_storage="much"
        )
        """,
        'app.py:21: database: backup_storage: "much" is no quantity above zero; write it like "10Gi".',
    ),
    bad(
        "rabbitmq with even nodes",
        'RabbitMQ(system, "broker", image=RABBITMQ, user="shop", storage="1Gi", nodes=2)',
        "app.py:21: broker: nodes: 2 nodes have no majority once one is away; use 1, 3 or 5.",
    ),
    bad(
        "rabbitmq guest",
        'RabbitMQ(system, "broker", image=RABBITMQ, user="guest", storage="1Gi")',
        'app.py:21: broker: user: "guest" is the login that everybody knows; choose another name.',
    ),
    bad(
        "rabbitmq user with space",
        'RabbitMQ(system, "broker", image=RABBITMQ, user="the shop", storage="1Gi")',
        'app.py:21: broker: user: "the shop" is no plain user name; letters, digits and . _ -, a letter first.',
    ),
    bad(
        "rabbitmq deprecated feature",
        'RabbitMQ(system, "broker", image=RABBITMQ, user="shop", storage="1Gi", permit_deprecated=["Global QoS"])',
        'app.py:21: broker: permit_deprecated: "Global QoS" is no name of a feature, such as "global_qos".',
    ),
    bad(
        "cassandra user cassandra",
        'Cassandra(system, "ring", image=CASSANDRA, keyspace="shop", user="cassandra", nodes=1, storage="1Gi")',
        'app.py:21: ring: user: "cassandra" is the built-in login, which is shut; choose another name.',
    ),
    bad(
        "cassandra heap too large",
        """
        Cassandra(
            system, "ring", image=CASSANDRA, keyspace="shop", user="shop", nodes=1, storage="1Gi", heap="2G"
        )
        """,
        "app.py:21: ring: heap: 2G is more than two thirds of the memory limit 1536Mi; at most 1024M.",
    ),
    bad(
        "cassandra heap is no size",
        """
        Cassandra(
            system, "ring", image=CASSANDRA, keyspace="shop", user="shop", nodes=1, storage="1Gi", heap="512Mi"
        )
        """,
        'app.py:21: ring: heap: "512Mi" is no size of a Java heap; write it like "512M".',
    ),
    bad(
        "keyspace name",
        'Cassandra(system, "ring", image=CASSANDRA, keyspace="the shop", user="shop", nodes=1, storage="1Gi")',
        'app.py:21: ring: keyspace: "the shop" is no plain name in a database; a-z, 0-9 and "_", at most '
        "48, a letter first.",
    ),
    bad(
        "cassandra without nodes",
        'Cassandra(system, "ring", image=CASSANDRA, keyspace="shop", user="shop", nodes=0, storage="1Gi")',
        "app.py:21: ring: nodes: 0 is no size of a ring; at least 1, or Autoscale(2, 4).",
    ),
    bad(
        "cassandra autoscale",
        'Cassandra(system, "ring", image=CASSANDRA, keyspace="shop", user="shop", nodes=Autoscale(3, 2), storage="1G")',
        "app.py:21: ring: nodes: a minimum of 3 and a maximum of 2 do not go together; 1 <= minimum <= "
        "maximum is needed.",
    ),
    # Charts and what comes with them.
    bad(
        "chart version range",
        'ExternalSecrets(system, version="^2.9.0")',
        'app.py:21: external-secrets: version: "^2.9.0" is no exact chart version; write it like "1.2.3", '
        "without a range.",
    ),
    bad(
        "chart repository",
        'HelmChart(system, "cache", repository="charts.example.com", chart="cache", version="1.0.0")',
        'app.py:21: cache: repository: "charts.example.com" is no chart repository; write it like '
        '"https://charts.example.com".',
    ),
    bad(
        "chart repository with password",
        """
        HelmChart(
            system, "cache", repository="https://shop:hunter2@charts.example.com", chart="cache", version="1.0.0"
        )
        """,
        "app.py:21: cache: repository: the address holds a login; leave it out, Argo CD takes it from a Secret.",
    ),
    bad(
        "chart name",
        'HelmChart(system, "cache", repository="https://charts.example.com", chart="the cache", version="1.0.0")',
        'app.py:21: cache: chart: "the cache" is no name of a chart; letters, digits and . _ - are allowed.',
    ),
    bad(
        "chart wildcard kind",
        """
        HelmChart(
            system,
            "cache",
            repository="https://charts.example.com",
            chart="cache",
            version="1.0.0",
            kinds=[Kind("*", "*")],
        )
        """,
        "app.py:21: cache: kinds: name every kind; a wildcard would permit the chart anything.",
    ),
    bad(
        "chart access port out of range",
        """
        HelmChart(
            system,
            "cache",
            repository="https://charts.example.com",
            chart="cache",
            version="1.0.0",
            access=[PodAccess("cache", {"app": "cache"}, to_nodes=(102500,))],
        )
        """,
        "app.py:21: cache: access: 102500 is no port; a whole number from 1 to 65535 is needed.",
    ),
    bad(
        "chart access to pods that are not its own",
        """
        HelmChart(
            system,
            "cache",
            repository="https://charts.example.com",
            chart="cache",
            version="1.0.0",
            access=[PodAccess("cache", {"app": "cache"}, to_pods=(({"app": "cash"}, (6379,)),))],
        )
        """,
        "app.py:21: cache: access cache: no other PodAccess has the pods {'app': 'cash'}, so nothing would open.",
    ),
    bad(
        "chart values",
        'MetricsServer(system, version="3.13.1", values={"replicas": {1, 2}})',
        "app.py:21: metrics-server: values: replicas: Kubernetes objects hold no values of type set; use "
        "texts, numbers, True, False, None, lists and mappings.",
    ),
    bad(
        "pod security unknown",
        'Component(system, "web", pod_security="strict")',
        'app.py:21: web: pod_security: "restricted", "baseline" or "privileged" is needed, not "strict".',
    ),
    bad(
        "monitoring keeps no day",
        'Monitoring(system, version="88.5.3", storage="2Gi", retention_days=0)',
        "app.py:21: monitoring: retention_days: 0 is no number of days; at least 1 is kept.",
    ),
    bad(
        "external secrets twice",
        """
        ExternalSecrets(system, version="2.9.0")
        ExternalSecrets(system, "more-secrets", version="2.9.0")
        """,
        "app.py:22: more-secrets: ExternalSecrets is already declared as external-secrets; one is enough.",
    ),
    bad(
        "external secrets missing",
        """
        Microservice(system, "web", image=IMAGE, ports={"http": 8080}, env={"KEY": generated("signs")})
        Microservice(system, "admin", image=IMAGE, ports={"http": 8080}, env={"KEY": generated("signs")})
        """,
        "app.py:21: web: it has secrets, and nothing brings External Secrets: declare "
        'ExternalSecrets(system, version=…), or the cluster with provides=("external-secrets",).',
        cluster='K3d(kubernetes="1.36", nodes=1)',
    ),
    bad(
        "metrics server missing",
        """
        Microservice(system, "web", image=IMAGE, ports={"http": 8080}, replicas=Autoscale(1, 2))
        Microservice(system, "admin", image=IMAGE, ports={"http": 8080}, replicas=Autoscale(1, 2))
        """,
        "app.py:21: web: it is autoscaled, and nothing brings the metrics API: declare "
        'MetricsServer(system, version=…), or the cluster with provides=("metrics-api",).',
        cluster='K3d(kubernetes="1.36", nodes=1, provides=())',
    ),
    # Clusters and environments.
    bad(
        "kubernetes unknown",
        "",
        'app.py:13: environment local: kubernetes: "1.99" is not known; give a version from "1.30" to "1.37".',
        cluster='K3d(kubernetes="1.99", nodes=1)',
    ),
    bad(
        "kubernetes as number",
        "",
        'app.py:13: environment: cluster, kubernetes: a text is needed, not 1.36; write "1.36".',
        cluster="K3d(kubernetes=1.36, nodes=1)",
    ),
    bad(
        "cluster without nodes",
        "",
        "app.py:13: environment local: nodes: 0 is no number of nodes; at least 1 is needed.",
        cluster='K3d(kubernetes="1.36", nodes=0)',
    ),
    bad(
        "capability unknown",
        "",
        'app.py:13: environment local: provides: "metrics" is not known; did you mean "metrics-api"?',
        cluster='K3d(kubernetes="1.36", nodes=1, provides=("metrics",))',
    ),
    bad(
        "storage class",
        "",
        'app.py:13: environment local: storage_class: "Fast Disks" is no DNS label: only a-z, 0-9 and '
        '"-", beginning and ending with a letter or digit; for instance "fast-disks".',
        cluster='K3d(kubernetes="1.36", nodes=1, storage_class="Fast Disks")',
    ),
    bad(
        "domain",
        "",
        'app.py:13: environment local: domain: "http://cluster.local" is no DNS domain; write it like "cluster.local".',
        cluster='K3d(kubernetes="1.36", nodes=1, domain="http://cluster.local")',
    ),
    bad(
        "network",
        "",
        'app.py:13: environment local: cluster_networks: "10.0.0.0/33" is no network; write it like "10.0.0.0/8".',
        cluster='K3d(kubernetes="1.36", nodes=1, cluster_networks=("10.0.0.0/33",))',
    ),
    bad(
        "digitalocean region",
        "",
        'app.py:13: environment local: region: "FRA 1" is not known; did you mean "fra1"?',
        cluster='DigitalOcean(name="s", region="FRA 1", kubernetes="1.36", pool="s", size="s-2vcpu-4gb", nodes=2)',
    ),
    bad(
        "environment name",
        "",
        'app.py:15: environment Local: name: "Local" is no DNS label: only a-z, 0-9 and "-", beginning '
        'and ending with a letter or digit; for instance "local".',
        environment='Environment(name="Local", repository=REPOSITORY, cluster=CLUSTER)',
    ),
    bad(
        "secret store namespace",
        "",
        'app.py:15: environment local: secret_store_namespace: "Secret_Store" is no DNS label: only a-z, '
        '0-9 and "-", beginning and ending with a letter or digit; for instance "secret-store".',
        environment='Environment(name="local", repository=REPOSITORY, cluster=CLUSTER, '
        'secret_store_namespace="Secret_Store")',
    ),
    bad(
        "git url",
        "",
        'app.py:15: environment local: repository: "github.com/example/shop" is no Git repository; write '
        'it like "https://github.com/team/repository.git".',
        repository='GitRepository("github.com/example/shop")',
    ),
    bad(
        "git url with password",
        "",
        """app.py:15: environment local: repository: the Git repository's address holds a login; leave it """
        "out, Argo CD takes it from a Secret.",
        repository='GitRepository("https://shop:hunter2@github.com/example/shop.git")',
    ),
    bad(
        "git url with token",
        "",
        """app.py:15: environment local: repository: the Git repository's address holds a login; leave it """
        "out, Argo CD takes it from a Secret.",
        repository='GitRepository("https://hunter2@github.com/example/shop.git")',
    ),
    bad(
        "git branch full",
        "",
        'app.py:15: environment local: repository: "refs/heads/main" is no branch; write its short name, '
        'for instance "main".',
        repository='GitRepository("https://github.com/example/shop.git", "refs/heads/main")',
    ),
    bad(
        "git branch with space",
        "",
        'app.py:15: environment local: repository: "the main one" is no branch; write its short name, for '
        'instance "main".',
        repository='GitRepository("https://github.com/example/shop.git", "the main one")',
    ),
    bad(
        "pick without this environment",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, replicas=environment.pick(laptop=1, test=3))',
        "app.py:21: environment local: pick() has no value for this environment, only for laptop, test; add local=…",
    ),
    # Constructs of cdk8s inside of a component.
    bad(
        "cdk8s secret with data",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        secret = cdk8s.ApiObject(web, "secret", api_version="v1", kind="Secret", metadata={"name": "login"})
        secret.add_json_patch(cdk8s.JsonPatch.add("/stringData", {"password": "hunter2"}))
        """,
        'app.py:21: web: the Secret "login" would put its values into Git; use generated("…") or supplied("…").',
    ),
    bad(
        "cdk8s same id twice",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        cdk8s.ApiObject(web, "quota", api_version="v1", kind="ResourceQuota")
        cdk8s.ApiObject(web, "quota", api_version="v1", kind="ResourceQuota")
        """,
        """app.py:23: declaration: cdk8s refuses this: There is already a Construct with name 'quota' in """
        "Construct [web].",
    ),
    bad(
        "cdk8s wrong type",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        cdk8s.ApiObject(web, "quota", api_version="v1", kind=5)
        """,
        "app.py:22: declaration: cdk8s refuses this: type of argument kind must be str; got int instead.",
    ),
    bad(
        "cdk8s object twice",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        for number in (1, 2):
            cdk8s.ApiObject(web, f"quota-{number}", api_version="v1", kind="ResourceQuota", metadata={"name": "quota"})
        """,
        'app.py:21: web: there are two objects ResourceQuota "quota" in the namespace web; rename one of them.',
    ),
    bad(
        "cdk8s object of the library",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        cdk8s.ApiObject(web, "service", api_version="v1", kind="Service", metadata={"name": "web"})
        """,
        'app.py:21: web: there are two objects Service "web" in the namespace web; rename one of them.',
    ),
    bad(
        "cdk8s refuses to synthesize",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        first, second = (cdk8s.ApiObject(web, id, api_version="v1", kind="ResourceQuota") for id in ("first", "second"))
        first.add_dependency(second)
        second.add_dependency(first)
        """,
        "app.py:21: web: cdk8s refuses what was created inside of it: Dependency cycle detected: "
        "web/web/first => web/web/second => web/web/first.",
    ),
    bad(
        "cdk8s id of a workload",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        cdk8s.ApiObject(web.component, "admin", api_version="v1", kind="ResourceQuota")
        Microservice(web, "admin", image=IMAGE, ports={"http": 8080})
        """,
        """app.py:23: web: There is already a Construct with name 'admin' in Chart [web]; choose another """
        "id.",
    ),
    # The function itself, and calls that do not fit.
    bad(
        "return forgotten",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080})',
        "app.py:18: shop(): it must return the System that it declares, and returned None.",
        ending="",
    ),
    bad(
        "return of something else",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        return web
        """,
        "app.py:18: shop(): it must return the System that it declares, and returned an object of type Microservice.",
        ending="",
    ),
    bad(
        "return of another environment",
        'return System(Environment(name="laptop", repository=REPOSITORY, cluster=CLUSTER), "shop")',
        "app.py:18: shop(): it was called for local and returned a System for laptop.",
        ending="",
    ),
    bad(
        "unknown keyword",
        'Microservice(system, "web", image=IMAGE, prots={"http": 8080})',
        'app.py:21: web: Microservice() has no argument "prots"; did you mean "ports"?',
    ),
    bad(
        "missing keyword",
        'Microservice(system, "web", ports={"http": 8080})',
        'app.py:21: web: Microservice() lacks the argument "image".',
    ),
    bad(
        "missing id",
        'Microservice(system, image=IMAGE, ports={"http": 8080})',
        'app.py:21: Microservice: Microservice() lacks the argument "id".',
    ),
    bad(
        "too many arguments",
        'Microservice(system, "web", IMAGE, ports={"http": 8080})',
        "app.py:21: web: Microservice() takes only scope and id without a name; write image=… and so on.",
    ),
    bad(
        "argument twice",
        'Microservice(system, "web", id="web", image=IMAGE, ports={"http": 8080})',
        'app.py:21: web: Microservice() gets the argument "id" twice; keep one of the two.',
    ),
    bad(
        "scope is none",
        'Microservice(None, "web", image=IMAGE, ports={"http": 8080})',
        "app.py:21: web: scope: a System, a Component or a Workload is needed, not None.",
    ),
    bad(
        "unknown keyword of a value",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, resources=Resources("1", "1Gi", limit="2Gi"))',
        'app.py:21: declaration: Resources() has no argument "limit"; one of cpu, memory, memory_limit.',
    ),
    bad(
        "missing keyword of a value",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, replicas=Autoscale(minimum=2))',
        'app.py:21: declaration: Autoscale() lacks the argument "maximum".',
    ),
    bad(
        "too many arguments of a value",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, readiness=Tcp("http", 8080))',
        "app.py:21: declaration: Tcp() takes only port without a name.",
    ),
    bad(
        "argument of a value twice",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}, readiness=Tcp("http", port="http"))',
        'app.py:21: declaration: Tcp() gets the argument "port" twice; keep one of the two.',
    ),
    bad(
        "unknown keyword of needs",
        """
        web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
        stock = Microservice(system, "stock", image=IMAGE, ports={"http": 8080})
        web.needs(stock.endpoint("http"), ordered=False)
        """,
        'app.py:23: declaration: needs() has no argument "ordered"; did you mean "order"?',
    ),
    bad(
        "own exception",
        "share = 1 / 0",
        "app.py:21: declaration: it broke off here with ZeroDivisionError: division by zero.",
    ),
    bad(
        "own exception inside of python",
        '(SCHEMAS / "versions.txt").read_text()',
        "app.py:21: declaration: it broke off here with FileNotFoundError: [Errno 2] No such file or "
        """directory: '{root}/schemas/versions.txt'.""",
    ),
    bad(
        "own exception without text",
        'assert environment.name == "production"',
        "app.py:21: declaration: it broke off here with AssertionError.",
    ),
    bad(
        "unknown method",
        'Microservice(system, "web", image=IMAGE, ports={"http": 8080}).need("stock")',
        """app.py:21: declaration: it broke off here with AttributeError: 'Microservice' object has no """
        """attribute 'need'; did you mean "needs"?""",
    ),
]

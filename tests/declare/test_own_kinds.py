"""What a declaration tells a kind of a user's own arrives at its pods, and mistakes in such a kind are told as such."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_runs import Outcome, mistakes, run
from bad_declarations import bad

#: A kind of one's own. It stands in a file of its own, and the declaration begins at line 21 of app.py.
KINDS = '''
from constructs_lib import *
from constructs_lib.kinds.parts.client import container_variables, wait_containers
from constructs_lib.kinds.parts.objects import service_account
from constructs_lib.kinds.parts.pods import container, pod_spec
from constructs_lib.kinds.parts.ports import container_ports, service_ports
from constructs_lib.kubernetes import pod

IMAGE = "example/worker:1.2.3"


class Worker(Workload):
    """A program."""

    def __init__(self, scope, id, ports=None, exposed=None, metrics=()):
        super().__init__(scope, id)
        self._offer(ports or {}, metrics)
        self.exposed_ports = [exposed] if exposed else []
        self.key = self.secret("key", generated("a key"))

    def _offer(self, ports, metrics):
        [self.offer(name, port, metrics=("/metrics",) if name in metrics else ()) for name, port in ports.items()]

    @classmethod
    def usual(cls, scope, id):
        return cls(scope, id, {"http": 8080})

    def manifests(self):
        key = pod.secret_variable("KEY", self.component.id, self.component.secret_key(self.key))
        program = container(self.name, IMAGE, env=[key, *container_variables(self)], ports=container_ports(self))
        spec = pod_spec(self, 10001, containers=[program], before=wait_containers(self, IMAGE), volumes=[])
        template = {"metadata": {"labels": self.labels}, "spec": spec}
        pods = {"replicas": 1, "selector": {"matchLabels": self.selector}, "template": template}
        yield 0, service_account(self)
        if self.endpoints:
            yield 1, self.manifest("v1", "Service", spec={"selector": self.selector, "ports": service_ports(self)})
        yield 1, self.manifest("apps/v1", "Deployment", spec=pods)
'''

#: What is declared, and everything is told.
DECLARED = """
import sys
sys.path.insert(0, str(Path(__file__).parent))
sys.modules.pop("kinds", None)
import kinds
web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
worker = kinds.Worker(system, "worker", {"http": 8080}, 8080, ("http",))
worker.needs(web.endpoint("http"), {"WEB": "address"})
kinds.Worker.usual(system, "other").needs(worker.endpoint("http"), {"PORT": "port", "USER": "host"}, order=False)
"""

WORKER = "app.py:26: worker: "
OTHER = "app.py:28: other: "
HAS_TO = "manifests() of Worker has to "


def said(folder: Path, old: str, new: str, more: str = "") -> Outcome:
    """Return how the app ends once something in the kind is replaced; ``more`` is declared as well."""
    assert old in KINDS
    bad("own kind", DECLARED + more, files={"kinds.py": KINDS.replace(old, new).encode()}).write(folder)
    return run(folder / "app.py")


def test_nothing_is_wrong(tmp_path: Path) -> None:
    assert said(tmp_path, "A program", "A program").code == 0


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            ", *container_variables(self)",
            "",
            [
                f"app.py:27: worker: it is told WEB, and no container gets it: {HAS_TO}pass on what "
                "container_variables(self) returns.",
                f"{OTHER}it is told PORT, and no container gets it: {HAS_TO}pass on what "
                "container_variables(self) returns.",
                f"{OTHER}it is told USER, and no container gets it: {HAS_TO}pass on what "
                "container_variables(self) returns.",
            ],
        ),
        (
            "before=wait_containers(self, IMAGE), ",
            "",
            [
                "app.py:27: worker: it needs web http before it starts, and no init container of its pods waits for "
                f"that: {HAS_TO}give them what wait_containers(self, image) returns."
            ],
        ),
        (
            "env=[key, *",
            "env=[*",
            [
                f'{place}nothing that it makes reads its secret "key": {HAS_TO}give it to a container, with '
                "secret_variable(…) or in a volume."
                for place in (WORKER, OTHER)
            ],
        ),
        (
            "if self.endpoints",
            "if not self.endpoints",
            [
                f"{WORKER}its port 8080 is exposed, and no Service of it has it: {HAS_TO}yield one, with what "
                "service_ports(self) returns."
            ],
        ),
        (
            ", ports=container_ports(self)",
            "",
            [
                f"{WORKER}it serves metrics at http, and no container of its pods has the port 8080 by that name, by "
                f"which Prometheus finds it: {HAS_TO}give it what container_ports(self) returns."
            ],
        ),
        (
            '"labels": self.labels}',
            '"labels": {"app": self.name}}',
            [
                f"{place}no pods of it have the labels app.kubernetes.io/name: {name}, by which its policies and "
                f"Services know them: {HAS_TO}give them to the pods' template, as self.labels does."
                for place, name in ((WORKER, "worker"), (OTHER, "other"))
            ],
        ),
    ],
    ids=["variables", "wait", "secrets", "exposed", "metrics", "labels"],
)
def test_what_does_not_arrive_is_told_where_it_is_declared(
    tmp_path: Path, old: str, new: str, told: list[str], request: pytest.FixtureRequest
) -> None:
    assert said(tmp_path, old, new) == mistakes(*told)
    # A kind may say that it sees to it in a way of its own.
    word = request.node.callspec.id
    quiet = KINDS.replace(old, new).replace('    """A program."""', f'    sees_to = ("{word}",)')
    (tmp_path / "kinds.py").write_text(quiet)
    assert run(tmp_path / "app.py").code == 0


DEPLOYMENT = '        yield 1, self.manifest("apps/v1"'
CONFIG_MAP = '        yield 0, self.manifest("v1", "ConfigMap", data=self.environment)\n'


def test_a_config_map_counts_if_it_is_read(tmp_path: Path) -> None:
    unread = KINDS.replace(", *container_variables(self)", "").replace(DEPLOYMENT, CONFIG_MAP + DEPLOYMENT)
    read = unread.replace("env=[", "config_map=self.name, env=[")
    bad("own kind", DECLARED, files={"kinds.py": read.encode()}).write(tmp_path)
    assert run(tmp_path / "app.py").code == 0
    (tmp_path / "kinds.py").write_text(unread)
    assert "app.py:27: worker: it is told WEB, and no container gets it" in "\n".join(run(tmp_path / "app.py").said)


def test_what_a_kind_cannot_see_to_is_told(tmp_path: Path) -> None:
    outcome = said(tmp_path, '    """A program."""', '    sees_to = ("waits",)')
    problem = 'sees_to of Worker: there is no "waits"; did you mean "wait"?'
    assert outcome == mistakes(f"{WORKER}{problem}", f"{OTHER}{problem}")


def test_a_store_takes_no_variables(tmp_path: Path) -> None:
    more = """
db = Postgres(system, "db", image=POSTGRES, database="shop", user="shop", storage="1Gi")
db.needs(web.endpoint("http"), {"WEB": "address"}, order=False)
"""
    assert said(tmp_path, "A program", "A program", more) == mistakes(
        "app.py:31: db: it is told WEB, and no container gets it: a Postgres does not take that; leave it out."
    )


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (
            "return [service_account(self)]",
            "kinds.py:31: worker: manifests() of Worker: it yields a dict in the place of a pair; yield a stage and an "
            "object, such as yield 1, self.manifest(…).",
        ),
        (
            "return None",
            "kinds.py:31: worker: manifests() of Worker: it yields None in the place of a pair; yield a stage and an "
            "object, such as yield 1, self.manifest(…).",
        ),
        (
            'yield 1, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}',
            'kinds.py:32: worker: manifests() of Worker: the ConfigMap "a" has no metadata.namespace; make it with '
            "self.manifest(…), or give it self.namespace_name.",
        ),
        (
            'yield 1, {"kind": "ConfigMap", "metadata": {"name": "a"}}',
            "kinds.py:32: worker: manifests() of Worker: an object that it yields has no apiVersion; make it with "
            "self.manifest(…).",
        ),
        (
            'yield 2, self.manifest("v1", "ConfigMap", data={})',
            'kinds.py:32: worker: manifests() of Worker: the ConfigMap "worker" has the stage 2, and there are 0 to 1; '
            "say stages = 2 in the class.",
        ),
        (
            'yield 1, self.manifest("v1", "ConfigMap", data={"a": self.key})',
            'kinds.py:32: worker: manifests() of Worker: the ConfigMap "worker" cannot be written: data.a: Kubernetes '
            "objects hold no values of type SecretReference; a secret is read with secret_variable(…) or "
            "container_variables(self).",
        ),
        (
            'yield 1, {**self.manifest("v1", "ConfigMap"), "metadata": {"name": "worker", "namespace": "a", '
            '"annotations": None}}',
            'kinds.py:32: worker: manifests() of Worker: metadata.annotations of the ConfigMap "worker" are None, and '
            "no mapping.",
        ),
        (
            'yield 1, self.manifest("v1", "ConfigMap", annotations={"argocd.argoproj.io/sync-wave": "first"})',
            'kinds.py:32: worker: manifests() of Worker: the ConfigMap "worker" has the sync wave "first"; a whole '
            "number is needed.",
        ),
        (
            "yield from self._more()\n\n    def _more(self):\n        yield 1, None",
            "kinds.py:35: worker: manifests() of Worker: it yields the pair of 1 and None; yield a stage and an "
            "object, such as yield 1, self.manifest(…).",
        ),
        ("yield 1 / 0", "kinds.py:32: declaration: it broke off here with ZeroDivisionError: division by zero."),
        (
            'yield 1, container("a", IMAGE, resources="64Mi")',
            "kinds.py:32: declaration: it broke off here, in container(), with AttributeError: 'str' object has no "
            "attribute 'manifest'.",
        ),
    ],
)
def test_mistake_in_what_it_makes_is_told_at_its_line(tmp_path: Path, new: str, told: str) -> None:
    head, _, _ = KINDS.partition('        key = pod.secret_variable("KEY"')
    kinds = f"{head}        {new}\n"
    line = len(head.splitlines()) + 1
    bad("own kind", DECLARED.partition("worker.needs")[0], files={"kinds.py": kinds.encode()}).write(tmp_path)
    number = int(told.partition(":")[2].partition(":")[0])
    expected = told.replace(f":{number}:", f":{line + number - 32}:", 1)
    assert run(tmp_path / "app.py") == mistakes(expected)


def test_kind_that_is_not_made_as_a_workload_is_told(tmp_path: Path) -> None:
    kinds = KINDS.replace("        super().__init__(scope, id)\n", "")
    bad("own kind", DECLARED, files={"kinds.py": kinds.encode()}).write(tmp_path)
    outcome = run(tmp_path / "app.py")
    assert outcome.code == 1
    assert outcome.said[0].endswith("; does __init__ call super().__init__(scope, id) first?")
    assert outcome.said[0].startswith("kinds.py:")


def test_mistakes_in_how_one_is_declared_are_told_there(tmp_path: Path) -> None:
    more = """
kinds.Worker(system, "Bad Name")
kinds.Worker(system, "wrong", {"A": 0})
kinds.Worker.usual(system, "worker")
"""
    outcome = said(tmp_path, "A program", "A program", more)
    assert [line.partition(": ")[0] for line in outcome.said] == [
        "app.py:30",
        "app.py:31",
        "app.py:32",
        "3 mistakes in the declaration; nothing was written.",
    ]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return None", "kinds.py:6: charts: late_manifests() of Charts: it yields None in the place of an object."),
        (
            'yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}',
            'kinds.py:7: charts: late_manifests() of Charts: the ConfigMap "a" has no metadata.namespace; make it with '
            "self.manifest(…), or give it self.namespace_name.",
        ),
        ("yield 1 / 0", "kinds.py:7: declaration: it broke off here with ZeroDivisionError: division by zero."),
        (
            'yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "charts"}}',
            "",
        ),
    ],
)
def test_mistake_in_what_a_component_yields_is_told_at_its_line(tmp_path: Path, body: str, told: str) -> None:
    kinds = (
        "from constructs_lib import Component\n\n\nclass Charts(Component):\n"
        f'    """A component."""\n    def late_manifests(self, waves):\n        {body}\n'
    )
    code = DECLARED.partition("web =")[0] + 'kinds.Charts(system, "charts")\n'
    bad("own component", code, files={"kinds.py": kinds.encode()}).write(tmp_path)
    outcome = run(tmp_path / "app.py")
    assert outcome == mistakes(told) if told else outcome.code == 0

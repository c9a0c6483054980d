"""The first ``app.py``: two services, one of which calls the other, in all environments."""

from __future__ import annotations

from collections.abc import Iterator
from keyword import iskeyword

from constructs_lib.declare.cluster import Cluster
from constructs_lib.init.settings import Settings

#: The longest line, as formatters have it by default.
_WIDTH = 88
#: The version of Kubernetes of the image of k3s in ``files/versions_k3d.py``.
KUBERNETES = "1.36"
_NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four"}

_SERVICES = """
    backend = Microservice(
        system,
        "backend",
        image=versions.PODINFO,
        args=["./podinfo", "--level=warn"],
        ports={{"http": 9898}},
        readiness=Http("/readyz", "http"),
        resources=Resources("50m", "32Mi", "64Mi"),
        replicas={replicas},
    )
    frontend = Microservice(
        system,
        "frontend",
        image=versions.PODINFO,
        args=["./podinfo", "--backend-url=http://$(BACKEND)/echo"],
        ports={{"http": 9898}},
        readiness=Http("/readyz", "http"),
        resources=Resources("50m", "32Mi", "64Mi"),
        replicas={replicas},{exposed}
    )
    # The variable, the order, the network policies and the wait follow from this.
    frontend.needs(backend.endpoint("http"), {{"BACKEND": "address"}})
    return system
"""


def declaration(settings: Settings) -> str:
    """Return the text of ``app.py``, formatted as formatters do by default."""
    clusters = set(settings.environments.values())
    number = len(settings.environments)
    where = f"{_NUMBERS.get(number, number)} environment{'s' if number > 1 else ''}"
    imported = ["Environment", "GitRepository", "Http", "Microservice", "Resources", "System", "main"]
    imported += [{"k3d": "K3d", "digitalocean": "DigitalOcean", "existing": "Cluster"}[cluster] for cluster in clusters]
    # As sorters of imports have it: constants, classes, the rest.
    imported.sort(key=lambda name: (not name[0].isupper(), name))
    exposed = ""
    if clusters == {"k3d"}:
        exposed = '\n        exposed="http",'
    elif "k3d" in clusters:
        exposed = '\n        exposed="http" if isinstance(environment.cluster, K3d) else None,'
    return "".join(
        [
            f'"""{settings.name}, declared once: two services in {where}."""\n\n',
            "from constructs_lib import (\n",
            *(f"    {name},\n" for name in imported),
            ")\n\nimport versions\n\n",
            *_repository(settings),
            "ENVIRONMENTS = [\n",
            *(
                line
                for name, cluster in settings.environments.items()
                for line in _environment(settings, name, cluster)
            ),
            "]\n\n\n",
            "def declare(environment: Environment) -> System:\n",
            f'    """Declare {settings.name} for one environment."""\n',
            f'    system = System(environment, "{settings.name}")',
            _SERVICES.format(replicas=_replicas(settings), exposed=exposed),
            '\n\nif __name__ == "__main__":\n    main(declare, ENVIRONMENTS)\n',
        ]
    )


def _repository(settings: Settings) -> Iterator[str]:
    arguments = [f'"{settings.repository}"', *([f'branch="{settings.branch}"'] if settings.branch != "main" else [])]
    yield from _call("REPOSITORY = GitRepository(", arguments, ")", indent=0)


def _environment(settings: Settings, name: str, cluster: str) -> Iterator[str]:
    yield "    Environment(\n"
    yield f'        name="{name}",\n'
    yield "        repository=REPOSITORY,\n"
    yield "        argocd_chart=versions.ARGO_CD_CHART,\n"
    kubernetes = f'kubernetes="{KUBERNETES}"'
    if cluster == "k3d":
        # Whoever has the image of another version has it changed here, too.
        yield from _call(
            "cluster=K3d(", [kubernetes, "nodes=1", "image=versions.K3S", "ports={9898: 9898}"], "),", indent=8
        )
    elif cluster == "digitalocean":
        arguments = [
            f'name="{settings.name}-{name}"',
            'region="fra1"',
            kubernetes,
            f'pool="{name}"',
            'size="s-2vcpu-4gb"',
            "nodes=3",
        ]
        yield from _call("cluster=DigitalOcean(", arguments, "),", indent=8)
    else:
        yield "        # What is there already: tell its version, its nodes, and what it brings along.\n"
        yield from _call("cluster=Cluster(", [kubernetes, "nodes=3"], "),", indent=8)
    yield "    ),\n"


def _call(opening: str, arguments: list[str], closing: str, *, indent: int) -> Iterator[str]:
    """Yield the lines of a call: one if that is short enough, else its arguments in one line or one in each."""
    space = " " * indent
    line = f"{space}{opening}{', '.join(arguments)}{closing}"
    inner = f"{space}    {', '.join(arguments)}"
    if len(line) <= _WIDTH:
        yield f"{line}\n"
    else:
        yield f"{space}{opening}\n"
        if len(inner) <= _WIDTH:
            yield f"{inner}\n"
        else:
            yield from (f"{space}    {argument},\n" for argument in arguments)
        yield f"{space}{closing}\n"


def _replicas(settings: Settings) -> str:
    """Return how many pods each service has: where there is one machine, one."""
    numbers = {name: 1 if cluster == "k3d" else 2 for name, cluster in settings.environments.items()}
    if len(set(numbers.values())) == 1:
        return str(next(iter(numbers.values())))
    if all(name.isidentifier() and not iskeyword(name) for name in numbers):
        line = f"environment.pick({', '.join(f'{name}={number}' for name, number in numbers.items())})"
        if len(f"        replicas={line},") <= _WIDTH:
            return line
    return "1 if isinstance(environment.cluster, K3d) else 2"


assert KUBERNETES in Cluster.SUPPORTED_VERSIONS

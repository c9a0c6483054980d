"""The same declaration gives the same bytes, wherever and however it is run."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from synthesized import Synthesized
from systems import empty

from constructs_lib import (
    Autoscale,
    Cassandra,
    ExternalSecrets,
    Microservice,
    Monitoring,
    Postgres,
    RabbitMQ,
    System,
    generated,
    synthesize,
)

#: Prints a checksum of every file, by its path.
PROGRAM = """
import sys, hashlib
sys.path.insert(0, sys.argv[1])
import app
from constructs_lib import synthesize
for environment in (app.PRODUCTION, app.LOCAL):
    for path, content in synthesize(app.positionpal(environment)).files.items():
        print(hashlib.sha256(content).hexdigest(), path)
"""

#: Surroundings that have changed the output of other generators: the order of sets, the upper case of "i", the
#: encoding of files, the date, the folder, and assertions with effects.
SURROUNDINGS = {
    "plain": ([], {"PYTHONHASHSEED": "0", "LC_ALL": "C", "TZ": "UTC", "PYTHONUTF8": "0"}),
    "turkish": ([], {"PYTHONHASHSEED": "1", "LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati"}),
    "optimized": (["-O"], {"PYTHONHASHSEED": "4294967295", "LC_ALL": "de_DE.ISO-8859-1", "TZ": "America/Caracas"}),
}


@pytest.mark.slow
def test_same_bytes_in_all_surroundings(root: Path, trees: dict[str, Synthesized], tmp_path: Path) -> None:
    """Seed of hashes, locale, time zone, working folder and optimization make no difference."""
    processes = {}
    for name, (options, variables) in SURROUNDINGS.items():
        folder = tmp_path / name
        folder.mkdir()
        processes[name] = subprocess.Popen(
            [sys.executable, *options, "-c", PROGRAM, str(root)],
            cwd=folder,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            text=True,
        )
    wanted = {
        f"{hashlib.sha256(content).hexdigest()} {path}"
        for tree in trees.values()
        for path, content in tree.files.items()
    }
    for name, process in processes.items():
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert set(output.splitlines()) == wanted, name


def declared(order: Callable[[list[str]], list[str]], schema: Path) -> System:
    """Declare a system with its components, stores and edges in the given order."""
    system = empty("laptop", nodes=1)
    image = "registry.example.org/{}:1.2.3"
    brokers: dict[str, RabbitMQ] = {}
    services: dict[str, Microservice] = {}

    def broker(name: str) -> None:
        brokers[name] = RabbitMQ(system, name, image=image.format("rabbitmq"), user="shop", storage="1Gi")

    def service(name: str) -> None:
        services[name] = Microservice(
            system,
            name,
            image=image.format(name),
            ports={"http": 8080},
            env={
                **dict.fromkeys(order(["ALPHA", "BETA"]), f"of {name}"),
                **{variable: generated("signs") for variable in order(["SESSION_SECRET", "TOKEN_SECRET"])},
            },
            metrics="http",
            replicas=Autoscale(1, 2),
        )

    makers: dict[str, Callable[[], object]] = {
        "external-secrets": lambda: ExternalSecrets(system, version="1.0.0"),
        "monitoring": lambda: Monitoring(system, version="1.0.0", storage="1Gi", retention_days=1),
        "orders": lambda: broker("orders"),
        "mails": lambda: broker("mails"),
        "basket": lambda: service("basket"),
        "stock": lambda: service("stock"),
        "web": lambda: service("web"),
    }
    for name in order(list(makers)):
        makers[name]()
    for name in order(["basket", "stock"]):
        if name == "basket":
            store = Postgres(
                services[name],
                "database",
                image=image.format("postgres"),
                database="basket",
                user="basket",
                storage="1Gi",
                schema=schema,
            )
            services[name].needs(store.endpoint("sql"), {"DATABASE_PASSWORD": "password", "DATABASE_HOST": "host"})
        else:
            ring = Cassandra(
                services[name],
                "database",
                image=image.format("cassandra"),
                keyspace="stock",
                user="stock",
                storage="1Gi",
                nodes=Autoscale(2, 3),
            )
            services[name].needs(ring.endpoint("cql"), {"CASSANDRA": "address", "CASSANDRA_PASSWORD": "password"})
        services[name].needs(brokers["orders"].endpoint("amqp"), {"BROKER": "address", "BROKER_PASSWORD": "password"})
    for name in order(["basket", "stock"]):
        services["web"].needs(services[name].endpoint("http"), order=False)
    services["web"].needs(brokers["mails"].endpoint("amqp"), {"MAILS": "address"})
    return system


@pytest.mark.parametrize("seed", range(5))
def test_order_of_declaration_makes_no_difference(seed: int, tmp_path: Path) -> None:
    """Components, variables and edges are a set: who moves a line in the declaration gets the same files.

    Only where the order says something is it kept: a container's ports, and the order in which a program waits.
    """
    schema = tmp_path / "basket.sql"
    schema.write_text("CREATE TABLE IF NOT EXISTS basket (id VARCHAR PRIMARY KEY);\n")
    shuffled = random.Random(seed)
    usual = synthesize(declared(lambda names: names, schema)).files
    other = synthesize(declared(lambda names: shuffled.sample(names, len(names)), schema)).files
    assert sorted(other) == sorted(usual)
    assert [path for path in sorted(usual) if usual[path] != other[path]] == []

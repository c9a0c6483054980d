"""A system of any number of services, for measuring: each one needs up to three that were declared before it."""

from __future__ import annotations

from constructs_lib import Environment, GitRepository, K3d, Microservice, System

ENVIRONMENT = Environment(
    name="bench",
    repository=GitRepository("https://github.com/example/gitops.git"),
    cluster=K3d(kubernetes="1.36", nodes=3),
)


def generated(services: int) -> System:
    """Return a system with so many services, in namespaces of their own, with eight variables each."""
    system = System(ENVIRONMENT, "generated")
    declared: list[Microservice] = []
    for number in range(services):
        service = Microservice(
            system,
            f"service-{number}",
            image="registry.example.com/service:1.2.3",
            ports={"http": 8080, "grpc": 9090},
            env={f"VARIABLE_{index}": f"value {index} of service {number}" for index in range(5)},
            replicas=2,
        )
        # Half, a third and a tenth of the way back: chains stay short and the graph stays connected.
        for index, divisor in enumerate((2, 3, 10)):
            target = declared[number // divisor] if number // divisor < number else None
            if target is not None and all(edge.endpoint.server is not target for edge in service.edges):
                service.needs(target.endpoint("http"), {f"NEEDED_{index}": "address"})
        declared.append(service)
    return system

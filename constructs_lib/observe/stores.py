"""What the dashboards and alerts of all data stores have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from constructs_lib.declare.workload import Workload
from constructs_lib.grafana.model import Row
from constructs_lib.observe import pods as workload
from constructs_lib.prometheus.matchers import one_of

_Store = TypeVar("_Store", bound=Workload)
#: How an alert names a store.
STORE = "{{ $labels.namespace }}/{{ $labels.service }}"


def namespaces(workloads: Sequence[Workload]) -> tuple[str, ...]:
    """Return the namespaces of workloads, each once."""
    return tuple(sorted({store.component.namespace_name for store in workloads}))


def names(workloads: Sequence[Workload]) -> tuple[str, ...]:
    """Return the names of workloads, each once."""
    return tuple(sorted({store.name for store in workloads}))


def of(workloads: Sequence[Workload]) -> str:
    """Return the matchers of what these workloads measure themselves: their namespaces and their names."""
    return f"namespace{one_of(namespaces(workloads))}, service{one_of(names(workloads))}"


def stateful_sets(workloads: Sequence[Workload]) -> str:
    """Return the matchers of their StatefulSets in the namespace that is chosen."""
    return f'namespace="$namespace", statefulset{one_of(names(workloads))}'


def by_number(workloads: Sequence[_Store], number: Callable[[_Store], int]) -> list[tuple[int, list[_Store]]]:
    """Return workloads grouped by a number that each one has, the smallest first."""
    found: dict[int, list[_Store]] = {}
    for store in workloads:
        found.setdefault(number(store), []).append(store)
    return sorted(found.items())


def pods(container: str) -> Row:
    """Return the last row of a store's dashboard: what its pods use, and how full their volumes are."""
    row = workload.resources(container)
    return Row(row.title, (*row.panels, workload.volumes()))

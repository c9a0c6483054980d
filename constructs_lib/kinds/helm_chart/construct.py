"""Third-party software that comes as a Helm chart, as a component among the others."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked
from constructs_lib.declare.chart import ChartSource, Kind, PodAccess
from constructs_lib.declare.component import Component, PodSecurity
from constructs_lib.declare.role import Role
from constructs_lib.declare.system import System
from constructs_lib.template import Template


def merged(values: Mapping[str, Any], over: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return ``values`` with ``over`` on top, key by key as Helm merges; lists and scalars are replaced.

    Were whole branches replaced, one more setting for Grafana would drop the reference to its credentials,
    and the chart would render a Secret of its own instead.
    """
    result = dict(values)
    for key, value in (over or {}).items():
        known = result.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            value = merged(known, value)
        result[key] = value
    return result


def described(folder: Path, **placeholders: Any) -> dict[str, Any]:
    """Return the arguments of :class:`HelmChart` in the ``chart.yaml`` of a kind: what it contains, and its access."""
    found = Template(folder / "chart.yaml", placeholders).whole()
    found["kinds"] = [Kind(group, kind) for group, kinds in found["kinds"].items() for kind in kinds]
    found["cluster_kinds"] = [
        Kind(group, kind, tuple(names))
        for group, kinds in found["cluster_kinds"].items()
        for kind, names in kinds.items()
    ]
    found["access"] = [PodAccess(**{key: _frozen(value) for key, value in each.items()}) for each in found["access"]]
    return found


def release_names(id: str, values: Mapping[str, Any], form: str = "{}") -> list[str]:
    """Return patterns for the names of what a chart makes for the whole cluster.

    By custom, such a name is that of the release, or begins with it and a hyphen, unless ``fullnameOverride`` among the
    values of the chart or of one inside it says otherwise.

    Args:
        id: Name of the release.
        values: The values.
        form: How a name contains it.
    """
    inner = (value for value in values.values() if isinstance(value, Mapping))
    names = {str(id), *(str(found["fullnameOverride"]) for found in (values, *inner) if found.get("fullnameOverride"))}
    return [form.format(pattern) for name in sorted(names) for pattern in (name, f"{name}-*")]


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


class HelmChart(Component):
    """A component whose objects Argo CD renders from a chart with a pinned version.

    Its namespace, network policies and secrets are plain manifests like everybody's.
    """

    role = Role.PLATFORM

    @checked
    def __init__(
        self,
        scope: System,
        id: str,
        *,
        repository: str,
        chart: str,
        version: str,
        values: Mapping[str, Any] | None = None,
        namespace: str | None = None,
        pod_security: PodSecurity = "restricted",
        kinds: Sequence[Kind] = (),
        cluster_kinds: Sequence[Kind] = (),
        other_namespaces: Sequence[str] = (),
        further_namespaces: Mapping[str, PodSecurity] | None = None,
        access: Sequence[PodAccess] = (),
    ) -> None:
        """Declare a chart.

        Args:
            scope: The system.
            id: Name of the component.
            repository: Address of the chart repository.
            chart: Name of the chart.
            version: Its exact version.
            values: Its values; they are part of the Application, so that a diff shows them.
            namespace: Default: the id.
            pod_security: Pod Security level that the chart's pods meet. Default ``restricted``.
            kinds: Namespaced kinds that it contains, for the AppProject.
            cluster_kinds: Cluster-scoped kinds that it contains, for the AppProject; with ``names``, the chart can make
                and change no others.
            other_namespaces: Namespaces of others into which it puts objects.
            further_namespaces: Namespaces beside its own that are made for it, with their Pod Security levels: for pods
                of the chart that need more rights than the others, such as agents on the nodes.
            access: What its pods may exchange.
        """
        super().__init__(scope, id, namespace=namespace, pod_security=pod_security)
        self.repository = repository
        self.chart = chart
        self.version = version
        self.values = dict(values or {})
        self.kinds = tuple(kinds)
        self.cluster_kinds = tuple(cluster_kinds)
        self.other_namespaces = tuple(other_namespaces)
        self.further_namespaces = dict(further_namespaces or {})
        self.access = tuple(access)
        self._check_arguments()

    def _check_arguments(self) -> None:
        if problem := validation.chart_version(self.version):
            self.report(f"version: {problem}")
        if problem := validation.chart_repository(self.repository):
            self.report(f"repository: {problem}")
        if problem := validation.chart_name(self.chart):
            self.report(f"chart: {problem}")
        if problem := validation.chart_values(self.values):
            self.report(f"values: {problem}")
        for namespace in self.other_namespaces:
            if problem := validation.dns_label(namespace):
                self.report(f"other_namespaces: {problem}")
        for namespace in self.further_namespaces:
            if problem := validation.dns_label(namespace):
                self.report(f"further_namespaces: {problem}")
            self.system.own(namespace, self)
        for access in self.access:
            for problem in access.problems():
                self.report(f"access: {problem}")
        known = [dict(access.pods) for access in self.access]
        for access in self.access:
            for labels, _ in access.to_pods:
                if dict(labels) not in known:
                    self.report(
                        f"access {access.name}: no other PodAccess has the pods {dict(labels)}, so nothing would open."
                    )
        for argument, kinds in (("kinds", self.kinds), ("cluster_kinds", self.cluster_kinds)):
            if any("*" in (kind.group, kind.kind) for kind in kinds):
                self.report(f"{argument}: name every kind; a wildcard would permit the chart anything.")

    @property
    def chart_source(self) -> ChartSource:
        """The chart that Argo CD renders."""
        return ChartSource(self.repository, self.chart, self.version, self.values)

"""Third-party software that comes as a Helm chart, as a component among the others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from constructs_lib.argocd.charts import OCI
from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked
from constructs_lib.declare.chart import ChartSource, Kind, PodAccess
from constructs_lib.declare.system import System
from constructs_lib.kinds.parts.third_party import ThirdParty, ThirdPartyArguments
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


class HelmChart(ThirdParty):
    """A component whose objects Argo CD renders from a chart with a pinned version."""

    @checked
    def __init__(
        self,
        scope: System,
        id: str,
        *,
        repository: str,
        chart: str | None = None,
        version: str | None = None,
        digest: str | None = None,
        path: str | None = None,
        revision: str | None = None,
        values: Mapping[str, Any] | None = None,
        **given: Unpack[ThirdPartyArguments],
    ) -> None:
        """Declare a chart.

        Args:
            scope: The system.
            id: Name of the component, and of Helm's release.
            repository: Address of the chart repository, with ``https://``; of the OCI registry with the path in it, as
                ``oci://registry.example.com/charts``; or of the Git repository.
            chart: Name of the chart in a chart repository or registry.
            version: Its exact version.
            digest: Digest of the chart in an OCI registry, ``sha256:…``: then no other can take its place, whatever
                the registry says of the version. Default: the version alone.
            path: Folder of the chart in a Git repository, in the place of ``chart``.
            revision: Commit or tag of the Git repository, in the place of ``version``.
            values: Its values; they are part of the Application, so that a diff shows them.
            given: What all software of others can be told (:class:`ThirdPartyArguments`).
        """
        super().__init__(scope, id, **given)
        self.repository = repository
        self.chart = chart
        self.version = version
        self.digest = digest
        self.path = path
        self.revision = revision
        self.values = dict(values or {})
        self._check_source()
        if problem := validation.chart_values(self.values):
            self.report(f"values: {problem}")

    def _check_source(self) -> None:
        of_git = self.path is not None or self.revision is not None
        if of_git and (self.chart or self.version or self.digest):
            self.report(
                "a chart has chart=… and version=… if it is in a chart repository or a registry, and path=… and "
                "revision=… if it is in a Git repository; leave out the others."
            )
        elif of_git:
            self._check_folder(self.repository, self.path or "", self.revision)
        else:
            self._check_packaged()

    def _check_packaged(self) -> None:
        """Report what is wrong with a chart of a chart repository or a registry."""
        if problem := validation.chart_repository(self.repository):
            self.report(f"repository: {problem}")
        if self.chart is None:
            above, _, last = self.repository.rstrip("/").rpartition("/")
            of_registry = self.repository.startswith(OCI) and not above.endswith("/")
            example = f'repository="{above}", chart="{last}"' if of_registry else 'chart="redis"'
            self.report(
                f"chart: it is missing; write {example}, or for a chart in a Git repository path=… and revision=…."
            )
        elif problem := validation.chart_name(self.chart):
            self.report(f"chart: {problem}")
        if self.version is None:
            self.report('version: it is missing; write the exact one, such as version="1.2.3".')
        elif problem := validation.chart_version(self.version):
            self.report(f"version: {problem}")
        if self.digest is not None:
            if problem := validation.digest(self.digest):
                self.report(f"digest: {problem}")
            elif not self.repository.startswith(OCI):
                self.report("digest: Argo CD asks for one in OCI registries alone (oci://…); leave it out.")

    @property
    def chart_source(self) -> ChartSource:
        """The chart that Argo CD renders."""
        name, version = self.path or self.chart or "", self.revision or self.version or ""
        of_git = self.path is not None
        return ChartSource(self.repository, name, version, self.values, self.digest, of_git, self.rendered)

"""Third-party software that comes as a folder of a Git repository, as a component among the others."""

from collections.abc import Mapping, Sequence

from constructs_lib.declare.arguments import checked
from constructs_lib.declare.chart import ChartEndpoint, ChartSource, Kind, PodAccess
from constructs_lib.declare.component import PodSecurity
from constructs_lib.declare.secret import Secret
from constructs_lib.declare.system import System
from constructs_lib.kinds.parts.third_party import ThirdParty


class Kustomization(ThirdParty):
    """A component whose objects Argo CD renders with Kustomize from a folder of a Git repository."""

    @checked
    def __init__(
        self,
        scope: System,
        id: str,
        *,
        repository: str,
        path: str,
        revision: str,
        namespace: str | None = None,
        pod_security: PodSecurity = "restricted",
        kinds: Sequence[Kind] = (),
        cluster_kinds: Sequence[Kind] = (),
        other_namespaces: Sequence[str] = (),
        further_namespaces: Mapping[str, PodSecurity] | None = None,
        access: Sequence[PodAccess] = (),
        endpoints: Mapping[str, ChartEndpoint] | None = None,
        secrets: Mapping[str, Secret] | None = None,
        rendered: bool = False,
    ) -> None:
        """Declare a folder.

        Args:
            scope: The system.
            id: Name of the component.
            repository: Address of the Git repository.
            path: The folder, with a ``kustomization.yaml``; or with plain manifests, which Argo CD deploys as they are.
            revision: Commit or tag.
            namespace: Where objects go that name no namespace. Default: the id.
            pod_security: Pod Security level that its pods meet. Default ``restricted``.
            kinds: Namespaced kinds that it contains, for the AppProject.
            cluster_kinds: Cluster-scoped kinds that it contains, for the AppProject; with ``names``, it can make and
                change no others.
            other_namespaces: Namespaces of others into which it puts objects.
            further_namespaces: Namespaces beside its own that are made for it, with their Pod Security levels.
            access: What its pods may exchange.
            endpoints: What workloads can need of it, by name: ``{"redis": ChartEndpoint("cache-valkey", 6379, …)}``.
            secrets: Secret values, by their keys in the Secret that is called as the component, for its pods to read.
                Clients may be told them as attributes of its endpoints.
            rendered: Whether the repository keeps the folder's manifests, rendered by synth. Default: Argo CD renders
                it.
        """
        super().__init__(
            scope,
            id,
            namespace=namespace,
            pod_security=pod_security,
            kinds=kinds,
            cluster_kinds=cluster_kinds,
            other_namespaces=other_namespaces,
            further_namespaces=further_namespaces,
            access=access,
            endpoints=endpoints,
            secrets=secrets,
        )
        self.rendered = rendered
        self.repository = repository
        self.path = path
        self.revision = revision
        self._check_folder(repository, path, revision)

    @property
    def chart_source(self) -> ChartSource:
        """The folder that Argo CD renders."""
        return ChartSource(self.repository, self.path, self.revision, None, is_folder=True, is_committed=self.rendered)

"""Third-party software that comes as a folder of a Git repository, as a component among the others."""

from typing import Unpack

from constructs_lib.declare.arguments import checked
from constructs_lib.declare.chart import ChartSource
from constructs_lib.declare.system import System
from constructs_lib.kinds.parts.third_party import ThirdParty, ThirdPartyArguments


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
        **given: Unpack[ThirdPartyArguments],
    ) -> None:
        """Declare a folder.

        Args:
            scope: The system.
            id: Name of the component.
            repository: Address of the Git repository.
            path: The folder, with a ``kustomization.yaml``; or with plain manifests, which Argo CD deploys as they are.
            revision: Commit or tag.
            given: What all software of others can be told (:class:`ThirdPartyArguments`).
        """
        super().__init__(scope, id, **given)
        self.repository = repository
        self.path = path
        self.revision = revision
        self._check_folder(repository, path, revision)

    @property
    def chart_source(self) -> ChartSource:
        """The folder that Argo CD renders."""
        return ChartSource(self.repository, self.path, self.revision, None, is_folder=True, is_committed=self.rendered)

"""Environments: where one and the same system runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from constructs_lib.declare import validation
from constructs_lib.declare.cluster import Cluster
from constructs_lib.declare.mistake import Location, here

Value = TypeVar("Value")


@dataclass(frozen=True)
class GitRepository:
    """The repository that Argo CD deploys from: the one in which the declaration lives.

    Attributes:
        url: Address, without credentials.
        branch: Branch that is deployed. Default ``main``.
    """

    url: str
    branch: str = "main"

    @property
    def revision(self) -> str:
        """The branch as a full reference.

        A full name lets Argo CD match webhooks and cache without resolving it first
        (https://argo-cd.readthedocs.io/en/stable/operator-manual/high_availability/).
        """
        return f"refs/heads/{self.branch}"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One place where a system runs: a cluster and the branch that is deployed to it.

    Attributes:
        name: For instance ``production``; names the folders ``dist/production`` and ``argocd/production``.
        cluster: The cluster.
        repository: The Git repository.
        secret_store_namespace: Namespace from which External Secrets reads; the bootstrap fills it.
    """

    name: str
    cluster: Cluster
    repository: GitRepository
    secret_store_namespace: str = "secret-store"
    location: Location = field(default_factory=here, compare=False, repr=False)

    def pick(self, **by_environment: Value) -> Value:
        """Return the value that belongs to this environment: ``environment.pick(local=1, production=3)``.

        Raises:
            UnknownEnvironmentError: None of the values is for this environment.
        """
        if self.name not in by_environment:
            raise UnknownEnvironmentError(
                f'pick() has no value for the environment "{self.name}", only for '
                f"{', '.join(sorted(by_environment)) or 'none'}; add {self.name}=…"
            )
        return by_environment[self.name]

    def mistakes(self) -> Iterator[tuple[Location, str]]:
        """Yield what is wrong with the environment and its cluster."""
        if problem := validation.dns_label(self.name):
            yield self.location, problem
        if problem := validation.dns_label(self.secret_store_namespace):
            yield self.location, f"secret_store_namespace: {problem}"
        if problem := validation.git_url(self.repository.url):
            yield self.location, problem
        branch = self.repository.branch
        if not branch or branch.startswith(("refs/", "-", "/")) or any(c in branch for c in " ~^:?*[\\"):
            yield self.location, f'"{branch}" is no branch; write its short name, for instance "main".'
        for problem in self.cluster.mistakes():
            yield self.cluster.location, problem


class UnknownEnvironmentError(LookupError):
    """A declaration has no value for an environment; reported as a mistake at the line of the call."""

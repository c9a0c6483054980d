"""Environments: where one and the same system runs."""

import posixpath
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import TypeVar, cast

from constructs_lib.declare import validation
from constructs_lib.declare.argocd import ArgoCD
from constructs_lib.declare.arguments import field_misfits
from constructs_lib.declare.bucket import S3Bucket
from constructs_lib.declare.calls import explained
from constructs_lib.declare.cluster import Cluster
from constructs_lib.declare.diagnostics import Location, here, report_outside_of_systems
from constructs_lib.kubernetes import platform
from constructs_lib.text import nearest, shown

Value = TypeVar("Value")

#: All environments, once a command line knows them.
declared_environments: ContextVar["tuple[Environment, ...]"] = ContextVar("declared_environments", default=())


@explained
@dataclass(frozen=True)
class GitRepository:
    """The repository that Argo CD deploys from: the one in which the declaration lives.

    Attributes:
        url: Address, without credentials.
        branch: Branch that is deployed, unless an environment has a ``publication_branch``. Default ``main``.
        path: The folder of the repository in which app.py is, for instance ``deploy/shop``; dist/, argocd/, pins/ and
            bootstrap/ are in it. Default: the repository itself.
    """

    url: str
    branch: str = "main"
    path: str = ""

    def folder_problem(self) -> str | None:
        """Return what is wrong with :attr:`path`, or None."""
        plain = posixpath.normpath(self.path) if self.path else ""
        if plain == ".":
            return "leave it out, where app.py is in the root of the repository."
        if self.path and (problem := validation.git_folder(self.path)):
            return problem
        return None if plain == self.path else f"{shown(self.path)} is a roundabout way to write {shown(plain)}."


@explained
@dataclass(frozen=True, kw_only=True)
class Environment:
    """One place where a system runs: a cluster and the branch that is deployed to it.

    Attributes:
        name: For instance ``production``; names the folders ``dist/production`` and ``argocd/production``.
        cluster: The cluster.
        repository: The Git repository.
        secret_store_namespace: Namespace from which External Secrets reads; the bootstrap fills it. The stores and
            ServiceAccounts that read there have its name.
        argocd: The Argo CD that deploys it; one object for environments that share one. Default: one of its own, in the
            namespace ``argocd``.
        publication_branch: A branch that only ``publish`` moves, to what it publishes, such as ``deploy/production``:
            Argo CD reads ``argocd/`` there, so that a push to the branch of the repository changes nothing in the
            cluster. Each environment has one of its own. Default: Argo CD follows the branch of the repository.
        prefix: What the names of its Applications, AppProjects and namespaces begin with, for instance ``staging-``, so
            that another environment or system can be in the same cluster, or have the same Argo CD. Names of objects
            inside of the namespaces have none. Default: nothing.
        argocd_chart: Version of the chart ``argo-cd`` that the bootstrap installs; 10.10.0 carries Argo CD 3.5.
        argocd_ha: Whether Argo CD is highly available: two of what serves, and a Redis of three, each on its own node.
        signed_by: Ids of OpenPGP keys, such as ``"B5690EEEBB952194"``: Argo CD deploys only commits that
            one of them has signed. Their public keys are ``bootstrap/argocd/keys/<id>.asc``. Default: any commit.
        image_tags: Whether images need an exact version or a digest (``exact``), or may have any tag, such as ``main``
            or ``build-123`` (``any``). What is lost then: which image runs is up to whoever pushes to the registry,
            pods of one workload may run different ones, a new image under an old tag is rolled out by nobody, and a
            rollback may not bring back what ran before. Images are pulled at every start. Data stores need an exact
            version in any case. Default ``exact``.
        backups: The bucket outside of the cluster to which its data stores save what they hold. Default: none, so that
            what a lost volume held is lost.
    """

    name: str
    cluster: Cluster
    repository: GitRepository
    secret_store_namespace: str = "secret-store"
    argocd: ArgoCD = field(default_factory=ArgoCD)
    publication_branch: str = ""
    prefix: str = ""
    argocd_chart: str = "10.10.0"
    argocd_ha: bool = False
    signed_by: tuple[str, ...] = ()
    image_tags: validation.ImageTags = "exact"
    backups: S3Bucket | None = None
    location: Location = field(default_factory=here, init=False, compare=False, repr=False)

    @property
    def revision(self) -> str:
        """The branch that Argo CD follows, as a full reference.

        A full name lets Argo CD match webhooks and cache without resolving it first
        (https://argo-cd.readthedocs.io/en/stable/operator-manual/high_availability/).
        """
        return f"refs/heads/{self.publication_branch or self.repository.branch}"

    @property
    def reserved_namespaces(self) -> frozenset[str]:
        """The namespaces that no component may have: of the cluster, of Argo CD, and that of the secret values."""
        return platform.NAMESPACES | {*self.argocd.namespaces, self.secret_store_namespace}

    @explained
    def pick(self, **by_environment: Value) -> Value:
        """Return the value that belongs to this environment: ``environment.pick(local=1, production=3)``.

        One whose name is no word of Python is given as ``**{"eu-west": 3}``. A value that is missing is an error, and
        that of another environment takes its place. So is one for an environment that is not declared.

        Raises:
            DeclarationError: It is missing, and there is no command line to which it could be reported.
        """
        if self.name in by_environment:
            declared = declared_environments.get()
            # Only if this is one of them: a program may run several apps, one after the other.
            known_names = [each.name for each in declared] if any(each is self for each in declared) else []
            for name in by_environment:
                if known_names and name not in known_names:
                    problem = f"there is no environment {shown(name)}; {nearest(name, known_names)}"
                    report_outside_of_systems("pick()", problem)
            return by_environment[self.name]
        known = f", only for {', '.join(sorted(by_environment))}" if by_environment else ""
        is_word = self.name.isidentifier() and not iskeyword(self.name)
        missing = f"{self.name}=…" if is_word else f"**{{{shown(self.name)}: …}}"
        problem = f"pick() has no value for this environment{known}; add {missing}"
        report_outside_of_systems(f"environment {self.name}", problem)
        return next(iter(by_environment.values()), cast(Value, None))

    def shares_argocd(self, other: "Environment") -> bool:
        """Tell whether the same Argo CD deploys another environment, as far as it can be known."""
        is_of_one_cluster = self.shares_cluster(other) and not self.cluster.is_remote and not other.cluster.is_remote
        return self.argocd is other.argocd or (is_of_one_cluster and self.argocd.namespace == other.argocd.namespace)

    def shares_cluster(self, other: "Environment") -> bool:
        """Tell whether another environment is in the same cluster, as far as it can be known."""
        is_named = bool(self.cluster.identity) and self.cluster.identity == other.cluster.identity
        is_of_one_argocd = self.argocd is other.argocd and self.cluster.destination == other.cluster.destination
        return is_named or is_of_one_argocd

    def is_beside(self, other: "Environment") -> bool:
        """Tell whether it has a cluster or an Argo CD together with another environment."""
        return self is not other and (self.shares_argocd(other) or self.shares_cluster(other))

    def clash(self, other: "Environment") -> str | None:
        """Return what keeps two environments of the same system apart in no way; None if nothing does."""
        they = f"{other.name}, declared at {other.location}"
        is_of_one = self is not other and self.repository.url == other.repository.url
        if is_of_one and self.publication_branch and self.publication_branch == other.publication_branch:
            return (
                f"its publication_branch is that of {they}, so that each would publish the other; give it one of its "
                f'own, such as "deploy/{self.name}".'
            )
        if not self.is_beside(other):
            return None
        if self.prefix == other.prefix:
            what = "cluster is that" if self.shares_cluster(other) else "Argo CD is that"
            names = "Applications, AppProjects and namespaces" if self.shares_cluster(other) else "Applications"
            return (
                f"its {what} of {they}, and {names} of the two have the same names; give one of the two a prefix, such "
                f'as prefix="{self.name}-", or each {"a cluster" if self.shares_cluster(other) else "an Argo CD"} of '
                f"its own."
            )
        if self.shares_argocd(other) and self.argocd is not other.argocd:
            return (
                f"its cluster is that of {they}, and each would have an Argo CD in the namespace "
                f"{self.argocd.namespace}; give both the same one: argocd=ARGOCD, with ARGOCD = ArgoCD()."
            )
        if self.shares_cluster(other) and self.secret_store_namespace == other.secret_store_namespace:
            return (
                f"its secret values would be in the namespace of those of {they}, {self.secret_store_namespace}; give "
                f'it another, such as secret_store_namespace="{self.prefix or other.prefix}secret-store".'
            )
        return None

    def misfits(self) -> Iterator[tuple[Location, str]]:
        """Yield which fields of the environment and its cluster are of the wrong type."""
        for value, problem in field_misfits(self):
            yield getattr(value, "location", self.location), problem

    def problems(self) -> Iterator[tuple[Location, str]]:
        """Yield what is wrong with the environment and its cluster, whose types are right."""
        if problem := validation.dns_label(self.name):
            yield self.location, f"name: {problem}"
        if problem := validation.dns_label(self.secret_store_namespace):
            yield self.location, f"secret_store_namespace: {problem}"
        if self.prefix and (problem := validation.dns_label(f"{self.prefix}x")):
            yield self.location, f"prefix: {problem}"
        for problem in self.argocd.problems():
            yield self.argocd.location, problem
        if problem := validation.git_url(self.repository.url):
            yield self.location, f"repository: {problem}"
        if problem := validation.git_branch(self.repository.branch):
            yield self.location, f"repository: {problem}"
        if self.publication_branch and (problem := self._publication_problem()):
            yield self.location, f"publication_branch: {problem}"
        if problem := self.repository.folder_problem():
            yield self.location, f"repository: path: {problem}"
        if problem := validation.chart_version(self.argocd_chart):
            yield self.location, f"argocd_chart: {problem}"
        if self.argocd_ha and 1 <= self.cluster.nodes < 3:
            yield self.location, f"argocd_ha: its three Redis need 3 nodes, and there are {self.cluster.nodes}."
        for key in self.signed_by:
            if not re.fullmatch("[0-9A-F]{16}", key):
                wrong = f"{shown(key)} is no id of a key: 16 digits and capitals, of gpg --keyid-format long"
                yield self.location, f"signed_by: {wrong}."
        if self.backups:
            yield from ((self.backups.location, f"backups: {problem}") for problem in self.backups.problems())
        for problem in self.cluster.problems():
            yield self.cluster.location, problem

    def _publication_problem(self) -> str | None:
        """Return what is wrong with the branch that publications move, or None."""
        branch, name = self.repository.branch, self.publication_branch
        # Git takes these for a commit, for what is checked out, or for what a fetch left of a branch.
        if validation.git_branch(name) or re.fullmatch(r"HEAD|[0-9a-fA-F]{40}|origin/.*", name):
            return f'{shown(name)} is no branch; write its short name, such as "deploy/{self.name}".'
        if name == branch:
            return (
                f"{shown(name)} is the branch of the repository, which every push moves; name another, or leave it out."
            )
        # Git keeps a branch in a file of its name.
        if name.startswith(f"{branch}/") or branch.startswith(f"{name}/"):
            return (
                f'Git cannot have both {shown(name)} and {shown(branch)}; name it "deploy/{self.name}", for instance.'
            )
        return None

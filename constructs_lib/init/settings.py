"""What a new repository is for: its name, its address, and the environments in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from constructs_lib.declare import validation
from constructs_lib.text import nearest, shown
from constructs_lib.user_error import UserError

#: Where an environment may run, with what that is called in messages.
CLUSTERS = {"k3d": "k3d on this machine", "digitalocean": "DigitalOcean", "existing": "a cluster that exists"}
#: Environments of a repository for which none are given.
DEFAULT_ENVIRONMENTS = ("local:k3d", "production:existing")
_NO_REPOSITORY = 'this folder has no remote origin, so say which Git repository Argo CD reads, like "https://github.com/team/repository.git".'
#: Components of the first app.py, whose names the system cannot have.
SERVICES = ("backend", "frontend")


@dataclass(frozen=True)
class Settings:
    """What the files of a repository are made for.

    Attributes:
        name: Name of the system.
        repository: Address of the Git repository that Argo CD reads.
        branch: The branch that is deployed.
        environments: Where each environment runs, of :data:`CLUSTERS`, by its name.
        library: How pip gets the library; empty for the way in which it is installed here.
        values: What stands in files in the place of their placeholders, where it is not what follows from the rest.
    """

    name: str
    repository: str
    branch: str
    environments: Mapping[str, str]
    library: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def conditions(self) -> frozenset[str]:
        """The conditions of ``files.yaml`` that hold."""
        host = (urlsplit(self.repository).hostname or self.repository.partition(":")[0]).lower()
        hosts = {name for name, other in (("github", "gitlab"), ("gitlab", "github")) if other not in host}
        clusters = set(self.environments.values())
        return frozenset(hosts | clusters | ({"remote"} if clusters - {"k3d"} else set()))

    @property
    def placeholders(self) -> dict[str, str]:
        """What stands in the place of each placeholder; the name of a cluster is the first environment there."""
        first: dict[str, str] = {}
        for environment, cluster in self.environments.items():
            first.setdefault(cluster, environment)
            if cluster != "k3d":
                first.setdefault("remote", environment)
        return {
            "name": self.name,
            "repository": self.repository,
            "branch": self.branch,
            "requirements": "requirements.txt",
            "rehearsal_tools": "'requirements.txt'",
            **first,
            **self.values,
        }

    def as_json(self) -> dict[str, Any]:
        """Return what is kept of them in the repository."""
        kept = {
            "name": self.name,
            "repository": self.repository,
            "branch": self.branch,
            "environments": dict(self.environments),
        }
        return (
            kept
            | ({"library": self.library} if self.library else {})
            | ({"values": {**self.values}} if self.values else {})
        )


def settings_of(
    name: str,
    repository: str,
    branch: str,
    environments: Sequence[str],
    library: str = "",
    values: Mapping[str, str] | None = None,
) -> Settings:
    """Return settings from what a user has said; each environment is written ``name:cluster``.

    Raises:
        UserError: Something of it is wrong; the message says all that is.
    """
    clusters: dict[str, str] = {}
    problems = [
        f"{option}: {problem}"
        for option, problem in (
            ("--name", validation.dns_label(name)),
            ("--repository", validation.git_url(repository) if repository else _NO_REPOSITORY),
            ("--branch", validation.git_branch(branch)),
            ("--library", _library(library)),
        )
        if problem
    ]
    if name in SERVICES:
        problems.append(f'--name: "{name}" is a service of the first app.py; choose another name for the whole.')
    for text in environments:
        environment, separator, cluster = text.partition(":")
        if not separator:
            problems.append(
                f'--environment: {shown(text)} does not say where it runs; write it like "{text}:existing".'
            )
        elif problem := validation.dns_label(environment):
            problems.append(f"--environment: {problem}")
        elif cluster not in CLUSTERS:
            problems.append(f"--environment: {shown(text)}: there is no {shown(cluster)}; {nearest(cluster, CLUSTERS)}")
        elif environment in clusters:
            problems.append(f'--environment: "{environment}" is there twice.')
        elif cluster == "digitalocean" and (problem := validation.dns_label(f"{name}-{environment}")):
            problems += (
                [f"--environment: as the name of the cluster, {problem}"] if not validation.dns_label(name) else []
            )
        else:
            clusters[environment] = cluster
    if problems:
        raise UserError("\n".join([*problems, "Nothing was written."]))
    return Settings(name, repository, branch, clusters, library, values or {})


def _library(requirement: str) -> str | None:
    """Return what is wrong with a requirement for pip that gets the library, if it is given."""
    if not requirement or re.fullmatch(r"constructs[-_]lib(==[\w.!+-]+| ?@ ?\S+)", requirement):
        return None
    return f'{shown(requirement)} does not pin the library; write it like "constructs-lib==1.2.3", or "constructs-lib @ git+https://…@<commit>".'


def https_address(remote: str) -> str:
    """Return the https address of a remote, which Argo CD reads without a key; empty where none follows from it."""
    if match := re.fullmatch(r"(?:ssh://)?(?:[^@/:]+@)([\w.-]+)(?::\d+)?[:/](?!/)(.+)", remote):
        return f"https://{match[1]}/{match[2]}"
    if match := re.fullmatch(r"https://(?:[^@/]+@)?(.+)", remote):
        return f"https://{match[1]}"
    return ""


def named(environments: Iterable[tuple[str, str]]) -> str:
    """Return environments with where they run, as a list in a sentence."""
    return ", ".join(f"{name} on {CLUSTERS[cluster]}" for name, cluster in environments)

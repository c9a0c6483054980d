"""Secret values: named in the declaration, never held by it."""

from dataclasses import dataclass
from typing import Literal

from constructs_lib.declare.calls import explained

Owner = Literal["generated", "supplied"]


@dataclass(frozen=True)
class Secret:
    """A value that the environment's store holds.

    Attributes:
        owner: ``generated`` (the bootstrap makes it, nobody needs to know it) or ``supplied`` (a person gives it).
        purpose: What it is for, as the person who supplies or rotates it should read it.
    """

    owner: Owner
    purpose: str


@dataclass(frozen=True)
class SecretReference:
    """A secret value with its place in the store: the component that owns it has one entry, with this key in it."""

    component: str
    key: str
    secret: Secret


@dataclass(frozen=True)
class Field:
    """A field of the pod, from the downward API: https://kubernetes.io/docs/concepts/workloads/pods/downward-api/."""

    path: str


@dataclass(frozen=True)
class Plain:
    """A text that looks like a secret by the name of its variable and is none."""

    text: str


@explained
def generated(purpose: str) -> Secret:
    """Return a secret that the bootstrap makes once and keeps.

    Args:
        purpose: What it is for, in words for those who look after the store.
    """
    return Secret("generated", purpose)


@explained
def supplied(purpose: str) -> Secret:
    """Return a secret that a person gives: a licence, an API key, an account file.

    Args:
        purpose: What it is for, in words for those who give it.
    """
    return Secret("supplied", purpose)


@explained
def field(path: str) -> Field:
    """Return a field of the pod, as the value of a variable.

    Args:
        path: Where it is, for instance ``metadata.namespace``.
    """
    return Field(path)


@explained
def plain(text: str) -> Plain:
    """Return a text for a variable whose name looks like that of a secret, such as ``TOKEN_TTL_KEY``.

    Args:
        text: The value, which anybody may read.
    """
    return Plain(text)

"""Systems that `check` has nothing against, and what is in their files."""

from __future__ import annotations

from synthesized import Synthesized

from constructs_lib import System, synthesize
from constructs_lib.api import check
from constructs_lib.check.finding import Severity
from constructs_lib.kubernetes.manifest import Manifest


def problems(system: System, *severities: Severity) -> list[str]:
    """Return what is wrong with a system, as bad as one of these."""
    return [finding.problem for finding in check(system) if finding.check.severity in severities]


def sound_tree(system: System) -> Synthesized:
    """Return what is synthesized of a system in the environment ``local``, once nothing in it is wrong."""
    assert problems(system, Severity.ERROR) == []
    return Synthesized("local", synthesize(system).files)


def one(tree: Synthesized, kind: str, name: str) -> Manifest:
    """Return the object of a kind with a name, or whose name begins with it if it ends with a hyphen."""
    named = ((each["metadata"]["name"], each) for each in tree.objects(kind))
    (found,) = (each for own, each in named if own == name or (name.endswith("-") and own.startswith(name)))
    return found

"""The way back from a publication to a branch of its own: the revert of all that the branch has got by it."""

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby

from constructs_lib.publish.checkout import Checkout
from constructs_lib.repository.pins import pins_file
from constructs_lib.synth.paths import is_owned, owned_paths

#: The most commits that are worth naming one by one.
_MOST = 12


def way_back(checkout: Checkout, others: Sequence[str]) -> str:
    """Return the commands that make the declaration, what follows from it and the pins what was published before.

    Publications and generated files of other environments are left as they are.

    Args:
        checkout: The checkout, as it was before the publication.
        others: Names of the other environments.

    Returns:
        The commands; empty if nothing was published to the branch before, or it takes too many.
    """
    if not checkout.is_held:
        return ""
    foreign = [*owned_paths(others), *map(pins_file, others)] if others else []
    commits = [*_commits(checkout, foreign)]
    if not commits or len(commits) > _MOST:
        return ""
    commands = []
    for is_merge, group in groupby(commits, key=lambda commit: commit[1]):
        names = " ".join(name for name, _ in group)
        commands.append(f"git revert --no-edit {'--mainline 1 ' if is_merge else ''}{names}")
    return " && ".join([*commands, checkout.push])


def _commits(checkout: Checkout, foreign: Collection[str]) -> Iterator[tuple[str, bool]]:
    """Yield the commits that the branch has got, newest first, and whether each is a merge."""
    span = f"{checkout.published_head}..HEAD"
    # Of a merge, what it has brought to the branch.
    options = ("--first-parent", "--diff-merges=first-parent", "--name-only", "--relative", "-z")
    output = checkout.git.run("log", *options, "--format=%x01%h %p%x02", span, "--")
    for entry in output.split("\1")[1:]:
        head, _, files = entry.partition("\2")
        name, *parents = head.split()
        paths = [path for path in (path.strip("\n") for path in files.split("\0")) if path]
        if paths and not all(is_owned(path, foreign) for path in paths):
            yield name, len(parents) > 1

"""Publishes with two commits: one with the manifests, and one with the pins of the components that changed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from constructs_lib.publish.checkout import Checkout, PublishError
from constructs_lib.publish.publication import Publication, differing, valid
from constructs_lib.repository.git import Git, GitError
from constructs_lib.repository.pins import Pins, dump_pins, pins_file
from constructs_lib.synth.paths import owned_paths
from constructs_lib.synth.tree import Tree
from constructs_lib.synth.writer import write
from constructs_lib.text import listed


def carry_out(publication: Publication, root: Path) -> list[str]:
    """Make the commits and push them; return their ids.

    Raises:
        PublishError: Git refused a commit or would store other bytes, or the remote refused the push. The commits were
            taken back, and the synthesized files are in the working tree.
        GitError: It is not known whether the push arrived. The commits are kept, and the next run pushes them.
        WriteError: The files cannot be written.
    """
    tree, checkout, git = publication.tree, publication.checkout, publication.checkout.git
    messages = [message for message, _ in publication.commits]
    own = [*owned_paths([tree.environment]), pins_file(tree.environment)]
    made = []
    write(root, _with_pins(tree), own)
    if publication.manifests:
        made.append(_commit(git, publication.manifests, messages.pop(0)))
    at = git.run("rev-parse", "HEAD")
    pins = {name: pin if pin.revision else replace(pin, revision=at) for name, pin in publication.pins.items()}
    if messages:
        moved = {component: pins[component] for component in publication.moved}
        held = valid(git, at, tree.environment, moved)
        if different := [f"dist/{tree.environment}/{component}" for component in moved if component not in held]:
            raise PublishError(
                f"Git does not hold {listed(different, 10)} as synthesized. Do .gitignore, .gitattributes, a filter or "
                f"a hook concern these files? They must be committed byte by byte."
            )
        retired = {pin.namespace for pin in publication.before.values()} - {pin.namespace for pin in pins.values()}
        tree.pin(Pins(pins, tuple(sorted(retired))))
        files = _with_pins(tree)
        write(root, files, own)
        paths = differing(git, at, files, own)
        made.append(_commit(git, paths, messages[0].replace("the commit before", at[:12])))
    try:
        _push(checkout)
    except PublishError:
        if made:
            git.run("reset", "--quiet", checkout.head)
            tree.pin(publication.old)
            write(root, _with_pins(tree), own)
        raise
    return made


def _with_pins(tree: Tree) -> dict[str, bytes]:
    """Return the files of a tree with the file of its pins."""
    return tree.files if tree.pins is None else {**tree.files, pins_file(tree.environment): dump_pins(tree.pins)}


def _commit(git: Git, paths: Sequence[str], message: str) -> str:
    """Commit only these files."""
    # Whatever is staged is generated, else prepare() would have refused it; unstaging keeps it in the working tree.
    git.run("reset", "--quiet")
    names = "".join(f"{path}\0" for path in paths).encode()
    add = ("add", "--all", "--force", "--pathspec-from-file=-", "--pathspec-file-nul")
    try:
        git.run("--literal-pathspecs", *add, input=names)
        git.run("commit", "--quiet", f"--message={message}")
    except GitError as error:
        git.run("reset", "--quiet")
        back = "Git refuses the commit, so nothing was published; what is synthesized is in the working tree."
        raise PublishError(str(error), back) from error
    return git.run("rev-parse", "HEAD")


def _push(checkout: Checkout) -> None:
    try:
        checkout.git.run("push", "--porcelain", checkout.remote, f"HEAD:refs/heads/{checkout.branch}")
    except GitError as error:
        # Git prints "!" if the remote refused the push. After any other error, the push may have arrived.
        if not any(line.startswith("!") for line in error.output.splitlines()):
            raise GitError(
                f"{error}\nThe push did not get through; the commits are kept, and publish pushes them when run again."
            ) from error
        back = f"The remote's {checkout.upstream} refused the push; the commits were taken back."
        raise PublishError(str(error), back) from error

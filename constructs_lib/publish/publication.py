"""What publishing an environment means, before anything is changed.

Nothing is kept beside Git. A run that was killed or refused is made up for by the next one, which finds what is
committed already and goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from constructs_lib.publish.checkout import Checkout, PublishError, foreign_changes
from constructs_lib.repository.git import Git
from constructs_lib.repository.pins import Pin, Pins, parse_pins, pins_file
from constructs_lib.synth.paths import application_file, is_owned, owned_paths
from constructs_lib.synth.tree import Tree


@dataclass(frozen=True)
class Publication:
    """What publishing an environment means.

    Attributes:
        checkout: The checkout that it is published from.
        tree: The synthesized files.
        manifests: Files that the commit of the manifests changes; none if all are committed.
        old: The pins in the last commit; None if the environment was never published.
        pins: The pins as they will be. What is pinned to the commit of the manifests has no revision yet.
        unpublished: Components that publishing would change and that are held back.
        rolled_back: Components whose pins somebody has set back from these very manifests, with the commit that did it.
        summary: What it means for the cluster, in a line; part of the last commit's message.
    """

    checkout: Checkout
    tree: Tree
    manifests: tuple[str, ...]
    old: Pins | None
    pins: Mapping[str, Pin]
    unpublished: tuple[str, ...] = ()
    rolled_back: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""

    @property
    def moved(self) -> dict[str, Pin | None]:
        """Components whose pins move, with the pins that they had."""
        old = self.old.components if self.old else {}
        return {component: old.get(component) for component, pin in self.pins.items() if old.get(component) != pin}

    @property
    def removed(self) -> list[str]:
        """Components whose pins go."""
        return sorted(self.old.components.keys() - self.pins.keys()) if self.old else []

    @property
    def commits(self) -> list[tuple[str, Sequence[str]]]:
        """The messages of the commits, each with the files that it changes."""
        environment = self.tree.environment
        pinned = [pins_file(environment), *(application_file(environment, component) for component in self.moved)]
        files: list[Sequence[str]] = [self.manifests] if self.manifests else []
        return [*zip(self.messages, [*files, pinned], strict=False)]

    @property
    def messages(self) -> list[str]:
        """The messages of the commits, with the revisions as far as they are known."""
        environment = self.tree.environment
        messages = [f"Synthesize {environment}"] if self.manifests else []
        if self.moved or self.removed:
            lines = [
                *(
                    f"{component}: {self._before(pin)} -> {self.pins[component].revision[:12] or 'the commit before'}"
                    for component, pin in self.moved.items()
                ),
                *(f"{component}: removed" for component in self.removed),
            ]
            components = [*self.moved, *self.removed]
            short = ", ".join(components) if len(components) <= 3 else f"{len(components)} components"
            summary = [self.summary, ""] if self.summary else []
            title = f"Publish {environment}: {short}"
            messages.append("\n".join([title, "", *summary, *lines, "", "Revert this commit to roll back."]))
        return messages

    def _before(self, pin: Pin | None) -> str:
        if pin:
            return pin.revision[:12]
        return "the branch" if self.old is None else "new"

    @property
    def is_empty(self) -> bool:
        """Whether the remote has all of it already."""
        return not self.messages and self.checkout.head == self.checkout.remote_head


def prepare(checkout: Checkout, tree: Tree) -> Publication:
    """Find out what publishing an environment means, without changing anything.

    Args:
        checkout: The checkout.
        tree: The synthesized files of the environment; gets the pins of the last commit, because those in the working
            tree may be what a run left that was killed.

    Raises:
        PublishError: The working tree holds something else as well.
        PinsError: The committed pins cannot be read.
    """
    git, environment, head = checkout.git, tree.environment, checkout.head
    dirty = checkout.dirty()
    generated = [path for path in dirty if is_owned(path, [*owned_paths(), pins_file("*")])]
    if problem := foreign_changes(dirty, generated):
        raise PublishError(problem)
    old = _committed_pins(git, head, environment)
    tree.pin(old)
    manifests = tuple(differing(git, head, tree.files, owned_paths([environment])))
    valid = _valid(git, head, environment, old.components if old else {})
    pins = {
        component: valid[component]
        if component in valid and valid[component].content == content
        else Pin("" if manifests else head, content, tree.namespaces[component])
        for component, content in sorted(tree.contents.items())
    }
    publication = Publication(checkout, tree, manifests, old, pins)
    if pins_file(environment) in dirty and not publication.messages:
        raise PublishError(f"{pins_file(environment)} is not as publish wrote it; git checkout HEAD -- pins first.")
    return replace(publication, rolled_back=_rolled_back(publication))


def _rolled_back(publication: Publication) -> dict[str, str]:
    """Return the components whose pins were set back from what is declared, with the commit that did it.

    Their manifests were published, and then somebody reverted that: to publish them once more because something else
    has changed would undo the rollback. A declaration that returns to an earlier state is none: its pin went forward.
    """
    checkout, old = publication.checkout, publication.old
    git, file = checkout.git, pins_file(publication.tree.environment)
    found: dict[str, str] = {}
    for component, pin in publication.moved.items():
        content = publication.pins[component].content
        commit = git.run("log", "-1", "--format=%H", f"-S{content}", checkout.head, "--", file) if pin and old else ""
        if pin and commit and git.commit(f"{commit}^"):
            former = _committed_pins(git, f"{commit}^", publication.tree.environment)
            before = former.components.get(component) if former else None
            if (
                before
                and before.content == content
                and before.revision != pin.revision
                and git.succeeds("merge-base", "--is-ancestor", pin.revision, before.revision)
            ):
                found[component] = commit
    return found


def limited(publication: Publication, components: Set[str]) -> Publication:
    """Return a publication that moves the pins of these components alone.

    A component that has no pin yet cannot be held back, nor one that is gone.
    """
    old = publication.old.components if publication.old else {}
    pins = {
        component: pin if component in components else old.get(component, pin)
        for component, pin in publication.pins.items()
    }
    limited = replace(publication, pins=pins)
    return replace(limited, unpublished=tuple(sorted(publication.moved.keys() - limited.moved.keys())))


def _committed_pins(git: Git, revision: str, environment: str) -> Pins | None:
    file = pins_file(environment)
    content = git.files(revision, [file]).get(file)
    return None if content is None else parse_pins(content, file)


def differing(git: Git, revision: str, wanted: Mapping[str, bytes], owned: Sequence[str]) -> list[str]:
    """Return the files that are not in a commit as they are wanted."""
    folders = sorted({part.rpartition("/")[0] for part in owned})
    committed = {path: content for path, content in git.files(revision, folders).items() if is_owned(path, owned)}
    return sorted(path for path in wanted.keys() | committed.keys() if wanted.get(path) != committed.get(path))


def _valid(git: Git, head: str, environment: str, pins: Mapping[str, Pin]) -> dict[str, Pin]:
    """Return the pins that can be read: a commit that was rebased away since is in no history any more."""
    history = set(git.run("rev-list", head).split())
    candidates = {component: pin for component, pin in pins.items() if pin.revision in history}
    found = contents_of(git, environment, candidates)
    return {component: pin for component, pin in candidates.items() if found[component] == pin.content}


def contents_of(git: Git, environment: str, pins: Mapping[str, Pin]) -> dict[str, str]:
    """Return the id of every component's folder in the commit that it is pinned to."""
    names = [f"{pin.revision}:dist/{environment}/{component}" for component, pin in pins.items()]
    output = git.run("cat-file", "--batch-check", input="".join(f"{name}\n" for name in names).encode())
    return {component: line.split()[0] for component, line in zip(pins, output.splitlines(), strict=True)}

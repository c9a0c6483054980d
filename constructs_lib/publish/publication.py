"""Publishes an environment with two commits: one of the manifests, and one of the pins of what changed.

What that would do is found out first, without changing anything. No state is kept outside of Git: if a run was killed
or refused, the next one finds what is committed already, and continues from there.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from constructs_lib.derive.applications import ROOT_FILE, autoscaled_in
from constructs_lib.plan.change import Verdict
from constructs_lib.plan.merging import undone
from constructs_lib.plan.plan import Plan, plan
from constructs_lib.publish.becoming import as_pinned, settled
from constructs_lib.publish.checkout import Checkout, PublishError
from constructs_lib.publish.repair import Repair, repair_of
from constructs_lib.repository.deployed import History, pins_at
from constructs_lib.repository.git import Git, GitError
from constructs_lib.repository.pins import Pin, Pins, dump_pins, pins_file
from constructs_lib.repository.snapshot import LINK, SUBMODULE, Snapshot
from constructs_lib.synth.ownership import refuse_strangers
from constructs_lib.synth.paths import application_file, is_owned, owned_paths
from constructs_lib.synth.tree import Tree
from constructs_lib.synth.writer import compare, write
from constructs_lib.text import listed

#: How the names of generated files end: Kind-name.yaml, or root.yaml.
_GENERATED = re.compile(r"/(?:[A-Z][A-Za-z0-9]*-[^/]+|root)\.yaml\Z")


@dataclass(frozen=True)
class Publication:
    """What publishing an environment would do.

    Attributes:
        repair: What is wrong with what is published, and is set right.
        manifests: Files that have to be committed; none if all manifests are committed already.
        old: The pins in the last commit, without wrong namespaces; None if it was never published.
        pins: The pins as they will be. Those to the commit that is not made yet have an empty revision.
        unpublished: Components with changes that are held back.
        rolled_back: Components of which these very manifests were rolled back, with the commit that did it.
        elsewhere: Components that are deployed from an earlier commit, though the files hold something else.
        verdicts: What else is to be said of Applications whose pins move, by component.
        summary: The effect on the cluster in one line, for the message of the last commit.
        promoted_from: The environment that runs what is published; empty if it is what is declared.
        promoted: The commit of the declaration that this environment runs.
    """

    checkout: Checkout
    tree: Tree
    repair: Repair
    manifests: tuple[str, ...]
    old: Pins | None
    pins: Mapping[str, Pin]
    unpublished: tuple[str, ...] = ()
    rolled_back: Mapping[str, str] = field(default_factory=dict)
    elsewhere: Mapping[str, Pin] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    summary: str = ""
    promoted_from: str = ""
    promoted: str = ""

    @property
    def command(self) -> str:
        """The command that does it."""
        what = f"promote {self.promoted_from}" if self.promoted_from else "publish"
        return f"python app.py {what} {self.tree.environment}"

    @property
    def foreign(self) -> list[str]:
        """Links, and files with other names than those that are generated, which are removed."""
        entries = self.checkout.git.entries(self.checkout.head)
        return [
            path
            for path in self.manifests
            if path in entries and path not in self.tree.files
            if entries[path][0] in (LINK, SUBMODULE) or not _GENERATED.search(path)
        ]

    @property
    def before(self) -> Mapping[str, Pin]:
        """The pins in the last commit, by component."""
        return self.old.components if self.old else {}

    @property
    def moved(self) -> dict[str, Pin | None]:
        """Components whose pins change, with their old pins."""
        before = self.before
        return {name: before.get(name) for name, pin in self.pins.items() if before.get(name) != pin}

    @property
    def removed(self) -> list[str]:
        """Components whose pins are removed."""
        return sorted(self.before.keys() - self.pins.keys())

    @property
    def kept(self) -> int:
        """Number of connections that are kept open for pods that still run, where they are not held back."""
        kept = self.tree.pins.kept if self.tree.pins else {}
        return sum(len(places) for path, places in kept.items() if path.split("/")[2] not in self.unpublished)

    @property
    def commits(self) -> list[tuple[str, Sequence[str]]]:
        """The message of each commit, as far as revisions are known, with the files that it changes."""
        environment, moved, removed = self.tree.environment, self.moved, self.removed
        commits: list[tuple[str, Sequence[str]]] = []
        if self.manifests:
            commits.append((f"Synthesize {environment}", self.manifests))
        if components := [*moved, *removed]:
            short = ", ".join(components) if len(components) <= 3 else f"{len(components)} components"
            unpinned = "the branch" if self.old is None else "new"
            source = self.promoted_from
            origin = f"Promoted from {source}, which runs the declaration of {self.promoted[:12]}." if source else ""
            said = [text for text in (origin, self.summary) if text]
            lines = [f"Publish {environment}: {short}", "", *said, *([""] if said else [])]
            for component, pin in moved.items():
                revision = self.pins[component].revision[:12] or "the commit before"
                lines.append(f"{component}: {pin.revision[:12] if pin else unpinned} -> {revision}")
            lines += [f"{component}: removed" for component in removed]
            lines += ["", "Revert this commit to roll back."] if self.can_be_reverted else []
            files = [pins_file(environment), *(application_file(environment, component) for component in moved)]
            commits.append(("\n".join(lines), files))
        return commits

    @property
    def restored(self) -> dict[str, Pin]:
        """Components that become something else than the files hold: what they were before, or are elsewhere.

        What is held back is so if somebody has rolled it back, and nobody has published that yet.
        """
        sound, deployed, declared = self.repair.sound, self.repair.deployed, self.tree.contents
        return {
            name: pin
            for name, pin in self.pins.items()
            if pin.content != declared.get(name)
            and (
                pin in (sound.get(name), self.elsewhere.get(name))
                or (name in self.unpublished and pin != deployed.get(name, pin))
            )
        }

    @property
    def deployed(self) -> Mapping[str, bytes]:
        """The files with those of each component as it becomes."""
        return as_pinned(self.checkout.git, self.tree.environment, self.tree.files, self.restored)

    def plan(self) -> Plan:
        """Return what Argo CD does if all components become what they are declared to be, or are restored."""
        files = {**self.deployed}
        if self.old:
            moving = {name: pin.content for name, pin in self.pins.items() if name not in self.unpublished}
            files |= settled(files, self.tree.environment, self.old, moving)
        new, folder = self.tree.snapshot("the declaration", files), f"argocd/{self.tree.environment}"
        verdicts = {name: verdict for name, verdict in self.verdicts.items() if name in self.moved}
        # The Applications still have the published pins, but the files that they read are the new ones.
        found = plan(self.repair.published, new, folder=folder, verdicts=verdicts)
        if self.repair.problems:
            found = undone(found, plan(self.repair.trusted, new, folder=folder), self.repair.smuggled)
        return replace(found, pins=())

    @property
    def can_be_reverted(self) -> bool:
        """Whether a revert of the pins rolls back: it would also bring wrong pins back that are set right."""
        return self.old is not None and not self.repair.problems

    @cached_property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit and nothing to push.

        Where Argo CD follows a branch that only publications move, what does not concern the environment is none.
        """
        checkout, environment = self.checkout, self.tree.environment
        if self.commits or not checkout.is_held:
            return not (self.commits or checkout.publication) and checkout.head == checkout.remote_head
        concerned = (f"argocd/{environment}", pins_file(environment))
        span = (str(checkout.published_head), checkout.head)
        return not checkout.git.run("diff", "--name-only", *span, "--", *concerned)


def prepare(
    checkout: Checkout, tree: Tree, *, rolling: bool | None = None, sources: Mapping[str, str] | None = None
) -> Publication:
    """Return what publishing an environment would do, without changing anything in the repository.

    The tree is given the pins of the last commit, because those in the working tree may be from a run that was killed.

    Args:
        checkout: The checkout.
        tree: What is to be published.
        rolling: Whether the cluster still rolls out what is published. Default: it was not asked.
        sources: Commits that may hold the manifests of components already, if the tree is not what is declared now:
            where one does, it is pinned, and the manifests of the last commit stay. Default: the tree is declared now.

    Raises:
        PublishError: The working tree has changes that are not generated.
        PinsError: The committed pins cannot be read.
        WriteError: Files of others would go.
    """
    git, environment, head = checkout.git, tree.environment, checkout.head
    owned = [*owned_paths([environment]), pins_file(environment)]
    _refuse_links(git, head, environment, owned)
    _refuse_shared_branch(checkout, environment)
    dirty = checkout.dirty([*owned_paths(), pins_file("*")])
    refuse_strangers(git.root, compare(git.root, tree.files, owned_paths([environment])))
    repair = repair_of(checkout, environment, tree.revision, tree.namespaces)
    old = repair.pins
    tree.pin(old)
    tree.keep_open(repair.trusted, rolling=rolling)
    kept = {name: pin for name, pin in (old.components if old else {}).items() if name not in repair.wrong}
    kept |= repair.sound
    contents = tree.contents
    rolled = rolled_back(git, head, environment, kept, contents)
    elsewhere = _elsewhere(checkout, tree, kept, sources or {})
    for component in elsewhere:
        tree.leave(component, git.files(head, [f"dist/{environment}/{component}"]))
    # What is kept belongs to the manifests: it stays when the pins are reverted.
    manifests = tuple(_differing(git, head, _with_pins(tree), owned))
    pins: dict[str, Pin] = {}
    for component, content in sorted(contents.items()):
        declared = Pin("" if manifests else head, content, tree.namespaces[component], _autoscaled(tree, component))
        new = elsewhere.get(component, declared)
        old_pin = kept.get(component, new)
        pins[component] = old_pin if old_pin.content == content else new
    publication = Publication(checkout, tree, repair, manifests, old, pins, rolled_back=rolled, elsewhere=elsewhere)
    if pins_file(environment) in dirty and not publication.commits:
        raise PublishError(f"{pins_file(environment)} is not as publish wrote it; git checkout HEAD -- pins first.")
    return publication


def _elsewhere(checkout: Checkout, tree: Tree, pins: Mapping[str, Pin], sources: Mapping[str, str]) -> dict[str, Pin]:
    """Return the components whose manifests are in another commit than the last one: in their pin's, or in a source."""
    git, environment = checkout.git, tree.environment
    history, found = History(git, checkout.upstream, [checkout.head]), {}
    for component, source in sources.items():
        manifests, content = tree.manifests_of(component), tree.contents[component]
        is_kept = tree.pins is not None and not tree.pins.kept.keys().isdisjoint(manifests)
        if is_kept or git.files(checkout.head, [f"dist/{environment}/{component}"]) == manifests:
            continue
        candidates = (
            pins.get(component),
            Pin(source, content, tree.namespaces[component], _autoscaled(tree, component)),
        )
        for pin in (pin for pin in candidates if pin and pin.content == content):
            if not history.wrong(environment, Pins({component: pin})):
                found[component] = pin
                break
    return found


def _autoscaled(tree: Tree, component: str) -> tuple[str, ...]:
    return autoscaled_in(tree.applications[component])


def rolled_back(
    git: Git, head: str, environment: str, pins: Mapping[str, Pin], contents: Mapping[str, str]
) -> dict[str, str]:
    """Return the components that were rolled back from what is declared, with the commit that did it.

    Their manifests were published, and then the commit with the pins was reverted. Publishing them together with other
    changes would undo the rollback. It is no rollback if the declaration returns to an earlier state: then the pin has
    moved to a later commit. ``pins`` are those that ``head`` has, ``contents`` the ids of the declared folders.
    """
    found: dict[str, str] = {}
    for component, pin in pins.items():
        content = contents.get(component, pin.content)
        if content == pin.content:
            continue
        commit = git.run("log", "-1", "--format=%H", f"-S{content}", head, "--", pins_file(environment))
        if not commit or not git.commit(f"{commit}^") or not git.commit(pin.revision):
            continue
        former = pins_at(git, f"{commit}^", environment)
        before = former.components.get(component) if former else None
        if not before or before.content != content or before.revision == pin.revision:
            continue
        if git.succeeds("merge-base", "--is-ancestor", pin.revision, before.revision):
            found[component] = commit
    return found


def _differing(git: Git, revision: str, wanted: Mapping[str, bytes], owned: Sequence[str]) -> list[str]:
    """Return the files that a commit does not have as wanted, and the links and submodules in their folders."""
    folders = sorted({part.rpartition("/")[0] for part in owned})
    entries = {path: entry for path, entry in git.entries(revision, folders).items() if _is_inside(path, owned)}
    blobs = {path: blob for path, (mode, blob) in entries.items() if mode.startswith("100")}
    contents = git.read(blobs.values())
    same = {path for path, blob in blobs.items() if wanted.get(path) == contents[blob]}
    return sorted((wanted.keys() | entries.keys()) - same)


def _refuse_links(git: Git, revision: str, environment: str, owned: Sequence[str]) -> None:
    """Refuse links because of which Argo CD would render nothing; those among what is owned are removed anyway.

    Raises:
        PublishError: There are some.
    """
    links = Snapshot.of_revision(git, revision, folders=[f"argocd/{environment}"]).links.outside
    if found := [path for path in links if not _is_inside(path, owned)]:
        raise PublishError(
            f"{listed(found, 10)}: with a symbolic link out of the repository, Argo CD renders nothing of it. Take it "
            "away, and commit."
        )


def _refuse_shared_branch(checkout: Checkout, environment: str) -> None:
    """Refuse a branch of publications that another environment of the repository follows, of whatever system.

    Raises:
        PublishError: There is one.
    """
    git, publication = checkout.git, checkout.publication
    if not publication:
        return
    name = "".join(sign if sign.isalnum() else f"[{sign}]" for sign in publication)
    followed = ("-E", f"^ *targetRevision: refs/heads/{name}$", checkout.head)
    command = ("grep", "--full-name", "-l", *followed, "--", f":(top,glob)**/argocd/*/{ROOT_FILE}")
    found = git.run(*command).splitlines() if git.succeeds(*command) else []
    own = git.at(checkout.head, f"argocd/{environment}/{ROOT_FILE}")
    if others := [path.partition(":")[2] for path in found if path != own]:
        raise PublishError(
            f"{listed(others, 10)}: that environment follows {publication} as well, so that it would be published with "
            f"this one. Give each a publication_branch of its own."
        )


def _is_inside(path: str, owned: Sequence[str]) -> bool:
    """Tell whether a path is owned; a link may be in the place of an owned folder."""
    return is_owned(path, owned) or f"{path}/" in owned


def carry_out(publication: Publication, root: Path) -> list[str]:
    """Make the commits and push them; return their ids.

    Raises:
        PublishError: Git refused a commit or would store other bytes; the next run goes on from what is committed. Or
            the remote refused the push; the commits were taken back. The synthesized files are in the working tree.
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
        wrong = History(git, checkout.upstream, [at]).wrong(tree.environment, Pins(moved))
        if different := [f"dist/{tree.environment}/{component}" for component in wrong]:
            raise PublishError(
                f"Git does not hold {listed(different, 10)} as synthesized. Do .gitignore, .gitattributes, a filter or "
                f"a hook concern these files? They must be committed byte by byte."
            )
        used, old = {pin.namespace for pin in pins.values()}, publication.old
        retired = {component: tuple(old.namespaces(component) - used) for component in pins} if old else {}
        tree.pin(Pins(pins, retired, tree.pins.kept if tree.pins else {}))
        files = _with_pins(tree)
        write(root, files, own)
        paths = _differing(git, at, files, own)
        made.append(_commit(git, paths, messages[0].replace("the commit before", at[:12])))
    try:
        _push(checkout)
    except PublishError:
        if made:
            git.run("reset", "--quiet", "--soft", checkout.head)
            _unstage(git)
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
    _unstage(git)
    names = "".join(f"{path}\0" for path in paths).encode()
    these = ("--pathspec-from-file=-", "--pathspec-file-nul")
    try:
        git.run("--literal-pathspecs", "add", "--all", "--force", *these, input=names)
        # What others have staged elsewhere in the repository stays staged.
        only = ("--only", *these) if git.folder else ()
        git.run("--literal-pathspecs", "commit", "--quiet", f"--message={message}", *only, input=names)
    except GitError as error:
        _unstage(git)
        back = "Git refuses the commit, so nothing was published; what is synthesized is in the working tree."
        raise PublishError(str(error), back) from error
    return git.run("rev-parse", "HEAD")


def _unstage(git: Git) -> None:
    """Unstage what is staged below the folder of the declaration."""
    git.run("reset", "--quiet", *(("--", ".") if git.folder else ()))


def _push(checkout: Checkout) -> None:
    # Both at once or none: Argo CD deploys nothing that is not on the branch of the declaration.
    both = ["--atomic", f"HEAD:refs/heads/{checkout.publication}"] if checkout.publication else []
    try:
        checkout.git.run(
            "push", "--porcelain", *both[:1], checkout.remote, f"HEAD:refs/heads/{checkout.branch}", *both[1:]
        )
    except GitError as error:
        # Git prints "!" if the remote refused the push. After any other error, the push may have arrived.
        if not any(line.startswith("!") for line in error.output.splitlines()):
            raise GitError(
                f"{error}\nThe push did not get through; the commits are kept, and publish pushes them when run again."
            ) from error
        back = f"The remote's {checkout.pushed} refused the push; the commits were taken back."
        raise PublishError(str(error), back) from error

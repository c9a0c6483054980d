"""What a publication sets right: pins that the deployed branch does not bear out, and what they brought.

Somebody wrote them by hand, or a rebase took their commits away. What they deploy was never published, so that nobody
is asked before it is removed or undone.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from constructs_lib.plan.published import published_at
from constructs_lib.publish.checkout import Checkout
from constructs_lib.repository.deployed import History, misread, pins_at, reads
from constructs_lib.repository.git import GitError
from constructs_lib.repository.pins import Pin, Pins
from constructs_lib.repository.snapshot import Snapshot, is_commit
from constructs_lib.synth.paths import application_file


@dataclass(frozen=True)
class Repair:
    """What is wrong with pins, and what is right in their place.

    Attributes:
        pins: The committed pins, without namespaces that no component had; None if the environment has none.
        wrong: What is wrong with them, by component.
        sound: The newest pins of these components that are right, if there are any.
        problems: All that is wrong with pins and with what Applications read, in sentences.
        smuggled: Components of which something is deployed that the branch never held.
        deployed: The published pins, by component.
        published: What is published.
        trusted: What would be published if nothing was wrong.
    """

    pins: Pins | None
    wrong: Mapping[str, str]
    sound: Mapping[str, Pin]
    problems: tuple[str, ...]
    smuggled: frozenset[str]
    deployed: Mapping[str, Pin]
    published: Snapshot = field(repr=False)
    trusted: Snapshot = field(repr=False)


def repair_of(checkout: Checkout, environment: str, branch: str, namespaces: Mapping[str, str]) -> Repair:
    """Return what is wrong with the pins of a checkout, and of what is published.

    Args:
        checkout: The checkout.
        environment: Name of the environment.
        branch: The branch that is deployed, as a full reference.
        namespaces: The declared namespaces, by component.

    Raises:
        PinsError: The pins cannot be read.
    """
    git = checkout.git
    history = History(git, checkout.upstream, [checkout.head])
    old = pins_at(git, checkout.head, environment)
    wrong = history.wrong(environment, old) if old else {}
    invented = history.invented(environment, old) if old else {}
    sound = _sound(history, environment, wrong)
    if old and (wrong or invented):
        known = {name: pin.namespace for name, pin in sound.items()}
        components = {
            name: replace(pin, namespace=known.get(name, namespaces.get(name, pin.namespace))) if name in wrong else pin
            for name, pin in old.components.items()
        }
        retired = {
            component: tuple(each for each in names if (component, each) not in invented)
            for component, names in old.retired.items()
        }
        old = replace(old, components=components, retired=retired)
    published = published_at(git, environment, checkout.deployed, checkout.published_head)
    pins = None
    forged: dict[str, str] = {}
    smuggled: set[str] = set()
    files = dict(published.files)
    if checkout.published_head:
        _fetch(checkout, environment, published)
        history = History(git, checkout.deployed, [checkout.published_head])
        pins = pins_at(git, checkout.published_head, environment)
        forged = {**misread(published, environment, pins), **(history.wrong(environment, pins) if pins else {})}
        right = _sound(history, environment, forged)
        for name, folder, revision in reads(published, environment):
            file, pin = application_file(environment, name), right.get(name)
            # If the history was written anew, no pin is right, and what the commit holds may be ours.
            settled = bool(pin or not pins or name not in pins.components)
            if name in forged and settled and file in files and not history.held(folder, revision):
                smuggled.add(name)
                files[file] = files[file].replace(revision.encode(), (pin.revision if pin else branch).encode())
    said = (*wrong.values(), *invented.values(), *(text for name, text in forged.items() if name not in wrong))
    if said:
        files |= _projects(history, environment)
    trusted = replace(published, files=files)
    return Repair(old, wrong, sound, said, frozenset(smuggled), pins.components if pins else {}, published, trusted)


def _projects(history: History, environment: str) -> dict[str, bytes]:
    """Return the AppProjects as they were when all pins were right: they follow from the namespaces of the pins."""
    for commit, pins in history.versions(environment):
        if pins and not history.wrong(environment, pins) and not history.invented(environment, pins):
            files = history.git.files(commit, [f"argocd/{environment}"])
            return {path: content for path, content in files.items() if "/AppProject-" in path}
    return {}


def _sound(history: History, environment: str, components: Collection[str]) -> dict[str, Pin]:
    """Return the newest pins of some components that the history bears out."""
    found: dict[str, Pin] = {}
    for _, pins in history.versions(environment) if components else ():
        left = {name: pin for name, pin in (pins.components if pins else {}).items() if name in components}
        candidates = {name: pin for name, pin in left.items() if name not in found}
        if candidates:
            wrong = history.wrong(environment, Pins(candidates))
            found |= {name: pin for name, pin in candidates.items() if name not in wrong}
        if len(found) == len(components):
            break
    return found


def _fetch(checkout: Checkout, environment: str, published: Snapshot) -> None:
    """Fetch commits that are read and are on no branch, as Argo CD does, so that what they brought can be told."""
    for revision in {revision for _, _, revision in reads(published, environment)}:
        if is_commit(revision) and checkout.git.commit(revision) is None:
            with suppress(GitError):
                checkout.git.run("fetch", "--quiet", "--no-tags", checkout.remote, revision)

"""Promotes what one environment runs to another: the same declaration, as it is for the other one.

Which declaration an environment runs follows from its pins: the newest one that gives what is pinned. That is the
checked out one if nothing is held back and nothing changed since, or else that of the newest publication; a component
that was held back then or rolled back since is as the commit declares it that it is pinned to. What comes out is
published like anything else; only that manifests which some commit holds already are pinned where they are, so that
what is declared later stays in the files.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from constructs_lib.plan.change import Effect, Verdict
from constructs_lib.plan.merging import verify
from constructs_lib.plan.published import published_at
from constructs_lib.publish.checkout import Checkout, PublishError
from constructs_lib.publish.publication import Publication, prepare
from constructs_lib.repository.deployed import History, pins_at
from constructs_lib.repository.pins import Pins, pins_file
from constructs_lib.synth.tree import Tree, as_declared

#: What the declaration of a commit gives for the two environments, by their names, without pins.
Declared = Callable[[str], Mapping[str, Tree]]


@dataclass(frozen=True)
class Promotion:
    """The declaration that an environment runs, as it is for another one.

    Attributes:
        source: Name of the environment that runs it.
        pins: What is published of that.
        commit: The commit of the declaration.
        tree: What it gives for the other environment.
        sources: The commit of each component's declaration, by component of the other environment.
        unseen: Components that the first environment does not have, so that it shows nothing about them.
    """

    source: str
    pins: Pins
    commit: str
    tree: Tree
    sources: Mapping[str, str]
    unseen: Sequence[str]

    @property
    def behind(self) -> dict[str, str]:
        """Components whose declaration is that of another commit."""
        return {name: commit for name, commit in self.sources.items() if commit != self.commit}


def find_promotion(
    checkout: Checkout, source: str, environment: str, declared: Declared, renamed: Callable[[str], str] = str
) -> Promotion:
    """Return what an environment runs, as its declaration is for another one.

    Args:
        checkout: The checkout, whose remote branch was fetched, and that from which the first environment is deployed.
        source: Name of the environment that runs it.
        environment: Name of the other one.
        declared: Returns what the declaration of a commit gives.
        renamed: Returns what the other environment calls a component of the first. Default: the same.

    Raises:
        PublishError: It is not known what the environment runs, or that is not declared as it was.
        PinsError: Its pins cannot be read, or are wrong.
    """
    git, published = checkout.git, checkout.published_head
    pins = pins_at(git, published, source) if published else None
    if pins is None or published is None:
        raise PublishError(
            f"{source} was never published, so that it follows {checkout.branch}, and runs no declaration in "
            f"particular; python app.py publish {source} first."
        )
    if pins != pins_at(git, checkout.head, source):
        raise PublishError(
            f"{pins_file(source)} is another one here than in {checkout.deployed}; "
            f"{f'python app.py publish {source}' if checkout.is_held else 'push that'} first, and wait until {source} "
            f"runs it."
        )
    history = History(git, checkout.deployed, [published])
    verify(history, source, published_at(git, source, checkout.deployed, published), pins)
    trees: dict[str, Mapping[str, Tree]] = {}

    def given(commit: str) -> Mapping[str, Tree]:
        if commit not in trees:
            trees[commit] = declared(commit)
            # What it keeps open belongs to the manifests that are pinned.
            trees[commit][source].pin(pins_at(git, commit, source))
        return trees[commit]

    whole = checkout.head
    if {name: pin.content for name, pin in pins.components.items()} != given(whole)[source].contents:
        whole = next(commit for commit, _ in history.versions(source))
    tree, first = given(whole)[environment], given(whole)[source]
    sources, problems = dict.fromkeys(tree.applications, whole), []
    for component, pin in sorted(pins.components.items()):
        candidates = dict.fromkeys((whole, pin.revision))
        commit = next((each for each in candidates if given(each)[source].contents.get(component) == pin.content), "")
        if not commit:
            problems.append(
                f"{component}: {source} runs what {pin.revision[:12]} holds, and its declaration gives something else "
                f"now: with another version of the library, for instance."
            )
        elif commit != whole:
            other = renamed(component)
            tree.take(other, given(commit)[environment])
            sources = {name: each for name, each in sources.items() if name != other}
            sources |= {other: commit} if other in tree.applications else {}
    if problems:
        raise PublishError(*problems, f"python app.py publish {source}, and promote that once it is healthy.")
    unseen = sorted(tree.applications.keys() - {*map(renamed, (*first.applications, *pins.components))})
    return Promotion(source, pins, whole, tree, sources, unseen)


def prepare_promotion(checkout: Checkout, promotion: Promotion, *, rolling: bool | None = None) -> Publication:
    """Return what publishing a promotion would do, without changing anything in the repository.

    That a component goes back behind what was published without the other environment is dangerous.

    Raises:
        PublishError: The working tree has changes that are not generated.
        PinsError: The committed pins cannot be read.
    """
    is_declared_now = {promotion.commit, *promotion.sources.values()} == {checkout.head}
    sources = None if is_declared_now else promotion.sources
    publication = prepare(checkout, promotion.tree, rolling=rolling, sources=sources)
    verdicts = _going_back(publication, promotion)
    return replace(publication, promoted_from=promotion.source, promoted=promotion.commit, verdicts=verdicts)


def _going_back(publication: Publication, promotion: Promotion) -> dict[str, Verdict]:
    """Return a verdict on each component that runs something which the promoted declaration does not include."""
    git, environment = publication.checkout.git, publication.tree.environment
    found: dict[str, Verdict] = {}
    for component, pin in publication.moved.items():
        if pin is None or component not in promotion.sources or component in publication.repair.wrong:
            continue
        source, folder = promotion.sources[component], f"dist/{environment}/{component}/"
        if git.succeeds("merge-base", "--is-ancestor", pin.revision, source):
            continue
        # The commit of a promotion is newer than the declaration, too.
        new = {path: content for path, content in publication.deployed.items() if path.startswith(folder)}
        if as_declared(git.files(pin.revision, [folder])) != as_declared(new):
            verdict = found[component] = Verdict(Effect.UPDATE)
            verdict.because(
                "promotes-back",
                environment=environment,
                source=promotion.source,
                revision=pin.revision[:12],
                declared=source[:12],
            )
    return found

"""What a rehearsal plays: an installation, a publication, one that breaks, its fix, and its rollback."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from constructs_lib.rehearse.changes import broken, restarted
from constructs_lib.rehearse.judgement import Outcome
from constructs_lib.rehearse.rehearsal import Rehearsal
from constructs_lib.synth.tree import Tree
from constructs_lib.text import listed


@dataclass(frozen=True)
class Scenario:
    """What is played.

    Attributes:
        published: The commit that is installed first; None if nothing is published.
        tree: What is published then; None leaves it to ``target``.
        target: The commit to which the branch moves instead.
        install: Whether everything is installed from nothing, and nothing else happens.
        broken: Components whose new pods never get ready; then the same change is made without the fault, broken once
            more, and rolled back.
        kill: Whether the controller is killed in the middle of each phase after the first.
    """

    published: str | None
    tree: Tree | None = None
    target: str | None = None
    install: bool = False
    broken: Sequence[str] = ()
    kill: bool = False


def play(rehearsal: Rehearsal, scenario: Scenario) -> Iterator[Outcome]:
    """Play a scenario, and yield what became of each phase."""
    scratch, tree = rehearsal.scratch, scenario.tree
    begins_declared = tree if scenario.install or not scenario.published else None

    def install() -> None:
        if scenario.published:
            scratch.set(scenario.published)
        if begins_declared:
            if not begins_declared.pins:
                scratch.commit_tree(begins_declared)
            if begins_declared.pins or scratch.needs_publication:
                scratch.publish(begins_declared)

    what = "what is declared" if begins_declared else "what is published"
    yield rehearsal.run(f"Install {what}", install)
    if scenario.install:
        return
    if scenario.target:
        move = partial(scratch.set, scenario.target)
        yield rehearsal.run(f"Move to {scenario.target[:12]}", move, kill=scenario.kill)
    if not tree:
        return
    if not scenario.broken:
        yield rehearsal.run("Publish what is declared", partial(scratch.publish, tree), kill=scenario.kill)
        return
    # A component that does not change could not show whether it waits: so all of them change.
    for number in range(2):
        fixed = faulty = restarted(tree, str(number), tree.applications)
        for component in scenario.broken:
            faulty = broken(faulty, component)
        name = f"Publish with {listed(scenario.broken)} broken"
        yield rehearsal.run(name, partial(scratch.publish, faulty), broken=scenario.broken, kill=scenario.kill)
        if number == 0:
            yield rehearsal.run("Publish the fix", partial(scratch.publish, fixed), kill=scenario.kill, take_over=True)
        else:
            yield rehearsal.run("Revert the broken publication", scratch.revert, kill=scenario.kill, take_over=True)

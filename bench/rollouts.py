"""Rolls a chain of three services out in three ways on a real Argo CD, and prints what each kept: ``make rollouts``.

The ways are: Applications that follow the branch, an ApplicationSet with RollingSync, and the pins of ``publish``. The
manifests of the services are the same. A component begins when its Deployment gets the new pods, and is complete when
all of its pods are new and available; both are seen at the API server, whatever Argo CD says. It takes 20 minutes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from generated import ENVIRONMENT
from ways import ENV, Pins, RollingSync, Way, log

from constructs_lib import Microservice, System, synthesize
from constructs_lib.kubernetes.manifest import Manifest, inner
from constructs_lib.rehearse.changes import broken, restarted
from constructs_lib.rehearse.control_plane import Nodes
from constructs_lib.rehearse.rehearsal import Rehearsal
from constructs_lib.rehearse.settings import Settings
from constructs_lib.rehearse.tools import find_tools
from constructs_lib.repository.git import Git
from constructs_lib.repository.snapshot import Snapshot
from constructs_lib.synth.tree import Tree

CHAIN = ("db", "api", "web")
LOWEST, MIDDLE, HIGHEST = CHAIN
MARK = "constructs-lib/rehearsal"
#: Seconds: how long anything may take, how long a broken wave and a change by hand are watched.
PATIENCE, HOLD, HAND = 600.0, 25.0, 45.0


@dataclass
class Times:
    """When components began and were complete, in seconds since the push."""

    began: dict[str, float] = field(default_factory=dict)
    complete: dict[str, float] = field(default_factory=dict)

    def told(self, names: Sequence[str] = CHAIN) -> str:
        """Return whether they came one after the other, with all times."""
        pairs = ", ".join(f"{self._at(self.began, name)}/{self._at(self.complete, name)}" for name in names)
        never = float("inf")
        ends = [self.complete.get(name, never) for name in names]
        begins = [self.began.get(name, never) for name in names]
        early = any(begin < end for begin, end in zip(begins[1:], ends, strict=False))
        if never in ends:
            return f"**not complete** ({pairs} s)"
        return f"**not in order** ({pairs} s)" if early else f"in order ({pairs} s)"

    @staticmethod
    def _at(times: dict[str, float], name: str) -> str:
        return f"{times[name]:.0f}" if name in times else "-"


def chain(*names: str) -> Tree:
    """Return the files of services of which each calls the one before."""
    system = System(ENVIRONMENT, "chain")
    below: Microservice | None = None
    for name in names:
        service = Microservice(system, name, image=f"example/{name}:1.0.0", ports={"http": 8080})
        if below:
            service.needs(below.endpoint("http"), {"BELOW": "address"})
        below = service
    return synthesize(system)


def is_complete(deployment: Manifest) -> bool:
    """Tell whether all pods of a Deployment are new and available."""
    status, wanted = deployment.get("status") or {}, deployment["spec"]["replicas"]
    counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")}
    return counts == {wanted} and status.get("observedGeneration") == deployment["metadata"]["generation"]


def mark_of(item: Manifest) -> Any:
    """Return the mark of the pods of a Deployment; None for any other object."""
    if item["kind"] != "Deployment":
        return None
    return (inner(item, "spec", "template", "metadata", "annotations") or {}).get(MARK)


class Trial:
    """One way, tried out."""

    def __init__(self, way: Way) -> None:
        """Begin nothing yet."""
        self.way, self.rehearsal = way, way.rehearsal

    def roll(
        self,
        push: Callable[[], object],
        mark: str,
        names: Sequence[str] = CHAIN,
        *,
        kill: bool = False,
        take_over: bool = False,
        hold: bool = False,
        first: bool = False,
    ) -> Times:
        """Push something, and return when each component began and was complete.

        Args:
            push: Pushes it.
            mark: The mark of its pods.
            names: The components.
            kill: Whether the controllers are killed when the first component has begun.
            take_over: Whether a hanging rollout is taken over from.
            hold: Whether the lowest component is broken, so that it is enough to watch whether others begin.
            first: Whether it is the installation.
        """
        push()
        self.start = time.monotonic()
        if first:
            self.way.begin()
        self.rehearsal.argocd.refresh()
        if take_over:
            self.way.take_over()
        while (now := time.monotonic() - self.start) < PATIENCE:
            self.rehearsal.workspace.ensure_all_run()
            times = self.times(mark)
            if kill and times.began:
                self.way.kill()
                kill = False
            if hold and LOWEST in times.began and now - times.began[LOWEST] > HOLD:
                break
            if all(name in times.complete for name in names):
                break
            time.sleep(0.25)
        log(f"{self.way.title}: {mark}: {times.told(names)}")
        if not hold:
            self.settle()
        return self.times(mark)

    def times(self, mark: str) -> Times:
        """Return when each component with a mark began and was complete since the last push."""
        times = Times()
        for at, _, item in self.rehearsal.watcher.seen_since(self.start):
            if mark_of(item) == mark:
                name = item["metadata"]["name"]
                times.began.setdefault(name, at - self.start)
                if is_complete(item):
                    times.complete.setdefault(name, at - self.start)
        return times

    def settle(self) -> None:
        """Wait until no Application has anything to do, but not for ever."""
        end, calm = time.monotonic() + 60, 0
        while calm < 6 and time.monotonic() < end:
            states = [
                (
                    each.get("operation"),
                    inner(each, "status", "sync", "status"),
                    inner(each, "status", "health", "status"),
                )
                for each in self.rehearsal.argocd.applications()
            ]
            calm = calm + 1 if all(state == (None, "Synced", "Healthy") for state in states) else 0
            time.sleep(0.5)

    def heal(self) -> str:
        """Scale the highest component by hand, and return how long it stays so."""
        since = time.monotonic()
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": HIGHEST, "namespace": HIGHEST},
        }
        self.rehearsal.client.patch(deployment, {"spec": {"replicas": 3}})
        while time.monotonic() - since < HAND:
            seen = self.rehearsal.watcher.seen_since(since)
            scaled = [
                (at, item["spec"]["replicas"])
                for at, _, item in seen
                if mark_of(item) and item["metadata"]["name"] == HIGHEST
            ]
            changed = [at for at, replicas in scaled if replicas == 3]
            if healed := [at for at, replicas in scaled if changed and at > changed[0] and replicas == 1]:
                return f"healed in {healed[0] - changed[0]:.1f} s"
            time.sleep(0.25)
        return f"**not healed** within {HAND:.0f} s"

    def removal(self, tree: Tree) -> str:
        """Remove the middle, and return when it was deleted beside the rollout of its consumer."""
        self.roll(lambda: self.way.push(restarted(tree, "7", tree.applications)), "7", (LOWEST, HIGHEST))
        times = self.times("7")
        gone = [
            at - self.start
            for at, verb, item in self.rehearsal.watcher.seen_since(self.start)
            if item["kind"] == "Deployment"
            and item["metadata"]["name"] == MIDDLE
            and (verb == "DELETED" or "deletionTimestamp" in item["metadata"])
        ]
        if not gone or HIGHEST not in times.complete:
            return f"**not carried out** within {PATIENCE:.0f} s"
        late = gone[0] - times.complete[HIGHEST]
        return f"deleted {late:.1f} s after it" if late >= 0 else f"**deleted {-late:.1f} s before it**"

    def run(self, tree: Tree, without: Tree) -> dict[str, str]:
        """Play all phases, and return what became of each."""
        way, found = self.way, {}

        def push(mark: str, *faulty: str) -> Callable[[], None]:
            changed = restarted(tree, mark, tree.applications)
            return lambda: way.push(broken(changed, *faulty) if faulty else changed)

        found["first install"] = self.roll(push("0"), "0", first=True).told()
        found["update of all three in one push"] = self.roll(push("1"), "1").told()
        found["a change by hand"] = self.heal()
        found["`git revert` of the update"] = self.roll(self.rehearsal.scratch.revert, "0").told()
        found["update, controller killed in the middle"] = self.roll(push("2"), "2", kill=True).told()
        fixes = {"the fix": False} | ({"the fix, taken over": True} if isinstance(way, Pins) else {})
        for number, (what, take_over) in enumerate(fixes.items()):
            held = self.roll(push(f"3{number}", LOWEST), f"3{number}", hold=True)
            others = [name for name in (MIDDLE, HIGHEST) if name in held.began]
            found["broken lowest: later waves"] = f"**begin: {', '.join(others)}**" if others else "hold"
            found[what] = self.roll(push(f"4{number}"), f"4{number}", take_over=take_over).told()
        found["removal of the middle, and the rollout of its consumer"] = self.removal(without)
        return found


def main() -> None:
    """Try all ways, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ways", nargs="*", metavar="WAY", help="Way, RollingSync or Pins; by default all")
    chosen = parser.parse_args().ways
    tools, table = find_tools(), {}
    for kind in (Way, RollingSync, Pins):
        if chosen and kind.__name__ not in chosen:
            continue
        tree, without = chain(*CHAIN), chain(LOWEST, HIGHEST)
        timeout = json.loads(tree.files[f"bootstrap/argocd/{ENV}.tfvars.json"])["sync_timeout_seconds"]
        with tempfile.TemporaryDirectory() as name:
            Git(Path(name)).run("init", "--quiet")
            repository = ENVIRONMENT.repository
            health = {"argoproj.io_Application": kind.health.read_text()}
            here = repository.url, repository.branch, Path(name)
            settings = Settings(ENV, *here, Nodes(3), health, ENVIRONMENT.argocd, timeout)
            with Rehearsal(tools, settings, [Snapshot.of_files("declared", tree.files)], log) as rehearsal:
                table[kind.title] = Trial(kind(rehearsal, tools, tree)).run(tree, without)
        log(json.dumps(table[kind.title], indent=2))
    rows = max(table.values(), key=len)
    print(f"Argo CD {tools.argocd.version}, Kubernetes {tools.kube_apiserver.version}, {datetime.now(UTC):%Y-%m-%d}\n")
    print(f"| | {' | '.join(table)} |\n|---|{'---|' * len(table)}")
    for row in rows:
        print(f"| {row} | {' | '.join(found.get(row, '') for found in table.values())} |")


if __name__ == "__main__":
    main()

"""Three ways to have Argo CD roll the same services out, for ``rollouts.py``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import yaml
from generated import ENVIRONMENT

from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.publish.takeover import Takeover, kubectl
from constructs_lib.rehearse.argocd import APPLICATION_SETS
from constructs_lib.rehearse.rehearsal import Rehearsal
from constructs_lib.rehearse.tools import Tools
from constructs_lib.synth.tree import Tree

HERE = Path(__file__).resolve().parent
ENV = ENVIRONMENT.name


def log(line: str) -> None:
    """Say what is under way."""
    print(line, file=sys.stderr, flush=True)


class Way:
    """Applications under a root that follow the branch.

    Attributes:
        title: What it is.
        health: The health check of Applications.
    """

    title = "Applications that follow the branch"
    health = HERE / "alternatives/documented-health.lua"

    def __init__(self, rehearsal: Rehearsal, tools: Tools, tree: Tree) -> None:
        """Start nothing yet."""
        self.rehearsal, self.tools, self.tree = rehearsal, tools, tree

    def object(self, name: str) -> Manifest:
        """Return an object of the folder of Applications."""
        found: Manifest = yaml.safe_load(self.tree.files[f"argocd/{ENV}/{name}.yaml"])
        return found

    def push(self, tree: Tree) -> None:
        """Push what is declared."""
        self.rehearsal.scratch.commit_tree(tree)

    def begin(self) -> None:
        """Apply what deploys the first push."""
        for name in ("AppProject-chain-root", "root"):
            self.rehearsal.client.apply(self.object(name))

    def take_over(self) -> None:
        """Do what is done besides a push when the last one hangs: nothing."""

    def kill(self) -> None:
        """Kill the controller and start another."""
        self.rehearsal.argocd.kill_controller()


class RollingSync(Way):
    """An ApplicationSet whose steps are the waves. It is applied at the push, as a root would a moment later."""

    title = "ApplicationSet with RollingSync"

    def push(self, tree: Tree) -> None:
        """Push, and apply the ApplicationSet with the projects."""
        super().push(tree)
        for project in tree.projects.values():
            self.rehearsal.client.apply(project)
        declared = yaml.safe_load((HERE / "alternatives/applicationset.yaml").read_text())
        elements = declared["spec"]["generators"][0]["list"]["elements"]
        elements[:] = [each for each in elements if each["name"] in tree.applications]
        self.rehearsal.client.apply(declared)

    def begin(self) -> None:
        """Start the controller of ApplicationSets."""
        self.rehearsal.argocd.start_application_sets()

    def kill(self) -> None:
        """Kill both controllers and start others."""
        self.rehearsal.workspace.stop(APPLICATION_SETS, kill=True)
        super().kill()
        self.rehearsal.argocd.start_application_sets()


class Pins(Way):
    """Applications under a root that are pinned by ``publish``."""

    title = "`publish`: pins under a root"
    health = HERE.parent / "bootstrap/argocd/application-health.lua"

    def push(self, tree: Tree) -> None:
        """Publish."""
        if not self.rehearsal.scratch.head:
            self.rehearsal.scratch.commit_tree(tree)
        self.rehearsal.scratch.publish(tree)

    def take_over(self) -> None:
        """Take over from what hangs, as ``publish --context`` does."""
        run = kubectl("rehearsal", self.rehearsal.kubeconfig, os.fspath(self.tools.kubectl))
        scratch = self.rehearsal.scratch
        pins = {name: pin.revision for name, pin in scratch.pins(ENV).items()}
        Takeover(run, self.object("root"), log).take_over(pins, scratch.head or "")

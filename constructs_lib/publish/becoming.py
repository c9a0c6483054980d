"""The files of an environment as they become by a publication, where they are not what its tree holds."""

from collections.abc import Mapping

from constructs_lib.argocd.objects import parse
from constructs_lib.derive.applications import left_alone_no_more
from constructs_lib.repository.git import Git
from constructs_lib.repository.pins import Pin, Pins
from constructs_lib.repository.snapshot import Files
from constructs_lib.synth.ownership import generated
from constructs_lib.synth.paths import application_file


def as_pinned(git: Git, environment: str, files: Files, pins: Mapping[str, Pin]) -> dict[str, bytes]:
    """Return the files of an environment, with those of some components as their pins have them."""
    found = {**files}
    for name, pin in pins.items():
        folder = f"dist/{environment}/{name}"
        found = {path: content for path, content in found.items() if not path.startswith(f"{folder}/")}
        found |= git.files(pin.revision, [folder])
    return found


def settled(files: Files, environment: str, pins: Pins, contents: Mapping[str, str]) -> dict[str, bytes]:
    """Return the Applications that differ once the pins of some components have moved to what the files hold.

    Args:
        files: The files of a tree that was synthesized with these pins.
        environment: Name of the environment.
        pins: Its pins.
        contents: The ids of the folders of the components whose pins will move.
    """
    found: dict[str, bytes] = {}
    for component, content in contents.items():
        pin, path = pins.components.get(component), application_file(environment, component)
        if pin and pin.content != content and pin.autoscaled and path in files:
            folder = f"dist/{environment}/{component}"
            gone = [
                workload
                for workload in pin.autoscaled
                if f"{folder}/HorizontalPodAutoscaler-{workload.partition('/')[2]}.yaml" not in files
            ]
            for each in parse(path, files[path]):
                found[path] = generated(path, left_alone_no_more(each.manifest, gone))
    return found

"""Further containers in the pods of a program: what runs before it, and what runs beside it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from constructs_lib.declare import validation
from constructs_lib.declare.calls import explained
from constructs_lib.declare.probe import Probe
from constructs_lib.declare.secret import Field, Plain, Secret
from constructs_lib.kubernetes.pod import SCRIPT_RESOURCES, Resources
from constructs_lib.text import nearest, shown


@explained
@dataclass(frozen=True, kw_only=True)
class Container:
    """A container beside that of the program.

    Attributes:
        name: Its name.
        image: Its image, with a digest or an exact version.
        command: What it runs. Default: what the image says.
        args: Its arguments. Default: what the image says.
        env: Its own environment variables.
        with_variables: Whether it gets the variables of the program as well, those of edges among them: all, or those
            with these names. What an agent is told is the program's alone. Default False.
        resources: What it asks for. Default: 50m CPU, 64Mi memory, limit 256Mi.
        mounts: Paths of volumes and folders of files of the program that it shares. Default: none.
        startup: Of a sidecar: when it has started, for which what comes after it waits. Default: at once.
        readiness: Of a sidecar: when the pod takes traffic, as far as it is concerned. Default: as ``startup``, or its
            first port in a Service accepts connections; without one, once it runs.
        liveness: Of a sidecar: when it is left alive. Default: always.
    """

    name: str
    image: str
    command: Sequence[str] = ()
    args: Sequence[str] = ()
    env: Mapping[str, str | Secret | Field | Plain] = field(default_factory=dict, hash=False)
    with_variables: bool | Sequence[str] = False
    resources: Resources = SCRIPT_RESOURCES
    mounts: Sequence[str] = ()
    startup: Probe | None = None
    readiness: Probe | None = None
    liveness: Probe | None = None

    @property
    def probes(self) -> dict[str, Probe]:
        """Its probes, by their argument."""
        given = {"startup": self.startup, "readiness": self.readiness, "liveness": self.liveness}
        return {name: probe for name, probe in given.items() if probe is not None}

    def problems(self, paths: Sequence[str], tags: validation.ImageTags = "exact") -> Iterator[str]:
        """Yield what is wrong with it, where the program has something mounted at these paths."""
        for problem in (validation.dns_label(self.name), validation.image(self.image, tags)):
            if problem:
                yield problem
        yield from self.resources.problems()
        for path in self.mounts:
            if path not in paths:
                yield f"mounts: the program has nothing at {shown(path)}; {nearest(path, paths)}"
        for argument, probe in self.probes.items():
            for problem in probe.problems():
                yield f"{argument}: {problem}"

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
        startup: When it has started; of a sidecar, for which what comes after it waits. Default: at once.
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

    def problems(self, paths: Sequence[str], tags: validation.ImageTags = "exact") -> Iterator[str]:
        """Yield what is wrong with it, where the program has something mounted at these paths."""
        for problem in (validation.dns_label(self.name), validation.image(self.image, tags)):
            if problem:
                yield problem
        yield from self.resources.problems()
        for path in self.mounts:
            if path not in paths:
                yield f"mounts: the program has nothing at {shown(path)}; {nearest(path, paths)}"
        if self.startup is not None:
            for problem in self.startup.problems():
                yield f"startup: {problem}"

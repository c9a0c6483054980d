"""What is in a repository that tells of no Application: what tools read of it, and what is deployed as it is."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from constructs_lib.argocd.objects import is_skipped
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.repository.kustomizations import Kustomizations
from constructs_lib.repository.patches import Patch
from constructs_lib.repository.snapshot import Snapshot
from constructs_lib.repository.sources import Source, everything
from constructs_lib.text import listed, plural

_KUSTOMIZATION = re.compile(r"(?:.*/)?[Kk]ustomization(?:\.ya?ml)?")
#: The files of a chart from which Helm makes objects.
_MADE = re.compile(r"(?:charts/[^/]+/)*(?:templates|crds)/")


@dataclass
class Part:
    """Files that are deployed together as far as that is known.

    Attributes:
        source: The folder, and the tool that reads it; None for the files that no tool reads.
        files: The files, by path.
        patches: What Kustomize changes in them.
    """

    source: Source | None
    files: Mapping[str, bytes]
    patches: Sequence[Patch] = ()


@dataclass
class Loose:
    """Everything in some files of a repository that tells of no Application.

    What a tool reads is not deployed as it is: what kustomizations and templates are left out, and the files beside a
    kustomization that it does not name.

    Attributes:
        files: The files whose objects may be deployed, by path.
        rendered: Files from which a tool renders what is not known here, by path.
        skipped: Files that say in their text that they are not to be rendered.
        unnamed: Files that a kustomization in their folder, or above it, does not name.
        parts: What is deployed together, if a tool reads some of it; else none.
    """

    snapshot: Snapshot
    paths: Sequence[str]
    cache: Cache
    files: dict[str, bytes] = field(default_factory=dict)
    rendered: dict[str, bytes] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read everything."""
        self.files = {path: self.snapshot.files[path] for path in self.paths}
        self.skipped = [path for path, text in self.files.items() if is_skipped(text)]
        apart = {path for path in self.files if path.endswith(".jsonnet")}
        charts: list[Part] = []
        for folder in self._charts:
            inside = everything(self.snapshot, folder)
            self.rendered |= inside
            made = {path: text for path, text in inside.items() if _MADE.match(path.removeprefix(f"{folder}/"))}
            # What is no template is deployed as it is.
            charts.append(
                Part(Source(folder, "", "Helm"), {path: made[path] for path in made if b"{{" not in made[path]})
            )
            apart |= made.keys() - charts[-1].files.keys()
        built: list[Part] = []
        inner: set[str] = set()
        kustomizations = Kustomizations(self.snapshot, self.cache)
        for folder in self._kustomizations:
            found = kustomizations.build(folder)
            built.append(Part(Source(folder, "", "Kustomize"), found.resources, found.patches))
            self.rendered |= found.others
            apart |= found.others.keys()
            inner |= found.folders.keys() - {folder}
        resources = {path for part in built for path in part.files}
        self.unnamed = sorted(path for path in self.files.keys() - resources - apart if self._is_beside(path))
        apart = (apart - resources) | {*self.unnamed, *self.skipped}
        self.files = {path: text for path, text in self.files.items() if path not in apart}
        self._divide([*charts, *(part for part in built if part.source and part.source.path not in inner)])

    def _divide(self, parts: Sequence[Part]) -> None:
        for part in parts:
            part.files = {path: text for path, text in part.files.items() if path in self.files}
        read = {path for part in parts for path in part.files}
        if read:
            plain = Part(None, {path: text for path, text in self.files.items() if path not in read})
            self.parts = [part for part in (plain, *parts) if part.files]

    def not_looked_at(self, unseen: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Yield what is rendered and what is left out, each by a name; ``unseen`` says what is not known of tools."""
        tools = (("Helm", "Helm chart", self._charts), ("Kustomize", "kustomization", self._kustomizations))
        for tool, name, folders in tools:
            if folders:
                count = f"{plural(len(folders), name)} ({listed([folder or '.' for folder in folders], 5)})"
                yield tool, f"{count}: {unseen[tool]}."
        if self.unnamed:
            count = f"{plural(len(self.unnamed), 'file')} ({listed(self.unnamed, 5)})"
            yield "unnamed", f"{count}: a kustomization in the folder or above it does not name them."

    @cached_property
    def _charts(self) -> list[str]:
        return [path.rpartition("/")[0] for path in self.paths if f"/{path}".endswith("/Chart.yaml")]

    @cached_property
    def _kustomizations(self) -> list[str]:
        paths = filter(_KUSTOMIZATION.fullmatch, (*self.paths, *self.snapshot.others))
        return sorted({path.rpartition("/")[0] for path in paths})

    def _is_beside(self, path: str) -> bool:
        while path and path not in self._above:
            path = path.rpartition("/")[0]
        return path in self._above

    @cached_property
    def _above(self) -> frozenset[str]:
        return frozenset(self._kustomizations)

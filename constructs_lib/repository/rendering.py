"""What charts and folders of others hold, rendered by Helm and Kustomize as Argo CD does it.

As ``helmTemplate`` in ``reposerver/repository/repository.go`` and ``template`` in ``util/helm/cmd.go`` of Argo CD call
Helm. What was fetched and what was rendered is kept in the user's cache, so that the same is asked for once: a version
and a digest never change what they mean.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from constructs_lib.argocd.charts import OCI
from constructs_lib.kubernetes.manifest import mapping, mappings, sequence
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.kubernetes.manifest_yaml import dump
from constructs_lib.repository.user_cache import cache_folder
from constructs_lib.text import plural

#: Seconds to wait for a repository that does not answer, and for what renders.
FETCHING, RENDERING = 20, 60
#: Where a document of Helm's output comes from, in its first line.
_SOURCE = re.compile(r"# Source: [^/\s]+/(\S+)")
#: What Helm says when a chart in Git comes without the charts that it needs.
_MISSING = "found in Chart.yaml, but missing in charts/ directory"
_REPOSITORY = re.compile(r"^[ -]{0,20}repository: \"?(https?://[^\s\"]+)", re.MULTILINE)
_UNREACHABLE = re.compile(r'looks like "([^"]+)" is not a valid chart repository or cannot be reached: ')
#: What is said where nobody answers, and not of a chart alone.
_UNANSWERED = re.compile(r"cannot be reached|no answer|dial tcp|[Cc]ould not resolve|refused|unable to access")
_NOISE = ("WARNING", "Use --debug", "walk.go")
_MANIFESTS = (".yaml", ".yml", ".json")
_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_OPTIONS = {
    "parameters",
    "passCredentials",
    "releaseName",
    "skipCrds",
    "skipTests",
    "values",
    "valuesObject",
    "version",
}


class NotRenderedError(Exception):
    """Why nobody could look at a chart, in a few words."""


@dataclass(frozen=True)
class Release:
    """For what a chart is rendered.

    Attributes:
        name: Name of the Application, and of the release unless the source says another.
        namespace: Its destination.
        kubernetes: Minor version of Kubernetes, such as ``1.36``; empty if it is not known.
        apis: What the cluster serves beside what Kubernetes does, as ``group/version`` and ``group/version/Kind``.
    """

    name: str
    namespace: str
    kubernetes: str = ""
    apis: Sequence[str] = ()


def find_helm() -> Path | None:
    """Return Helm: the one on PATH, or the newest that ``rehearse --setup`` has built."""
    return _program("helm", "helm-*")


def _program(name: str, folder: str) -> Path | None:
    if on_path := shutil.which(name):
        return Path(on_path)
    built = cache_folder("rehearse").glob(f"{folder}/{name}")
    return max(built, key=lambda path: [int(part) for part in re.findall(r"\d+", path.parent.name)], default=None)


@dataclass
class Charts:
    """Looks into charts.

    Attributes:
        helm: The program; None if there is none.
        folder: Where what was fetched and rendered is kept.
    """

    helm: Path | None = field(default_factory=find_helm)
    folder: Path = field(default_factory=lambda: cache_folder("charts"))
    #: Why repositories did not answer in this run, by their address: none is waited for twice.
    _silent: dict[str, str] = field(default_factory=dict)

    def render(self, source: Mapping[str, Any], release: Release, *, twice: bool = False) -> dict[str, bytes]:
        """Return what Argo CD renders for a source of an Application that names a chart or a folder of others.

        Args:
            source: The source.
            release: For what it is rendered.
            twice: Whether to refuse what differs each time.

        Returns:
            The objects, by the file that they come from.

        Raises:
            NotRenderedError: It cannot be fetched or rendered, or says something that is not known here.
        """
        helm = mapping(source.get("helm"))
        if unknown := sorted(key for key in {*helm} - _OPTIONS if helm[key]):
            raise NotRenderedError(f"its source says {', '.join(unknown)}, which are not read here")
        if source.get("kustomize") or source.get("plugin") or source.get("directory"):
            raise NotRenderedError("its source has options that are not read here")
        key = _key({"source": dict(source), "release": vars(release), **({"twice": True} if twice else {})})
        kept = self.folder / "rendered" / f"{key}.json"
        if kept.is_file():
            return {path: str(text).encode() for path, text in json.loads(kept.read_bytes()).items()}
        try:
            with self._fetched(source) as place:
                text = self._rendered(source, helm, release, place)
                again = dict(_documents(self._rendered(source, helm, release, place) if twice else text))
            if differing := sorted(path for path, content in _documents(text) if again.get(path) != content):
                raise NotRenderedError(f"what it makes of {differing[0]} differs each time, by chance or by the clock")
            found = dict(map(_as_json, _documents(text)))
            _keep(kept, json.dumps({path: content.decode() for path, content in found.items()}))
        except OSError as error:
            raise NotRenderedError(f"{self.folder} cannot be used: {error.strerror}") from None
        return found

    @contextmanager
    def _fetched(self, source: Mapping[str, Any]) -> Iterator[Path]:
        """Have an archive of a chart, or a folder of a Git repository, while the context lasts."""
        address = str(source.get("repoURL") or "")
        if address in self._silent:
            raise NotRenderedError(self._silent[address])
        is_packed = bool(source.get("chart")) or address.startswith(OCI)
        name = _key({key: source.get(key) for key in ("repoURL", "chart", "targetRevision")})
        kept = self.folder / "fetched" / (f"{name}.tgz" if is_packed else name)
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=kept.parent, prefix=".") as temporary:
                try:
                    found = (self._pull if is_packed else self._clone)(source, Path(temporary))
                except NotRenderedError as reason:
                    if _UNANSWERED.search(str(reason)):
                        self._silent[address] = str(reason)
                    raise
                with suppress(OSError):  # somebody else has fetched it meanwhile
                    found.replace(kept)
        yield kept

    def _pull(self, source: Mapping[str, Any], folder: Path) -> Path:
        address, version = str(source["repoURL"]), str(source.get("targetRevision") or "")
        options = ["--destination", str(folder)]
        if address.startswith(OCI) and version.startswith("sha256:"):
            chart = f"{address}@{version}"
        else:
            options += ["--version", version]
            chart = address if address.startswith(OCI) else str(source["chart"])
            if address.startswith(("https://", "http://")):
                options += ["--repo", address]
            elif not address.startswith(OCI):
                chart = f"{OCI}{address}/{chart}"
        # A name that begins with a hyphen would be an option.
        self._run([self._helm, "pull", *options, "--", chart], FETCHING)
        return next(folder.glob("*.tgz"))

    def _clone(self, source: Mapping[str, Any], folder: Path) -> Path:
        address, revision = str(source["repoURL"]), str(source.get("targetRevision") or "HEAD")
        checkout = folder / "repository"
        self._run(["git", "init", "--quiet", str(checkout)], FETCHING)
        # An address or a revision that begins with a hyphen would be an option.
        fetch = ["fetch", "--quiet", "--depth=1", "--no-tags", "--end-of-options", address, revision]
        self._run(["git", "-C", str(checkout), *fetch], FETCHING)
        self._run(["git", "-C", str(checkout), "checkout", "--quiet", "FETCH_HEAD"], FETCHING)
        shutil.rmtree(checkout / ".git")
        root = checkout.resolve()
        # As Argo CD does (``CheckOutOfBoundsSymlinks``): what is rendered would show files of this machine.
        for path in root.rglob("*"):
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise NotRenderedError(f"the symbolic link {path.relative_to(root)} leaves its repository")
        return checkout

    def _rendered(self, source: Mapping[str, Any], helm: Mapping[str, Any], release: Release, place: Path) -> str:
        root = place.resolve() if place.is_dir() else None
        if root:
            place = (place / str(source.get("path") or "")).resolve()
            if not place.is_dir() or not place.is_relative_to(root):
                raise NotRenderedError(f"its repository has no folder {source.get('path')}")
            if not (place / "Chart.yaml").is_file():
                return _plain(place)
        return self._template(helm, release, place, root)

    def _template(self, helm: Mapping[str, Any], release: Release, chart: Path, root: Path | None) -> str:
        command = [self._helm, "template", str(chart), "--name-template", str(helm.get("releaseName") or release.name)]
        command += ["--namespace", release.namespace] if release.namespace else []
        command += ["--kube-version", f"{release.kubernetes}.0"] if release.kubernetes else []
        for api in release.apis:
            command += ["--api-versions", api]
        for parameter in mappings(helm.get("parameters")):
            value = str(parameter.get("value"))
            # A comma would begin another parameter, but in a list (``cleanSetParameters`` of Argo CD).
            value = value if re.fullmatch(r"\{.*\}", value, re.S) else re.sub(r"(?<!\\),", r"\,", value)
            option = "--set-string" if parameter.get("forceString") is True else "--set"
            command += [option, f"{parameter.get('name')}={value}"]
        command += [] if helm.get("skipCrds") is True else ["--include-crds"]
        # Argo CD applies none of them, whatever the source says.
        command += ["--skip-tests"]
        with TemporaryDirectory() as folder:
            # Argo CD takes the object, and only without one the text.
            values = helm.get("valuesObject")
            text = dump(dict(mapping(values))) if values else str(helm.get("values") or "").encode()
            (Path(folder) / "values.yaml").write_bytes(text)
            command += ["--values", str(Path(folder) / "values.yaml")]
            try:
                return self._run(command, RENDERING)
            except NotRenderedError as reason:
                if _MISSING not in str(reason) or root is None:
                    raise
                # Helm writes into the folder of the chart, and may need what lies beside it.
                copy = Path(shutil.copytree(root, Path(folder) / "repository", symlinks=True))
                command[2] = str(copy / chart.relative_to(root))
                self._build(Path(command[2]), Path(folder))
                return self._run(command, RENDERING)

    def _build(self, chart: Path, home: Path) -> None:
        """Fetch what a chart in Git needs, from the repositories that it names, as Argo CD does."""
        environment = {"HELM_REPOSITORY_CONFIG": f"{home}/repositories.yaml", "HELM_REPOSITORY_CACHE": f"{home}/cache"}
        said = self._run([self._helm, "show", "chart", str(chart)], RENDERING)
        addresses = dict.fromkeys(_REPOSITORY.findall(said))
        for number, address in enumerate(addresses):
            self._run([self._helm, "repo", "add", f"of-chart-{number}", address], FETCHING, environment)
        self._run([self._helm, "dependency", "build", str(chart)], FETCHING, environment)

    @property
    def _helm(self) -> str:
        if self.helm is None:
            raise NotRenderedError("there is no Helm: install it, or python app.py rehearse --setup builds one")
        return str(self.helm)

    @staticmethod
    def _run(command: Sequence[str], seconds: int, environment: Mapping[str, str] | None = None) -> str:
        # Whoever wrote the tree has no business with other protocols, such as that for files of this machine.
        quiet = {
            "GIT_ALLOW_PROTOCOL": "https:ssh",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
        }
        try:
            done = subprocess.run(
                command,
                env={**quiet, **os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NotRenderedError(f"no answer in {plural(seconds, 'second')}") from None
        except OSError as error:
            raise NotRenderedError(f"{command[0]}: {error.strerror}") from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith(_NOISE)]
            said = " ".join(lines[-3:]).removeprefix("Error: ").strip()
            if unreachable := _UNREACHABLE.search(said):
                said = f"{unreachable[1]} cannot be reached ({said.rpartition(': ')[2]})"
            raise NotRenderedError(said or f"{Path(command[0]).name} ended with {done.returncode}")
        return done.stdout


#: What looks into charts in this run of the command line; None where nobody asked for it.
looking: ContextVar[Charts | None] = ContextVar("looking", default=None)


@contextmanager
def looking_with(charts: Charts | None) -> Iterator[None]:
    """Have charts looked into while the context lasts."""
    token = looking.set(charts)
    try:
        yield
    finally:
        looking.reset(token)


def _plain(folder: Path) -> str:
    """Return what Argo CD reads from a folder: through Kustomize, or its manifests as they are."""
    if not any((folder / name).is_file() for name in _KUSTOMIZATIONS):
        files = sorted(path for path in folder.iterdir() if path.suffix in _MANIFESTS and path.is_file())
        return "".join(f"---\n# Source: folder/{path.name}\n{path.read_text(encoding='utf-8')}\n" for path in files)
    if kustomize := shutil.which("kustomize"):
        return Charts._run([kustomize, "build", str(folder)], RENDERING)
    if kubectl := _program("kubectl", "kubernetes-*"):
        return Charts._run([str(kubectl), "kustomize", str(folder)], RENDERING)
    raise NotRenderedError("there is no kustomize: install it, or python app.py rehearse --setup builds a kubectl")


def _documents(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield the documents of what was rendered, those of one file together, by that file."""
    found: dict[str, list[str]] = {}
    for document in re.split(r"^---(?:[ \t].*)?$", text, flags=re.MULTILINE):
        if any(line.strip() and not line.startswith("#") for line in document.splitlines()):
            source = _SOURCE.search(document)
            found.setdefault(source[1] if source else "manifests.yaml", []).append(document.strip("\n"))
    for path, documents in sorted(found.items()):
        yield path, "\n---\n".join(documents).encode() + b"\n"


def _as_json(file: tuple[str, bytes]) -> tuple[str, bytes]:
    """Return a file as JSON, which is read ten times as fast; as it is if Argo CD cannot read it."""
    path, content = file
    manifests = Cache().manifests(path, content)
    with suppress(ValueError):  # JSON has no infinity
        if not isinstance(manifests, str):
            items = {"apiVersion": "v1", "kind": "List", "items": manifests}
            return f"{path}.json", json.dumps(items, allow_nan=False).encode()
    return file


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _key(what: object) -> str:
    """Return a name for what a file in the cache was made from."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()


def apis_of(items: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the custom APIs that a cluster serves once it has these objects: theirs, and those that they define."""
    found: set[str] = set()
    for item in items:
        version = str(item.get("apiVersion"))
        if item.get("kind") == "CustomResourceDefinition":
            spec = mapping(item.get("spec"))
            kind = mapping(spec.get("names")).get("kind")
            for served in (each for each in map(mapping, sequence(spec.get("versions"))) if each.get("served") is True):
                found |= {(group := f"{spec.get('group')}/{served.get('name')}"), f"{group}/{kind}"}
        elif "." in version.partition("/")[0] and not version.partition("/")[0].endswith(".k8s.io"):
            found |= {version, f"{version}/{item.get('kind')}"}
    return sorted(found)

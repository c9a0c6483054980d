"""What a program has mounted: files from its declaration, and volumes."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from constructs_lib.credentials import is_well_known, logins
from constructs_lib.declare import validation
from constructs_lib.declare.secret import Secret, SecretReference
from constructs_lib.declare.volume import Claim, Empty, HostPath, Memory, Volume
from constructs_lib.declare.workload import Workload
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.manifest import Manifest, protected
from constructs_lib.text import shown

#: Folders that are not empty in most images: a volume would hide what is in them.
FULL_FOLDERS = frozenset(
    ("/", "/app", "/bin", "/etc", "/home", "/lib", "/opt", "/root", "/run", "/sbin", "/tmp", "/usr", "/var")
)
#: What may be the name of a file, or its path.
_IS_NAME = re.compile(r"[\w./-]{1,200}\.\w{1,10}")
#: Bytes that a ConfigMap may hold: https://kubernetes.io/docs/concepts/configuration/configmap/.
_MOST = 1024**2


class Mounted:
    """The files and volumes of a workload."""

    def __init__(self, workload: Workload) -> None:
        """Have nothing mounted yet."""
        self._workload = workload
        #: Secret values, and texts, by the path of the file.
        self.secrets: dict[str, SecretReference] = {}
        self.texts: dict[str, str] = {}
        #: Volumes, by the path at which they are mounted.
        self.volumes: dict[str, Volume] = {}
        #: Whether a StatefulSet makes the claims, one for each pod.
        self.has_templates = False

    @property
    def paths(self) -> list[str]:
        """Where something is mounted: volumes and the folders of files."""
        return sorted({*self.volumes, *self._folders()})

    @property
    def claims(self) -> dict[str, Claim]:
        """The claims among the volumes, by their path."""
        return {path: volume for path, volume in self.volumes.items() if isinstance(volume, Claim)}

    def take_files(self, files: Mapping[str, str | Path | Secret]) -> None:
        """Take files; what is wrong with one is reported."""
        report = self._workload.report
        for path, content in files.items():
            folder, name = posixpath.split(path)
            if not path.startswith("/") or posixpath.normpath(path) != path or not name:
                report(f'files: {shown(path)} is no absolute path of a file; write it like "/etc/service/key.json".')
            elif folder in FULL_FOLDERS:
                report(
                    f'files: "{path}": a volume would hide what {folder} holds; give the file a folder of its own, for '
                    f'instance "{folder.rstrip("/")}/{self._workload.id}/{name}".'
                )
            elif problem := validation.file_names([path]):
                report(f"files: {problem}")
            elif isinstance(content, Secret):
                # The first of a name keeps it, so that a further one does not move what the store holds already.
                is_second = any(posixpath.basename(other) == name for other in self.secrets)
                self.secrets[path] = self._workload.secret(_key(path) if is_second else name, content)
            else:
                text = self._read(path, content) if isinstance(content, Path) else content
                beside = Path(self._workload.location.file).parent / text if _IS_NAME.fullmatch(text) else None
                if isinstance(content, str) and beside and beside.is_file():
                    report(f'files: "{path}" would hold the text {shown(text)}; for the file write Path("{text}").')
                if any(logins(text)) or is_well_known(text):
                    report(f'files: "{path}" holds a password or a token in plain text; use supplied("…").')
                self.texts[path] = text
        if sum(len(text.encode()) for text in self.texts.values()) > _MOST:
            report("files: together they hold more than a megabyte, which no ConfigMap can; put them into the image.")

    def _read(self, path: str, file: Path) -> str:
        try:
            return file.read_text(encoding="utf-8")
        except FileNotFoundError:
            beside = ", ".join(entry.name for entry in sorted(file.parent.glob("*"))[:8])
            self._workload.report(f'files: "{path}": there is no file "{file}"; in its folder: {beside or "none"}.')
        except (OSError, UnicodeDecodeError) as problem:
            self._workload.report(f'files: "{path}": the file "{file}" cannot be read as UTF-8 text: {problem}')
        return ""

    def take_volumes(self, volumes: Mapping[str, Volume]) -> None:
        """Take volumes; what is wrong with one is reported."""
        report = self._workload.report
        names: dict[str, str] = {}
        for path, volume in volumes.items():
            for problem in volume.problems():
                report(f"volumes, {path}: {problem}")
            if not path.startswith("/") or posixpath.normpath(path) != path:
                report(f'volumes: {shown(path)} is no absolute path; write it like "/var/lib/service".')
            elif path in FULL_FOLDERS:
                hint = "it is writable in any case; leave it out" if path == "/tmp" else "choose a folder of its own"
                report(f'volumes: "{path}": a volume would hide what {path} holds; {hint}.')
            elif path in self._folders():
                report(f'volumes: "{path}" has files already; choose another folder.')
            elif wrong := validation.dns_label(_slug(path)):
                report(f"volumes: {wrong}")
            elif (other := names.setdefault(_slug(path), path)) != path:
                report(f'volumes: "{other}" and "{path}" would both be called {_slug(path)}; rename one of them.')
            elif isinstance(volume, HostPath) and self._workload.component.pod_security != "privileged":
                report(
                    f'volumes, {path}: a folder of the node needs Component(…, pod_security="privileged"); its '
                    f"namespace is {self._workload.component.pod_security}."
                )
            else:
                self.volumes[path] = volume
                if isinstance(volume, Claim):
                    self._workload.component.holds_data = True

    def _folders(self) -> dict[str, list[str]]:
        folders: dict[str, list[str]] = {}
        for path in sorted([*self.secrets, *self.texts]):
            folders.setdefault(posixpath.dirname(path), []).append(path)
        return folders

    def objects(self) -> Iterator[tuple[int, Manifest]]:
        """Yield the ConfigMap of the files, and the claims: a claim waits for the first pod that uses it."""
        if self.texts:
            data = {_key(path): text for path, text in sorted(self.texts.items())}
            yield 0, self._workload.manifest("v1", "ConfigMap", "-files", data=data)
        for path, claim in () if self.has_templates else sorted(self.claims.items()):
            spec = self.claim_spec(claim)
            made = self._workload.manifest(
                "v1", "PersistentVolumeClaim", f"-{_slug(path)}", annotations=protected(), spec=spec
            )
            yield (
                1,
                {**made, "metadata": {**made["metadata"], "name": claim.name}} if claim.name else made,
            )

    def claim_spec(self, claim: Claim) -> dict[str, Any]:
        """Return the spec of a claim, of the cluster's storage class if it names none."""
        default = self._workload.system.environment.cluster.storage_class
        return pod.volume_claim(claim.size, claim.storage_class or default, claim.access)

    def claim_templates(self) -> list[dict[str, Any]]:
        """Return the claims as a StatefulSet makes them, one for every pod."""
        return [
            {"metadata": {"name": claim.name or _slug(path)}, "spec": self.claim_spec(claim)}
            for path, claim in sorted(self.claims.items())
        ]

    def file_volumes(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield the volume of each folder of files, with how it is mounted."""
        for number, (folder, paths) in enumerate(self._folders().items()):
            name = f"files-{number}"
            keys = {
                self._workload.component.secret_key(self.secrets[path]): posixpath.basename(path)
                for path in paths
                if path in self.secrets
            }
            texts = {_key(path): posixpath.basename(path) for path in paths if path in self.texts}
            config = {"name": f"{self._workload.name}-files", "items": _items(texts)}
            if not texts:
                volume = pod.secret_volume(name, self._workload.component.id, keys)
            elif not keys:
                volume = {"name": name, "configMap": config}
            else:
                secret = {"name": self._workload.component.id, "items": _items(keys)}
                projected = {"defaultMode": 0o440, "sources": [{"configMap": config}, {"secret": secret}]}
                volume = {"name": name, "projected": projected}
            yield volume, pod.mount(name, folder, read_only=True)

    def data_volumes(self) -> Iterator[tuple[dict[str, Any] | None, dict[str, Any]]]:
        """Yield each volume with how it is mounted; the volume is None where a StatefulSet makes it."""
        for path, volume in sorted(self.volumes.items()):
            name = _slug(path)
            if isinstance(volume, Claim) and volume.name and self.has_templates:
                name = volume.name
            mount = pod.mount(name, path)
            if isinstance(volume, Claim):
                if volume.access == "ReadOnlyMany":
                    mount = pod.mount(name, path, read_only=True)
                claim = {"persistentVolumeClaim": {"claimName": volume.name or f"{self._workload.name}-{name}"}}
                yield None if self.has_templates else {"name": name, **claim}, mount
            elif isinstance(volume, HostPath):
                yield (
                    {"name": name, "hostPath": {"path": volume.path}},
                    pod.mount(name, path, read_only=volume.read_only),
                )
            elif isinstance(volume, Memory):
                yield pod.empty_volume(name, memory=True, size=volume.size), mount
            elif isinstance(volume, Empty):
                yield pod.empty_volume(name, size=volume.size), mount


def _items(keys: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "path": name} for key, name in keys.items()]


def _key(path: str) -> str:
    """Return the key of a file in a ConfigMap: two folders may have files of the same name."""
    return path.strip("/").replace("/", ".")


def _slug(path: str) -> str:
    """Return the name of the volume at a path."""
    return "".join(each if each.isalnum() else "-" for each in path.lower()).strip("-")

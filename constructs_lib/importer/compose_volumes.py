"""Files and volumes of a program from a service of Compose."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from constructs_lib.credentials import is_well_known, logins
from constructs_lib.importer import compose_arguments as arguments
from constructs_lib.importer import values
from constructs_lib.importer.code import call
from constructs_lib.importer.compose_file import ComposeFile, marks
from constructs_lib.importer.model import GUESSED, LEFT_OUT, Imported, Program
from constructs_lib.importer.stores import SIZE
from constructs_lib.kinds.parts.mounted import FULL_FOLDERS

#: Files that a folder may have to be taken for configuration, and their bytes.
_MANY, _LARGE = 20, 200_000


def read_files(imported: Imported, compose: ComposeFile, program: Program, service: Mapping[str, Any]) -> None:
    """Give a program its secrets and its configs, which are files."""
    files: dict[str, Any] = {}
    for each in arguments.listed(service.get("secrets")):
        name = str(each.get("source") if isinstance(each, dict) else each)
        target = str(each.get("target") or name) if isinstance(each, dict) else name
        path = target if target.startswith("/") else f"/run/secrets/{target}"
        files[path] = values.secret(imported, program.id, f"file {path}")
    for each in arguments.listed(service.get("configs")):
        name = str(each.get("source") if isinstance(each, dict) else each)
        path = str(each.get("target") or f"/{name}") if isinstance(each, dict) else f"/{name}"
        said = compose.configs.get(name, {})
        text = said.get("content")
        if said.get("file"):
            text = _text(compose.file.parent / str(said["file"]))
        if text is None or posixpath.dirname(path) in FULL_FOLDERS or marks(str(text)):
            imported.note(LEFT_OUT, f"{program.id}: the config {name} at {path}.")
        else:
            files[path] = _content(imported, program, path, str(text))
    if files:
        program.arguments["files"] = {**program.arguments.get("files", {}), **files}


def read_volumes(imported: Imported, compose: ComposeFile, program: Program, service: Mapping[str, Any]) -> None:
    """Give a program its volumes, and what it mounts of the folder of the file."""
    volumes: dict[str, Any] = {}
    files = dict(program.arguments.get("files", {}))
    for mount in arguments.mounts(service):
        path = mount.target.rstrip("/") or "/"
        if mount.kind == "bind":
            found = dict(_bound(imported, compose, program, mount))
            if found:
                files |= found
            continue
        if path == "/tmp":
            continue
        if path in FULL_FOLDERS:
            imported.note(LEFT_OUT, f"{program.id}: a volume at {path} would hide what the image has there.")
        elif mount.kind == "volume" and program.kind in ("Microservice", "StatefulSet"):
            other = imported.owners.setdefault(mount.source, program.id)
            if other != program.id:
                text = f"{program.id}: the volume {mount.source} at {path}, which is that of {other}."
                imported.note(LEFT_OUT, text)
                volumes[path] = call("Empty")
                continue
            volumes[path] = call("Claim", SIZE)
            imported.note(GUESSED, f"{program.id}: its volume at {path} has {SIZE}, of which nothing is said.")
        else:
            volumes[path] = call("Empty")
    if files:
        program.arguments["files"] = files
    if volumes:
        program.arguments["volumes"] = volumes


def _bound(
    imported: Imported, compose: ComposeFile, program: Program, mount: arguments.Mount
) -> Iterator[tuple[str, Any]]:
    """Yield the files of a path that is mounted; what is no configuration is told."""
    source, target = compose.file.parent / mount.source, mount.target.rstrip("/")
    if source.is_file() and posixpath.dirname(target) not in FULL_FOLDERS and (text := _text(source)) is not None:
        yield target, _content(imported, program, target, text)
        return
    inside = sorted(source.iterdir()) if source.is_dir() and mount.read_only else []
    texts = {each.name: _text(each) for each in inside if each.is_file()}
    if texts and len(texts) == len(inside) <= _MANY and None not in texts.values() and target not in FULL_FOLDERS:
        for name, text in texts.items():
            yield f"{target}/{name}", _content(imported, program, f"{target}/{name}", str(text))
        return
    why = "there is no such file" if not source.exists() else "it is of the machine, or no configuration"
    imported.note(LEFT_OUT, f"{program.id}: {mount.source}, mounted at {target}: {why}.")


def _text(file: Path) -> str | None:
    """Return the text of a small file; None if it is none."""
    try:
        return file.read_text(encoding="utf-8") if file.stat().st_size <= _LARGE else None
    except (OSError, UnicodeDecodeError):
        return None


def _content(imported: Imported, program: Program, path: str, text: str) -> Any:
    if is_well_known(text) or any(logins(text)):
        return values.secret(imported, program.id, f"file {path}")
    return values.file(imported, program.id, posixpath.basename(path), text)

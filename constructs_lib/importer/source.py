"""Reads what is to be imported, and says what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from constructs_lib.argocd.objects import unreadable
from constructs_lib.kubernetes.bounds import BoundedLoader
from constructs_lib.kubernetes.manifest import Manifest, mapping
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.text import listed
from constructs_lib.user_error import UserError

_ENDINGS = (".yaml", ".yml", ".json")
#: What Compose looks for in a folder, in its order:
#: https://docs.docker.com/compose/intro/compose-application-model/#the-compose-file.
COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_WHAT = "a Compose file, a folder or file of Kubernetes manifests, or what helm template prints"


def compose_file(source: Path) -> Path | None:
    """Return the Compose file that a source is, or has in it; None if it is none.

    Raises:
        UserError: There is no such file, or it cannot be read.
    """
    if not source.exists():
        raise UserError(f"There is no file or folder {source}; name {_WHAT}.")
    if source.is_dir():
        return next((source / name for name in COMPOSE_FILES if (source / name).is_file()), None)
    if source.suffix not in _ENDINGS:
        raise UserError(f"{source} is no YAML file; name {_WHAT}.")
    if source.name in COMPOSE_FILES or source.name.startswith(("compose.", "docker-compose.")):
        return source
    try:
        document = Cache().document(source.read_bytes())
    except OSError as error:
        raise UserError(f"{source}: {error.strerror}.") from error
    is_compose = isinstance(mapping(document).get("services"), dict) and "apiVersion" not in mapping(document)
    return source if is_compose else None


def read_yaml(file: Path) -> dict[str, Any]:
    """Return what a YAML file with one mapping holds.

    Raises:
        UserError: It cannot be read, or holds something else.
    """
    try:
        loader = BoundedLoader(file.read_bytes())
        document = loader.get_data() if loader.check_data() else None  # type: ignore[no-untyped-call]
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}.") from error
    except yaml.MarkedYAMLError as error:
        at = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{file}{at}: this is no YAML: {error.problem}.") from error
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise UserError(f"{file}: this cannot be read: {error}.") from error
    if not isinstance(document, dict):
        raise UserError(f"{file}: a Compose file is a mapping with services, and this is {_kind(document)}.")
    return document


def _kind(value: object) -> str:
    return "empty" if value is None else "a list" if isinstance(value, list) else "a text"


def read_objects(source: Path) -> list[Manifest]:
    """Return the objects of a file or of all files below a folder, in the order of their names.

    Raises:
        UserError: There are none, or a file cannot be read.
    """
    files = sorted(each for each in source.rglob("*") if each.suffix in _ENDINGS) if source.is_dir() else [source]
    if not files:
        raise UserError(f"There is no YAML file in {source}; name {_WHAT}.")
    cache, found, problems, others = Cache(), [], [], []
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            problems.append(f"{file}: {error.strerror}.")
            continue
        if reason := unreadable(str(file), content, cache):
            problems.append(f"{file}: {reason.reason.rstrip('.')}.")
            continue
        manifests = cache.manifests(str(file), content)
        if isinstance(manifests, str) or not manifests:
            others.append(str(file))
        else:
            found += manifests
    if problems:
        raise UserError("\n".join((*problems, "Nothing was written.")))
    if not found:
        raise UserError(f"No Kubernetes object is in {listed(others)}; name {_WHAT}.")
    if len(files) == 1 and any(each.get("kind") == "Kustomization" for each in found):
        raise UserError(f"{source} is for Kustomize; import what `kustomize build` prints.")
    return found

"""The words that an import knows, from ``words.yaml``."""

from pathlib import Path
from typing import Any

import yaml

_SAID: dict[str, Any] = yaml.load(Path(__file__).with_name("words.yaml").read_bytes(), Loader=yaml.CSafeLoader)

#: Keys of a Compose file; those of a service that are read; those that are not missed; all of them.
FILE, READ, SILENT = (frozenset(_SAID[key]) for key in ("file", "read", "silent"))
SERVICE = READ | SILENT | frozenset(_SAID["others"])
#: Ports of well-known data stores, by the name of the image: numbers by what they are called.
STORES: dict[str, dict[str, int]] = _SAID["stores"]
#: Capabilities that the level ``baseline`` permits.
BASELINE = frozenset(_SAID["baseline"])
#: Names of the library that a declaration may import.
LIBRARY = frozenset(_SAID["library"])
#: Arguments of a program, in the order in which a person writes them.
ARGUMENTS: list[str] = _SAID["arguments"]

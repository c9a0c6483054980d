"""Reads ``rules.yaml`` and ``reasons.yaml``."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def table(name: str) -> Any:
    """Return the content of one of the files: ``rules`` or ``reasons``."""
    return yaml.load((Path(__file__).parent / f"{name}.yaml").read_bytes(), Loader=yaml.CSafeLoader)

"""Where what can be made again is kept between runs: the user's cache."""

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Return a folder of this library in the user's cache; it need not be there.

    https://specifications.freedesktop.org/basedir-spec/latest/
    """
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "constructs-lib" / name

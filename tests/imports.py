"""Imports of a source, and the declarations that come of them."""

from __future__ import annotations

import runpy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from constructs_lib import System
from constructs_lib.importer.importing import Result, import_source

FOLDER = Path(__file__).parent / "importer"
RUFF = Path(sys.executable).with_name("ruff")
#: In a repository of its own, the library is somebody else's.
_SETTINGS = ("--config", 'lint.isort.known-third-party=["constructs_lib"]')
_RULES = "ANN,B,C4,D,E,F,I,N,PTH,RUF,SIM,T20,UP,W"


@dataclass(frozen=True)
class Imported:
    """What came of a source, in a folder.

    Attributes:
        result: The result.
        folder: Where its files are.
    """

    result: Result
    folder: Path

    @property
    def app(self) -> str:
        """The text of its ``app.py``."""
        return self.result.files["app.py"]

    def notes(self, subject: str) -> list[str]:
        """Return what is told of a subject."""
        return self.result.imported.notes[subject]

    def system(self) -> System:
        """Run the declaration, and return what it declares."""
        return declared(self.folder / "app.py", self.result.imported.name)

    def complaints(self) -> str:
        """Return what ruff says of the Python files: of their form, and of the rules that the library keeps itself."""
        base = [str(RUFF), "format", "--diff", "--quiet", "--isolated", "--line-length=120", "."]
        form = subprocess.run(base, capture_output=True, text=True, check=False, cwd=self.folder)
        rules = [
            "check",
            "--quiet",
            "--isolated",
            "--line-length=120",
            f"--select={_RULES}",
            "--ignore=D407,D203,D213,ANN401",
        ]
        line = [str(RUFF), *rules, *_SETTINGS, "."]
        checked = subprocess.run(line, capture_output=True, text=True, check=False, cwd=self.folder)
        return form.stdout + form.stderr + checked.stdout + checked.stderr


def imported(source: Path, folder: Path, **given: Any) -> Imported:
    """Import a source into a folder."""
    result = import_source(source, **given)
    for path, text in result.files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return Imported(result, folder)


def declared(file: Path, name: str) -> System:
    """Return the system of the environment ``local`` that a file declares in the function with a name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(file.parent))
        patch.delitem(sys.modules, "existing", raising=False)
        names = runpy.run_path(str(file))
        system: System = names[name](names["LOCAL"])
        patch.delitem(sys.modules, "existing", raising=False)
    return system

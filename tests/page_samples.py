"""The samples of a page: its files are written, its commands are run, and what they print is what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"(?:#|<!--) ([\w./-]+\.\w+)(?: -->)?\n")
#: Folders of what is generated: samples of these show a part of a file.
_GENERATED = ("argocd/", "bootstrap/", "dist/", "docs/", "managed/argocd/")


@dataclass(frozen=True)
class Sample:
    """One block of code.

    Attributes:
        language: What the block says it is.
        text: What stands in it.
        file: The file that it names in its first line; empty for none.
    """

    language: str
    text: str
    file: str


def samples(page: Path) -> Iterator[Sample]:
    """Yield the blocks of code of a page in Markdown."""
    for language, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        named = _NAME.match(text)
        yield Sample(language, text, named[1] if named else "")


class Reader:
    """Somebody who does what a page says, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._declared = False
        self._before: str | None = None

    def follow(self, sample: Sample) -> None:
        """Write the file of a sample, declare its lines, or run its commands and read what they print."""
        if sample.language == "console":
            self._run(sample.text)
            self._forget_mistake()
        elif sample.file.startswith(_GENERATED):
            if self._declared:
                self.command("python app.py")
            found = (self.folder / sample.file).read_text(encoding="utf-8")
            shown = sample.text.partition("\n")[2]
            assert re.search(pattern(shown, r" *# …\n"), found), f"{sample.file} lacks\n{shown}"
        elif sample.file:
            file = self.folder / sample.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(sample.text, encoding="utf-8")
        elif sample.text.startswith("    "):
            self._declare(sample.text)

    def _declare(self, lines: str) -> None:
        self._declared = True
        app = self.folder / "app.py"
        text = app.read_text(encoding="utf-8")
        if lines.lstrip().startswith("# a mistake"):
            self._before = text
        app.write_text(text.replace("    return system\n", f"{lines}    return system\n"), encoding="utf-8")

    def _forget_mistake(self) -> None:
        if self._before is not None:
            (self.folder / "app.py").write_text(self._before, encoding="utf-8")
            self._before = None

    def _run(self, session: str) -> None:
        self._declared = False
        for step in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
            command, _, expected = step.partition("\n")
            found = self.command(command)
            assert re.fullmatch(pattern(expected, r"(?:  )?…\n"), found), f"$ {command}\n{found}"

    def command(self, command: str) -> str:
        """Return what a command prints."""
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
        return subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        ).stdout


def pattern(text: str, gap: str) -> str:
    """Return a pattern for a text in which lines may be left out."""
    return r"(?:.*\n)*?".join(re.escape(part) for part in re.split(gap, text))

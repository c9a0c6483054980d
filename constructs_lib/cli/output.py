"""All that commands print goes through here: nothing in it but our own colours speaks to a terminal or a runner.

What is printed names what stands in trees of people who are not trusted: files, objects, values, messages of Git.
"""

import codecs
import io
import sys
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any, Literal

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from constructs_lib.text import safe, unheard

#: How a command shows what it found, if it has no other formats: to people, or by the schema of its name in schemas/.
Format = Literal["terminal", "json"]
#: Whether that is JSON, to which the standard output belongs then.
_is_json: ContextVar[bool] = ContextVar("is_json", default=False)


def choose_format(form: str) -> str:
    """Have the rest of this run write in a format: with ``json``, texts for people go to the standard error."""
    _is_json.set(form == "json")
    return form


def is_json() -> bool:
    """Tell whether this run writes JSON."""
    return _is_json.get()


FORMAT: Any = typer.Option(
    "terminal",
    "--format",
    callback=choose_format,
    help="How to show it. In json, what is for people goes to the standard error.",
)

#: What stands for our own signs where the encoding of the output does not have them.
_PLAIN = {
    **{"…": "...", "→": "->", "‼": "!!", "·": "-", "–": "-", "─": "-", "“": '"', "”": '"', "␤": "\\n", "�": "?"},
    **{"❌": "x", "✗": "x", "⚠": "!", "✅": "ok", "○": "o", "█": "#", "↻": "~", "µ": "u", "μ": "u"},
}
_ERRORS = "constructs_lib.plain"


class SafeConsole(Console):
    """A console whose texts are safe; styles, and what it does itself to show progress, are not touched."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the parts of something that is printed."""
        for part in super().render(renderable, options):
            yield part if part.control else Segment(unheard(safe(part.text)), part.style)


def console() -> Console:
    """Return the console for messages, on the standard error; it prints texts without interpreting them."""
    return SafeConsole(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def result_console() -> Console:
    """Return the console for the result of a command; it prints texts without interpreting them."""
    return SafeConsole(stderr=is_json(), highlight=False, soft_wrap=True, markup=False, emoji=False)


def harmless(text: str, form: str = "") -> str:
    """Return the result of a command, in a format that is made for programs or for pages, for the outside."""
    if form in ("json", "sarif"):
        # In the texts of JSON, this means the same.
        text = text.replace("##[", "#\\u0023[")
    # The commands in the format for GitHub are our own.
    return safe(text) if form == "github" else unheard(safe(text))


def write_result(text: str, form: str = "", *, encoding: str | None = None) -> None:
    """Write the result of a command, in a format that is made for programs or for pages, to the standard output.

    It is in its encoding, unless another one is given.
    """
    if encoding and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding=encoding)
    sys.stdout.write(harmless(text, form))
    sys.stdout.flush()


def write_json(document: Mapping[str, Any]) -> None:
    """Write the result of a command as JSON to the standard output."""
    from constructs_lib.plan.report.json_report import dump

    write_result(dump(document), "json")


def take_any_sign() -> None:
    """Have signs replaced from now on that the encoding of an output does not have."""
    codecs.register_error(_ERRORS, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(_PLAIN.get(sign, "?") for sign in error.object[error.start : error.end]), error.end

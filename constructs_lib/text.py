"""Words of messages: numbers of things, lists, values, and what somebody most likely meant."""

import difflib
import json
import re
import unicodedata
from collections.abc import Iterable

#: Where GitHub's runner finds a command in a line of a log: ``TryParseV2`` and ``TryParse`` in ``ActionCommand.cs``.
_COMMAND = re.compile(r"^(?=[^\S\n]*::)|(?<=##)(?=\[)", re.MULTILINE)


def unheard(text: str) -> str:
    """Return a text in no line of which GitHub's runner finds a command; a bar shows where one would have been."""
    return _COMMAND.sub("│", text) if "::" in text or "##[" in text else text


def safe(text: str) -> str:
    r"""Return a text that does nothing to a terminal; line breaks and tabs stay.

    Characters that move the cursor, change colours or the direction of writing, or cannot be seen, become escapes such
    as ``\u001b``. These are the ones of JSON, so that JSON keeps its meaning.
    """
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character.isprintable() or character in "\n\t" or unicodedata.category(character) == "Zs":
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[begin : begin + 4]}" for begin in range(0, len(units), 4))


def plural(number: int, one: str, many: str = "") -> str:
    """Return a number of things, such as ``1 pod`` and ``2 pods``; by default, several are called one with an s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def joined(words: Iterable[str], last: str) -> str:
    """Return words as a list in a sentence: ``a, b or c`` with ``or`` as the last of the words between them."""
    *before, end = words
    return f"{', '.join(before)} {last} {end}" if before else end


def listed(words: Iterable[str], most: int = 3) -> str:
    """Return words as a list for people that is cut where it gets long: ``a, b, c and 4 more``."""
    every = list(words)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def sentence(text: str) -> str:
    """Return a text with a capital at its beginning."""
    return f"{text[:1].upper()}{text[1:]}"


def shown(value: object) -> str:
    """Return a value of a declaration as messages show it: short, and the same in every run."""
    if isinstance(value, str):
        text = json.dumps(value if len(value) <= 60 else f"{value[:60]}…", ensure_ascii=False)
        return text.encode(errors="backslashreplace").decode()
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    name = type(value).__name__
    return f"a {name}" if isinstance(value, dict | list | set | tuple) else f"an object of type {name}"


def given(value: object) -> str:
    """Return a value of a manifest as messages show it: in the words of YAML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return shown(value)


#: The most words in which each is compared with a misspelled one.
_MANY = 200


def closest(word: str, known: Iterable[str], likeness: float = 0.65) -> str | None:
    """Return the known word that a word is most likely a misspelling of, if there is one so much like it (0 to 1)."""
    names = list(known)
    if len(names) > _MANY:
        # Each comparison takes long, and there may be as many words as there are names.
        names = [name for name in names if name[:2] == word[:2] and abs(len(name) - len(word)) <= 2][:_MANY]
    spellings = {name.casefold(): name for name in sorted(names)}
    close = difflib.get_close_matches(word.casefold(), spellings, n=1, cutoff=likeness)
    return spellings[close[0]] if close else None


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the known word closest to a word, or all of them when none is close."""
    words = sorted(known)
    if close := closest(word, words):
        return f'did you mean "{close}"?'
    if len(words) < 2:
        return f'there is only "{words[0]}".' if words else "there is none."
    if len(words) > 12:
        return f"one of {', '.join(words[:12])}, … ({len(words)} in all)."
    return f"one of {', '.join(words)}."


def hint(what: str, word: str, known: Iterable[str]) -> str:
    """Return what the name of a thing should have been, as a sentence; nothing if there is no name to choose from."""
    names = sorted(known)
    return f"As the {what}, {nearest(word, names)}" if names else ""


def within(namespace: str) -> str:
    """Return where an object is, as the rest of a sentence; nothing if nobody says in which namespace."""
    return f" in the namespace {namespace}" if namespace else ""

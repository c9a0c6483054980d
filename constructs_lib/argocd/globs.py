"""The two kinds of patterns in Argo CD's objects.

Most are read by https://github.com/gobwas/glob (``util/glob/glob.go`` in https://github.com/argoproj/argo-cd): folders,
destinations, repositories, differences. The kinds that an AppProject lists are read by ``filepath.Match`` of Go
(``isResourceInList`` in ``pkg/apis/application/v1alpha1/types.go``). A pattern that they cannot read matches nothing.

Patterns come from trees that nobody trusts, so they are no regular expressions of Python: to match those can take time
that grows exponentially with their stars. Here it grows with the length of the text times that of the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from constructs_lib.user_error import UserError

#: A range or a list of characters, such as [a-z] and [!abc]; a backslash before a character of a list is cut off.
_CLASS = re.compile(r"\[(!?)(?:(.)-(.)|(?!.-)((?:\\.|[^]\\])+))\]", re.DOTALL)
#: A part of a pattern of ``filepath.Match``: a class such as [^a-z], a star, a question mark, a character.
_PART = re.compile(r"\[(\^?)((?:(?:\\.|[^]\\-])(?:-(?:\\.|[^]\\-]))?)+)\]|(\*)|(\?)|\\(.)|([^[\\])", re.DOTALL)
_RANGE = re.compile(r"(\\.|.)(?:-(\\.|.))?", re.DOTALL)
#: The most characters of a pattern.
_MOST = 4_096
#: The most steps of an automaton that are kept.
_KEPT = 10_000


def glob(pattern: str, text: str, separator: str = "") -> bool:
    """Tell whether a pattern of gobwas/glob matches a text.

    ``*`` and ``?`` do not stand for the separator, ``**`` does, ``{a,b}`` is either.

    Raises:
        UserError: The pattern is longer than any that is meant.
    """
    return _compiled(_read_glob, pattern, separator).matches(text)


def path_match(pattern: str, text: str) -> bool:
    """Tell whether a pattern of ``filepath.Match`` matches a text: ``*`` and ``?`` do not stand for a slash.

    There are neither ``{a,b}`` nor ``**``, and ``!`` is a character like any other.

    Raises:
        UserError: The pattern is longer than any that is meant.
    """
    return _compiled(_read_path, pattern, "/").matches(text)


class _Automaton:
    """A nondeterministic finite automaton, which is in several states at once and never goes back in the text."""

    def __init__(self) -> None:
        """Begin with a state, behind which parts are added."""
        self._state = 0
        #: What each state reads: whether these are all characters but some, the ranges of these, the state behind.
        self._reads: list[tuple[bool, tuple[tuple[str, str], ...], int] | None] = [None]
        #: Where each state leads without reading anything.
        self._skips: list[list[int]] = [[]]
        #: The alternatives that are open: the state before them, and the ends of those that are complete.
        self._open: list[tuple[int, list[int]]] = []
        self._steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def _add(self) -> int:
        self._reads.append(None)
        self._skips.append([])
        return len(self._skips) - 1

    def one(self, ranges: Iterable[tuple[str, str]], *, but: bool = False, often: bool = False) -> None:
        """Add a character in some ranges, or with ``but`` one in none of them; ``often``: any number of these."""
        end = self._add()
        self._reads[self._state] = but, tuple(ranges), self._state if often else end
        if often:
            self._skips[self._state].append(end)
        self._state = end

    def open(self) -> None:
        """Begin with the first of some alternatives."""
        self._open.append((self._state, []))
        self.alternative(ends=False)

    def alternative(self, *, ends: bool = True) -> None:
        """Begin with the next alternative; one ``ends`` before it."""
        start, complete = self._open[-1]
        if ends:
            complete.append(self._state)
        self._state = self._add()
        self._skips[start].append(self._state)

    def close(self) -> None:
        """Go on behind the alternatives."""
        _, complete = self._open.pop()
        end = self._add()
        for state in (*complete, self._state):
            self._skips[state].append(end)
        self._state = end

    @property
    def is_open(self) -> bool:
        """Whether there are alternatives that are not closed."""
        return bool(self._open)

    def matches(self, text: str) -> bool:
        """Tell whether it reads a text from the beginning to the end."""
        states = self._reached([0])
        for character in text:
            step = states, character
            if step not in self._steps:
                if len(self._steps) >= _KEPT:
                    self._steps.clear()
                self._steps[step] = self._reached(self._read(states, character))
            states = self._steps[step]
            if not states:
                return False
        return self._state in states

    def _read(self, states: Iterable[int], character: str) -> list[int]:
        found = (self._reads[state] for state in states)
        return [
            behind
            for but, ranges, behind in filter(None, found)
            if any(low <= character <= high for low, high in ranges) is not but
        ]

    def _reached(self, states: list[int]) -> frozenset[int]:
        """Return states and where they lead without reading anything."""
        reached = set(states)
        while states:
            more = [state for each in states for state in self._skips[each] if state not in reached]
            reached.update(more)
            states = more
        return frozenset(reached)


class _Nothing(_Automaton):
    def matches(self, text: str) -> bool:
        return False


@lru_cache(maxsize=4096)
def _compiled(read: Callable[[str, str], _Automaton], pattern: str, separator: str) -> _Automaton:
    if len(pattern) > _MOST:
        raise UserError(f"The pattern {pattern[:40]}… has {len(pattern)} characters; it may have {_MOST}.")
    return read(pattern, separator)


def _read_glob(pattern: str, separator: str) -> _Automaton:
    found = _Automaton()
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "[":
            match = _CLASS.match(pattern, position)
            if match is None or (match[2] and match[2] > match[3]):
                return _Nothing()
            chosen = re.sub(r"\\(.)", r"\1", match[4], flags=re.DOTALL) if match[4] else ""
            found.one(zip(chosen, chosen, strict=True) if chosen else [(match[2], match[3])], but=bool(match[1]))
            position = match.end()
            continue
        if character == "*":
            crosses = pattern.startswith("**", position)
            found.one([] if crosses or not separator else [(separator, separator)], but=True, often=True)
            position += crosses
        elif character == "?":
            found.one([(separator, separator)] if separator else [], but=True)
        elif character == "{":
            found.open()
        elif character == "}" and found.is_open:
            found.close()
        elif character == "," and found.is_open:
            found.alternative()
        else:
            position += character == "\\"
            plain = pattern[position : position + 1]
            if plain:
                found.one([(plain, plain)])
        position += 1
    # An alternative that does not end goes on to the end.
    while found.is_open:
        found.close()
    return found


def _read_path(pattern: str, separator: str) -> _Automaton:
    found = _Automaton()
    position = 0
    while position < len(pattern):
        match = _PART.match(pattern, position)
        if match is None:
            return _Nothing()
        negated, chosen, star, one, escaped, plain = match.groups()
        if chosen:
            # A range from a greater to a smaller character holds none.
            found.one([(low[-1], (high or low)[-1]) for low, high in _RANGE.findall(chosen)], but=bool(negated))
        elif star or one:
            found.one([(separator, separator)], but=True, often=bool(star))
        else:
            found.one([(escaped or plain, escaped or plain)])
        position = match.end()
    return found

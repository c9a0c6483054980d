"""The patterns in which AppProjects say what they permit.

https://github.com/argoproj/argo-cd/blob/master/pkg/apis/application/v1alpha1/app_project_types.go (``globMatch``,
``IsSourcePermitted``, ``isDestinationMatched``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_SPECIAL = re.compile(r"[*?{}]")
_SSH = re.compile(r"[^/:@]+@[^/:]+:")


def matches(pattern: str, value: str, star: str = ".*") -> bool:
    """Tell whether a pattern matches a value.

    Args:
        pattern: A text in which ``*``, ``?`` and ``{a,b}`` stand for others.
        value: The value.
        star: What ``*`` stands for, as a regular expression.
    """
    return pattern == "*" or _compiled(pattern, star).fullmatch(value) is not None


class Patterns:
    """A list of patterns, in which one that begins with ``!`` refuses what it matches, and permits everything else.

    Projects list the namespaces and repositories of all their Applications, so what is no pattern is looked up.
    """

    def __init__(self, patterns: Iterable[str], star: str = ".*") -> None:
        """Sort the patterns.

        Args:
            patterns: The patterns.
            star: What ``*`` stands for, as a regular expression.
        """
        given = list(patterns)
        self._star = star
        self._refused = [pattern[1:] for pattern in given if pattern.startswith("!")]
        permitted = [pattern for pattern in given if not pattern.startswith("!")]
        self._plain = frozenset(pattern for pattern in permitted if is_plain(pattern))
        self._others = [pattern for pattern in permitted if not is_plain(pattern)]

    @classmethod
    def of_repositories(cls, patterns: Iterable[str]) -> Patterns:
        """Return patterns of repositories, in which ``*`` ends at a slash unless alone, and ``**`` does not."""
        return cls(map(repository_name, patterns), "[^/]*")

    def permit(self, value: str) -> bool:
        """Tell whether they permit a value."""
        if any(matches(pattern, value, self._star) for pattern in self._refused):
            return False
        return (
            bool(self._refused)
            or value in self._plain
            or any(matches(pattern, value, self._star) for pattern in self._others)
        )


def is_plain(pattern: str) -> bool:
    """Tell whether a pattern matches nothing but itself."""
    return not _SPECIAL.search(pattern)


def repository_name(address: str) -> str:
    """Return what addresses of the same repository have in common, as ``NormalizeGitURL`` in util/git/git.go."""
    name = address.strip().lower()
    if _SSH.match(name):
        name = name.replace(":", "/", 1)
    return name.removesuffix(".git").removeprefix("ssh://")


@lru_cache(maxsize=1024)
def _compiled(pattern: str, star: str) -> re.Pattern[str]:
    words = {"**": ".*", "*": star, "?": ".", "{": "(?:", "}": ")", ",": "|" if "{" in pattern else ","}
    parts = re.split(r"(\*\*|[*?{},])", pattern)
    try:
        return re.compile("".join(words.get(part, re.escape(part)) for part in parts))
    except re.error:
        return re.compile(re.escape(pattern))

"""The patterns in which AppProjects say what they permit.

https://github.com/argoproj/argo-cd/blob/master/pkg/apis/application/v1alpha1/app_project_types.go (``globMatch``,
``IsSourcePermitted``, ``isDestinationMatched``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_SSH = re.compile(r"[^/:@]+@[^/:]+:")


def matches(pattern: str, value: str, star: str = ".*") -> bool:
    """Tell whether a pattern matches a value.

    Args:
        pattern: A text in which ``*``, ``?`` and ``{a,b}`` stand for others.
        value: The value.
        star: What ``*`` stands for, as a regular expression.
    """
    return pattern == "*" or _compiled(pattern, star).fullmatch(value) is not None


def permits(patterns: Iterable[str], value: str, star: str = ".*") -> bool:
    """Tell whether a list of patterns permits a value.

    One that begins with ``!`` refuses what it matches, and permits everything else.
    """
    permitted = False
    for pattern in patterns:
        if pattern.startswith("!"):
            if matches(pattern[1:], value, star):
                return False
            permitted = True
        else:
            permitted = permitted or matches(pattern, value, star)
    return permitted


def permits_repository(patterns: Iterable[str], repository: str) -> bool:
    """Tell whether a list of patterns permits a repository; ``*`` ends at a slash unless alone, ``**`` does not."""
    return permits(map(repository_name, patterns), repository_name(repository), "[^/]*")


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

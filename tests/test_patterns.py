"""Regular expressions that read texts of other people: none takes a time that grows with the square of a text."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import time
from collections.abc import Iterator
from itertools import product
from re import _constants as kinds  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import constructs_lib

ROOMS = ("importer", "check", "plan", "repository", "prometheus", "argocd", "kubernetes", "credentials", "text")
#: Characters of a text; where time grows with the square, it takes 50 times as long as may be.
LENGTH, SECONDS = 20_000, 0.25
#: What is between parts of a text, or is all of it.
FILLERS = ("", " ", "a", "1", "A", ".", "-", "_", '"', "'", "=", ":", "/", "@", "\n", "(", "{", "[", "$", ",")


def patterns() -> Iterator[tuple[str, re.Pattern[Any], bool]]:
    """Yield the patterns of modules, each with its name and whether it is looked for anywhere in a text."""
    for module in pkgutil.walk_packages(constructs_lib.__path__, "constructs_lib."):
        if module.name.split(".")[1] not in ROOMS:
            continue
        found = importlib.import_module(module.name)
        source = inspect.getsource(found)
        for name, value in vars(found).items():
            if isinstance(value, re.Pattern) and re.search(rf"^{name} = ", source, re.MULTILINE):
                anywhere = bool(re.search(rf"\b{name}\.(?:sub|subn|search|finditer|findall|split)\b", source))
                # What is public is used elsewhere.
                yield f"{module.name}.{name}", value, anywhere or not name.startswith("_")


def literals(parsed: Any) -> Iterator[str]:
    """Yield the texts that stand in a pattern, and what its parts begin with."""
    run = ""
    for kind, value in [*parsed, (None, None)]:
        if kind is kinds.LITERAL:
            run += chr(value)
            continue
        if run:
            yield run
            run = ""
        if kind is kinds.IN and value[0][0] is kinds.LITERAL:
            run = chr(value[0][1])
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, parser.SubPattern):
                yield from literals(part)
            elif isinstance(part, list):
                for each in part:
                    if isinstance(each, parser.SubPattern):
                        yield from literals(each)


def took(pattern: re.Pattern[Any], text: Any, anywhere: bool) -> float:
    """Return how many seconds of the processor a pattern takes for a text."""
    before = time.process_time()
    if anywhere:
        pattern.search(text)
        for _ in pattern.finditer(text):
            pass
    else:
        pattern.match(text)
        pattern.fullmatch(text)
    return time.process_time() - before


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "anywhere"), [pytest.param(*rest, id=name) for name, *rest in patterns()])
def test_no_pattern_takes_a_time_that_grows_with_the_square(pattern: re.Pattern[Any], anywhere: bool) -> None:
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode()
    found = sorted(
        {*literals(parser.parse(text, pattern.flags & ~re.UNICODE)), ""}, key=lambda each: (-len(each), each)
    )
    units = {begin + filler for begin, filler in product(found[:20], FILLERS)}
    for begin, unit in product(("", *found[:2]), sorted(units - {""})):
        hostile: Any = (begin + unit * (LENGTH // len(unit)) + "\0")[: LENGTH + 1]
        if not isinstance(pattern.pattern, str):
            hostile = hostile.encode()
        # Whatever else the machine is busy with makes one try slow, and not each.
        assert any(took(pattern, hostile, anywhere) < SECONDS for _ in range(4)), (begin, unit)

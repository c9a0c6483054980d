"""The pages of commands and constructs: up to date, and with nothing left out."""

from __future__ import annotations

import re

import pytest
from app_runs import ROOT

import constructs_lib
from constructs_lib.cli.commands import COMMANDS, name_of
from constructs_lib.cli.entry import ALONE
from constructs_lib.cli.pages import commands, reference
from constructs_lib.cli.pages.docstrings import parse


@pytest.mark.parametrize(("name", "page"), [("commands.md", commands.render()), ("reference.md", reference.render())])
def test_pages_are_up_to_date(name: str, page: str) -> None:
    assert (ROOT / "docs" / name).read_text() == page, "python -m constructs_lib.cli.pages docs writes it"


def test_every_command_and_construct_has_a_section() -> None:
    sections = re.findall(r"^## (\w+)$", commands.render(), re.MULTILINE)
    assert sections == [*(name_of(module) for module in (*COMMANDS, *ALONE)), "JSON"]
    assert set(re.findall(r"^### (\w+)$", reference.render(), re.MULTILINE)) == set(constructs_lib.__all__)


def test_every_argument_says_what_it_is_for() -> None:
    page = reference.render() + commands.render()
    assert re.findall(r"^\| `.*\|  \|$", page, re.MULTILINE) == []


def test_links_lead_somewhere() -> None:
    page = reference.render()
    heads = {head.lower() for head in re.findall(r"^### (\w+)$", page, re.MULTILINE)}
    assert set(re.findall(r"\]\(#(\w+)\)", page)) <= heads
    for target in re.findall(r"\]\(([\w./]+)\)", page + commands.render()):
        assert (ROOT / "docs" / target).is_file()


def test_docstrings_become_markdown() -> None:
    def offer(first: int, second: int, **more: str) -> None:
        """Do ``this``, as :class:`a.b.That` does.

        More of it.

        Args:
            first, second: What
                two of them are: ``x: y``.
            **more: The rest.

        Raises:
            ValueError: It is wrong.
        """

    found = parse(offer)
    assert found.text == "Do `this`, as `a.b.That` does.\n\nMore of it."
    what = "What two of them are: `x: y`."
    assert found.entries == {
        "Args": {"first": what, "second": what, "more": "The rest."},
        "Raises": {"ValueError": "It is wrong."},
    }

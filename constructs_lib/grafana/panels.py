"""Panels that stand in YAML files beside what they are about.

A file has a ``title`` and a ``description`` for its dashboard, ``rows`` of panels, and ``signals``: four panels with
one query each that stand for a workload on the overview. A panel has the keys of :class:`Panel`; in the place of
``queries`` it may have one ``expr`` and its ``legend``, which is its title by default. ``$chosen`` stands for the
matchers of what is chosen at the top of the dashboard. A query whose placeholders have no value is left out, and so is
a panel without any query.

All functions raise a :class:`UserError` if the file cannot be read or is written wrongly.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from constructs_lib.grafana.model import CHOSEN, CRITICAL, GOOD, WARNING, Dashboard, Panel, Query, Row
from constructs_lib.template import Template, Values
from constructs_lib.user_error import UserError

#: What a query may show, by its colour on every dashboard; one of anything else is coloured by Grafana's palette.
_SHOWN = {
    GOOD: ("good", "received", "read", "50 %"),
    WARNING: ("warning", "wanted", "requested"),
    CRITICAL: ("bad", "limit"),
    "blue": ("used", "sent", "written"),
    "orange": ("95 %",),
    "purple": ("99 %",),
}
_COLOURS = {what: colour for colour, shown in _SHOWN.items() for what in shown}
_SIGNAL = {"kind": "stat", "width": 3, "height": 3}


def dashboard(file: Path, values: Values) -> Dashboard:
    """Return the dashboard in a file, without what makes it that of a system: variables, links and a uid."""
    template = _template(file, values)
    title, description = (template.filled(template.content.get(key, "")) for key in ("title", "description"))
    return Dashboard(file.parent.name, title, description, tuple(_rows(template)))


def title(file: Path) -> str:
    """Return the title of the dashboard in a file."""
    return str(_template(file, {}).content.get("title", ""))


def rows(file: Path, values: Values) -> dict[str, Row]:
    """Return the rows in a file by their titles; panels without a query, and rows without a panel, are left out."""
    return {row.title: row for row in _rows(_template(file, values))}


def panels(file: Path, values: Values, *ids: str) -> tuple[Panel, ...]:
    """Return some of the panels in a file."""
    template = _template(file, values)
    entries = {entry["id"]: entry for row in template.content["rows"] for entry in row["panels"]}
    return tuple(panel for id in ids for panel in _panels(template, [entries[id]]))


def signals(file: Path, values: Values) -> tuple[Panel, ...]:
    """Return the panels that stand for a workload on the overview."""
    template = _template(file, values)
    return tuple(_panels(template, [{**_SIGNAL, **entry} for entry in template.content.get("signals", ())]))


def _template(file: Path, values: Values) -> Template:
    return Template(file, {"chosen": CHOSEN, **values})


def _rows(template: Template) -> Iterator[Row]:
    for row in template.content.get("rows", ()):
        if found := tuple(_panels(template, row["panels"])):
            yield Row(template.filled(row["title"]), found)


def _panels(template: Template, entries: list[Mapping[str, Any]]) -> Iterator[Panel]:
    for entry in entries:
        try:
            full = template.filled(dict(entry))
            if "expr" in full:
                full["queries"] = [{"expr": full.pop("expr"), "legend": full.pop("legend", full["title"])}]
            queries = full.pop("queries")
            if found := tuple(_query(query) for query in queries if query["expr"] is not None):
                yield Panel(queries=found, **full)
        except (KeyError, TypeError) as problem:
            raise UserError(f"{template.file}, panel {entry.get('id')}: {problem}") from None


def _query(entry: dict[str, Any]) -> Query:
    colour = entry.pop("colour", None)
    return Query(entry.pop("expr"), entry.pop("legend"), _COLOURS[colour] if colour else "", **entry)

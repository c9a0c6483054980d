"""How things are coloured on every dashboard, so that the same thing looks the same everywhere."""

from __future__ import annotations

GOOD, WARNING, CRITICAL = "green", "yellow", "red"
#: Colours by what a query shows; a query of anything else is coloured by Grafana's palette.
COLOURS = {
    "good": GOOD,
    "warning": WARNING,
    "bad": CRITICAL,
    "wanted": "yellow",
    "used": "blue",
    "requested": "yellow",
    "limit": "red",
    "received": "green",
    "sent": "blue",
    "read": "green",
    "written": "blue",
    "50 %": "green",
    "95 %": "orange",
    "99 %": "purple",
}

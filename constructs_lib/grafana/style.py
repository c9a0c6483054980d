"""How things are named and coloured on every dashboard, so that the same thing looks the same everywhere."""

from __future__ import annotations

GOOD, WARNING, CRITICAL = "green", "yellow", "red"
#: Colours of what returns on many panels.
REQUESTS, ERRORS, P50, P95, P99 = "blue", "red", "green", "orange", "purple"
USED, REQUESTED, LIMIT = "blue", "yellow", "red"
READY, UNACKNOWLEDGED = "blue", "orange"
IN, OUT = "green", "blue"
#: What is declared or promised, beside what there is.
WANTED = "yellow"
INSERTED, UPDATED, DELETED = "green", "blue", "orange"
READ, WRITTEN = "green", "blue"

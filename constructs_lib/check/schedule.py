"""Schedules and time zones of CronJobs.

They are read by https://github.com/robfig/cron (``ParseStandard``), and checked by ``validateScheduleFormat`` and
``validateTimeZone`` in https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/batch/validation/validation.go.
"""

from __future__ import annotations

import re
from functools import cache
from zoneinfo import available_timezones

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
#: Name, least and greatest number.
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 6))
_DESCRIPTORS = ("@annually", "@daily", "@hourly", "@midnight", "@monthly", "@weekly", "@yearly")
_EVERY = re.compile(r"@every ([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+")
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def schedule_problem(schedule: str) -> str | None:
    """Return what is wrong with a schedule, or None."""
    if schedule.startswith(("TZ=", "CRON_TZ=")):
        return "a time zone stands in timeZone, not in the schedule"
    if schedule.startswith("@"):
        known = schedule in _DESCRIPTORS or _EVERY.fullmatch(schedule)
        return None if known else f"{schedule} is none of {', '.join(_DESCRIPTORS)} and @every with a duration"
    fields = schedule.split()
    if len(fields) != len(_FIELDS):
        return f"it has {len(fields)} fields, and five are needed"
    chosen: list[frozenset[int]] = []
    for field, (name, least, most) in zip(fields, _FIELDS, strict=True):
        numbers = _numbers(field, least, most)
        if numbers is None:
            hint = ", and Sunday is 0" if name == "day of the week" and "7" in field else ""
            return f'"{field}" is no {name} from {least} to {most}{hint}'
        chosen.append(numbers)
    # Where both days are given, either will do.
    if fields[4] in ("*", "?") and not any(day <= _LENGTHS[month - 1] for month in chosen[3] for day in chosen[2]):
        return "no month has that day, so that it never comes"
    return None


@cache
def _numbers(field: str, least: int, most: int) -> frozenset[int] | None:
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        low, dash, high = span.partition("-")
        if slash and not (step.isdecimal() and int(step) > 0):
            return None
        if low in ("*", "?") and not dash:
            first, last = least, most
        else:
            start, end = _number(low, most), _number(high, most) if dash else None
            if start is None or (dash and end is None):
                return None
            first = start
            last = end if end is not None else (most if slash else start)
        if not least <= first <= last <= most:
            return None
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, most: int) -> int | None:
    if text.isdecimal():
        return int(text)
    if most == 12 and text.lower() in _MONTHS:
        return _MONTHS.index(text.lower()) + 1
    if most == 6 and text.lower() in _DAYS:
        return _DAYS.index(text.lower())
    return None


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def known_zones() -> frozenset[str]:
    """Return the time zones that this machine knows; none if it has no database of them."""
    return _zones()


def zone_problem(zone: str) -> str | None:
    """Return what is wrong with a time zone, or None."""
    if not zone or zone.lower() == "local":
        return "it depends on the cluster's machines"
    # Without a database of time zones nothing can be said.
    return f'there is no time zone "{zone}"' if _zones() and zone not in _zones() else None

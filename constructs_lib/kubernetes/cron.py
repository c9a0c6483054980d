"""Schedules and time zones of CronJobs: what is wrong with one, and how long it may pause.

``ParseStandard`` of https://github.com/robfig/cron/tree/v3 reads them, and ``validateScheduleFormat`` and
``validateTimeZone`` of https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/batch/validation/validation.go
check them. Libraries for Python also take 7 for Sunday, and read ``*/2`` beside another day in another way.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from zoneinfo import available_timezones

_TABLES = json.loads(Path(__file__).with_suffix(".json").read_bytes())
#: What each field is, its least and greatest number, and names for the numbers from the least on.
_FIELDS: Sequence[tuple[str, int, int, Sequence[str]]] = _TABLES["fields"]
_DESCRIPTORS: Mapping[str, str] = _TABLES["descriptors"]
_EVERY = "@every "
_DURATION = re.compile(r"([-+]?)((?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+|0)")
_PART = re.compile(r"(?<![0-9.])([0-9.]+)([a-zµμ]+)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
#: What 63 bits hold of billionths of a second.
_MOST_SECONDS = 2**63 / 1e9
#: After 28 years, the days of the week and the leap days come again; a leap day takes four more to come.
_PERIOD = 33 * 366


@cache
def longest_pause(schedule: str) -> timedelta:
    """Return the longest time between two runs of a schedule.

    Raises:
        ValueError: The API server refuses it, or it never comes; the message says why, as a part of a sentence.
    """
    if "TZ" in schedule:
        raise ValueError("a time zone stands in timeZone, not in the schedule")
    if schedule.startswith(_EVERY):
        return _duration(schedule.removeprefix(_EVERY))
    if schedule.startswith("@") and schedule not in _DESCRIPTORS:
        raise ValueError(f"it is none of {', '.join(_DESCRIPTORS)} and @every with a duration")
    fields = _DESCRIPTORS.get(schedule, schedule).split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"it has {len(fields)} {'field' if len(fields) == 1 else 'fields'}, and five are needed")
    (minutes, _), (hours, _), (days, all_days), (months, _), (weekdays, all_weekdays) = map(_numbers, fields, _FIELDS)
    # Where neither is a star, either is enough.
    together = all_days or all_weekdays
    found = [
        number
        for number, month, day, weekday in _days()
        if month in months and (day in days and weekday in weekdays if together else day in days or weekday in weekdays)
    ]
    times = [60 * hour + minute for hour in sorted(hours) for minute in sorted(minutes)]
    if not found or not times:
        raise ValueError("no month has that day, so that it never comes" if times else "it never comes")
    across = max(later - earlier for earlier, later in pairwise(found)) * 24 * 60 - times[-1] + times[0]
    return timedelta(minutes=max([across, *(later - earlier for earlier, later in pairwise(times))]))


@cache
def _days() -> tuple[tuple[int, int, int, int], ...]:
    """Return the days of a period: number, month, day of the month, day of the week."""
    first = date(2001, 1, 1)
    days = (first + timedelta(number) for number in range(_PERIOD))
    return tuple((number, day.month, day.day, day.isoweekday() % 7) for number, day in enumerate(days))


def schedule_problem(schedule: str) -> str | None:
    """Return what is wrong with a schedule, as a part of a sentence, or None."""
    try:
        longest_pause(schedule)
    except ValueError as problem:
        return str(problem)
    return None


def _numbers(field: str, limits: tuple[str, int, int, Sequence[str]]) -> tuple[frozenset[int], bool]:
    """Return the numbers that a field means, and whether a star is among them."""
    name, least, most, names = limits
    found: set[int] = set()
    star = False
    for part in filter(None, field.split(",")):
        span, *steps = part.split("/")
        ends = span.split("-")
        step = _number(steps[0]) if len(steps) == 1 else 1
        if ends[0] in ("*", "?"):
            # Whatever stands behind it.
            first, last = least, most
            star |= step == 1
        else:
            first, last = _number(ends[0], least, names), _number(ends[-1], least, names)
            if steps and len(ends) == 1:
                last = most
        if len(steps) > 1 or not step or (len(ends) > 2 and not star) or not least <= first <= last <= most:
            hint = ", and Sunday is 0" if name == "day of the week" and "7" in part else ""
            raise ValueError(f'"{part}" is no {name} from {least} to {most}{hint}')
        found.update(range(first, last + 1, step))
    return frozenset(found), star


def _number(text: str, least: int = 0, names: Sequence[str] = ()) -> int:
    """Return a number, -1 for a text that is none; a greater one than any field has may stand for all greater ones."""
    if text.lower() in names:
        return names.index(text.lower()) + least
    return min(int(text), 99) if re.fullmatch(r"\+?[0-9]{1,18}", text, re.ASCII) else -1


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(match[2])) if match else 0.0
    if match is None or seconds >= _MOST_SECONDS:
        raise ValueError(f'"{text}" is no duration such as 1h30m')
    # Fractions of a second are cut off, and there is no time of less than one.
    return timedelta(seconds=max(1, int(seconds)) if match[1] != "-" else 1)


@cache
def known_zones() -> frozenset[str]:
    """Return the time zones that this machine knows; none if it has no database of them."""
    return frozenset(available_timezones())


def zone_problem(zone: str) -> str | None:
    """Return what is wrong with a time zone, as a part of a sentence, or None."""
    if not zone or zone.lower() == "local":
        return "it depends on the cluster's machines"
    # Without a database of time zones nothing can be said.
    return f'there is no time zone "{zone}"' if known_zones() and zone not in known_zones() else None

"""What ParseStandard (github.com/robfig/cron 3.0.1) accepted, and the longest pause among the runs that it told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from constructs_lib.kubernetes.cron import longest_pause, schedule_problem, zone_problem

MINUTE, HOUR, DAY = (timedelta(minutes=minutes) for minutes in (1, 60, 24 * 60))


@pytest.mark.parametrize(
    ("schedule", "pause"),
    [
        ("* * * * *", MINUTE),
        ("*/5 * * * *", 5 * MINUTE),
        ("5/10 * * * *", 10 * MINUTE),
        ("7/25 * * * *", 25 * MINUTE),
        ("17 3 * * *", DAY),
        ("0 3,15 * * *", 12 * HOUR),
        ("0 8-18 * * *", 14 * HOUR),
        ("0 8-18 * * MON-FRI", 2 * DAY + 14 * HOUR),
        ("0 0 * * SUN", 7 * DAY),
        ("0 0 ? * sun", 7 * DAY),
        ("0 0 1 * *", 31 * DAY),
        ("0 0 31 * *", 61 * DAY),
        ("0 0 1 JAN-mar *", 306 * DAY),
        ("0 0 29 2 *", 1461 * DAY),
        # Where neither day is a star, either will do.
        ("0 0 1 * 1", 7 * DAY),
        ("0 0 30 2 1", 350 * DAY),
        # A star with a step is none, and one among others is.
        ("0 0 1 * */6", 6 * DAY),
        ("0 0 1 * *,1", 31 * DAY),
        # What stands behind a star is not read, and neither are empty parts.
        ("*-foo 0 * * *", 23 * HOUR + MINUTE),
        ("0 0,,12 * * *", 12 * HOUR),
        ("0 +3 * * *", DAY),
        ("@hourly", HOUR),
        ("@daily", DAY),
        ("@midnight", DAY),
        ("@weekly", 7 * DAY),
        ("@monthly", 31 * DAY),
        ("@yearly", 366 * DAY),
        ("@annually", 366 * DAY),
        ("@every 1h30m", 90 * MINUTE),
        ("@every 1.5h", 90 * MINUTE),
        ("@every 500ms", timedelta(seconds=1)),
        ("@every -1h", timedelta(seconds=1)),
    ],
)
def test_longest_pauses(schedule: str, pause: timedelta) -> None:
    assert (schedule_problem(schedule), longest_pause(schedule)) == (None, pause)


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ("", "it has 0 fields, and five are needed"),
        ("x", "it has 1 field, and five are needed"),
        ("* * * *", "it has 4 fields, and five are needed"),
        ("0 17 3 * * *", "it has 6 fields, and five are needed"),
        ("60 * * * *", '"60" is no minute from 0 to 59'),
        ("* 24 * * *", '"24" is no hour from 0 to 23'),
        ("* * 0 * *", '"0" is no day of the month from 1 to 31'),
        ("* * * 13 *", '"13" is no month from 1 to 12'),
        ("* * * MAI *", '"MAI" is no month from 1 to 12'),
        ("* * * * 7", '"7" is no day of the week from 0 to 6, and Sunday is 0'),
        ("* * * * 5-7", '"5-7" is no day of the week from 0 to 6, and Sunday is 0'),
        ("30-10 * * * *", '"30-10" is no minute from 0 to 59'),
        ("*/0 * * * *", '"*/0" is no minute from 0 to 59'),
        ("1/2/3 * * * *", '"1/2/3" is no minute from 0 to 59'),
        ("1-2-3 * * * *", '"1-2-3" is no minute from 0 to 59'),
        ("1,x * * * *", '"x" is no minute from 0 to 59'),
        ("-5 * * * *", '"-5" is no minute from 0 to 59'),
        ("99999999999999999999 * * * *", '"99999999999999999999" is no minute from 0 to 59'),
        ("٣ * * * *", '"٣" is no minute from 0 to 59'),
        ("0 0 31 2 *", "no month has that day, so that it never comes"),
        ("0 0 31 4,6 ?", "no month has that day, so that it never comes"),
        (", 0 * * *", "it never comes"),
        ("@noon", "it is none of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly and @every with a duration"),  # noqa: E501
        ("@every day", '"day" is no duration such as 1h30m'),
        ("@every 1d", '"1d" is no duration such as 1h30m'),
        ("@every 9999999h", '"9999999h" is no duration such as 1h30m'),
        ("TZ=Europe/Rome 0 0 * * *", "a time zone stands in timeZone, not in the schedule"),
    ],
)  # fmt: skip
def test_what_is_wrong(schedule: str, problem: str) -> None:
    assert schedule_problem(schedule) == problem


@pytest.mark.parametrize(
    ("zone", "problem"),
    [
        ("Europe/Rome", None),
        ("Etc/UTC", None),
        ("Local", "it depends on the cluster's machines"),
        ("", "it depends on the cluster's machines"),
        ("Europe/Romulus", 'there is no time zone "Europe/Romulus"'),
    ],
)
def test_time_zones(zone: str, problem: str | None) -> None:
    assert zone_problem(zone) == problem

"""Waivers: what a file of them may say, what they cover, and when they cease."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

import pytest

from constructs_lib.check.finding import Finding, Severity, check_of
from constructs_lib.check.waivers.waivers import WAIVERS_FILE, Waiver, apply_waivers, parse_waivers, stale_waivers
from constructs_lib.user_error import UserError

CODES = ("service-without-pods", "image-not-pinned")
CHECK = check_of("service-without-pods")
GOOD = """\
- code: service-without-pods
  object: Service/shop/web
  reason: It gets its pods from another repository.
  expires: 2027-03-31
"""
DAY = datetime.date(2027, 3, 31)
LATER = DAY + datetime.timedelta(days=1)


def finding(name: str = "web", namespace: str = "shop") -> Finding:
    return Finding(CHECK, ("", "Service", namespace, name), "web.yaml", "spec.selector", "It selects nothing.", "mend")


def waiver(**more: object) -> Waiver:
    (known,) = parse_waivers(GOOD.encode(), CODES)
    return Waiver(**{**vars(known), **more})


def test_a_file_of_waivers() -> None:
    assert parse_waivers(GOOD.encode(), CODES) == [
        Waiver(CODES[0], "Service/shop/web", "It gets its pods from another repository.", DAY, 1)
    ]
    second = GOOD + "\n# a comment\n" + GOOD.replace("/web", "/shop-*")
    assert [entry.line for entry in parse_waivers(second.encode(), CODES)] == [1, 7]


def test_a_fact_that_lasts_needs_no_day() -> None:
    (known,) = parse_waivers(GOOD.replace("  expires: 2027-03-31\n", "").encode(), CODES)
    assert (known.day, known.term) == (None, "for good")
    far = datetime.date(2999, 1, 1)
    assert apply_waivers([finding()], [known], far) == ([], [(finding(), known)])
    assert stale_waivers([finding()], [known], far, WAIVERS_FILE) == []
    (unused,) = stale_waivers([], [known], far, WAIVERS_FILE)
    assert unused.check.code == "waiver-unused"


@pytest.mark.parametrize("content", ["", "# none\n", "[]\n", "---\n"])
def test_an_empty_file_has_none(content: str) -> None:
    assert parse_waivers(content.encode(), CODES) == []


REFUSED: Mapping[str, tuple[str, str]] = {
    "no YAML": ("- code: [", "waivers.yaml is no YAML: "),
    "no UTF-8": ("\udcff", "waivers.yaml is no YAML: "),
    "no list": ("code: image-not-pinned\n", "waivers.yaml must hold a list; a waiver has the entries code, object,"),
    "no mapping": ("- service-without-pods\n", "waivers.yaml:1: a waiver has the entries code, object,"),
    "no day": (
        GOOD.replace("  expires: 2027-03-31\n", "").replace(CODES[0], CODES[1]),
        "waivers.yaml:1: it has no expires; a waiver has",
    ),
    "no reason": (
        GOOD.replace("It gets its pods from another repository.", ""),
        "waivers.yaml:1: reason: a text is needed.",
    ),
    "reason without a word": (GOOD.replace("It gets its pods from another repository.", "'...'"), "reason: a text"),
    "unknown code": (GOOD.replace("without-pods", "without-pod"), "did you mean service-without-pods?"),
    "unheard-of code": (GOOD.replace("service-without-pods", "x"), 'there is no check "x"; docs/checks.md lists them.'),
    "unknown entry": (GOOD.replace("expires", "expire"), 'waivers.yaml:1: "expire" is unknown; did you mean expires?'),
    "entry without sense": (f"{GOOD}  zzz: 1\n", 'waivers.yaml:1: "zzz" is unknown; a waiver has the entries'),
    "day as a text": (GOOD.replace("2027-03-31", "'2027-03-31'"), "expires: a day such as 2027-03-31 is needed."),
    "time instead of a day": (GOOD.replace("2027-03-31", "2027-03-31 12:00:00"), "expires: a day such as"),
    "day that there is not": (GOOD.replace("2027-03-31", "2027-02-30"), "waivers.yaml is no YAML: day"),
    "object as a list": (GOOD.replace("Service/shop/web", "[a]"), "waivers.yaml:1: object: a text is needed."),
    "code as a number": (GOOD.replace("service-without-pods", "7"), "waivers.yaml:1: code: a text is needed."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    content, message = REFUSED[case]
    with pytest.raises(UserError) as caught:
        parse_waivers(content.encode(errors="surrogateescape"), CODES)
    assert message in str(caught.value)


def test_tells_all_mistakes_with_their_lines() -> None:
    content = GOOD + GOOD.replace("reason", "reasons") + GOOD.replace("2027-03-31", "soon")
    with pytest.raises(UserError) as caught:
        parse_waivers(content.encode(), CODES, "other.yaml")
    assert [line.partition(": ")[0] for line in str(caught.value).splitlines()] == [
        "other.yaml:5",
        "other.yaml:5",
        "other.yaml:9",
    ]


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        ("Service/shop/web", True),
        ("Service/shop/*", True),
        ("Service/*/web", True),
        ("*", True),
        ("Service/shop/we", False),
        ("service/shop/web", False),
        ("Service/shop", False),
        ("Service/other/*", False),
    ],
)
def test_objects(pattern: str, covered: bool) -> None:
    assert waiver(object=pattern).covers(finding()) is covered


def test_another_check_is_not_covered() -> None:
    assert not waiver(code="image-not-pinned").covers(finding())


def test_waived_until_its_last_day() -> None:
    found, other = finding(), finding("api")
    known = waiver()
    assert apply_waivers([found, other], [known], DAY) == ([other], [(found, known)])
    assert apply_waivers([found, other], [known], LATER) == ([found, other], [])


def test_one_that_holds_takes_the_place_of_one_that_has_expired() -> None:
    old, new = waiver(expires=DAY), waiver(expires=LATER, line=5)
    assert apply_waivers([finding()], [old, new], LATER) == ([], [(finding(), new)])


def test_stale_waivers_are_findings() -> None:
    expired, unused, used = waiver(line=1), waiver(object="Job/x", expires=LATER, line=5), waiver(expires=LATER, line=9)
    found = stale_waivers([finding()], [expired, unused, used], LATER, "w.yaml")
    assert [(stale.check.code, stale.field, stale.file, stale.subject) for stale in found] == [
        ("waiver-expired", "line 1", "w.yaml", "tree"),
        ("waiver-unused", "line 5", "w.yaml", "tree"),
    ]
    assert all(stale.check.severity is Severity.ERROR for stale in found)


def test_a_waiver_may_be_for_an_environment_that_was_not_looked_at() -> None:
    assert stale_waivers([], [waiver()], DAY, "w.yaml", complete=False) == []
    assert [found.check.code for found in stale_waivers([], [waiver()], LATER, "w.yaml", complete=False)] == [
        "waiver-expired"
    ]


def test_positionpal_has_none(root: Path) -> None:
    assert not (root / WAIVERS_FILE).exists()

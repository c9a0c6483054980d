"""What Kubernetes' own ParseQuantity (k8s.io/apimachinery 0.34) returned for each text."""

from __future__ import annotations

from decimal import Decimal

import pytest

from constructs_lib.kubernetes.quantity import parse_quantity, quantity, share


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0", "0"),
        ("2", "2"),
        ("+1", "1"),
        ("-1", "-1"),
        ("012", "12"),
        ("500m", "0.5"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("1.", "1"),
        ("1.G", "1e9"),
        ("1u", "0.000001"),
        ("1n", "0.000000001"),
        ("0.1n", "0.000000001"),
        ("1e-100", "0.000000001"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("2M", "2000000"),
        ("1E", "1e18"),
        ("1E3", "1000"),
        ("1e3", "1000"),
        ("1e+3", "1000"),
        ("1e-3", "0.001"),
        ("1e-07", "0.0000001"),
        ("1e100", "1e100"),
        ("99E", "99e18"),
        ("9" * 40, "9" * 40),
        ("9Ei", "9223372036854775807"),
        ("-8192Pi", "-9223372036854775807"),
        # What the server's decoder cuts off.
        (" 1Gi ", "1073741824"),
        ("m", "0"),
        ("+", "0"),
        (".", "0"),
        (2, "2"),
        (0.5, "0.5"),
        (1e-7, "0.0000001"),
        (1e30, "1e30"),
    ],
)
def test_numbers(value: object, number: str) -> None:
    assert quantity(value) == Decimal(number)


NO_QUANTITIES = "a 1K 1ki 1Zi 1Mb 1GiB --1 +-1 1e 1ee3 1e1.5 1.1.1 Ei 1_000 ٣Gi 0x10 inf nan"
#: More than the server could work with.
TOO_LONG = ["1e1000000", "1" * 2000]


@pytest.mark.parametrize(
    "value", [*NO_QUANTITIES.split(), *TOO_LONG, "", " ", "1 Gi", "1\n", "\t1", None, True, [], {}]
)
def test_no_quantities(value: object) -> None:
    assert quantity(value) is None


@pytest.mark.parametrize(
    ("left", "right"), [("1", "1000m"), ("1Gi", "1024Mi"), ("0.5", "500m"), ("1k", "1e3"), (2, "2"), ("1E", "1000P")]
)
def test_the_same_in_other_words(left: object, right: object) -> None:
    assert quantity(left) == quantity(right) is not None


@pytest.mark.parametrize("unit", "KMGTPE")
def test_a_binary_unit_is_larger_than_the_decimal_one(unit: str) -> None:
    assert parse_quantity(f"1{unit}i") > parse_quantity(f"1{unit.replace('K', 'k')}")


def test_none_is_an_error_where_one_is_needed() -> None:
    with pytest.raises(ValueError, match="1 Gi"):
        parse_quantity("1 Gi")


@pytest.mark.parametrize(
    ("value", "total", "up", "down"),
    [
        (3, 10, 3, 3),
        ("25%", 10, 3, 2),
        ("50%", 10, 5, 5),
        ("1%", 1, 1, 0),
        ("0%", 10, 0, 0),
        ("200%", 3, 6, 6),
        ("25%", 0, 0, 0),
        ("3", 10, None, None),
        ("25 %", 10, None, None),
        ("-5%", 10, None, None),
        (True, 10, None, None),
        (None, 10, None, None),
    ],
)
def test_shares(value: object, total: int, up: int | None, down: int | None) -> None:
    assert (share(value, total, up=True), share(value, total, up=False)) == (up, down)

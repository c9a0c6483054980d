"""Quantities such as ``250m`` and ``1Gi``, as the API server reads them.

``ParseQuantity`` and ``UnmarshalJSON`` of https://github.com/kubernetes/apimachinery/blob/master/pkg/api/resource/quantity.go:
spaces around a quantity are cut off, it is rounded up to a billionth, and one with a binary suffix ends at 2⁶³ - 1.
"""

import re
from decimal import ROUND_UP, Context, Decimal
from functools import cache

from constructs_lib.text import shown

#: The number may have no digit at all, but before Ei: ``m`` is 0.
_QUANTITY = re.compile(r"(?![+-]?\.?Ei)([+-]?[0-9]*)(?:\.([0-9]*))?(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?[0-9]{1,6}))?")
_FACTORS = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}
#: What people write for an amount of bytes.
_WITH_B = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGTPEkmgtpe])i?[Bb]")
_PERCENT = re.compile(r"([0-9]+)%", re.ASCII)
_SMALLEST = Decimal("1e-9")
_LARGEST = Decimal(2**63 - 1)
#: Greater exponents would only keep us busy, as they do the API server.
_MOST_EXPONENT = 999
#: As many digits as the largest and the smallest number together may have.
_EXACT = Context(prec=2200, rounding=ROUND_UP)


def quantity(value: object) -> Decimal | None:
    """Return a quantity as a number, or None if it is none; in YAML, it may be a number as well as a text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return _parsed(str(value).strip(" "))


def parse_quantity(text: str) -> Decimal:
    """Return a quantity as a number, in its base unit (bytes, cores).

    Raises:
        ValueError: It is no quantity.
    """
    found = quantity(text)
    if found is None:
        raise ValueError(text)
    return found


def quantity_problem(text: object, example: str) -> str | None:
    """Return what is wrong with a quantity that is to be above zero, and of bytes if its example is; or None."""
    value = quantity(text) if isinstance(text, str) else None
    if value is None:
        meant = _WITH_B.fullmatch(str(text))
        better = f'a unit has no B; write "{meant[1]}{meant[2].upper()}i"' if meant else f'write it like "{example}"'
        return f"{shown(text)} is no quantity{':' if meant else ';'} {better}."
    if value <= 0:
        return f'{shown(text)} is no quantity above zero; write it like "{example}".'
    if example.endswith("i") and value < 1024**2:
        # The usual slip is 256m for 256Mi: a quarter of a byte.
        return f'{shown(text)} is less than a megabyte; write it like "{example}".'
    return None


@cache
def _parsed(text: str) -> Decimal | None:
    match = _QUANTITY.fullmatch(text)
    if match is None or not text or len(text) > _MOST_EXPONENT:
        return None
    whole, part, suffix, exponent = match.groups()
    power = int(exponent or 0)
    if abs(power) > _MOST_EXPONENT:
        return None
    number = Decimal(f"{whole}{'' if whole[-1:].isdigit() else 0}{f'.{part}' if part else ''}")
    exact = _EXACT.multiply(number, _FACTORS[suffix or ""]).scaleb(power, _EXACT)
    rounded = exact.quantize(_SMALLEST, context=_EXACT)
    if suffix and suffix.endswith("i"):
        rounded = max(-_LARGEST, min(rounded, _LARGEST))
    return exact if exact == rounded else rounded


def share(value: object, total: int, *, up: bool) -> int | None:
    """Return a number, or a percentage of a total that is rounded up or down; None for anything else.

    ``GetScaledValueFromIntOrPercent`` in k8s.io/apimachinery/pkg/util/intstr.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    return None if match is None else -(-int(match[1]) * total // 100) if up else int(match[1]) * total // 100

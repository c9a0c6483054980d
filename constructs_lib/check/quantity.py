"""Quantities such as ``250m`` and ``1Gi``, as the API server reads them.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache

_QUANTITY = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?[0-9]{1,3}))?")
_FACTORS = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}


@cache
def quantity(text: str) -> Decimal | None:
    """Return a quantity as a number, or None if the text is no quantity."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    digits, suffix, exponent = match.groups()
    return Decimal(digits) * _FACTORS[suffix or ""] * Decimal(10) ** int(exponent or 0)

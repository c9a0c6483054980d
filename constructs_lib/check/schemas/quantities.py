"""What is wrong with quantities, and with the requests and limits of containers."""

import re

from constructs_lib.check.schemas.faults import Fault, Faults
from constructs_lib.kubernetes.manifest import inner, mapping
from constructs_lib.kubernetes.quantity import quantity
from constructs_lib.text import given

_SCALED = ("cpu", "memory", "ephemeral-storage")
_IN_BYTES = ("memory", "ephemeral-storage", "storage")
#: Suffixes as people write them, and as Kubernetes does.
_SUFFIXES = {"mb": "M", "gb": "G", "kb": "k", "mib": "Mi", "gib": "Gi", "kib": "Ki", "mi": "Mi", "gi": "Gi"}


def quantity_faults(resource: str, value: object, at: str) -> Faults:
    """Yield what is wrong with a quantity.

    Args:
        resource: The resource that is measured; storage and memory are counted in whole bytes.
        value: The quantity.
        at: Where it stands.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return
    amount, text = quantity(value), str(value)
    if amount is None:
        match = re.fullmatch(r"\s*([0-9.]+)\s*([A-Za-z]+)\s*", text)
        suffix = _SUFFIXES.get(match[2].lower()) if match else None
        fix = f"Write {match[1]}{suffix}." if match and suffix else ""
        yield Fault("bad-quantity", at, f"{given(value)} is no quantity.", fix)
    elif amount < 0:
        yield Fault("bad-quantity", at, f"{value} is less than nothing.")
    elif amount != amount.to_integral_value() and resource in _IN_BYTES:
        fix = f"An m is a thousandth: {text.rstrip('m')}Mi or {text.rstrip('m')}M is meant."
        yield Fault("bad-quantity", at, f"{value} is {amount} bytes, and there is no part of a byte.", fix)


def resource_faults(resources: object, at: str) -> Faults:
    """Yield what is wrong with requests and limits (``ValidateResourceRequirements``)."""
    for field in ("requests", "limits"):
        for resource, value in mapping(inner(resources, field)).items():
            yield from quantity_faults(resource, value, f"{at}.{field}.{resource}")
    for resource in _SCALED:
        written = inner(resources, "requests", resource), inner(resources, "limits", resource)
        request, limit = map(quantity, written)
        if request is not None and limit is not None and request > limit:
            problem = f"{written[0]} of {resource} are requested, and the limit is {written[1]}."
            yield Fault("request-above-limit", f"{at}.requests.{resource}", problem)

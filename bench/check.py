"""Measures ``check``: ``make bench-check``. Only ratios are compared, since the times depend on the machine.

Checking 1,000 components must take less time than synthesizing them, and the time must grow no faster than the tree.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from generated import generated
from synth import exponent

from constructs_lib import synthesize
from constructs_lib.check.finding import Finding
from constructs_lib.check.proofs import PROOFS
from constructs_lib.check.subject import Subject
from constructs_lib.repository.snapshot import Snapshot

SIZES = (100, 1_000, 5_000)
COMPARED = 1_000
Result = TypeVar("Result")


def timed(function: Callable[[], Result]) -> tuple[float, Result]:
    """Return how long a function takes, and what it returns."""
    gc.collect()
    begin = time.perf_counter()
    result = function()
    return time.perf_counter() - begin, result


def measure(size: int) -> dict[str, float]:
    """Return the seconds of the synthesis, of reading the tree and of every proof, for so many components."""
    seconds: dict[str, float] = {}
    seconds["synthesis"], tree = timed(lambda: synthesize(generated(size)))
    snapshot = Snapshot(tree.environment, tree.files, None)
    seconds["reading"], subject = timed(lambda: Subject(snapshot, [f"argocd/{tree.environment}"]))
    for proof in PROOFS:
        found: list[Finding] = []
        seconds[proof.name], _ = timed(partial(found.extend, proof.prove(subject)))
        for finding in found[:3]:
            print(f"{proof.name}: {finding.check.code}: {finding.subject}: {finding.problem}")
    seconds["check"] = sum(value for name, value in seconds.items() if name != "synthesis")
    print(
        f"{size:,} components, {len(subject.objects):,} objects: "
        + ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items()),
        flush=True,
    )
    return seconds


def main() -> None:
    """Print all figures, and fail if check is slower than synthesis."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="numbers of components")
    parser.add_argument("--runs", type=int, default=3, help="runs of the comparison; their median counts")
    arguments = parser.parse_args()
    found = {size: measure(size) for size in arguments.sizes}
    if len(found) > 1:
        print(f"\n| | {' | '.join(f'{size:,}' for size in found)} | exponent |")
        print(f"|---|{'---:|' * (len(found) + 1)}")
        for name in found[arguments.sizes[0]]:
            values = [max(found[size][name], 0.001) for size in found]
            shown = " | ".join(f"{value:.2f}" for value in values)
            print(f"| {name} | {shown} | {exponent(list(found), values):.2f} |")
    ratios = [run["check"] / run["synthesis"] for run in (measure(COMPARED) for _ in range(arguments.runs))]
    ratio = statistics.median(ratios)
    print(f"\ncheck takes {ratio:.2f} times as long as the synthesis of {COMPARED:,} components")
    if ratio >= 1:
        raise SystemExit("it must take less")


if __name__ == "__main__":
    main()

"""Measures ``check``: part of ``make bench``. Only ratios are compared, since the times depend on the machine.

Checking must take less time than the synthesis of the same components and the writing of their files, and must grow no
faster than the tree. A run is a process of its own, in which both are measured.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

SIZES = (100, 1_000, 5_000)
#: The number of components of which checking may take no longer than synthesis.
COMPARED = 1_000
MOST_EXPONENT = 1.25
RUNS = 3
SYNTHESIS = ("declaration", "synthesis", "writing")
#: Not a part of checking one's own declaration, whose objects are there: what ``--tree`` needs in place of them.
FOREIGN = "reading for --tree"
CHECK = "**check**"
RATIO = "**check to synthesis**"
UNWRITTEN = "check to synthesis that writes nothing"
Result = TypeVar("Result")


def timed(function: Callable[[], Result]) -> tuple[float, Result]:
    """Return how long a function takes, and what it returns."""
    gc.collect()
    begin = time.perf_counter()
    result = function()
    return time.perf_counter() - begin, result


def one(size: int) -> None:
    """Print the seconds of every step for so many components, as JSON."""
    from generated import generated

    from constructs_lib.api import model_of
    from constructs_lib.check.finding import Finding
    from constructs_lib.check.model import ClusterModel
    from constructs_lib.check.proofs import PROOFS
    from constructs_lib.repository.snapshot import Snapshot
    from constructs_lib.synth.paths import owned_paths
    from constructs_lib.synth.pipeline import synthesize
    from constructs_lib.synth.writer import write

    seconds: dict[str, float] = {}
    seconds["declaration"], system = timed(partial(generated, size))
    seconds["synthesis"], tree = timed(lambda: synthesize(system, keep_manifests=True))
    with tempfile.TemporaryDirectory() as folder:
        seconds["writing"], _ = timed(lambda: write(Path(folder), tree.files, owned_paths()))
        seconds[FOREIGN], _ = timed(
            lambda: ClusterModel(Snapshot.of_folder(Path(folder)), [f"argocd/{tree.environment}"]).objects
        )
    # As the command does.
    gc.disable()
    seconds["indexing"], model = timed(lambda: model_of(tree))
    for proof in PROOFS:
        found: list[Finding] = []
        seconds[proof.name], _ = timed(partial(found.extend, proof.prove(model)))
        for finding in found:
            raise SystemExit(f"{finding.check.code}: {finding.subject}: {finding.problem}")
    print(json.dumps({"objects": len(model.objects), "seconds": seconds}))


def measure(size: int) -> tuple[int, dict[str, float]]:
    """Return the number of objects, and the medians of the seconds of every step and of the two sums."""
    runs: list[dict[str, float]] = []
    objects = 0
    for _ in range(RUNS):
        command = [sys.executable, __file__, "--one", str(size)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        seconds, objects = found["seconds"], found["objects"]
        whole = sum(seconds[step] for step in SYNTHESIS)
        check = sum(value for step, value in seconds.items() if step not in (*SYNTHESIS, FOREIGN))
        unwritten = whole - seconds["writing"]
        runs.append(
            {
                **seconds,
                "**synthesis, written**": whole,
                CHECK: check,
                RATIO: check / whole,
                UNWRITTEN: check / unwritten,
            }
        )
    return objects, {step: statistics.median(run[step] for run in runs) for step in runs[0]}


def compare() -> int:
    """Print all figures; return 1 if checking takes too long."""
    from synth import exponent

    found: dict[int, dict[str, float]] = {}
    heads = []
    for size in SIZES:
        objects, found[size] = measure(size)
        heads.append(f"{size:,} components, {objects:,} objects")
    print(f"| seconds, medians of {RUNS} runs | {' | '.join(heads)} | exponent |")
    print(f"|---|{'---:|' * (len(found) + 1)}")
    exponents: dict[str, float] = {}
    for step in found[SIZES[0]]:
        values = [found[size][step] for size in SIZES]
        exponents[step] = exponent(SIZES, [max(value, 0.001) for value in values])
        grows = "" if step in (RATIO, UNWRITTEN) else f"{exponents[step]:.2f}"
        print(f"| {step} | {' | '.join(f'{value:.2f}' for value in values)} | {grows} |")
    ratio, grows_by = found[COMPARED][RATIO], exponents[CHECK]
    problems = []
    if ratio >= 1:
        problems.append(f"checking {COMPARED:,} components takes {ratio:.2f} times as long as their synthesis")
    if grows_by > MOST_EXPONENT:
        problems.append(f"the exponent of checking is {grows_by:.2f}; {MOST_EXPONENT} is the most")
    for problem in problems:
        print(f"\n{problem}", file=sys.stderr)
    return int(bool(problems))


def main() -> int:
    """Measure everything, or be one of the measured processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", type=int, metavar="COMPONENTS", help="measure so many components once")
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one)
        return 0
    return compare()


if __name__ == "__main__":
    sys.exit(main())

"""Measures ``check``: part of ``make bench``. Only ratios are compared, since the times depend on the machine.

Checking must not take much longer than reading the same files with libyaml, and must grow no faster than the tree. A
run is a process of its own, in which both are measured, in seconds of the processor. So is ``check --tree`` of a folder
of manifests without Applications, with its memory.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

SIZES = (100, 1_000, 5_000)
#: The number of components that is compared, and how many times as long as reading checking may take.
COMPARED = 1_000
MOST_TO_READING = 1.5
MOST_EXPONENT = 1.25
RUNS = 3
#: Of folders without Applications: the numbers of objects, which one is held to bounds, and to which.
OBJECTS = (300, 600, 1_239, 2_500, 5_000)
BOUND = 1_239
MOST_SECONDS, MOST_MEGABYTES = 8, 300
SYNTHESIS = ("declaration", "synthesis")
#: Not a part of checking one's own declaration, whose objects are there: what ``--tree`` needs in place of them.
READING = "reading for --tree"
CHECK = "**check**"
RATIO = "**check to reading**"
Result = TypeVar("Result")


def timed(function: Callable[[], Result]) -> tuple[float, Result]:
    """Return how long the processor works for a function, and what that returns."""
    gc.collect()
    begin = time.process_time()
    result = function()
    return time.process_time() - begin, result


def one(size: int) -> None:
    """Print the seconds of every step for so many components, as JSON."""
    from generated import generated

    from constructs_lib.api import model_of
    from constructs_lib.check.finding import Finding
    from constructs_lib.check.model import ClusterModel
    from constructs_lib.check.proofs import PROOFS
    from constructs_lib.repository.snapshot import Snapshot
    from constructs_lib.synth.pipeline import synthesize

    # As the commands do.
    gc.disable()
    seconds: dict[str, float] = {}
    seconds["declaration"], system = timed(partial(generated, size))
    seconds["synthesis"], tree = timed(lambda: synthesize(system, keep_manifests=True))
    snapshot = Snapshot.of_files(tree.environment, tree.files)
    seconds[READING], _ = timed(lambda: ClusterModel(snapshot, [f"argocd/{tree.environment}"]).objects)
    seconds["indexing"], model = timed(lambda: model_of(tree))
    for proof in PROOFS:
        found: list[Finding] = []
        seconds[proof.name], _ = timed(partial(found.extend, proof.prove(model)))
        for finding in found:
            raise SystemExit(f"{finding.check.code}: {finding.subject}: {finding.problem}")
    print(json.dumps({"objects": len(model.objects), "seconds": seconds}))


def measure(size: int) -> tuple[int, dict[str, float]]:
    """Return the number of objects, and the medians of the seconds of every step and of checking in all."""
    runs: list[dict[str, float]] = []
    objects = 0
    for _ in range(RUNS):
        command = [sys.executable, __file__, "--one", str(size)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        seconds, objects = found["seconds"], found["objects"]
        check = sum(value for step, value in seconds.items() if step not in (*SYNTHESIS, READING))
        runs.append({**seconds, CHECK: check, RATIO: check / seconds[READING]})
    return objects, {step: statistics.median(run[step] for run in runs) for step in runs[0]}


def folder(path: str) -> None:
    """Print the seconds and megabytes that checking a folder of manifests takes, as JSON."""
    from constructs_lib.check.model import ClusterModel
    from constructs_lib.check.report.report import look
    from constructs_lib.repository.snapshot import Snapshot

    gc.disable()
    looked = look(ClusterModel(Snapshot.of_folder(Path(path))), "")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([looked.objects, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))


def compare_folders() -> list[str]:
    """Print what folders of manifests take, and return what takes too much."""
    from generated import generated
    from synth import exponent

    from constructs_lib.synth.pipeline import synthesize

    tree = synthesize(generated(max(OBJECTS) // 4), keep_manifests=True)
    files = {path: tree.files[path] for path in tree.manifests or {} if path.startswith("dist/")}
    found: dict[int, tuple[float, float]] = {}
    for number in OBJECTS:
        with TemporaryDirectory() as place:
            for index, content in enumerate([*files.values()][:number]):
                Path(place, f"{index}.yaml").write_bytes(content)
            command = [sys.executable, __file__, "--folder", place]
            runs = [json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout) for _ in range(RUNS)]
        objects = runs[0][0]
        found[objects] = statistics.median(run[1] for run in runs), statistics.median(run[2] for run in runs)
    print(f"\n| `check --tree` of a folder | {' | '.join(f'{objects:,} objects' for objects in found)} | exponent |")
    print(f"|---|{'---:|' * (len(found) + 1)}")
    for index, title in enumerate(("seconds of the processor, start-up included", "megabytes at most")):
        values = [pair[index] for pair in found.values()]
        shown = " | ".join(f"{value:.{1 - index}f}" for value in values)
        print(f"| {title} | {shown} | {exponent([*found], values):.2f} |")
    problems = [
        f"{name} grows by {exponent([*found], [pair[index] for pair in found.values()]):.2f}"
        for index, name in enumerate(("the time of check --tree", "its memory"))
        if exponent([*found], [pair[index] for pair in found.values()]) > MOST_EXPONENT
    ]
    seconds, megabytes = found[BOUND]
    if seconds > MOST_SECONDS or megabytes > MOST_MEGABYTES:
        problems.append(
            f"checking {BOUND:,} objects takes {seconds:.1f} s and {megabytes:.0f} MB; "
            f"{MOST_SECONDS} s and {MOST_MEGABYTES} MB are the most"
        )
    return problems


def compare() -> int:
    """Print all figures; return 1 if checking takes too long."""
    from synth import exponent

    found: dict[int, dict[str, float]] = {}
    heads = []
    for size in SIZES:
        objects, found[size] = measure(size)
        heads.append(f"{size:,} components, {objects:,} objects")
    print(f"| seconds of the processor, medians of {RUNS} runs | {' | '.join(heads)} | exponent |")
    print(f"|---|{'---:|' * (len(found) + 1)}")
    exponents: dict[str, float] = {}
    for step in found[SIZES[0]]:
        values = [found[size][step] for size in SIZES]
        exponents[step] = exponent(SIZES, [max(value, 0.001) for value in values])
        grows = "" if step == RATIO else f"{exponents[step]:.2f}"
        print(f"| {step} | {' | '.join(f'{value:.2f}' for value in values)} | {grows} |")
    ratio, grows_by = found[COMPARED][RATIO], exponents[CHECK]
    problems = []
    if ratio > MOST_TO_READING:
        problems.append(
            f"checking {COMPARED:,} components takes {ratio:.2f} times as long as reading their files; "
            f"{MOST_TO_READING} is the most"
        )
    if grows_by > MOST_EXPONENT:
        problems.append(f"the exponent of checking is {grows_by:.2f}; {MOST_EXPONENT} is the most")
    for problem in [*problems, *(folders := compare_folders())]:
        print(f"\n{problem}", file=sys.stderr)
    return int(bool(problems or folders))


def main() -> int:
    """Measure everything, or be one of the measured processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", type=int, metavar="COMPONENTS", help="measure so many components once")
    parser.add_argument("--folder", help="check a folder of manifests once")
    arguments = parser.parse_args()
    if arguments.folder:
        folder(arguments.folder)
        return 0
    if arguments.one:
        one(arguments.one)
        return 0
    return compare()


if __name__ == "__main__":
    sys.exit(main())

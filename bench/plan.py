"""Measures ``plan``: part of ``make bench``. Every figure is that of a process of its own.

The measure is how long libyaml and PyYAML take to read one of the two trees; the ratios to it depend little on the
machine.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERVICES = 1_000
#: A plan may take at most so many times as long as reading one tree.
MOST = 5.0
_IMAGE = re.compile(rb"(?<=service:1\.2\.)3")
_CASES = {"none": 0, "one": 1, "all": SERVICES}


def files(folder: Path) -> dict[str, bytes]:
    """Return the generated tree, which is made once."""
    from generated import generated

    from constructs_lib import synthesize
    from constructs_lib.repository.snapshot import Snapshot
    from constructs_lib.synth.paths import owned_paths
    from constructs_lib.synth.writer import write

    if not (folder / "argocd").is_dir():
        write(folder, synthesize(generated(SERVICES)).files, owned_paths())
    return dict(Snapshot.of_folder(folder).files)


def read(folder: Path) -> None:
    """Read the objects of all components, and print how many there are and how long it took."""
    import yaml

    contents = [content for path, content in files(folder).items() if path.startswith("dist/")]
    begin = time.perf_counter()
    objects = [yaml.load(content, Loader=yaml.CSafeLoader) for content in contents]
    print(len(objects), time.perf_counter() - begin)


def compare(folder: Path, case: str) -> None:
    """Plan new images for some components, and print how many changes there are and how long it took."""
    from constructs_lib.plan.plan import plan
    from constructs_lib.repository.snapshot import Snapshot

    old = files(folder)
    changed = {f"dist/bench/service-{number}/Deployment-service-{number}.yaml" for number in range(_CASES[case])}
    new = {
        path: _IMAGE.sub(b"4", content) if path in changed else bytes(bytearray(content))
        for path, content in old.items()
    }
    begin = time.perf_counter()
    found = plan(Snapshot.of_files("old", old), Snapshot.of_files("new", new), folder="argocd/bench")
    print(len(found.changes), time.perf_counter() - begin)


def _run(*arguments: str) -> tuple[int, float]:
    output = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True).stdout
    count, seconds = output.split()
    return int(count), float(seconds)


def measure() -> int:
    """Print all figures; return 1 if a plan takes too long."""
    with tempfile.TemporaryDirectory() as folder:
        files(Path(folder))
        objects, reading = _run("--read", folder)
        print(f"reading {objects:,} objects of {SERVICES:,} services with libyaml: {reading:.2f} s")
        print("| components that change | changes | seconds | times as long as reading |")
        print("|---:|---:|---:|---:|")
        worst = 0.0
        for case, components in _CASES.items():
            changes, seconds = _run("--plan", folder, case)
            worst = max(worst, seconds / reading)
            print(f"| {components:,} | {changes:,} | {seconds:.2f} | {seconds / reading:.2f} |", flush=True)
    if worst > MOST:
        print(f"A plan takes {worst:.1f} times as long as reading; {MOST} is the most.")
    return int(worst > MOST)


def main() -> int:
    """Measure everything, or be one of the measured processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--read", metavar="FOLDER", help="read the tree in a folder")
    parser.add_argument("--plan", nargs=2, metavar=("FOLDER", "CASE"), help="plan a change of it")
    arguments = parser.parse_args()
    if arguments.read:
        read(Path(arguments.read))
    elif arguments.plan:
        compare(Path(arguments.plan[0]), arguments.plan[1])
    else:
        return measure()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measures ``synth --watch``: part of ``make bench``. One service in a hundred changes, again and again.

A process watches a repository in which everything is committed; another image of one service is written into a module
of the declaration, and what is measured is all that the process does then, up to the last line that it prints. Beside
it are the three commands that tell the same, each in a process of its own.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERVICES, SAVES, RUNS = 100, 11, 5
#: A save may take at most so many times as long as the three commands.
MOST = 0.25
HERE = Path(__file__).resolve().parent

APP = f"""from image import IMAGE

from constructs_lib import main
from generated import ENVIRONMENT, generated


def declared(environment):
    system = generated({SERVICES})
    system.components[{SERVICES // 2}].patch("apps/Deployment", IMAGE)
    return system


if __name__ == "__main__":
    main(declared, [ENVIRONMENT])
"""
IMAGE = (
    'IMAGE = {"spec": {"template": {"spec": {"containers": '
    f'[{{"name": "service-{SERVICES // 2}", "image": "registry.example.com/service:1.2.%d"}}]}}}}}}}}\n'
)


def save(folder: Path, number: int) -> None:
    """Save another image."""
    (folder / "image.py").write_text(IMAGE % number)


def one(folder: Path) -> None:
    """Watch a folder, save it again and again, and print the seconds that each took, and those of the processor."""
    import gc

    from constructs_lib.cli.app import App
    from constructs_lib.cli.watch import Watch, taken_again

    gc.disable()
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    output, sys.stdout = sys.stdout, io.StringIO()
    watch = Watch(taken_again(App(None, (), folder, folder / "app.py")), ())
    watch.again(())
    for number in range(SAVES):
        save(folder, 5 + number)
        changed = watch.wait()
        seconds, processor = time.perf_counter(), time.process_time()
        watch.again(changed)
        told = f"{time.perf_counter() - seconds} {time.process_time() - processor}"
        if "Plan: 1 component in 1 wave: 1 rolling restart" not in sys.stdout.getvalue():
            raise RuntimeError(sys.stdout.getvalue())
        sys.stdout.seek(0)
        sys.stdout.truncate()
        print(told, file=output)


def run(folder: Path, *command: str) -> tuple[float, float, str]:
    """Run Python in a folder; return the seconds that it took, those of the processor, and what it printed."""
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"}
    before, begin = os.times(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - begin, processor, done.stdout


def main() -> int:
    """Measure a save beside the commands, or be the process that watches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", type=Path, metavar="FOLDER", help="watch a folder")
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        (folder / "app.py").write_text(APP)
        (folder / ".gitignore").write_text("__pycache__/\n")
        save(folder, 4)
        run(folder, "app.py")
        author = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
        for command in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "--message=Declare"]):
            subprocess.run(["git", *command], cwd=folder, check=True)
        _, _, told = run(folder, str(HERE / "watch.py"), "--one", str(folder))
        saves = [[*map(float, line.split())] for line in told.splitlines()]
        names = ("synth", "plan", "check")
        commands = [[run(folder, "app.py", name)[:2] for name in names] for _ in range(RUNS)]
    print(f"| medians, {SERVICES} services of which one changes | seconds | of the processor | to the three commands |")
    print("|---|---:|---:|---:|")
    medians = [statistics.median(each[kind] for each in saves) for kind in (0, 1)]
    alone = {
        name: [statistics.median(each[place][kind] for each in commands) for kind in (0, 1)]
        for place, name in enumerate(names)
    }
    whole = [sum(each[kind] for each in alone.values()) for kind in (0, 1)]
    ratio = medians[1] / whole[1]
    print(f"| a save, with `synth --watch` | {medians[0]:.2f} | {medians[1]:.2f} | {ratio:.2f} |")
    for name, (seconds, processor) in alone.items():
        print(f"| `python app.py {name}` | {seconds:.2f} | {processor:.2f} | {processor / whole[1]:.2f} |")
    if ratio > MOST:
        print(f"\na save takes {ratio:.2f} times as long as the three commands; {MOST} is the most", file=sys.stderr)
    return int(ratio > MOST)


if __name__ == "__main__":
    sys.exit(main())

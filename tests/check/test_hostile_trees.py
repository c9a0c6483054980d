"""Trees that are made to hurt whoever reads them: each ends in one clear answer, in bounded time and memory.

Time is that of the processor, so that it does not depend on what else the machine does.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from app_runs import ROOT

pytestmark = pytest.mark.slow

APP = """
from constructs_lib import Environment, GitRepository, K3d, System, main

REPOSITORY = GitRepository("https://github.com/example/shop.git")
main(lambda environment: System(environment, "shop"), [
    Environment(name="laptop", repository=REPOSITORY, cluster=K3d(kubernetes="1.36", nodes=1)),
])
"""
#: What a command may take once it has begun: seconds of the processor, and bytes of memory.
SECONDS, MEMORY = 6, 300_000_000
#: With these the kernel ends it, so that a fault does not end the test's machine.
MOST_SECONDS, MOST_SPACE = 20, 4 << 30
#: Starts commands below limits, and says what each took. It has loaded what they load, which counts as their memory
#: and not as their time, and nothing else: a process begins with the memory of the one that starts it.
STARTER = f"""
import importlib, json, os, resource, runpy, sys
for name in ("cli.check", "cli.plan", "cli.synth", "check.report.formats", "plan.report.markdown", "plan.plan"):
    importlib.import_module("constructs_lib." + name)
for line in sys.stdin:
    folder, arguments = json.loads(line)
    if not (child := os.fork()):
        resource.setrlimit(resource.RLIMIT_CPU, ({MOST_SECONDS}, {MOST_SECONDS}))
        resource.setrlimit(resource.RLIMIT_AS, ({MOST_SPACE}, {MOST_SPACE}))
        os.chdir(folder)
        for number, name in enumerate((os.devnull, "out", "err")):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = ["app.py", *arguments]
        sys.path.insert(0, folder)
        code = 1
        try:
            runpy.run_path("app.py", run_name="__main__")
            code = 0
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    _, status, used = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]), flush=True)
"""
OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: d}\n"


@dataclass(frozen=True)
class Ending:
    """How a command ended, and what it took: seconds of the processor and bytes of memory."""

    code: int
    out: bytes
    err: bytes
    seconds: float
    memory: int

    @property
    def said(self) -> str:
        return (self.out + self.err).decode()


@cache
def starter() -> subprocess.Popen[str]:
    """Return what starts commands, for as long as this process runs."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": ""}
    command = [sys.executable, "-c", STARTER]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    atexit.register(process.communicate)
    return process


def run(folder: Path, *arguments: str) -> Ending:
    """Run a command on a tree in a process of its own, below limits."""
    (folder.parent / "app.py").write_text(APP)
    process = starter()
    assert process.stdin and process.stdout
    print(json.dumps([str(folder.parent), arguments]), file=process.stdin, flush=True)
    code, seconds, memory = json.loads(process.stdout.readline())
    out, err = ((folder.parent / name).read_bytes() for name in ("out", "err"))
    return Ending(code, out, err, seconds, memory)


def tree(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write a tree into a folder of its own."""
    for path, content in files.items():
        file = folder / "tree" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / "tree"


def assert_bounded(ending: Ending) -> None:
    assert ending.code in (0, 1), (ending.code, ending.err[-2_000:])
    assert ending.seconds < SECONDS, f"{ending.seconds} s"
    assert ending.memory < MEMORY, f"{ending.memory} bytes"
    assert b"Traceback" not in ending.err


def merges(number: int, sources: int = 2) -> str:
    rows = [f"  a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * sources)}]}}\n" for n in range(1, number)]
    return f"{OBJECT}x:\n  a0: &a0 {{k: 1}}\n{''.join(rows)}"


def aliases(number: int) -> str:
    rows = [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, number)]
    return f"{OBJECT}x:\n  a0: &a0 [1]\n{''.join(rows)}"


def growing_merges(number: int) -> str:
    rows = [f"  a{n}: &a{n} {{<<: *a{n - 1}, k{n}: 1}}\n" for n in range(1, number)]
    return f"{OBJECT}x:\n  a0: &a0 {{k: 1}}\n{''.join(rows)}"


def json_object(data: str) -> str:
    return f'{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "a", "namespace": "d"}}, "x": {data}}}'


#: A file that cannot be read, and why.
UNREADABLE: dict[str, tuple[str, str | bytes, str]] = {
    "flow sequences": ("a.yaml", f"{OBJECT}x: {'[' * 100_000}{']' * 100_000}", "nested too deeply"),
    "flow sequences whose ends are comments": ("a.yaml", OBJECT + "x:\n" + "  [ # ]\n" * 100_000, "nested too deeply"),
    "flow mappings": ("a.yaml", f"{OBJECT}x: {'{a: ' * 100_000}", "nested too deeply"),
    "brackets in texts between brackets": ("a.yaml", f"""{OBJECT}x: {'["]", ' * 50_000}""", "nested too deeply"),
    "sequences in a line": ("a.yaml", f"{OBJECT}x:\n  {'- ' * 100_000}a", "nested too deeply"),
    "keys in a line": ("a.yaml", f"{OBJECT}x:\n  {'? ' * 100_000}a", "nested too deeply"),
    "block mappings": ("a.yaml", OBJECT + "".join(f"{' ' * n}x:\n" for n in range(1_000)), "nested too deeply"),
    "arrays of JSON": ("a.json", json_object("[" * 100_000 + "]" * 100_000), "nested too deeply"),
    "objects of JSON": ("a.json", json_object('{"a":' * 900 + "1" + "}" * 900), "nested too deeply"),
    "merges of merges": ("a.yaml", merges(30), "anchors add more than"),
    "merges of many at once": ("a.yaml", merges(4, 1_000), "anchors add more than"),
    "merges that each add a key": ("a.yaml", growing_merges(20_000), "anchors add more than"),
    "a merge of itself": ("a.yaml", f"{OBJECT}x: &a {{k: 1, <<: [*a, *a]}}\ny: *a\nz: [*b]", "undefined alias"),
    "aliases of aliases": ("a.yaml", aliases(12), "anchors add more than"),
    "an anchor in itself": ("a.yaml", f"{OBJECT}x: &a [*a, *a]", "anchors add more than|holds itself"),
    "very many values": ("a.yaml", f"{OBJECT}x: [{'1,' * 3_000_000}]", "more than 400000 values"),
    "very many lines": ("a.yaml", OBJECT + "x:\n" + "- 1\n" * 2_000_000, "more than 400000 values"),
    "very many documents": ("a.yaml", OBJECT + "---\n" * 2_000_000, "more than 20000 documents"),
    "very many values of JSON": ("a.json", json_object(f"[{'[],' * 3_000_000}1]"), "more than 400000 values"),
    "very many bytes": ("a.yaml", f"{OBJECT}data: {{a: {'a' * 100_000_000}}}", "larger than 10 MB"),
    "very many bytes of JSON": ("a.json", json_object('"' + "a" * 20_000_000 + '"'), "larger than 10 MB"),
    "a huge integer": ("a.yaml", f"{OBJECT}x: {'9' * 4_000}", "4000 digits"),
    "a huge integer in hexadecimal digits": ("a.yaml", f"{OBJECT}x: 0x{'f' * 4_000_000}", "digits"),
    "a huge integer of JSON": ("a.json", json_object("9" * 400), "400 digits"),
    "a number without an end": ("a.yaml", f"{OBJECT}x: .inf", "the number inf"),
    "a number that overflows": ("a.json", json_object("1e999"), "the number inf"),
    "no number of JSON": ("a.json", json_object("NaN"), "NaN is no number"),
    "a long key": ("a.json", json_object(f'{{"{"k" * 5_000_000}": 1}}'), "a key of 5000000 characters"),
    "a long key in YAML": ("a.yaml", f"{OBJECT}x:\n  ? {'k' * 5_000_000}\n  : 1\n", "a key of 5000000 characters"),
    "documents of much between": ("a.yaml", f"{OBJECT}--- {'a ' * 1_000_000}{' ' * 1_000_000}b\n", "more than ---"),
    "very many objects of JSON without a name": ("a.yaml", json_object("1") * 50_000 + "[", "YAML|JSON|Expecting"),
    "an anchor twice among very many": ("a.yaml", f"{OBJECT}x: [&a 1, &a 1, {'1,' * 3_000_000}]", "more than 400000"),
    "a long name": ("a.yaml", OBJECT.replace("name: a", f"name: {'n' * 1_000_000}"), "a name of 1000000 characters"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_hostile_file_is_refused_by_check(name: str, tmp_path: Path, form: str = "sarif") -> None:
    path, content, reason = UNREADABLE[name]
    folder = tree(tmp_path, {f"f/{path}": content})
    ending = run(folder, "check", "--tree", str(folder), "--format", form)
    assert_bounded(ending)
    assert ending.code == 1
    assert "unreadable-file" in ending.said
    assert re.search(reason, ending.said), ending.said[-1_000:]


@pytest.mark.parametrize("form", ["terminal", "github", "json"])
@pytest.mark.parametrize("name", ["flow sequences", "flow sequences whose ends are comments", "very many values"])
def test_no_format_reads_a_hostile_file_again(name: str, form: str, tmp_path: Path) -> None:
    test_a_hostile_file_is_refused_by_check(name, tmp_path, form)


def application(directory: str, destination: str = "{namespace: d, server: https://kubernetes.default.svc}") -> str:
    return (
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: a, namespace: argocd}\n"
        f"spec:\n  project: p\n  source: {{repoURL: x, path: m, directory: {{recurse: true, {directory}}}}}\n"
        f"  destination: {destination}\n"
    )


def project(field: str) -> str:
    return (
        "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {name: p, namespace: argocd}\n"
        f"spec:\n  {field}\n"
    )


def rule(expression: str) -> str:
    metadata = "metadata: {name: r, namespace: d, labels: {release: monitoring}}"
    alert = f"{{alert: A, expr: {json.dumps(expression)}, labels: {{severity: warning}}}}"
    return (
        f"apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n{metadata}\n"
        f"spec: {{groups: [{{name: g, rules: [{alert}]}}]}}\n"
    )


STARS = "*a" * 13 + "*b"
LONG = f"m/{'a' * 240}.yaml"
#: Trees that are read, and checked, in bounded time; not in order, but harmless.
TREES: dict[str, dict[str, str]] = {
    "an included pattern": {"a.yaml": application(f"include: '{STARS}'"), LONG: OBJECT},
    "an excluded pattern": {"a.yaml": application(f"exclude: '{{{STARS},{STARS}}}'"), LONG: OBJECT},
    "nested alternatives": {"a.yaml": application(f"include: '{'{a*,' * 300}'"), LONG: OBJECT},
    "very many alternatives": {"a.yaml": application(f"include: '{'{a,aa}' * 100}b'"), LONG: OBJECT},
    "patterns of a project": {
        "a.yaml": application("jsonnet: {}", f"{{namespace: {'a' * 60}, server: {'a' * 900}}}"),
        "p.yaml": project(f"destinations: [{{namespace: '{STARS}', server: '{STARS}'}}]")
        + f"  sourceRepos: ['{STARS}']\n  clusterResourceWhitelist: [{{group: '{STARS}', kind: '{STARS}'}}]\n",
        LONG: OBJECT.replace("name: a", f"name: {'a' * 250}").replace("ConfigMap", "a" * 900),
    },
    "brackets in an expression": {"r.yaml": rule("(" * 10_000 + "up" + ")" * 10_000)},
    "operators in an expression": {"r.yaml": rule("up" + "+up" * 20_000)},
    "signs in an expression": {"r.yaml": rule("-" * 4_000 + "up")},
    "opened brackets in an expression": {"r.yaml": rule("(" * 200_000)},
    "a pattern in an expression": {"r.yaml": rule('absent(up{namespace=~"(a+)+b"})') + "---\n" + OBJECT},
    "placeholders in a message": {
        "r.yaml": rule("up > 1").replace("severity: warning", f"severity: warning, x: '{'{{ $value ' * 50_000}'")
    },
    "references in a command": {
        "p.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: d}\n"
        f"spec: {{containers: [{{name: c, image: 'a:1', args: ['{'$(' * 100_000}', '{'${' * 100_000}']}}]}}\n"
    },
    "tokens without an end": {"c.yaml": f"{OBJECT}data: {{x: '{'-eyJaaaaaaaaaa' * 50_000}'}}"},
}


@pytest.mark.parametrize("name", TREES)
def test_a_hostile_tree_is_checked_in_bounded_time(name: str, tmp_path: Path) -> None:
    folder = tree(tmp_path, TREES[name])
    assert_bounded(run(folder, "check", "--tree", str(folder)))


@pytest.mark.parametrize("name", [*UNREADABLE, *TREES])
def test_a_hostile_tree_is_planned_in_bounded_time(name: str, tmp_path: Path) -> None:
    files: Mapping[str, str | bytes] = TREES[name] if name in TREES else dict([UNREADABLE[name][:2]])
    folder = tree(tmp_path, files)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.yaml").write_text(OBJECT)
    ending = run(folder, "plan", "--from", "old", "--to", "tree", "--strict")
    assert_bounded(ending)


MANY = {
    "a pod that reads what is missing": "apiVersion: v1\nkind: Pod\n"
    "metadata: {{name: p{0}, namespace: d, labels: {{app: a{0}}}}}\n"
    "spec: {{containers: [{{name: c, image: 'a:1', envFrom: [{{configMapRef: {{name: missing{0}}}}}]}}]}}\n",
    "a service without pods": "apiVersion: v1\nkind: Service\nmetadata: {{name: s{0}, namespace: d}}\n"
    "spec: {{selector: {{app: b{0}}}, ports: [{{port: 80}}]}}\n",
    "a config map": "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{0}, namespace: d}}\n",
}


@pytest.mark.parametrize("apart", [False, True])
def test_time_grows_with_the_number_of_objects_and_not_with_its_square(apart: bool, tmp_path: Path) -> None:
    seconds = []
    for number in (300, 1_200):
        objects = [text.format(at) for at in range(number) for text in MANY.values()]
        files = {f"{at}.yaml": text for at, text in enumerate(objects)} if apart else {"a.yaml": "---\n".join(objects)}
        folder = tree(tmp_path / str(number), files)
        ending = run(folder, "check", "--tree", str(folder))
        assert ending.memory < MEMORY
        seconds.append(ending.seconds)
    assert seconds[1] < 8 * seconds[0], seconds


def test_a_tree_of_very_many_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(100_001):
        (tmp_path / "tree" / f"{number}.yaml").touch()
    ending = run(tmp_path / "tree", "check", "--tree", "tree")
    assert_bounded(ending)
    assert (
        ending.err == b"There are more than 100000 files of YAML and JSON in the tree; name a folder that holds less.\n"
    )


@pytest.mark.parametrize("in_git", [False, True])
def test_a_tree_of_very_many_bytes_is_refused(in_git: bool, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(23):
        # What this process has in memory would count as the command's.
        with (tmp_path / "tree" / f"{number}.yaml").open("w") as file:
            file.writelines([OBJECT, f"# {number}\n", *(["# aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"] * 290_000)])
    if in_git:
        for command in (
            ["init", "-q"],
            ["add", "."],
            ["-c", "user.name=a", "-c", "user.email=a", "commit", "-qm", "a"],
        ):
            subprocess.run(["git", *command], cwd=tmp_path, check=True)
    command = ["plan", "--from", "HEAD", "--to", "HEAD"] if in_git else ["check", "--tree", "tree"]
    ending = run(tmp_path / "tree", *command)
    assert_bounded(ending)
    assert b"There are more than 200 MB of YAML and JSON in the tree" in ending.err


def test_very_many_links_to_a_large_file_count_like_as_many_files(tmp_path: Path) -> None:
    folder = tree(tmp_path, {"a.yaml": f"{OBJECT}# {'a' * 9_000_000}\n"})
    for number in range(200):
        (folder / f"l{number}.yaml").symlink_to("a.yaml")
    ending = run(folder, "check", "--tree", "tree")
    assert_bounded(ending)
    assert b"There are more than 200 MB of YAML and JSON in the tree" in ending.err

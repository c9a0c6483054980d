"""Files of others in the generator's folders are named, and stay; its own go with what they were for."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from app_runs import Outcome, run, state

from constructs_lib.cli.watch import Watch

APP = """from constructs_lib import *

IMAGE = "example/service:1.2.3"
K3S = "rancher/k3s:v1.36.0-k3s1@sha256:{digest}"
CLUSTER = K3d(kubernetes="1.36", nodes=1, provides=("external-secrets",), image=K3S)
LOCAL = Environment(name="local", repository=GitRepository("https://github.com/example/shop.git"), cluster=CLUSTER)


def shop(environment):
    system = System(environment, "shop")
    {services}
    return system


main(shop, [LOCAL])
"""
WEB = 'Microservice(system, "web", image=IMAGE)'
BOTH = f'{WEB}; Microservice(system, "stock", image=IMAGE)'
MONITORING = 'Monitoring(system, version="87.15.0", storage="1Gi", retention_days=1)'
ADVICE = "or have {} removed with python app.py synth --adopt; nothing was written."
#: By hand, with what the generator's objects have as well.
BY_HAND = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app.kubernetes.io/part-of: shop}
  annotations: {argocd.argoproj.io/sync-wave: "1"}
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    file = tmp_path / "app.py"
    declare(file, WEB)
    return file


def declare(app: Path, services: str) -> None:
    app.write_text(APP.format(services=services, digest="a" * 64))


def files(app: Path) -> dict[str, bytes]:
    return {
        path.relative_to(app.parent).as_posix(): path.read_bytes()
        for folder in ("argocd", "bootstrap", "dist")
        for path in (app.parent / folder).rglob("*")
        if path.is_file()
    }


def written(file: Path) -> None:
    file.write_text(BY_HAND)


def copied(source: str, old: str = "", new: str = "") -> Callable[[Path], None]:
    """Go on with a copy of a generated file under another name."""

    def make(file: Path) -> None:
        root = next(parent for parent in file.parents if (parent / "app.py").exists())
        file.write_text((root / source).read_text().replace(old, new))

    return make


def linked(file: Path) -> None:
    file.unlink(missing_ok=True)
    file.symlink_to("../../../app.py")


def read_only(file: Path) -> None:
    written(file)
    file.chmod(0o400)


STRANGERS: dict[str, Callable[[Path], None]] = {
    "argocd/mine.yaml": written,
    "argocd/other/Application-shop.yaml": written,
    "argocd/local/Application-mine.yaml": copied("argocd/local/Application-web.yaml", "name: web", "name: mine"),
    "argocd/local/Application-web.yaml": written,
    "argocd/local/root.yaml": copied("argocd/local/Application-web.yaml"),
    "bootstrap/argocd/laptop.tfvars.json": copied("bootstrap/argocd/local.tfvars.json", '"local"', '"laptop"'),
    "bootstrap/argocd/local.tfvars.json": written,
    "bootstrap/k3d/laptop.yaml": copied("bootstrap/k3d/local.yaml", "shop-local", "shop-laptop"),
    "dist/.gitkeep": Path.touch,
    "dist/laptop/web/Deployment-web.yaml": copied("dist/local/web/Deployment-web.yaml"),
    "dist/local/web/Deployment-mine.yaml": read_only,
    "dist/local/web/Deployment-web.yaml": written,
    "dist/local/web/Secret-pipe.yaml": os.mkfifo,
    "dist/local/web/Service-mine.yaml": linked,
    "dist/local/web/ServiceAccount-web.yaml": linked,
    "dist/local/web/deployment-web.yaml": written,
    "dist/shop-1.0.whl": written,
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_what_is_of_somebody_else_is_named(app: Path, stranger: str) -> None:
    assert run(app).code == 0
    file = app.parent / stranger
    file.parent.mkdir(parents=True, exist_ok=True)
    STRANGERS[stranger](file)
    (said,) = run(app).said
    assert said == (
        f"1 file in folders that belong to the generator is not from it: {stranger}. Move it elsewhere, "
        f"{ADVICE.format('it')}"
    )
    assert run(app, "synth", "--adopt").code == 0
    own = "-web.yaml", "root.yaml", "local.tfvars.json"
    assert file.exists() is (
        stranger.startswith(("argocd/local", "bootstrap/argocd/local", "dist/local"))
        and stranger.endswith(own)
        and "deployment" not in stranger
    )
    assert not file.is_symlink()
    assert run(app, "synth", "--check") == Outcome(0, [])


FROM_PYTHON = """
import sys
from pathlib import Path

from constructs_lib import api, synthesize

system = shop(LOCAL)
synthesize(system)
api.objects_of(system.components[0])
api.check(system)
api.check(Path(__file__).parent)
api.plan(Path(__file__).parent, system)
sys.exit(1)
"""
#: Every way in which a run can start, but for publish, promote and rehearse (tests/publish/test_foreign_files.py).
#: Those that would write stop; the others write nothing.
WAYS = {
    "python app.py": [],
    "synth": ["synth"],
    "synth of one environment": ["synth", "local"],
    "synth --check": ["synth", "--check"],
    "synth --watch": ["synth", "--watch"],
    "cdk8s synth": ["synth"],
    "cdk8s synth --output": ["synth"],
    "plan": ["plan"],
    "plan between trees": ["plan", "--from", ".", "--to", "."],
    "check": ["check"],
    "check --tree": ["check", "--tree", "."],
    "check --docs": ["check", "--docs", "docs/checks.md"],
    "graph": ["graph"],
    "graph --docs": ["graph", "--docs", "docs"],
    "observe --docs": ["observe", "--docs", "docs"],
    "why": ["why", "web"],
    "publish, without Git": ["publish", "local"],
    "from Python": [],
}
#: They only tell what would be, of the tree as it should be, or go on until Ctrl-C.
READING = {"plan", "plan between trees", "check", "graph", "why", "synth --watch"}
DOCS = ["architecture.md", "architecture.svg", "checks.md", "observability.md", "runbooks/WorkloadUnavailable.md"]


def one_save() -> Callable[[Watch], list[str]]:
    """Return what waits for one save, and then for Ctrl-C."""
    saves = [["app.py"]]

    def wait(watch: Watch) -> list[str]:
        if not saves:
            raise KeyboardInterrupt
        return saves.pop()

    return wait


@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_others_changes_whatever_is_run(app: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = app.parent
    monkeypatch.chdir(root)
    declare(app, f"{BOTH}; {MONITORING}")
    assert run(app).code == 0
    # What goes with it is the generator's, and stays as well.
    declare(app, f"{WEB}; {MONITORING}")
    for name in [*STRANGERS, *(f"docs/{page}" for page in DOCS)]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        # A pipe has nothing to compare.
        if STRANGERS.get(name) is not os.mkfifo:
            STRANGERS.get(name, written)(root / name)
    if way.startswith("cdk8s"):
        output = ".cdk8s" if way == "cdk8s synth" else "elsewhere"
        shutil.copytree(root / "dist", root / output / "dist")
        monkeypatch.setenv("CDK8S_OUTDIR", output)
    if way == "synth --watch":
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        monkeypatch.setattr(Watch, "wait", one_save())
    if way == "from Python":
        app.write_text(app.read_text().replace("main(shop, [LOCAL])", FROM_PYTHON))
    shutil.rmtree(root / ".synth")  # As in a fresh clone.
    before = {path: found for path, found in state(root).items() if path != "."}
    outcome = run(app, *WAYS[way])
    after = {path: found for path, found in state(root).items() if path != "." and not path.startswith(".synth")}
    assert after == before
    assert outcome.code == 0 if way in READING else outcome.code in (1, 2), outcome.said


def test_several_are_named_together(app: Path) -> None:
    (app.parent / "dist").mkdir()
    for number in range(12):
        (app.parent / "dist" / f"{number:02}.whl").write_text("")
    (said,) = run(app).said
    assert said.startswith("12 files in folders that belong to the generator are not from it: dist/00.whl, ")
    assert said.endswith(f"and 2 more. Move them elsewhere, {ADVICE.format('them')}")


def test_its_own_files_go_with_what_they_were_for(app: Path) -> None:
    declare(app, BOTH)
    assert run(app).code == 0
    assert "dist/local/stock/Deployment-stock.yaml" in files(app)
    changed = app.parent / "dist/local/web/Deployment-web.yaml"
    changed.write_text(changed.read_text().replace("replicas: 1", "replicas: 3"))
    # As a merge in which both sides have changed it, with line breaks of Windows.
    conflict = app.parent / "dist/local/web/Namespace-web.yaml"
    line, rest = conflict.read_bytes().split(b"\n", 1)
    conflict.write_bytes(line + b"\r\n<<<<<<< HEAD\r\n" + rest)
    # A power cut, and a run that was killed in the middle.
    (app.parent / "dist/local/web/ServiceAccount-web.yaml").write_bytes(b"")
    left = app.parent / ".synth/staging/new/dist/local/web"
    left.mkdir(parents=True)
    (left / "Service-web.yaml").write_text("half")
    app.write_text(app.read_text().replace('"local"', '"laptop"').replace(BOTH, WEB))
    shutil.rmtree(app.parent / "dist/local/stock")
    (app.parent / "dist/local/web/ServiceAccount-web.yaml").unlink()
    assert run(app).code == 0
    assert all("laptop" in path for path in files(app))
    (app.parent / "dist/laptop/web/ServiceAccount-web.yaml").write_bytes(b"")
    assert run(app).code == 0
    assert run(app, "synth", "--check").code == 0


@pytest.mark.parametrize("name", ["dist", "argocd", "dist/local"])
@pytest.mark.parametrize("kind", ["file", "link"])
def test_folder_that_is_none_stops_a_run(app: Path, name: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/file").write_text("theirs")
    (tmp_path / "dist").mkdir(exist_ok="/" in name)
    (tmp_path / name).rmdir() if (tmp_path / name).exists() else None
    if kind == "file":
        (tmp_path / name).write_text("theirs")
    else:
        (tmp_path / name).symlink_to(tmp_path / "theirs")
    outcome = run(app)
    assert outcome.code == 1
    assert name in outcome.said[0]
    assert (tmp_path / name).is_symlink() is (kind == "link")
    assert (tmp_path / "theirs/file").read_text() == "theirs"
    assert sorted(path.name for path in (tmp_path / "theirs").iterdir()) == ["file"]

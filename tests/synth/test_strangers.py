"""Files of others in the generator's folders are named, and stay; its own go with what they were for."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_runs import Outcome, run

APP = """from constructs_lib import *

IMAGE = "example/service:1.2.3"
CLUSTER = K3d(kubernetes="1.36", nodes=1, image="rancher/k3s:v1.36.0-k3s1@sha256:{digest}")
LOCAL = Environment(name="local", repository=GitRepository("https://github.com/example/shop.git"), cluster=CLUSTER)


def shop(environment):
    system = System(environment, "shop")
    {services}
    return system


main(shop, [LOCAL])
"""
WEB = 'Microservice(system, "web", image=IMAGE)'
BOTH = f'{WEB}; Microservice(system, "stock", image=IMAGE)'
ADVICE = "or have {} removed with python app.py synth --adopt; nothing was written."


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


@pytest.mark.parametrize(
    "stranger",
    [
        "argocd/mine.yaml",
        "argocd/other/app.yaml",
        "argocd/local/Application-web.yaml",
        "argocd/other/Application-shop.yaml",
        "bootstrap/argocd/laptop.tfvars.json",
        "bootstrap/k3d/laptop.yaml",
        "dist/local/web/Deployment-web.yaml",
        "dist/shop-1.0.whl",
    ],
)
def test_file_of_somebody_else_stops_a_run(app: Path, stranger: str) -> None:
    file = app.parent / stranger
    file.parent.mkdir(parents=True)
    file.write_text("kind: Application\nmetadata: {name: web}\n")
    before = files(app)
    for arguments in ([], ["synth"], ["synth", "--check"]):
        outcome = run(app, *arguments)
        assert outcome == Outcome(
            1,
            [
                f"1 file in folders that belong to the generator is not from it: {stranger}. Move it elsewhere, "
                f"{ADVICE.format('it')}"
            ],
        )
    assert files(app) == before
    assert run(app, "synth", "--adopt").code == 0
    assert file.exists() is stranger.endswith(("Application-web.yaml", "Deployment-web.yaml"))


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
    app.write_text(app.read_text().replace('"local"', '"laptop"').replace(BOTH, WEB))
    assert run(app).code == 0
    assert all("laptop" in path for path in files(app))

"""What is not generated and lies in the folders that Argo CD reads is named, and stops a publication."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from app_runs import state
from shop import BASKET, Shop

from constructs_lib.cli.app import App
from constructs_lib.cli.watch import taken_again
from constructs_lib.rehearse.changes import BROKEN
from constructs_lib.rehearse.rehearsal import Rehearsal
from constructs_lib.rehearse.scenario import Scenario, play
from constructs_lib.rehearse.scratch import ScratchRepository

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: foreign, namespace: basket}\n"
#: In the folders of environments, and in those beside them.
FOREIGN = {
    "argocd/cloud/mine.yaml": CONFIG,
    "argocd/laptop/mine.yaml": CONFIG,
    "dist/cloud/basket/mine.yaml": CONFIG,
    "dist/laptop/basket/mine.yaml": CONFIG,
    "dist/mine.txt": "theirs",
}


def merged(shop: Shop, links: dict[str, str], files: dict[str, str]) -> None:
    for path, content in {**links, **files}.items():
        (shop.folder / path).parent.mkdir(parents=True, exist_ok=True)
        if path in links:
            (shop.folder / path).symlink_to(content)
        else:
            (shop.folder / path).write_text(content)
    shop.commit("Merge something")
    shop.git("push", "--quiet")


def test_they_stop_a_publication_until_somebody_decides(published: Shop) -> None:
    """Merged or not, and ignored by Git or not."""
    override = "argocd/laptop/.argocd-source.yaml"
    links = {"dist/laptop/basket/zz.yaml": "../../../stuff/x.txt", "argocd/laptop/notes": "../../stuff/x.txt"}
    mine, ignored = "argocd/laptop/Application-mine.yaml", "dist/laptop/basket/notes.txt"
    basket = (published.folder / "argocd/laptop/Application-basket.yaml").read_text()
    merged(
        published,
        links,
        {
            ".gitignore": "__pycache__/\nnotes.txt\n",
            "stuff/x.txt": CONFIG,
            "dist/laptop/basket/evil.jsonnet": "{}",
            override: "directory: {exclude: '{root,Application-front}.yaml'}\n",
        },
    )
    (published.folder / mine).write_text(basket.replace("name: basket", "name: mine"))
    (published.folder / ignored).write_text("theirs")
    before = state(published.folder)
    for arguments in ((), ("--dry-run",), ("--only", "basket")):
        said = published.run("publish", "laptop", *arguments).said
        assert said.startswith("6 files in folders that belong to the generator are not from it: ")
        for path in (*links, override, "dist/laptop/basket/evil.jsonnet", mine, ignored):
            assert path in said
    after = state(published.folder)
    assert {path for path in after if not path.startswith(".git/") and after[path] != before.get(path)} == set()
    assert published.run("synth", "--adopt").code == 0
    # What was left out is a way in from outside, which opens again.
    assert "Taken away, because nothing generates it:" in published.publish("--allow=Service/front")
    assert published.run("synth", "--check", "laptop").code == 0
    assert "Nothing to publish" in published.publish()


PROMOTE = "promote", "laptop", "cloud", "--skip-health"
REHEARSE = "rehearse", "laptop"


@pytest.fixture
def foreign(published: Shop) -> Shop:
    """A shop with something to promote and to rehearse, and with files of somebody else."""
    published.change(*BASKET)
    published.publish()
    published.change("example/basket:1.1.0", "example/basket:1.2.0")
    published.git("push", "--quiet")
    for path, content in FOREIGN.items():
        (published.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (published.folder / path).write_text(content)
    return published


def files(shop: Shop) -> dict[str, tuple[int, bytes]]:
    """Return all that is in a checkout, but for what Git keeps for itself."""
    return {path: found for path, found in state(shop.folder).items() if path.split("/")[0] != ".git"}


def test_no_way_to_roll_out_changes_them(foreign: Shop, tmp_path: Path) -> None:
    """Merged or not. A rehearsal ends here where it would start programs."""
    in_cloud = "are not from it: argocd/cloud/mine.yaml, dist/cloud/basket/mine.yaml."
    in_laptop = "are not from it: argocd/laptop/mine.yaml, dist/laptop/basket/mine.yaml."
    ends = "A rehearsal cannot start"

    def expect(*ways: tuple[str, tuple[str, ...]]) -> None:
        before = files(foreign)
        for says, way in ways:
            run = foreign.run(*way, XDG_CACHE_HOME=str(tmp_path / "cache"))
            assert (run.code, says in run.said) == (1, True), run.said
            assert files(foreign) == before

    expect((in_cloud, PROMOTE), (in_cloud, (*PROMOTE, "--dry-run")), (ends, (*REHEARSE, "--break=basket")))
    foreign.commit("Merge something")
    foreign.git("push", "--quiet")
    expect((in_cloud, PROMOTE), (in_laptop, REHEARSE))


class Played:
    """A rehearsal without programs: what it writes, and nothing that comes of it."""

    def __init__(self, scratch: ScratchRepository) -> None:
        self.scratch = scratch

    def run(self, name: str, change: Callable[[], object], **_: object) -> str:
        change()
        return name


def test_what_a_rehearsal_breaks_is_elsewhere(foreign: Shop, tmp_path: Path) -> None:
    before, pushed = files(foreign), foreign.pushed
    app = taken_again(App(None, (), foreign.folder, foreign.folder / "app.py"))
    [tree] = app.synthesize(app.choose(["laptop"]))
    (tmp_path / "scratch").mkdir()
    played = Played(ScratchRepository(tmp_path / "scratch", foreign.folder, "main"))
    scenario = Scenario(foreign.git("rev-parse", "HEAD"), tree, broken=("basket",))
    phases = [str(phase) for phase in play(cast("Rehearsal", played), scenario)]
    assert phases[1:4] == ["Publish with basket broken", "Publish the fix", "Publish with basket broken"]
    work = tmp_path / "scratch/work"
    broken = foreign.git("log", "--format=", "--name-only", f"-S:{BROKEN}", folder=work)
    assert broken.splitlines() == ["dist/laptop/basket/Deployment-basket.yaml"] * 3
    assert (files(foreign), foreign.pushed) == (before, pushed)


def test_a_link_in_the_place_of_a_folder_stops_it_too(published: Shop) -> None:
    folder = published.folder / "dist" / "laptop"
    folder.rename(published.folder / "elsewhere")
    merged(published, {"dist/laptop": "../elsewhere"}, {})
    assert "are not from it: dist/laptop" in published.run("publish", "laptop").said.replace(" is ", " are ")
    assert folder.is_symlink()
    assert published.run("synth", "--adopt").code == 0
    assert "dist/laptop" in published.publish()
    assert folder.is_dir() and not folder.is_symlink()
    assert published.run("synth", "--check", "laptop").code == 0


@pytest.mark.parametrize("target", ["/etc/hostname", "../../outside"])
def test_a_link_out_of_the_repository_is_refused(published: Shop, target: str, tmp_path: Path) -> None:
    merged(published, {"docs/link": target}, {})
    run = published.run("publish", "laptop")
    assert run.code == 1
    assert "docs/link: with a symbolic link out of the repository, Argo CD renders nothing of it." in run.said

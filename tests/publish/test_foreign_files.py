"""What is not generated and lies in the folders that Argo CD reads is named, and stops a publication."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_runs import state
from shop import Shop

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: foreign, namespace: basket}\n"


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

"""Files that nobody generated, merged into the folders that Argo CD reads, are named and taken away."""

from __future__ import annotations

from pathlib import Path

import pytest
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


def test_they_are_named_and_taken_away(published: Shop) -> None:
    override = "argocd/laptop/.argocd-source.yaml"
    links = {"dist/laptop/basket/zz.yaml": "../../../stuff/x.txt", "argocd/laptop/notes": "../../stuff/x.txt"}
    merged(
        published,
        links,
        {
            "stuff/x.txt": CONFIG,
            "dist/laptop/basket/evil.jsonnet": "{}",
            override: "directory: {exclude: '{root,Application-front}.yaml'}\n",
        },
    )
    said = published.run("publish", "laptop", "--dry-run").said
    assert "Nothing to publish" not in said
    assert "Taken away, because nothing generates it:" in said
    for path in (*links, override, "dist/laptop/basket/evil.jsonnet"):
        assert path in said.partition("Taken away")[2]
    # What was left out is a way in from outside, which opens again.
    published.publish("--allow=Service/front")
    assert not any((published.folder / path).is_symlink() for path in links)
    assert published.run("synth", "--check", "laptop").code == 0
    assert "Nothing to publish" in published.publish()


def test_a_link_in_the_place_of_a_folder_is_replaced(published: Shop) -> None:
    folder = published.folder / "dist" / "laptop"
    folder.rename(published.folder / "elsewhere")
    merged(published, {"dist/laptop": "../elsewhere"}, {})
    assert "dist/laptop" in published.publish()
    assert folder.is_dir() and not folder.is_symlink()
    assert published.run("synth", "--check", "laptop").code == 0


@pytest.mark.parametrize("target", ["/etc/hostname", "../../outside"])
def test_a_link_out_of_the_repository_is_refused(published: Shop, target: str, tmp_path: Path) -> None:
    merged(published, {"docs/link": target}, {})
    run = published.run("publish", "laptop")
    assert run.code == 1
    assert "docs/link: with a symbolic link out of the repository, Argo CD renders nothing of it." in run.said

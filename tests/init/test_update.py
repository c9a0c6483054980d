"""``init --update``: what the library owns follows it, and what the user has changed stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from initialized import begin, files, run

from constructs_lib.init import content

RECORD = ".constructs-lib.json"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    begin(tmp_path, ["local:k3d", "eu:digitalocean"])
    return tmp_path


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a newer version: one is changed, one is new, one is gone."""
    import shutil

    folder = tmp_path_factory.mktemp("newer") / "files"
    shutil.copytree(content._FOLDER, folder)
    shutil.copy(content._FOLDER.with_name("files.yaml"), folder.with_name("files.yaml"))
    (folder / "bootstrap/argocd/outputs.tf").write_text("# other outputs\n")
    (folder / "bootstrap/argocd/more.tf").write_text("# more\n")
    (folder / "bootstrap/argocd/guard.yaml").unlink()
    monkeypatch.setattr(content, "_FOLDER", folder)
    content._table.cache_clear()
    return folder


def update(folder: Path, *options: str, code: int = 0) -> list[str]:
    """Return the lines that an update says."""
    return run(str(folder), "--update", *options, code=code).splitlines()


def test_nothing_new(shop: Path) -> None:
    before = files(shop)
    assert update(shop) == ["What init wrote is up to date."]
    assert files(shop) == before


def test_what_is_new_is_shown_first(shop: Path, newer: Path) -> None:
    before = files(shop)
    plan = ["  + bootstrap/argocd/more.tf", "  ~ bootstrap/argocd/outputs.tf", "  - bootstrap/argocd/guard.yaml"]
    assert update(shop, code=1) == [*plan, "Nothing was written; --yes writes it."]
    assert files(shop) == before
    assert update(shop, "--yes") == [*plan, "Written; git diff shows it."]
    after = files(shop)
    differing = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert differing == {f"bootstrap/argocd/{name}" for name in ("more.tf", "outputs.tf", "guard.yaml")} | {RECORD}
    assert after["bootstrap/argocd/outputs.tf"] == b"# other outputs\n"
    assert update(shop) == ["What init wrote is up to date."]


def test_programs_stay_programs(shop: Path, newer: Path) -> None:
    (newer / "ci/quietly").write_text("#!/bin/sh\n")
    update(shop, "--yes")
    assert (shop / ".ci/quietly").stat().st_mode & 0o100


def test_what_the_user_changed_stays(shop: Path, newer: Path) -> None:
    """It is named with what the library has for it; once, since the user has seen it then."""
    for path in ("bootstrap/argocd/outputs.tf", "bootstrap/argocd/guard.yaml", "Makefile"):
        (shop / path).write_text("mine\n")
    (shop / "renovate.json").unlink()
    (shop / "app.py").write_text("mine\n")
    before = files(shop)
    said = update(shop, "--yes")
    assert said[:5] == [
        "  + bootstrap/argocd/more.tf",
        "  ○ Makefile: you changed it, and it stays",
        "  ○ bootstrap/argocd/guard.yaml: you changed it; init gives it no more, and it stays",
        "  ○ bootstrap/argocd/outputs.tf: you changed it, and it stays",
        "  ○ renovate.json: you removed it, and it stays",
    ]
    assert said[6] == "bootstrap/argocd/outputs.tf has a new text, which you can take over by hand:"
    assert {"-mine", "+# other outputs"} <= {*said}
    after = files(shop)
    assert {path for path in after if before.get(path) != after[path]} == {"bootstrap/argocd/more.tf", RECORD}
    assert before.keys() <= after.keys()
    assert update(shop) == [
        "  ○ Makefile: you changed it, and it stays",
        "  ○ bootstrap/argocd/outputs.tf: you changed it, and it stays",
        "  ○ renovate.json: you removed it, and it stays",
        "What init wrote is up to date.",
    ]
    assert "bootstrap/argocd/guard.yaml" not in json.loads((shop / RECORD).read_text())["files"]


def test_what_the_user_took_over_by_hand_is_the_librarys_again(shop: Path, newer: Path) -> None:
    (shop / "bootstrap/argocd/outputs.tf").write_text("mine\n")
    update(shop, "--yes")
    (shop / "bootstrap/argocd/outputs.tf").write_text("# other outputs\n")
    assert update(shop) == ["What init wrote is up to date."]
    (newer / "bootstrap/argocd/outputs.tf").write_text("# newest outputs\n")
    assert update(shop, "--yes")[0] == "  ~ bootstrap/argocd/outputs.tf"


def test_a_file_of_the_user_in_the_place_of_a_new_one_stays(shop: Path, newer: Path) -> None:
    (shop / "bootstrap/argocd/more.tf").write_text("mine\n")
    said = update(shop, "--yes")
    assert "  ○ bootstrap/argocd/more.tf: it is yours, and it stays" in said
    assert "+# more" in said
    assert (shop / "bootstrap/argocd/more.tf").read_text() == "mine\n"


def test_a_link_in_the_place_of_a_file_stays(shop: Path, newer: Path) -> None:
    (shop / "mine").write_text("mine\n")
    (shop / "bootstrap/argocd/outputs.tf").unlink()
    (shop / "bootstrap/argocd/outputs.tf").symlink_to("../../mine")
    assert "  ○ bootstrap/argocd/outputs.tf: you changed it, and it stays" in update(shop, "--yes")
    assert (shop / "mine").read_text() == "mine\n"


def test_other_environments_take_other_files(shop: Path) -> None:
    """The parts that are about what there is no more go with it."""
    said = update(shop, "--yes", "--environment", "eu:existing")
    assert [line for line in said if line.startswith("  -")] == [
        *(f"  - bootstrap/cluster/{name}.tf" for name in ("main", "outputs", "variables", "versions")),
        "  - bootstrap/local.py",
    ]
    assert {"  ~ Makefile", "  ~ bootstrap/README.md"} <= {*said}
    assert "local-up" not in (shop / "Makefile").read_text()
    assert json.loads((shop / RECORD).read_text())["settings"]["environments"] == {"eu": "existing"}
    assert update(shop) == ["What init wrote is up to date."]


def test_another_version_of_the_library(shop: Path) -> None:
    assert update(shop, "--yes", "--library", "constructs-lib==1.2.4")[0] == "  ~ requirements.txt"
    assert "constructs-lib==1.2.4\n" in (shop / "requirements.txt").read_text()
    assert update(shop) == ["What init wrote is up to date."]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "so that init did not write it."),
        ("[]", "is not as init wrote it"),
        ("{", "is not as init wrote it"),
        ('{"settings": {}, "files": {}}', "is not as init wrote it"),
        ('{"settings": 1, "files": 1}', "is not as init wrote it"),
    ],
)
def test_without_its_list_nothing_is_touched(shop: Path, text: str | None, message: str) -> None:
    (shop / RECORD).unlink()
    if text is not None:
        (shop / RECORD).write_text(text)
    before = files(shop)
    assert message in update(shop, "--yes", code=1)[0]
    assert files(shop) == before


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--name", "other"], 2, "With --update, name, repository and branch stay"),
        (["--environment", "eu:cloud"], 1, '--environment: "eu:cloud": there is no "cloud"'),
    ],
)
def test_mistakes(shop: Path, options: list[str], code: int, message: str) -> None:
    before = files(shop)
    assert update(shop, *options, code=code)[0].startswith(message)
    assert files(shop) == before


def test_yes_is_for_updates(tmp_path: Path) -> None:
    assert "--yes is for --update" in run(str(tmp_path), "--yes", code=2)

"""What ``init`` writes: into which folders, what is in it, and that it works at once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import combinations, product
from pathlib import Path

import pytest
from app_runs import run_process
from initialized import begin, files, run

import constructs_lib.init
import versions
from constructs_lib.init.content import files_kept_up_to_date, files_written_once, is_program
from constructs_lib.init.declaration import KUBERNETES, declaration
from constructs_lib.init.library import Library
from constructs_lib.init.settings import Settings, https_address

FILES = Path(constructs_lib.init.__file__).parent / "files"
CLUSTERS = ("k3d", "digitalocean", "existing")
HOSTS = (
    "https://github.com/example/shop.git",
    "https://gitlab.com/example/shop.git",
    "https://git.example.com/shop.git",
)


def settings(
    environments: dict[str, str], repository: str = HOSTS[0], branch: str = "main", name: str = "shop"
) -> Settings:
    return Settings(name, repository, branch, environments)


def content(chosen: Settings) -> dict[str, bytes]:
    return {**files_written_once(chosen), **files_kept_up_to_date(chosen, Library("constructs-lib==1.2.3", {}))}


EVERY = [
    settings({f"on-{cluster}": cluster for cluster in clusters}, repository)
    for number in (1, 2, 3)
    for clusters in combinations(CLUSTERS, number)
    for repository in HOSTS
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    begin(folder)
    return folder


def test_it_works_at_once(shop: Path) -> None:
    """The first run writes the tree, a second one finds it so, and no proof finds anything."""
    assert run_process(shop).code == 0
    assert sorted(path.name for path in (shop / "argocd").iterdir()) == ["eu", "local", "production"]
    assert run_process(shop, "synth", "--check").code == 0
    result = run_process(shop, "check")
    assert result.code == 0, result.said
    assert "0 errors, 0 warnings." in result.out


def test_programs_can_be_run(shop: Path) -> None:
    programs = [path for path, text in files(shop).items() if is_program(text)]
    assert programs
    assert [path for path in programs if not (shop / path).stat().st_mode & 0o100] == []


@pytest.mark.parametrize(
    "chosen", EVERY, ids=lambda chosen: f"{'-'.join(chosen.environments.values())} {chosen.repository}"
)
def test_nothing_is_left_to_fill_in(chosen: Settings) -> None:
    """No placeholder is left, files that others name are there, and no part is for a cluster that there is not."""
    found = {path: text.decode() for path, text in content(chosen).items()}
    assert {path for path, text in found.items() if re.search("[«»]", text)} == set()
    clusters, remote = set(chosen.environments.values()), set(chosen.environments.values()) - {"k3d"}
    assert ("bootstrap/local.py" in found) == ("local-up:" in found["Makefile"]) == ("k3d" in clusters)
    assert ("bootstrap/cluster/main.tf" in found) == ("digitalocean" in clusters)
    assert ("application-health.lua |" in found["bootstrap/README.md"].replace("autoscaler", "application")) == (
        "existing" in clusters
    )
    assert (".github/workflows/publish.yaml" in found) == ("gitlab.com" not in chosen.repository and bool(remote))
    assert (".gitlab-ci.yml" in found) == ("github.com" not in chosen.repository)
    assert (".ci/as-publisher" in found) == bool(remote)
    for path, text in found.items():
        if path.startswith((".git", "Makefile")):
            named = re.findall(r"(?:^|[\s@])(\.ci/[\w-]+|bootstrap/[\w./-]+)", text, re.MULTILINE)
            assert {name for name in named if name not in found} == set(), path


def test_every_file_of_the_package_is_written_somewhere() -> None:
    """A file that no repository gets is one that is kept for nothing."""
    written = {line for chosen in EVERY for text in content(chosen).values() for line in text.splitlines()}
    names = {name: value for chosen in EVERY for name, value in chosen.placeholders.items()}
    assert names
    for file in FILES.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            lines = [line for line in file.read_bytes().splitlines() if "«".encode() not in line]
            assert set(lines) <= written, file


@pytest.mark.parametrize(
    "chosen",
    [
        *(settings({"one": cluster}) for cluster in CLUSTERS),
        *(settings({"one": cluster, "two": other}) for cluster, other in product(CLUSTERS, repeat=2)),
        settings({f"e{number}": "existing" for number in range(5)}),
        settings({"eu-west": "existing", "class": "k3d"}, f"https://git.example.com/{'a' * 60}/shop.git", "releases"),
        settings({"local": "k3d"}, f"https://git.example.com/{'a' * 30}/shop.git", "releases"),
        settings({"a" * 40: "digitalocean", "b" * 40: "k3d"}, name="c" * 20),
    ],
    ids=lambda chosen: " ".join(f"{name}:{cluster}" for name, cluster in chosen.environments.items())[:60],
)
def test_app_is_formatted(chosen: Settings, tmp_path: Path) -> None:
    """As the formatter and the linter have it by default, so that the first change is not one of white space."""
    text = declaration(chosen)
    (tmp_path / "app.py").write_text(text)
    (tmp_path / "versions.py").write_text("")
    for command in (["check", "--fix", "--select=E4,E7,E9,F,I,UP"], ["format"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, "--isolated", "--quiet"], cwd=tmp_path, check=True)
    assert (tmp_path / "app.py").read_text() == text


def test_other_python_is_formatted(shop: Path) -> None:
    for command in (["check", "--select=E4,E7,E9,F,I,UP,B"], ["format", "--check"]):
        words = [sys.executable, "-m", "ruff", *command, "--isolated", "versions.py", "tests"]
        result = subprocess.run(words, cwd=shop, capture_output=True, check=False)
        assert result.returncode == 0, result.stdout.decode()


def test_versions_are_those_of_this_repository() -> None:
    text = (FILES / "versions.py").read_text() + (FILES / "versions_k3d.py").read_text()
    told = dict(re.findall(r'^(\w+) = "(.*)"$', text, re.MULTILINE))
    assert told.pop("PODINFO")
    assert told == {name: getattr(versions, name) for name in ("ARGO_CD_CHART", "K3S")}
    assert f":v{KUBERNETES}." in told["K3S"]


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    """A repository as a Git host makes it, with a README, and a remote of which the address follows."""
    subprocess.run(["git", "init", "--quiet", "--initial-branch=trunk", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", "git@github.com:team/store.git"], check=True)
    (tmp_path / "README").write_text("Ours\n")
    (tmp_path / "LICENSE").write_text("None\n")
    said = run(str(tmp_path), "--name", "store", "--library", "constructs-lib==1.2.3")
    assert "for store: local on k3d on this machine, production on a cluster that exists." in said
    found = files(tmp_path)
    assert found["README"] == b"Ours\n" and "README.md" not in found
    assert b'GitRepository("https://github.com/team/store.git", branch="trunk")' in found["app.py"]
    assert b"branches: [trunk]" in found[".github/workflows/tests.yaml"]
    settings = json.loads(found[".constructs-lib.json"])["settings"]
    assert settings["environments"] == {"local": "k3d", "production": "existing"}


def test_files_of_others_are_named_and_stay(tmp_path: Path) -> None:
    for path in ("Makefile", "bootstrap/argocd/main.tf", "notes.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("mine\n")
    (tmp_path / "app.py").symlink_to("nowhere.py")
    before = files(tmp_path)
    said = run(str(tmp_path), "--name", "shop", "--repository", HOSTS[0], "--library", "constructs-lib==1.2.3", code=1)
    assert said.startswith("Makefile, app.py and bootstrap/argocd/main.tf are in ")
    assert said.endswith("nothing was written.")
    assert files(tmp_path) == before and (tmp_path / "app.py").is_symlink()


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine\n")
    told = ["--name", "shop", "--repository", HOSTS[0], "--library", "constructs-lib==1.2.3"]
    for folder in (tmp_path / "file", tmp_path / "file/shop"):
        assert run(str(folder), *told, code=1).endswith("; nothing was written.")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/bootstrap").write_text("mine\n")
    (tmp_path / "shop/tests").symlink_to("..")
    assert run(str(tmp_path / "shop"), *told, code=1).startswith("bootstrap and tests are in ")
    assert files(tmp_path) == {"file": b"mine\n", "shop/bootstrap": b"mine\n"}


def test_it_begins_once(shop: Path) -> None:
    before = files(shop)
    assert "init --update" in run(str(shop), code=1)
    assert files(shop) == before


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (["--name", "Shop"], ['--name: "Shop" is no DNS label', "Nothing was written."]),
        (["--name", "backend"], ['--name: "backend" is a service of the first app.py', "Nothing was written."]),
        (["--repository", "shop"], ['--repository: "shop" is no Git repository', "Nothing was written."]),
        (
            ["--repository", "https://me:secret@github.com/a/b.git"],
            ["--repository: the Git repository's address holds a", "Nothing"],
        ),
        (["--branch", "a b"], ['--branch: "a b" is no branch', "Nothing"]),
        (["--library", "constructs-lib"], ['--library: "constructs-lib" does not pin', "Nothing"]),
        (["--environment", "local"], ['--environment: "local" does not say where it runs', "Nothing"]),
        (["--environment", "a:k3s"], ['--environment: "a:k3s": there is no "k3s"; did you mean "k3d"?', "Nothing"]),
        (["--environment", "A_b:k3d"], ['--environment: "A_b" is no DNS label', "Nothing"]),
        (["--environment", "a:k3d", "--environment", "a:existing"], ['--environment: "a" is there twice.', "Nothing"]),
        (
            ["--environment", f"{'a' * 60}:digitalocean"],
            ["--environment: as the name of the cluster, the name", "Nothing"],
        ),
        (["--name", "", "--environment", ":"], ["--name: a name is", "--environment: a name is", "Nothing"]),
    ],
)
def test_mistakes(tmp_path: Path, options: list[str], lines: list[str]) -> None:
    """All are told at once, each with what would be right, and nothing is written."""
    folder = tmp_path / "new"
    right = {"--name": "shop", "--repository": HOSTS[0], "--library": "constructs-lib==1.2.3"}
    told = [word for option, value in right.items() if option not in options for word in (option, value)]
    said = run(str(folder), *told, *options, code=1).splitlines()
    assert len(said) == len(lines)
    for line, begins in zip(said, lines, strict=True):
        assert line.startswith(begins)
    assert not folder.exists()


def test_without_a_terminal_nobody_is_asked(tmp_path: Path) -> None:
    said = run(str(tmp_path), "--name", "shop", code=1, given="https://github.com/a/b.git\n")
    assert said.startswith("--repository: this folder has no remote origin")
    assert files(tmp_path) == {}


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("git@github.com:team/shop.git", "https://github.com/team/shop.git"),
        ("ssh://git@git.example.com:2222/team/shop.git", "https://git.example.com/team/shop.git"),
        ("https://token@gitlab.com/team/shop.git", "https://gitlab.com/team/shop.git"),
        ("https://gitlab.com/team/shop", "https://gitlab.com/team/shop"),
        ("/srv/git/shop.git", ""),
        ("../origin.git", ""),
        ("", ""),
    ],
)
def test_address_of_a_remote(remote: str, address: str) -> None:
    assert https_address(remote) == address

"""The command ``plan``, as a person runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest
from app_runs import Run, run_process
from trees import application, snapshot, tree, with_fields, written

APP = """
from constructs_lib import Environment, GitRepository, K3d, Microservice, System, main


def shop(environment: Environment) -> System:
    system = System(environment, "shop")
    Microservice(system, "stock", image="example/stock:1.4.0", ports={"http": 8080})
    return system


if __name__ == "__main__":
    repository = GitRepository("https://example.com/shop.git")
    cluster = K3d(kubernetes="1.36", nodes=1)
    main(shop, [Environment(name=name, repository=repository, cluster=cluster) for name in ("here", "there")])
"""


def run(folder: Path, *arguments: str) -> Run:
    return run_process(folder, *arguments, COLUMNS="40")


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An app whose files are committed, and whose declaration has a new image since."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "app.py").write_text(textwrap.dedent(APP))
    assert run(folder, "synth").code == 0
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "first")
    (folder / "app.py").write_text((folder / "app.py").read_text().replace("1.4.0", "1.5.0"))
    return folder


def test_declaration_against_what_is_published(shop: Path) -> None:
    found = run(shop, "plan", "there")
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith("there: from HEAD to the declaration\n\nstock  wave 0 of shop\n")
    assert "image: example/stock:1.4.0 → example/stock:1.5.0\n" in found.out
    assert found.out.endswith("Plan: 1 component in 1 wave: 1 rolling restart (1 pod); nothing is lost.\n")


def test_all_environments(shop: Path) -> None:
    found = run(shop, "plan")
    assert [line.partition(":")[0] for line in found.out.splitlines() if "to the declaration" in line] == [
        "here",
        "there",
    ]


def test_nothing_published(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))
    found = run(tmp_path, "plan", "here")
    assert found.code == 0
    assert found.err == "here: this is no Git repository, so nothing is published. Everything is taken for new.\n"
    assert "  + Namespace/stock: create\n" in found.out
    assert found.out.endswith("created; nothing is lost.\n")


def test_formats(shop: Path) -> None:
    content = json.loads(run(shop, "plan", "--format", "json").out)
    assert content["version"] == 1
    assert [(each["environment"], each["summary"]) for each in content["plans"]] == [
        ("here", {"rolling restart": 1}),
        ("there", {"rolling restart": 1}),
    ]
    text = run(shop, "plan", "here", "--format", "markdown").out
    assert text.startswith("### Plan of here\n\n**Plan: 1 component in 1 wave: ")


def test_two_trees_of_another_repository_without_the_declaration(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP.replace("    system = ", '    raise ValueError("evaluated")\n    system = '))
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "1"}}
    for name, value in (("old", "1"), ("new", "2")):
        files = tree({"web": [with_fields(config, {"data.a": value})]})
        files["argocd/here/x.yaml"] = written(with_fields(application("x", "parts/x"), {"spec.project": value}))
        for path, content in snapshot(files).files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(content)
    found = run(tmp_path, "plan", "--from", "old", "--to", "new")
    assert (found.code, found.err) == (0, "")
    assert "  ~ ConfigMap/ns/a: update in place\n      data.a: 1 → 2\n" in found.out
    assert "Application/argocd/x" in found.out
    found = run(tmp_path, "plan", "here", "--from", "old", "--to", "new")
    assert "ConfigMap/ns/a" not in found.out
    assert "Application/argocd/x" in found.out
    assert run(tmp_path, "plan", "--from", "old", "--to", "old").out == "From old to old\nNo changes.\n"


def test_two_trees_with_several_environments_are_planned_one_by_one(shop: Path) -> None:
    """Their Applications have the same names, and would hide each other's changes."""
    git(shop, "stash", "--quiet")
    file = next((shop / "dist" / "there").rglob("Deployment-*.yaml"))
    (shop / "copy").mkdir()
    for folder in ("argocd", "dist"):
        shutil.copytree(shop / folder, shop / "copy" / folder)
    changed = shop / "copy" / file.relative_to(shop)
    changed.write_text(changed.read_text().replace("1.4.0", "1.6.0"))
    git(shop, "stash", "pop", "--quiet")
    found = run(shop, "plan", "--from", "main", "--to", "copy").out.splitlines()
    assert found[:4] == ["here: from main to copy", "No changes.", "", "there: from main to copy"]
    assert found[-1] == "Plan: 1 component in 1 wave: 1 rolling restart (1 pod); nothing is lost."
    shutil.rmtree(shop / "copy")


def test_an_environment_that_is_in_neither_tree(shop: Path) -> None:
    found = run(shop, "plan", "here", "--from", "dist", "--to", "dist")
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("There is nothing in argocd/here/ of dist or of dist;")


def test_strict_fails_on_dangers_that_are_not_allowed(shop: Path, tmp_path: Path) -> None:
    for folder in ("argocd", "dist"):
        shutil.copytree(shop / folder, tmp_path / folder)
    (tmp_path / "argocd" / "here" / "Application-stock.yaml").unlink()
    shutil.rmtree(tmp_path / "dist" / "here" / "stock")
    removal = ("plan", "here", "--to", str(tmp_path))
    assert run(shop, *removal).code == 0
    dangers = json.loads(run(shop, *removal, "--format", "json").out)["plans"][0]["allow"]
    assert dangers == ["Component/stock"]
    each = ["Application/stock", "Deployment/stock", "Service/stock", "Namespace/stock"]
    allowed = [word for name in each for word in ("--allow", name)]
    assert run(shop, *removal, "--strict").code == 1
    assert run(shop, *removal, "--strict", "--allow", "Component/other").code == 1
    assert run(shop, *removal, "--strict", *allowed[2:]).code == 1
    for names in (allowed, ["--allow", *dangers]):
        assert run(shop, *removal, "--strict", *names).code == 0
    assert run(shop, "plan", "here", "--strict").code == 0


def test_one_tree(shop: Path) -> None:
    found = run(shop, "plan", "here", "--from", "main")
    assert found.out.startswith("here: from main to the declaration\n\nstock")
    found = run(shop, "plan", "here", "--to", ".")
    assert found.out == "here: from HEAD to .\nNo changes.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["her"], 'There is no environment "her"; did you mean "here"?'),
        (["--from", "mian"], 'There is neither a folder nor a Git revision "mian"; did you mean "main"?'),
        (["--to", "dits"], 'There is neither a folder nor a Git revision "dits"; did you mean "dist"?'),
        (
            ["--from", "--all"],
            'There is neither a folder nor a Git revision "--all"; one of HEAD, argocd, bootstrap, dist, main.',
        ),
    ],
)
def test_mistakes(shop: Path, arguments: list[str], message: str) -> None:
    assert run(shop, "plan", *arguments) == Run(2, "", f"{message}\n")


def test_unknown_format(shop: Path) -> None:
    found = run(shop, "plan", "--format", "yaml")
    assert found.code == 2
    assert found.err == "Invalid value for '--format': 'yaml' is not one of 'terminal', 'markdown', 'json'.\n"


def test_help(shop: Path) -> None:
    assert "Example: python app.py plan production" in run(shop, "plan", "--help").out


def test_exit_codes(shop: Path, tmp_path: Path) -> None:
    contents = {
        "chart": {"Chart.yaml": "name: web\n", "templates/a.yaml": "kind: {{ .Values.kind }}\n"},
        "plain": {"a.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"},
        "none": {"a.txt": ""},
    }
    for name, files in contents.items():
        for path, text in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)

    def code(old: str, new: str, *more: str) -> int:
        return run(shop, "plan", "--from", str(tmp_path / old), "--to", str(tmp_path / new), *more).code

    assert code("plain", "plain", "--strict") == code("plain", "none") == 0
    assert code("plain", "none", "--strict") == 1
    assert code("plain", "nowhere") == code("plain", "none", "--format", "odd") == 2
    assert code("chart", "chart") == 3

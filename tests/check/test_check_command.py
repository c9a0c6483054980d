"""The command: what it takes, what it says, and how it ends."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from app_runs import ROOT, Run, run_process
from corpus import Tree
from planting import rules
from synthesized import Synthesized

from constructs_lib.check.waivers.waivers import read_waivers
from constructs_lib.user_error import UserError

SHOP = """
from constructs_lib import Environment, GitRepository, K3d, Microservice, System, main

REPOSITORY = GitRepository("https://github.com/example/shop.git")
ENVIRONMENTS = [
    Environment(name=name, repository=REPOSITORY, cluster=K3d(kubernetes="1.36", nodes=1))
    for name in ("laptop", "stage")
]


def shop(environment):
    system = System(environment, "shop")
    api = Microservice(system, "api", image="example/api:1.4.0", ports={"http": 8080, "grpc": 9100})
    web = Microservice(system, "web", image="example/web:2.0.1", ports={"http": 3000})
    web.needs(api.endpoint("http"), {"API_URL": "address"})
    return system


main(shop, ENVIRONMENTS)
"""


def run(app: Path, *arguments: str) -> Run:
    """Run the command as a person does, in the app's folder."""
    return run_process(app.parent, "check", *arguments, app=app, GITHUB_ACTIONS="", NO_COLOR="")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory, trees: Mapping[str, Synthesized]) -> Path:
    """A folder with both environments of PositionPal, an error and a warning in production."""
    folder = tmp_path_factory.mktemp("faulty")
    tree = Tree("production", dict(trees["production"].files))
    rules(tree, [{"alert": "Backlog", "expr": "rabbitmq_queue_message_ready > 1000", "labels": {}}])
    for path, content in {**trees["local"].files, **tree.files}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """An app with two environments."""
    app = tmp_path / "app.py"
    app.write_text(SHOP)
    return app


def codes(output: str) -> list[str]:
    """Return the codes in a report in JSON."""
    content = json.loads(output)
    return [entry["code"] for each in content["environments"] for entry in each["findings"] if not entry["waiver"]]


def test_a_declaration_without_faults(trees: Mapping[str, Synthesized]) -> None:
    result = run(ROOT / "app.py", "production")
    assert (result.code, result.err) == (0, "")
    objects = len(trees["production"].parsed)
    cluster = "Kubernetes 1.36, 4 nodes of s-4vcpu-8gb-240gb-intel"
    assert result.out.startswith(f"production: {objects} objects, {cluster}\n")
    assert result.out.endswith("\n0 errors, 0 warnings.\n")


def test_a_folder_with_faults(faulty: Path, trees: Mapping[str, Synthesized]) -> None:
    result = run(ROOT / "app.py", "--tree", str(faulty))
    assert result.code == 1
    assert f"local: {len(trees['local'].parsed)} objects" in result.out
    assert f"production: {len(trees['production'].parsed) + 1} objects" in result.out
    assert "  observability  1 error, 1 warning\n" in result.out
    assert "error  metric-unknown  PrometheusRule/monitoring/positionpal" in result.out
    assert "\n1 error, 1 warning.\n" in result.out
    assert result.out.endswith("\ndocs/checks.md has a section for each code.\n")


def test_one_environment_of_a_folder(faulty: Path) -> None:
    assert run(ROOT / "app.py", "local", "--tree", str(faulty)).code == 0


def test_warnings_fail_if_they_are_meant_to(faulty: Path, tmp_path: Path) -> None:
    waivers = tmp_path / "waivers.yaml"
    waivers.write_text(
        "- {code: metric-unknown, object: PrometheusRule/*, reason: It comes with the next version, "
        "expires: 9999-12-31}\n"
    )
    arguments = ["production", "--tree", str(faulty), "--waivers", str(waivers)]
    result = run(ROOT / "app.py", *arguments)
    assert result.code == 0
    assert "waived until 9999-12-31: metric-unknown" in result.out
    assert run(ROOT / "app.py", *arguments, "--strict").code == 1


def test_a_waiver_in_the_repository_itself(faulty: Path) -> None:
    waivers = faulty / "waivers.yaml"
    waivers.write_text("- {code: metric-unknown, object: '*', reason: Old, expires: 2001-01-01}\n")
    app = faulty / "app.py"
    app.write_text(SHOP)
    try:
        result = run(app, "production", "--tree", ".", "--format", "github")
    finally:
        waivers.unlink()
        app.unlink()
    assert "::error file=waivers.yaml,line=1,title=waivers%3A waiver-expired%3A tree" in result.out
    assert result.out.endswith("2 errors, 1 warning.\n")


@pytest.mark.parametrize("is_link", [False, True])
def test_waivers_of_other_people_count_only_if_they_are_named(faulty: Path, tmp_path: Path, is_link: bool) -> None:
    waivers = faulty / "waivers.yaml"
    text = "- {code: '%s', object: '*', reason: So be it, expires: 9999-12-31}\n"
    (tmp_path / "own.yaml").write_text(text % "metric-unknown")
    if is_link:
        waivers.symlink_to(tmp_path / "own.yaml")
    else:
        waivers.write_text((tmp_path / "own.yaml").read_text())
    try:
        arguments = ["production", "--tree", str(faulty)]
        alone, named = (run(ROOT / "app.py", *arguments, *more) for more in ([], ["--waivers", str(waivers)]))
    finally:
        waivers.unlink()
    assert alone.code == 1 and "waived until" not in alone.out
    assert f"not looked at: the waivers in {waivers}; --waivers {waivers} has them count." in alone.out
    assert named.out.count("waived until") == 1 and "not looked at: the waivers" not in named.out


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        "[ # ]\n" * 20_000,
        "\n".join(["- &a0 {k: 1}", *(f"- &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40))]),
        "\n".join(["- &a0 [1]", *(f"- &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]),
        f"- {'9' * 100_000}",
        f"- 1{':1' * 90_000}",
        "- a\n" * 1_000_000,
    ],
)
def test_hostile_waivers_end_in_one_clear_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "waivers.yaml").write_text(content)
    before = time.process_time()
    with pytest.raises(UserError, match=r"waivers\.yaml"):
        read_waivers(None, tmp_path)
    assert time.process_time() - before < 60


def test_an_own_folder_without_an_environment(tmp_path: Path) -> None:
    (tmp_path / "service.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n"
        "spec:\n  selector: {app: web}\n  ports: [{port: 80}]\n"
    )
    result = run(ROOT / "app.py", "--tree", str(tmp_path), "--format", "json", "--kubernetes", "1.34")
    content = json.loads(result.out)
    assert [each["name"] for each in content["environments"]] == [""]
    assert content["environments"][0]["cluster"]["kubernetes"] == "1.34"
    assert "service-without-pods" in codes(result.out)
    (finding,) = (each for each in content["environments"][0]["findings"] if each["code"] == "service-without-pods")
    assert (finding["file"], finding["line"], finding["location"]) == ("service.yaml", 5, "")


def test_findings_name_the_line_of_the_declaration(shop: Path) -> None:
    shop.write_text(shop.read_text().replace("3000}", '3000}, env={"STOCK_URL": "http://stock.api.svc.cluster.local"}'))
    content = json.loads(run(shop, "laptop", "--format", "json").out)
    (laptop,) = content["environments"]
    assert laptop["name"] == "laptop"
    assert {(entry["object"]["name"], entry["location"]) for entry in laptop["findings"]} == {("web", "app.py:14")}


@pytest.mark.slow
def test_the_report_in_a_file(faulty: Path, tmp_path: Path) -> None:
    for form in ("terminal", "json", "sarif", "github"):
        file = tmp_path / form
        result = run(ROOT / "app.py", "production", "--tree", str(faulty), "--format", form, "--output", str(file))
        assert (result.code, result.out, result.err) == (1, "", "")
        assert "metric-unknown" in file.read_text()


def test_whether_one_may_reach_another(faulty: Path) -> None:
    arguments = ["production", "--tree", str(faulty), "--can"]
    may = run(ROOT / "app.py", *arguments, "gateway", "user-service", "grpc")
    assert (may.code, may.out.splitlines()[0]) == (
        0,
        "production: pp-gws/gateway can reach pp-us/user-service at port 5052/TCP.",
    )
    may_not = run(ROOT / "app.py", *arguments, "gateway", "rabbitmq", "5672")
    assert (may_not.code, may_not.out.splitlines()[0]) == (
        1,
        "production: pp-gws/gateway cannot reach rabbitmq/rabbitmq at port 5672/TCP.",
    )


WRONG = {
    "environment": (["prod"], 'There is no environment "prod"; one of local, production.'),
    "environment of a folder": (["locl", "--tree", "TREE"], 'TREE has no environment "locl"; did you mean "local"?'),
    "format": (["--format", "jsn"], 'There is no format "jsn"; did you mean "json"?'),
    "Kubernetes": (["--kubernetes", "1.3"], '--kubernetes: "1.3" is not known; give a version from "1.30" to "1.37".'),
    "folder": (["--tree", "nowhere"], "--tree: nowhere is no folder."),
    "empty folder": (["--tree", "docs"], "--tree: docs holds no YAML and no JSON."),
    "waivers": (["--waivers", "nowhere"], "--waivers: nowhere is no file."),
    "output": (["--tree", "TREE", "--output", "TREE/dist"], "--output: TREE/dist cannot be written: Is a directory."),
    "option": (["--formt", "json"], "No such option: --formt"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments(faulty: Path, case: str) -> None:
    arguments, message = WRONG[case]
    result = run(ROOT / "app.py", *(argument.replace("TREE", str(faulty)) for argument in arguments))
    # What an argument names and cannot be read or written is no wrong usage.
    assert (result.code, result.out) == (1 if case in ("waivers", "output") else 2, "")
    assert result.err.startswith(message.replace("TREE", str(faulty)))
    assert "Traceback" not in result.err


def test_a_mistake_in_the_declaration(shop: Path) -> None:
    shop.write_text(SHOP.replace("9100", "910000"))
    result = run(shop)
    assert (result.code, result.out) == (1, "")
    assert "app.py:13: api: port grpc: 910000 is no port" in result.err


def test_the_page(tmp_path: Path) -> None:
    page = tmp_path / "checks.md"
    assert run(ROOT / "app.py", "--docs", str(page)).code == 0
    judges = re.compile(r"(<!-- judges: begin -->\n).*?(<!-- judges: end -->\n)", re.DOTALL)
    page.write_text(judges.sub(r"\1kept\n\2", page.read_text()))
    assert run(ROOT / "app.py", "--docs", str(page)).code == 0
    content = page.read_text()
    assert "### metric-unknown\n" in content
    assert "<!-- judges: begin -->\nkept\n<!-- judges: end -->\n" in content

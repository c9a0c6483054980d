"""The SVG is valid, the same for the same declaration, and legible on light and on dark pages."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest
from geometry import Drawing, problems, read
from systems import empty, shop

from constructs_lib.declare.role import Role
from constructs_lib.derive.graph import Graph
from constructs_lib.draw.architecture import architecture
from constructs_lib.draw.deployment_order import order
from constructs_lib.draw.diagram import Diagram, Edge, Node, Row, Section, Style
from constructs_lib.draw.svg import svg

VIEWS = [pytest.param(architecture, id="architecture"), pytest.param(order, id="order")]

#: Prints both pictures of a system; its parent has another seed of hashes.
PROGRAM = """
import sys
sys.path[:0] = sys.argv[1:]
from systems import shop
from constructs_lib.derive.graph import Graph
from constructs_lib.draw.architecture import architecture
from constructs_lib.draw.deployment_order import order
from constructs_lib.draw.svg import svg
from constructs_lib.draw.mermaid import mermaid
graph = Graph(shop(20))
for view in (architecture, order):
    print(svg(view(graph)), mermaid(view(graph)))
"""


def colours(style: str, *, dark: bool) -> dict[str, dict[str, str]]:
    """Return the colours of each class, as a browser would find them."""
    plain, _, night = style.partition("@media (prefers-color-scheme: dark) {")
    found: dict[str, dict[str, str]] = {}
    for sheet in (plain, night) if dark else (plain,):
        for name, rules in re.findall(r"^\.(\w+) \{([^}]*)\}", sheet, re.MULTILINE):
            found.setdefault(name, {}).update(re.findall(r"(fill|stroke): (#\w{6})", rules))
    return found


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.fixture(scope="module", params=[architecture, order], ids=["architecture", "order"])
def drawing(request: pytest.FixtureRequest) -> Drawing:
    return read(svg(request.param(Graph(shop(20)))))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_has_enough_contrast_to_what_it_stands_on(drawing: Drawing, dark: bool) -> None:
    sheet = colours(drawing.style, dark=dark)
    for text, classes in zip(drawing.texts, drawing.classes, strict=True):
        below = [area for area in drawing.areas if area.holds(text)]
        smallest = min(below, key=lambda area: (area.right - area.left) * (area.bottom - area.top))
        ink = next(sheet[name]["fill"] for name in classes.split() if "fill" in sheet.get(name, {}))
        assert contrast(ink, sheet[smallest.kind.split()[0]]["fill"]) >= 4.5, text


def test_dark_pages_get_other_colours(drawing: Drawing) -> None:
    light, dark = (colours(drawing.style, dark=dark) for dark in (False, True))
    assert light.keys() == dark.keys()
    assert [name for name in light if light[name] and light[name] == dark[name]] == []


def test_all_classes_are_styled(drawing: Drawing) -> None:
    used = {name for kind in (*drawing.classes, *(area.kind for area in drawing.areas)) for name in kind.split()}
    assert [name for name in sorted(used) if f".{name} {{" not in drawing.style] == []
    for line in drawing.lines:
        assert f".edge.{line.style} {{ stroke:" in drawing.style


def test_kinds_of_edges_can_be_told_apart() -> None:
    style = read(svg(architecture(Graph(shop(60))))).style
    dashes = dict(re.findall(r"\.edge\.(\w+) \{ stroke-dasharray: ([\d ]+) \}", style))
    assert dashes.keys() == {"later", "scrapes"}
    assert len({*dashes.values()}) == 2


@pytest.mark.parametrize("view", VIEWS)
def test_numbers_have_one_decimal_at_most(view: Callable[[Graph], Diagram]) -> None:
    root = ElementTree.fromstring(svg(view(Graph(shop(12)))))
    for element in root.iter():
        values = [element.get(name, "") for name in ("x", "y", "width", "height", "d", "viewBox", "transform")]
        assert re.findall(r"\d\.\d\d", " ".join(values)) == []


def test_same_bytes_whatever_the_seed_of_hashes() -> None:
    tests = Path(__file__).parent.parent
    folders = [str(tests.parent), str(tests)]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, *folders],
            env={"PYTHONHASHSEED": seed, "PYTHONUTF8": "1"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(outputs) == 1
    assert outputs.pop().count(b"</svg>") == 2


def test_texts_are_escaped() -> None:
    section = Section("s", "<b>&amp;\"'", "a&b", Role.SERVICE, ("<fact>",), (Row("r", "<row>", "&1", '"note"'),))
    nodes = (Node("n", "<n>", Role.SERVICE, ("&",), (section,)), Node("m", "m", Role.OUTSIDE))
    diagram = Diagram("<t>", "&d", nodes, (Edge("m", "r", Style.NEEDS, "m < r & s"),), boundary="<&>")
    drawing = read(svg(diagram))
    assert {"<b>&amp;\"'", "a&b", "<fact>", "<row>", "&1", '"note"', "<n>", "&", "<&>"} <= {*drawing.words}
    assert (drawing.title, drawing.description) == ("<t>", "&d")
    assert [line.meaning for line in drawing.lines] == ["m < r & s"]
    assert problems(drawing) == []


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_declared_is_no_fault(view: Callable[[Graph], Diagram]) -> None:
    drawing = read(svg(view(Graph(empty()))))
    assert drawing.lines == []
    assert any("shop" in word for word in drawing.words)


def test_long_names_are_never_cut() -> None:
    name = "a" * 52
    node = Node("n", name, Role.SERVICE, (name,), (Section("s", name, name, Role.STORE, (name,)),))
    drawing = read(svg(Diagram("t", "d", (node,), (), boundary="b")))
    assert drawing.words.count(name) == 5
    assert problems(drawing) == []


def test_the_checker_finds_what_is_wrong() -> None:
    """Whoever moves something in a good picture makes it a bad one."""
    good = svg(architecture(Graph(shop(12))))
    assert problems(read(good)) == []
    moved = re.sub(
        r'(<rect class="box" x=")([\d.]+)', lambda found: f"{found[1]}{float(found[2]) + 200}", good, count=1
    )
    assert problems(read(moved)) != []
    assert problems(read(good.replace(">web-storefront<", f">{'web-storefront' * 4}<"))) != []
    bent = re.sub(r'(class="edge needs" d="M[\d.]+ )([\d.]+)', lambda found: f"{found[1]}{float(found[2]) + 5}", good)
    assert any("askew" in problem for problem in problems(read(bent)))
    headless = re.sub(r'<path class="head needs" d="M[^/]*/>', "", good)
    assert any("arrow head" in problem for problem in problems(read(headless)))
    [first] = re.findall(r'<path class="edge needs" d="([^"]*)"', good)[:1]
    doubled = good.replace('<path class="edge reaches" d="', f'<path class="edge reaches" d="{first}" data-was="', 1)
    assert any("share a" in problem for problem in problems(read(doubled)))

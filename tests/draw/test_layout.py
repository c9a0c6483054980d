"""Pictures are legible, whatever the system: judged on the SVG by a checker that does not know the layout."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from itertools import pairwise

import pytest
from geometry import problems, read
from hypothesis import given, settings
from hypothesis import strategies as st
from systems import empty, linked, positionpal, shop
from work import calls_of

from constructs_lib import System
from constructs_lib.declare.role import Role
from constructs_lib.derive.graph import Graph
from constructs_lib.draw.architecture import architecture
from constructs_lib.draw.deployment_order import order
from constructs_lib.draw.diagram import Diagram, Edge, Node, Row, Section, Style
from constructs_lib.draw.layout import lay_out
from constructs_lib.draw.nets import assign_tracks
from constructs_lib.draw.svg import svg

VIEWS = [pytest.param(architecture, id="architecture"), pytest.param(order, id="order")]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("components", [0, 1, 2, 5, 12, 30, 60])
def test_pictures_of_any_size_are_legible(components: int, view: Callable[[Graph], Diagram]) -> None:
    diagram = view(Graph(shop(components) if components else empty()))
    drawing = read(svg(diagram))
    assert problems(drawing) == []
    assert len(drawing.lines) == len(diagram.edges)


@st.composite
def systems(draw: st.DrawFn) -> System:
    """Return a system in which what is ordered has no cycles, and what is not may have any."""
    count = draw(st.integers(1, 9))
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] != pair[1])
    chosen = draw(st.lists(pairs, max_size=16, unique=True))
    later = draw(st.sets(st.sampled_from(chosen))) if chosen else set()
    edges = {
        (pair if pair in later else (max(pair), min(pair))): pair not in later for pair in chosen
    }  # fmt: skip
    metrics = draw(st.sets(st.integers(0, count - 1)))
    return linked(count, [(*pair, ordered) for pair, ordered in edges.items()], sorted(metrics))


@pytest.mark.parametrize("view", VIEWS)
@settings(max_examples=60)
@given(system=systems())
def test_pictures_of_random_systems_are_legible(system: System, view: Callable[[Graph], Diagram]) -> None:
    assert problems(read(svg(view(Graph(system))))) == []


@pytest.mark.parametrize("components", [12, 60])
@pytest.mark.parametrize("view", VIEWS)
def test_no_absurd_shape(components: int, view: Callable[[Graph], Diagram]) -> None:
    layout = lay_out(view(Graph(shop(components))))
    assert 0.5 < layout.width / layout.height < 4


def test_a_wide_wave_is_split_into_columns() -> None:
    layout = lay_out(order(Graph(linked(40, []))))
    columns = {box.x for box in layout.boxes if box.node.layer == 1}
    assert 2 <= len(columns) <= 8
    assert 0.5 < layout.width / layout.height < 4


def test_calls_go_to_the_right() -> None:
    diagram = architecture(Graph(shop(12)))
    owners = diagram.owners()
    places = {box.node.id: box.x for box in lay_out(diagram).boxes}
    for edge in diagram.edges:
        source, target = owners[edge.source].id, owners[edge.target].id
        if edge.style.value in ("needs", "reaches") and source != target:
            assert places[source] < places[target], edge


def test_waves_go_to_the_right() -> None:
    layout = lay_out(order(Graph(shop(30))))
    for left, right in zip(layout.bands, layout.bands[1:], strict=False):
        assert left[1] < right[0]


@pytest.mark.parametrize(("source", "target"), [(0, 1), (1, 0)])
def test_one_edge_is_straight(source: int, target: int) -> None:
    diagram = order(Graph(linked(2, [(source, target, True)])))
    assert [len(route.points) for route in lay_out(diagram).routes] == [2, 2]


@pytest.mark.parametrize("style", [Style.NEEDS, Style.PRECEDES])
def test_three_times_the_components_are_far_from_nine_times_the_work(style: Style) -> None:
    def work(components: int) -> int:
        names = [str(number) for number in range(components)]
        nodes = [
            Node(
                name,
                name,
                Role.SERVICE,
                (),
                (Section(f"{name}/s", name, "", Role.SERVICE, (), (Row(f"{name}/r", "http", "80"),)),),
            )
            for name in names
        ]
        edges = [
            Edge(f"{name}/s", f"{number // divisor}/r", style, "")
            for number, name in enumerate(names)
            for divisor in (2, 3, 10)
            if number // divisor < number
        ]
        diagram = Diagram("", "", tuple(nodes), tuple(edges), boundary="all")
        layouts = []
        calls = calls_of(lambda: layouts.append(lay_out(diagram)))
        assert len(layouts[0].routes) == len(edges)
        return calls

    assert work(150) < 6 * work(50)


def test_lines_leave_in_the_order_in_which_they_arrive() -> None:
    """In the next column, that is: some pass others' boxes there, and end further on."""
    diagram = architecture(positionpal())
    routes = [route for route in lay_out(diagram).routes if route.edge.source == "gateway/gateway"]
    beginning = min(route.points[-1][0] for route in routes)
    next_column = sorted(
        (route.points[0][1], next(y for (_, y), (x, _) in pairwise(route.points) if x >= beginning)) for route in routes
    )
    assert len(next_column) == 6
    assert [end for _, end in next_column] == sorted(end for _, end in next_column)
    # Those that end there already.
    assert len([route for route in routes if route.points[-1][0] == beginning]) == 2


@pytest.mark.parametrize("components", [5, 12, 30, 60])
def test_what_users_reach_is_straight_ahead(components: int) -> None:
    diagram = architecture(Graph(shop(components)))
    [route] = [route for route in lay_out(diagram).routes if route.edge.source == ":users"]
    assert len(route.points) == 2


@pytest.mark.parametrize("view", VIEWS)
def test_lines_that_need_not_cross_do_not(view: Callable[[Graph], Diagram]) -> None:
    pairs = [(0, 9), (1, 8), (2, 7), (3, 6), (4, 5)]
    diagram = view(Graph(linked(10, [(*pair, True) for pair in pairs])))
    lines = [line for line in read(svg(diagram)).lines if "cluster" not in line.meaning]
    assert len(lines) == 5
    for one, other in itertools.combinations(lines, 2):
        for part, across in itertools.product(one.segments, other.segments):
            apart = part.right < across.left or across.right < part.left
            assert apart or part.bottom < across.top or across.bottom < part.top, (one, other)


def test_tracks_avoid_crossings() -> None:
    """Of two lines downwards, the lower one turns first; of two upwards, the upper one."""
    assert assign_tracks([((0,), (100,)), ((50,), (150,))]) == [1, 0]
    assert assign_tracks([((100,), (0,)), ((150,), (50,))]) == [0, 1]
    assert assign_tracks([((0,), (40,)), ((60,), (100,))]) == [0, 0]


def test_a_box_has_room_for_the_lines_between_its_sections() -> None:
    name = "n" * 40
    parts = [
        Section(str(number), name, name, Role.STORE, (), (Row(f"{number}/r", "sql", "5432"),)) for number in range(9)
    ]
    edges = tuple(Edge("0", f"{number}/r", Style.NEEDS, f"0 needs {number}") for number in range(1, 9))
    diagram = Diagram("t", "d", (Node("n", "n", Role.SERVICE, (), tuple(parts)),), edges, boundary="b")
    assert problems(read(svg(diagram))) == []


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("exposed", [0, 1])
def test_there_is_space_all_around(exposed: int, view: Callable[[Graph], Diagram]) -> None:
    drawing = read(svg(view(Graph(shop(12) if exposed else linked(3, [(0, 1, True)])))))
    inner = [area for area in (*drawing.areas, *drawing.texts) if area.kind != "panel"]
    space = [
        min(area.left for area in inner),
        min(area.top for area in inner),
        drawing.width - max(area.right for area in inner),
        drawing.height - max(area.bottom for area in inner),
    ]
    assert min(space) >= 20


def test_two_kinds_of_edges_to_one_row_of_the_same_box_are_told_apart() -> None:
    parts = [Section(name, name, "", Role.SERVICE, (), (Row(f"{name}/r", "http", "80"),)) for name in "abc"]
    edges = (Edge("b", "a/r", Style.NEEDS, "b needs a"), Edge("c", "a/r", Style.LATER, "c calls a"))
    diagram = Diagram("t", "d", (Node("n", "n", Role.SERVICE, (), tuple(parts)),), edges, boundary="b")
    assert problems(read(svg(diagram))) == []


def test_a_line_below_all_boxes_is_in_the_picture() -> None:
    needs = [(2, 0, True), (4, 0, True), (4, 1, True), (4, 2, True), (4, 3, True)]
    diagram = architecture(Graph(linked(5, needs, metrics=range(5))))
    layout = lay_out(diagram)
    lowest = max(y for route in layout.routes for _, y in route.points)
    assert max(box.y + box.height for box in layout.boxes) < lowest <= layout.height
    assert problems(read(svg(diagram))) == []

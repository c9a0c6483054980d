"""The page about PositionPal is what its declaration gives, and says what the pictures show."""

from __future__ import annotations

from systems import ROOT, linked, positionpal, shop

from constructs_lib.derive.graph import Graph
from constructs_lib.draw.architecture_page import pages


def test_committed_pictures_are_up_to_date() -> None:
    wanted = pages(positionpal())
    docs = ROOT / "docs"
    differing = [
        name
        for name, text in wanted.items()
        if not (docs / name).is_file() or (docs / name).read_bytes() != text.encode()
    ]
    assert differing == [], "run `make docs` and commit what it writes"
    assert sorted(wanted) == ["architecture.md", "architecture.svg", "deployment-order.svg"]


def rows(page: str, title: str) -> list[list[str]]:
    """Return the cells of a table."""
    _, _, rest = page.partition(f"\n## {title}\n\n")
    lines = rest.split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_table_of_components() -> None:
    graph = Graph(shop(30))
    found = {cells[1]: cells for cells in rows(pages(graph)["architecture.md"], "Components")}
    assert found.keys() == {component.id for component in graph.system.components}
    for component in graph.system.components:
        wave, _, namespace, reasons = found[component.id]
        assert (int(wave), namespace) == (graph.waves[component.id], component.namespace_name)
        assert [reason for reason in reasons.split("<br>") if reason] == [
            f"{dependency.target.id}: {dependency.reason}" for dependency in graph.dependencies[component.id]
        ]


def test_table_of_components_goes_wave_by_wave() -> None:
    waves = [int(cells[0]) for cells in rows(pages(Graph(shop(30)))["architecture.md"], "Components")]
    assert waves == sorted(waves)


def test_table_of_hosts() -> None:
    assert rows(pages(positionpal())["architecture.md"], "Outside of the system") == [
        ["fcm.googleapis.com", "443", "notification-service"],
        ["oauth2.googleapis.com", "443", "notification-service"],
        ["api.mapbox.com", "443", "location-service"],
        ["acme-v02.api.letsencrypt.org", "443", "cert-manager"],
        ["api.position-pal.example", "80", "cert-manager"],
        ["api.position-pal.example", "443", "cert-manager"],
        ["fra1.digitaloceanspaces.com", "443", "location-service-database"],
        ["fra1.digitaloceanspaces.com", "443", "chat-service-database"],
    ]
    assert "Outside" not in pages(Graph(linked(1, [])))["architecture.md"]


def test_page_shows_the_pictures_and_their_sources() -> None:
    files = pages(positionpal())
    page = files["architecture.md"]
    assert (
        page.count("<details>")
        == page.count("</details>")
        == page.count("```mermaid\n")
        == page.count("\nflowchart LR\n")
        == 2
    )
    for name in files.keys() - {"architecture.md"}:
        assert f"]({name})" in page


def test_a_reason_cannot_break_the_table() -> None:
    system = linked(2, [])
    first, second = system.components
    second.after(first, reason="a | b")
    [_, cells] = rows(pages(Graph(system))["architecture.md"], "Components")
    assert cells[3] == "service-0: a &#124; b"

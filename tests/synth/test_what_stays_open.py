"""What a tree keeps open of what is published: every kind, as a system brings it about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from systems import empty

from constructs_lib import ExternalSecrets, Microservice, System, generated, synthesize
from constructs_lib.kubernetes.openings import KEPT
from constructs_lib.repository.pins import Pin, Pins
from constructs_lib.repository.snapshot import Snapshot
from constructs_lib.synth.tree import Tree

REVISION = "a" * 40


def service(system: System, name: str, *, namespace: str | None = None, port: int = 8080, secret: bool = False) -> Any:
    image = f"example/{name}:1.0.0"
    made = Microservice(system, name, namespace=namespace, image=image, ports={"http": port})
    if secret:
        made.set_variable("KEY", made.secret("key", generated("a key")))
    return made


def pair(system: System, *, edge: bool = True, namespace: str = "front", port: int = 8080, secret: bool = True) -> None:
    """Declare a service that another one calls, both with a secret."""
    stock = service(system, "stock", port=port, secret=True)
    front = service(system, "front", namespace=namespace, secret=secret)
    if edge:
        front.needs(stock.endpoint("http"), {"STOCK": "address"})


def tree(**options: Any) -> Tree:
    system = empty()
    ExternalSecrets(system, version="2.9.0")
    pair(system, **options)
    return synthesize(system)


def pinned(tree: Tree, **more: Any) -> Pins:
    pins = {name: Pin(REVISION, content, tree.namespaces[name]) for name, content in tree.contents.items()}
    return Pins(pins, **more)


def published(tree: Tree) -> Snapshot:
    return Snapshot.of_files("published", tree.files)


def changed(**options: Any) -> tuple[Tree, Tree, Pins]:
    """Return what was published, what is declared afterwards, and the same once it keeps open what it closes."""
    old = tree()
    pins = pinned(old)
    old.pin(pins)
    new = tree(**options)
    new.pin(pins)
    return old, new, pins


def kept_by(new: Tree) -> dict[str, list[str]]:
    assert new.pins is not None
    return {path.rpartition("/")[2].removesuffix(".yaml"): [*entries] for path, entries in new.pins.kept.items()}


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        pytest.param(
            {"edge": False},
            {"NetworkPolicy-front": ["spec.egress[0]"], "NetworkPolicy-stock": ["spec.ingress[0]"]},
            id="an edge that goes",
        ),
        pytest.param(
            {"namespace": "web"},
            {"NetworkPolicy-stock": ["spec.ingress[0]"]},
            id="a client in another namespace",
        ),
        pytest.param(
            {"secret": False},
            {},
            id="the last secret of a component",
        ),
        pytest.param({}, {}, id="nothing"),
    ],
)
def test_what_closes_is_kept(options: dict[str, Any], kept: dict[str, list[str]]) -> None:
    old, new, _ = changed(**options)
    plain, contents = dict(new.files), new.contents
    new.keep_open(published(old))
    assert kept_by(new) == kept
    assert (new.contents != contents) == bool(kept)
    assert {path for path in plain if plain[path] != new.files[path]} == new.pins.kept.keys() if new.pins else set()
    # Synthesis gives the same from the pins, whether or not it keeps the objects.
    again = tree(**options)
    again.pin(new.pins)
    assert (again.files, again.contents) == (new.files, new.contents)
    # The next publication closes it, and the files are as they are declared.
    new.pin(pinned(new, kept=new.pins.kept if new.pins else {}))
    assert new.unpublished == {}
    again.pin(new.pins)
    again.keep_open(published(new))
    assert kept_by(again) == {}
    assert {path: again.files[path] for path in plain if path.startswith("dist/")} == {
        path: plain[path] for path in plain if path.startswith("dist/")
    }


@pytest.mark.parametrize(
    ("options", "rolling", "stays"),
    [({}, None, False), ({}, True, True), ({"secret": False}, None, True), ({"secret": False}, False, False)],
)
def test_what_was_kept_stays_while_its_publication_is_rolled_out(
    options: dict[str, Any], rolling: bool | None, stays: bool
) -> None:
    """The cluster knows; else it is taken to be where a component changes that the last publication changed."""
    old, last, pins = changed(edge=False)
    last.keep_open(published(old))
    assert last.pins is not None
    revision = "b" * 40
    moved = {name: Pin(revision, last.contents[name], pin.namespace) for name, pin in pins.components.items()}
    last.pin(Pins(moved, kept=last.pins.kept))
    new = tree(edge=False, **options)
    new.pin(last.pins)
    new.keep_open(published(last), rolling=rolling)
    assert ("NetworkPolicy-front" in kept_by(new), "NetworkPolicy-stock" in kept_by(new)) == (stays, stays)


def test_the_objects_of_a_tree_follow_its_files() -> None:
    system = empty()
    ExternalSecrets(system, version="2.9.0")
    pair(system, edge=False)
    from constructs_lib.synth.pipeline import synthesize as synthesize_with

    old = tree()
    old.pin(pinned(old))
    new = synthesize_with(system, pins=old.pins, keep_manifests=True)
    new.keep_open(published(old))
    path = "dist/staging/stock/NetworkPolicy-stock.yaml"
    assert new.manifests is not None
    assert new.manifests[path] == yaml.safe_load(new.files[path])
    assert KEPT in new.manifests[path]["metadata"]["annotations"]
    new.pin(pinned(old))
    assert KEPT not in str(new.manifests[path])


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda old, new: new.pin(None), id="never published"),
        pytest.param(lambda old, new: old.pin(None), id="the published Applications follow the branch"),
    ],
)
def test_where_nothing_is_pinned_nothing_is_kept(spoil: Callable[[Tree, Tree], None]) -> None:
    old, new, _ = changed(edge=False)
    spoil(old, new)
    new.keep_open(published(old))
    assert KEPT not in "".join(content.decode() for content in new.files.values())


def test_an_entry_of_the_pins_whose_file_is_gone_is_harmless() -> None:
    old, new, pins = changed()
    new.pin(Pins(pins.components, kept={"dist/staging/gone/Service-gone.yaml": {"spec.ports[0]": {"port": 80}}}))
    assert new.files == old.files

"""What synthesis holds is looked at in place of reading its files, so it must be what reading them would give."""

from __future__ import annotations

import enum
import runpy
from pathlib import Path
from types import MappingProxyType

import pytest
import yaml

from constructs_lib.api import model_of
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.proofs import prove
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.kubernetes.manifest_yaml import dump
from constructs_lib.repository.pins import Pin, Pins
from constructs_lib.repository.snapshot import Snapshot
from constructs_lib.synth.pipeline import synthesize
from constructs_lib.synth.tree import Tree


@pytest.fixture(scope="module", params=["local", "production"])
def kept(request: pytest.FixtureRequest, root: Path) -> Tree:
    """PositionPal with its manifests, once pinned and once as it is declared."""
    app = runpy.run_path(str(root / "app.py"))
    tree = synthesize(app["positionpal"](app[request.param.upper()]), keep_manifests=True)
    if request.param == "production":
        tree.pin(
            Pins(
                {name: Pin("a" * 40, content, "ns") for name, content in tree.contents.items()}, {"gateway": ("gone",)}
            )
        )
    return tree


def shown(value: object) -> object:
    """Return a value with the types of all its parts, since 1 equals True and a tuple is no list."""
    if type(value) is dict:
        return {(type(key), key): shown(entry) for key, entry in value.items()}, list(value)
    if type(value) is list:
        return [shown(entry) for entry in value]
    return type(value), value


def test_manifests_are_what_their_files_hold(kept: Tree) -> None:
    assert kept.manifests
    objects = {path for path in kept.files if path.endswith(".yaml") and not path.startswith("bootstrap/")}
    assert kept.manifests.keys() == objects
    for path, manifest in kept.manifests.items():
        content = kept.files[path]
        written, read = Cache(), Cache()
        written.written(content, manifest)
        assert shown(written.manifests(path, content)) == shown(read.manifests(path, content)), path


def test_proofs_see_the_same_in_both(kept: Tree) -> None:
    # A fault, so that there is something to see.
    broken = Tree(kept.environment, kept.revision, dict(kept.files), manifests=dict(kept.manifests or {}))
    assert broken.manifests is not None
    path = next(path for path in broken.files if "/Service-" in path)
    manifest = {**broken.manifests[path], "spec": {"selector": {"app": "nobody"}, "ports": [{"port": None}]}}
    broken.files[path], broken.manifests[path] = dump(manifest), manifest
    snapshot = Snapshot.of_files(broken.environment, broken.files)
    found = prove(model_of(broken))
    assert found == prove(ClusterModel(snapshot, [f"argocd/{broken.environment}"]))
    assert {"service-without-pods", "null-value"} <= {finding.check.code for finding in found}


class _Word(enum.StrEnum):
    """A text by another type."""

    YES = "yes"


def test_other_types_become_those_of_yaml() -> None:
    manifest: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": MappingProxyType({"name": "a"}),
        "data": {_Word.YES: _Word.YES, "empty": "", "number": "1", "lines": "a\n\nb \n"},
        "list": (1, 2.0, True, None, (), {}),
    }
    content = dump(manifest)
    written = Cache()
    written.written(content, manifest)
    assert shown(written.manifests("a.yaml", content)) == shown(Cache().manifests("a.yaml", content))


def test_a_manifest_may_change_after_it_was_written() -> None:
    data = {"key": "before"}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}
    content = dump(manifest)
    cache = Cache()
    cache.written(content, manifest)
    data["key"] = "after"
    assert cache.manifests("a.yaml", content) == [yaml.safe_load(content)]

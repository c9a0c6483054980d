"""Every rule on a pair of trees: the table is ``pairs.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from trees import Manifest, application, config, root, snapshot, with_fields, written

import constructs_lib
from constructs_lib.plan import change as changes
from constructs_lib.plan.change import Effect
from constructs_lib.plan.plan import Plan, plan

TABLE = yaml.load((Path(__file__).parent / "pairs.yaml").read_text(), yaml.CSafeLoader)
PAIRS: list[dict[str, Any]] = TABLE["pairs"]
PROTECTED = {"metadata.annotations": {"argocd.argoproj.io/sync-options": "Prune=false,Delete=false"}}


def _name(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata'].get('name')}"


def _files(deployed: dict[str, Manifest], objects: dict[str, list[Manifest]], top: Manifest) -> dict[str, bytes]:
    files = {"apps/root.yaml": written(top), "apps/kept.yaml": written(config("kept"))}
    for name, manifest in deployed.items():
        files[f"apps/{name}.yaml"] = written(manifest)
        # Something always stays, so that the folder is there.
        files[f"parts/{name}/stays.yaml"] = written(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"of-{name}", "namespace": "ns"}}
        )
        for number, item in enumerate(objects.get(name, [])):
            files[f"parts/{name}/{number}.yaml"] = written(item)
    return files


def planned(pair: dict[str, Any]) -> Plan:
    objects: list[Manifest] = []
    for number, key in enumerate(pair["objects"]):
        manifest = with_fields(TABLE["objects"][key], pair.get("with", {}) if number == 0 else {})
        objects.append(with_fields(manifest, PROTECTED) if pair.get("protect") == _name(manifest) else manifest)
    top = with_fields(root(), pair.get("root", {}))
    app = with_fields(application("app", "parts/app"), pair.get("application", {}))
    new_app = with_fields(application("new", "parts/new"), pair.get("application", {}))
    first = with_fields(objects[0], pair.get("set", {}))
    old = _files({"app": app}, {"app": objects}, top)
    if pair.get("gone") or pair.get("comes"):
        del old["parts/app/stays.yaml"]
        new = _files({}, {}, top)
    elif pair.get("renamed"):
        del old["parts/app/stays.yaml"]
        new = _files({"new": new_app}, {"new": objects}, top)
        del new["parts/new/stays.yaml"]
    elif pair.get("moved"):
        new = _files({"app": app, "new": new_app}, {"new": objects}, top)
        del new["parts/new/stays.yaml"]
    else:
        kept = [] if pair.get("removed") else [first, *objects[1:]]
        then = with_fields(app, pair.get("then", {}))
        other = [with_fields(TABLE["objects"][key], pair["beside"][key]) for key in pair.get("beside", ())]
        beside = {"beside": application("beside", "parts/beside")} if other else {}
        old = _files({"app": app, **beside}, {"app": objects, "beside": other}, top)
        new = _files({"app": then, **beside}, {"app": kept, "beside": other}, top)
        if pair.get("added"):
            old, new = _files({"app": app}, {}, top), old
    if pair.get("comes"):
        old, new = new, old
    return plan(snapshot(old), snapshot(new))


@pytest.mark.parametrize("pair", PAIRS, ids=[pair["name"] for pair in PAIRS])
def test_pair(pair: dict[str, Any]) -> None:
    found = planned(pair)
    expected = pair.get("expect", {})
    if isinstance(expected, str):
        expected = {_name(with_fields(TABLE["objects"][pair["objects"][0]], pair.get("with", {}))): expected}
    effects = {change.name: f"{'! ' if change.dangerous else ''}{change.effect.words}" for change in found.changes}
    assert effects == expected
    assert not found.warnings
    reasons = "\n".join(str(reason) for change in found.changes for reason in change.reasons)
    assert pair.get("says", "") in reasons
    if "fields" in pair:
        assert [field.path for change in found.changes for field in change.fields] == pair["fields"]
    if "pods" in pair:
        assert [str(pods) for change in found.changes for pods in change.pods] == [pair["pods"]]
    if "hides" in pair:
        assert pair["hides"] not in repr(found)


def test_table_covers_every_effect() -> None:
    words = str([pair.get("expect") for pair in PAIRS])
    # What is taken over comes from no tree of Argo CD's: test_running.py.
    assert [effect for effect in Effect if effect.words not in words] == [Effect.TAKE_OVER]
    assert len({pair["name"] for pair in PAIRS}) == len(PAIRS)


def test_every_reason_is_given_somewhere() -> None:
    code = "".join(file.read_text() for file in Path(constructs_lib.__file__).parent.rglob("*.py"))
    assert [name for name in changes.REASONS if f'"{name}"' not in code] == []


@pytest.mark.parametrize(("replicas", "told"), [(3, True), (2, False)])
def test_an_autoscaler_that_goes_has_the_last_word_until_then(replicas: int, told: bool) -> None:
    """Its minimum is 2. As seen on a real Argo CD: of 3 pods it takes one, until it is pruned, last of all."""
    web, scaler = TABLE["objects"]["deployment"], TABLE["objects"]["hpa"]
    app, top = application("app", "parts/app"), root()
    old = _files({"app": app}, {"app": [web, scaler]}, top)
    new = _files({"app": app}, {"app": [with_fields(web, {"spec.replicas": replicas})]}, top)
    [change] = (each for each in plan(snapshot(old), snapshot(new)).changes if each.kind == "HorizontalPodAutoscaler")
    said = "it may ask for fewer than the 3 pods of Deployment/web, down to 2." in "\n".join(map(str, change.reasons))
    assert (said, change.dangerous) == (told, False)

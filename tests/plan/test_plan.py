"""Plans of whole trees: their order, their symmetry, and what makes no difference."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import Manifest, application, between, config, root, snapshot, tree, with_fields, written

from constructs_lib.plan.change import Effect
from constructs_lib.plan.plan import allow_names, allowed, plan, unknown_names
from constructs_lib.repository.snapshot import Snapshot

KINDS = {
    "ConfigMap": "v1",
    "Service": "v1",
    "PersistentVolumeClaim": "v1",
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "Job": "batch/v1",
    "Gadget": "example.com/v1",
}


# Symmetry, order, and what makes no difference.

_values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["a", "b", "1Gi", "yes", "x\ny\n"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "limits", "a", "b"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def objects(draw: st.DrawFn) -> Manifest:
    kind = draw(st.sampled_from(sorted(KINDS)))
    wave = draw(st.integers(-2, 2))
    metadata = {
        "name": draw(st.sampled_from("abc")),
        "namespace": "ns",
        "annotations": {"argocd.argoproj.io/sync-wave": str(wave)},
    }
    return {"apiVersion": KINDS[kind], "kind": kind, "metadata": metadata, "spec": {"field": draw(_values)}}


def _identity(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


_contents = st.dictionaries(
    st.sampled_from(["one", "two", "three"]), st.lists(objects(), max_size=5, unique_by=_identity), max_size=3
).map(lambda content: {name: list(items) for name, items in content.items()})
_profile = settings(max_examples=60)


def _apart(content: Mapping[str, list[Manifest]]) -> dict[str, list[Manifest]]:
    """Return components none of whose objects has the identity of another's."""
    return {
        name: [with_fields(item, {"metadata.name": f"{name}-{item['metadata']['name']}"}) for item in items]
        for name, items in content.items()
    }


def _shuffled(value: Any, luck: random.Random) -> Any:
    if isinstance(value, dict):
        keys = luck.sample(sorted(value), len(value))
        return {key: _shuffled(value[key], luck) for key in keys}
    return [_shuffled(item, luck) for item in value] if isinstance(value, list) else value


def _reformatted(files: Mapping[str, bytes], luck: random.Random) -> dict[str, bytes]:
    """Return the same objects, written in other ways and in other files of the same folders."""
    result: dict[str, bytes] = {}
    folders: dict[str, list[Manifest]] = {}
    for path, content in files.items():
        if path.startswith("parts/"):
            folders.setdefault(path.rpartition("/")[0], []).extend(yaml.safe_load_all(content))
        else:
            result[path] = b"# a comment\n" + content
    for folder, manifests in folders.items():
        luck.shuffle(manifests)
        half = luck.randint(0, len(manifests))
        for name, part in (("x.yaml", manifests[:half]), ("y.yml", manifests[half:])):
            mixed = [_shuffled(manifest, luck) for manifest in part]
            style = luck.choice([True, False, None])
            texts = [yaml.safe_dump(each, default_flow_style=style, sort_keys=False) for each in mixed]
            result[f"{folder}/{name}"] = "---\n".join(texts).encode()
        if half:
            inner = {"apiVersion": "v1", "kind": "List", "items": manifests[:half]}
            result[f"{folder}/x.yaml"] = json.dumps(inner, indent=1).encode()
    return result


@pytest.mark.slow
@_profile
@given(_contents, st.randoms(use_true_random=False))
def test_same_objects_are_no_change(content: dict[str, list[Manifest]], luck: random.Random) -> None:
    files = tree(content)
    for other in (files, _reformatted(files, luck)):
        found = between(files, other)
        assert (found.changes, found.warnings, found.pins) == ([], [], [])


@_profile
@given(_contents)
def test_creating_and_deleting_are_opposites(content: dict[str, list[Manifest]]) -> None:
    content = _apart(content)
    nothing, everything = tree({}), tree(content)
    created, deleted = between(nothing, everything), between(everything, nothing)
    names = sorted(
        [f"{item['kind']}/ns/{item['metadata']['name']}" for items in content.values() for item in items]
        + [f"Application/argocd/{name}" for name in content]
    )
    for found, action in ((created, "create"), (deleted, "delete")):
        assert sorted(change.full_name for change in found.changes) == names
        assert {change.action for change in found.changes} <= {action}
    assert {change.effect for change in created.changes} <= {Effect.CREATE}
    assert not created.dangerous


@pytest.mark.slow
@_profile
@given(_contents, _contents)
def test_order_respects_waves(old: dict[str, list[Manifest]], new: dict[str, list[Manifest]]) -> None:
    found = between(tree(old), tree(new))
    waves = [step.wave for step in found.steps if step.parent == "root"]
    assert waves == sorted(waves)
    for step in found.steps:
        assert all(change.component == step.component for change in step.changes)
        applied = {
            (item["kind"], item["metadata"]["name"]): int(
                item["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]
            )
            for item in new.get(step.component, [])
        }
        inner = [
            applied[change.kind, change.identity[3]]
            for change in step.changes
            if change.action != "delete" and change.kind != "Application"
        ]
        assert inner == sorted(inner)


@pytest.mark.slow
@_profile
@given(_contents, _contents, st.randoms(use_true_random=False))
def test_names_of_files_do_not_matter(
    old: dict[str, list[Manifest]], new: dict[str, list[Manifest]], luck: random.Random
) -> None:
    plain = between(tree(old), tree(new))
    mixed = between(_reformatted(tree(old), luck), _reformatted(tree(new), luck))
    assert sorted((change.identity, change.effect, change.action) for change in plain.changes) == sorted(
        (change.identity, change.effect, change.action) for change in mixed.changes
    )


_odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_PATHS = [
    "metadata",
    "metadata.annotations",
    "metadata.finalizers",
    "metadata.name",
    "metadata.namespace",
    "spec",
    "spec.replicas",
    "spec.selector",
    "spec.template",
    "spec.template.spec",
    "spec.template.spec.containers",
    "spec.updateStrategy",
    "spec.volumeClaimTemplates",
    "spec.versions",
    "spec.names",
    "spec.resources",
    "spec.clusterIP",
    "spec.ipFamilies",
    "spec.scaleTargetRef",
    "spec.target",
    "spec.source",
    "spec.sources",
    "spec.syncPolicy",
    "spec.syncPolicy.automated",
    "spec.syncPolicy.syncOptions",
    "spec.ignoreDifferences",
    "spec.destination",
    "spec.destinations",
    "spec.project",
    "data",
    "stringData",
    "rules",
    "roleRef",
    "subjects",
    "aggregationRule",
    "webhooks",
    "spec.rules",
    "spec.ingress",
    "spec.egress",
    "spec.podSelector",
    "spec.policyTypes",
    "spec.listeners",
    "spec.provider",
    "spec.conditions",
    "spec.dataFrom",
    "spec.hostnames",
    "spec.ports",
    "spec.roles",
    "spec.template.spec.volumes",
    "spec.template.spec.securityContext",
]
_ODD_KINDS = {
    **KINDS,
    "Application": "argoproj.io/v1alpha1",
    "AppProject": "argoproj.io/v1alpha1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "CronJob": "batch/v1",
    "DaemonSet": "apps/v1",
    "ExternalSecret": "external-secrets.io/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Namespace": "v1",
    "PersistentVolume": "v1",
    "Pod": "v1",
    "Secret": "v1",
    "ClusterRole": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "Ingress": "networking.k8s.io/v1",
    "Gateway": "gateway.networking.k8s.io/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "ClusterSecretStore": "external-secrets.io/v1",
    "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
    "CiliumNetworkPolicy": "cilium.io/v2",
    "ServiceAccount": "v1",
}


@pytest.mark.slow
@settings(_profile, max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(_ODD_KINDS)),
            st.dictionaries(st.sampled_from(_PATHS), _odd, max_size=4),
            st.booleans(),
        ),
        max_size=4,
    ),
    st.dictionaries(st.sampled_from(_PATHS), _odd, max_size=3),
)
def test_odd_manifests_are_no_crash(items: list[tuple[str, dict[str, Any], bool]], change: dict[str, Any]) -> None:
    def odd(fields: dict[str, Any], kind: str) -> Manifest:
        manifest: Manifest = {"apiVersion": _ODD_KINDS[kind], "kind": kind, "metadata": {"name": "a"}}
        for path, value in sorted(fields.items()):
            try:
                manifest = with_fields(manifest, {path: value})
            except (TypeError, ValueError, AttributeError, IndexError):
                continue
        return manifest

    old = [odd(fields, kind) for kind, fields, _ in items]
    new = [odd({**fields, **change}, kind) for kind, fields, stays in items if stays]
    for before, after in ((old, new), (new, old), ([], old), (old, [])):
        for files in (tree, lambda content: {f"{name}.yaml": written(*each) for name, each in content.items()}):
            between(files({"app": before}), files({"app": after}))


# What stands beside objects.


def test_root_is_applied_by_hand() -> None:
    files = tree({"app": [config("a")]})
    found = between(files, {"notes.yaml": b"a: 1\n"})
    assert {(change.action, change.effect) for change in found.changes} == {("delete", Effect.KEPT)}
    assert len(found.changes) == 4
    changed = {**files, "apps/root.yaml": written(with_fields(root(), {"spec.project": "other"}))}
    assert [(step.component, step.parent) for step in between(files, changed).steps] == [("root", "applied by hand")]
    project = written({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "extra"}})
    (change,) = between({**files, "projects/extra.yaml": project}, files).changes
    assert (change.effect, str(change.reasons[0])) == (Effect.KEPT, "It was applied by hand, and nothing deletes it.")


def test_pins() -> None:
    files = tree({"app": [config("a")]})
    moved = with_fields(application("app", "parts/app"), {"spec.source.targetRevision": "v2"})
    found = between(files, {**files, "apps/app.yaml": written(moved)})
    assert [(pin.name, pin.path, pin.old, pin.new) for pin in found.pins] == [("app", "parts/app", "HEAD", "v2")]
    assert found.changes == []


def test_unreadable_file_does_not_delete_what_was_in_it() -> None:
    files = tree({"app": [config("a")]})
    broken = {**files, "parts/app/0.yaml": files["parts/app/0.yaml"] + b"{{ end }}: {\n"}
    (change,) = between(files, broken).changes
    assert (change.full_name, change.effect, change.dangerous) == ("Application/argocd/app", Effect.NONE, True)
    assert str(change.reasons[0]).startswith("parts/app/0.yaml cannot be read (")


def test_object_that_is_twice_in_its_folder_stays_as_long_as_one_of_them_does() -> None:
    one, other = "parts/web/0.yaml", "parts/web/1.yaml"
    once = tree({"web": [config("a")]})
    twice = {**once, other: once[one]}
    assert (between(twice, once).changes, between(once, twice).changes) == ([], [])


def test_what_a_tool_renders_is_named() -> None:
    files = tree({"app": [config("a")]}, **{"parts/app/kustomization.yaml": b"resources: [0.yaml]\n"})
    changed = {**files, "parts/app/kustomization.yaml": b"resources: [0.yaml]\nnamePrefix: x\n"}
    (change,) = between(files, changed).changes
    assert (change.full_name, change.effect) == ("Application/argocd/app", Effect.UPDATE)
    assert "Kustomize renders from parts/app/kustomization.yaml" in str(change.reasons[0])


def test_changes_of_an_application_and_of_what_is_rendered_are_one_change() -> None:
    files = tree({"app": [config("a")]}, **{"parts/app/kustomization.yaml": b"resources: [0.yaml]\n"})
    moved = with_fields(application("app", "parts/app"), {"spec.project": "other"})
    changed = {
        **files,
        "apps/app.yaml": written(moved),
        "parts/app/kustomization.yaml": b"resources: [0.yaml]\nnamePrefix: x\n",
    }
    (change,) = between(files, changed).changes
    assert [field.path for field in change.fields] == ["spec.project", "parts/app/kustomization.yaml"]
    assert len(change.reasons) == 2


def test_folder_that_becomes_a_chart_does_not_delete_what_it_may_render() -> None:
    files = tree({"app": [config("a")]})
    for other in (
        {"parts/app/Chart.yaml": b"name: app\n"},
        {
            "apps/app.yaml": written(
                with_fields(
                    application("app", "parts/app"),
                    {"spec.source": None, "spec.sources": [{"chart": "app", "repoURL": "https://charts"}]},
                )
            )
        },
    ):
        (change,) = between(files, {**files, **other}).changes
        assert (change.full_name, change.dangerous) == ("Application/argocd/app", True)
        assert "plan does not know what becomes of ConfigMap/a" in str(change.reasons[-1])


def test_moved_destination_moves_what_names_no_namespace() -> None:
    manifest = with_fields(config("a"), {"metadata.namespace": None})
    files = tree({"app": [manifest]})
    moved = with_fields(application("app", "parts/app"), {"spec.destination.namespace": "other"})
    found = between(files, {**files, "apps/app.yaml": written(moved)})
    assert [(change.action, change.full_name) for change in found.changes] == [
        ("change", "Application/argocd/app"),
        ("delete", "ConfigMap/ns/a"),
        ("create", "ConfigMap/other/a"),
    ]


def project(namespace: str, wave: int) -> bytes:
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {
            "name": "default",
            "namespace": "argocd",
            "annotations": {"argocd.argoproj.io/sync-wave": str(wave)},
        },
        "spec": {"destinations": [{"server": "*", "namespace": namespace}]},
    }
    return written(manifest)


def test_what_the_project_permits_no_more_stays() -> None:
    before = tree({"app": [config("a")]}, **{"apps/project.yaml": project("ns", -1)})
    last = with_fields(root(), {"spec.syncPolicy.syncOptions": ["PruneLast=true"]})
    for namespace, wave, top, effect in (
        ("other", -1, root(), Effect.KEPT),
        ("other", 0, root(), Effect.DELETE),
        ("other", 0, last, Effect.KEPT),
        ("ns", -1, root(), Effect.DELETE),
        ("ns", 0, last, Effect.DELETE),
    ):
        after = tree({}, **{"apps/project.yaml": project(namespace, wave), "apps/root.yaml": written(top)})
        effects = {change.full_name: change.effect for change in between(before, after).changes}
        assert effects["ConfigMap/ns/a"] == effect
        assert effects["Application/argocd/app"] == Effect.DELETE


def test_what_has_no_project_any_more_stays() -> None:
    """Unless that waits for its Application, or goes in a later wave: waves are pruned from the last to the first."""
    last = with_fields(root(), {"spec.syncPolicy.syncOptions": ["PruneLast=true"]})
    finalizer = {"metadata.finalizers": ["resources-finalizer.argocd.argoproj.io"]}
    for wave, top, fields, effect in (
        (0, root(), {}, Effect.KEPT),
        (-1, root(), {}, Effect.DELETE),
        (-1, last, {}, Effect.KEPT),
        (-1, last, finalizer, Effect.DELETE),
        (1, root(), finalizer, Effect.DELETE),
    ):
        made = with_fields(yaml.safe_load(project("ns", wave)), fields)
        roots = {"apps/root.yaml": written(top)}
        before = tree({"app": [config("a")]}, **{"apps/project.yaml": written(made)}, **roots)
        effects = {change.full_name: change.effect for change in between(before, tree({}, **roots)).changes}
        assert effects["ConfigMap/ns/a"] == effect


def test_namespace_that_goes_takes_what_others_put_into_it() -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}}
    found = between(tree({"app": [namespace]}), tree({"app": [config("stays")], "other": [config("a")]}))
    assert [warning for warning in found.warnings if "app, other puts into it" in warning]


def test_nothing_published() -> None:
    files = tree({"app": [config("a")]})
    found = plan(Snapshot("nothing", {}), snapshot(files))
    assert {change.action for change in found.changes} == {"create"}
    assert [change.full_name for change in found.changes] == [
        "Application/argocd/root",
        "ConfigMap/ns/kept",
        "Application/argocd/app",
        "ConfigMap/ns/a",
    ]


# Agreement.


def test_allowing() -> None:
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "ns"}}
    other = with_fields(deployment, {"metadata.namespace": "other"})
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "ns"}}
    found = between(tree({"app": [config("a"), deployment, other, service]}), tree({"app": [config("a")]}))
    assert allow_names(found) == ["Service/web", "Deployment/ns/web", "Deployment/other/web"]
    names = allow_names(found)
    assert all(allowed(change, names) for change in found.dangerous)
    assert all(allowed(change, ["Deployment/web", "Service/ns/web"]) for change in found.dangerous)
    assert not any(allowed(change, ["web", "Deployment/ns", "Job/web"]) for change in found.dangerous)
    assert unknown_names(found, ["Deployment/web", "Deployment/wbe", "ConfigMap/a"]) == [
        "Deployment/wbe",
        "ConfigMap/a",
    ]

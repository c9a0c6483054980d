"""What differs between two states of an object."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from constructs_lib.argocd.objects import Object
from constructs_lib.plan.defaults import filled_in
from constructs_lib.plan.fields import FieldChange, changed_fields

Shown = list[tuple[str, Any, Any]]


def differences(old: dict[str, Any], new: dict[str, Any], kind: str = "Deployment", group: str = "apps") -> Shown:
    head = {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind, "metadata": {"name": "a"}}
    before, after = (Object({**head, **content}, "a.yaml", "ns") for content in (old, new))
    return [(change.path, change.old, change.new) for change in changed_fields(before, after)]


def pod(**containers: Any) -> dict[str, Any]:
    named = [{"name": name, **content} for name, content in containers.items()]
    return {"spec": {"template": {"spec": {"containers": named}}}}


def test_named_lists_are_compared_by_name() -> None:
    old, new = (
        pod(a={"image": "a:1"}, b={"image": "b:1"}),
        pod(a={"image": "a:1"}, b={"image": "b:2"}, c={"image": "c:1"}),
    )
    assert differences(old, new) == [
        ("spec.template.spec.containers[b].image", "b:1", "b:2"),
        ("spec.template.spec.containers[c]", None, {"name": "c", "image": "c:1"}),
    ]


def test_order_of_a_list_counts() -> None:
    old, new = pod(a={"image": "a:1"}, b={"image": "b:1"}), pod(b={"image": "b:1"}, a={"image": "a:1"})
    assert differences(old, new) == [("spec.template.spec.containers (order)", "a, b", "b, a")]


def test_lists_without_names_are_compared_by_content() -> None:
    rules = [{"from": number} for number in range(4)]
    assert differences({"spec": {"r": rules}}, {"spec": {"r": rules[1:]}}) == [("spec.r[0]", {"from": 0}, None)]
    assert differences({"spec": {"r": rules[:3]}}, {"spec": {"r": rules}}) == [("spec.r[3]", None, {"from": 3})]
    assert differences({"spec": {"args": ["a", "b"]}}, {"spec": {"args": ["a", "c"]}}) == [("spec.args[1]", "b", "c")]


def test_long_lists_take_no_long_time() -> None:
    old, new = [str(number) for number in range(2_000)], [str(number) for number in range(1, 2_002)]
    assert [path for path, _, _ in differences({"spec": {"r": old}}, {"spec": {"r": new}})] == ["spec.r"]


def test_keys_with_dots_stand_in_brackets() -> None:
    assert differences({"data": {"a.yaml": "1", "b": "1"}}, {"data": {"a.yaml": "2", "b": "2"}}, "ConfigMap", "") == [
        ("data[a.yaml]", "1", "2"),
        ("data.b", "1", "2"),
    ]


@pytest.mark.parametrize(
    ("old", "new"), [(True, 1), (False, 0), ("true", True), ("1", 1), (1, 2), ([], {}), ("", None)]
)
def test_values_of_other_types_differ(old: object, new: object) -> None:
    assert differences({"spec": {"a": old}}, {"spec": {"a": new}}) == [("spec.a", old, new)]


def test_texts_of_several_lines_have_a_diff() -> None:
    lines = [str(number) for number in range(20)]
    change = FieldChange("data.a", "\n".join(lines), "\n".join(["0", "one", *lines[2:]]))
    assert change.diff == ["@@ -1,3 +1,3 @@", " 0", "-1", "+one", " 2"]
    assert FieldChange("data.a", "one", "two").diff is None
    assert FieldChange("data.a", "one\n", "one").diff == ["-(other ends of lines)", "+(other ends of lines)"]
    assert FieldChange("data.a", "a\n" * 3_000, "b\n" * 3_000).diff == ["-3000 lines", "+3000 lines"]


SPELLED_OUT = [
    ("apps/Deployment", "spec", {"replicas": 1, "strategy": {"type": "RollingUpdate"}, "paused": False}),
    ("apps/DaemonSet", "spec.updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}),
    ("apps/Deployment", "spec.template.spec", {"restartPolicy": "Always", "securityContext": {}, "hostNetwork": False}),
    ("apps/Deployment", "spec.template.spec.containers.0", {"imagePullPolicy": "Always", "env": [], "tty": False}),
    ("apps/Deployment", "spec.template.spec.containers.0.ports.0", {"protocol": "TCP"}),
    ("apps/Deployment", "spec.template.spec.containers.0.livenessProbe", {"periodSeconds": 0, "failureThreshold": 3}),
    ("apps/Deployment", "spec.template.spec.containers.0.livenessProbe.httpGet", {"scheme": "HTTP"}),
    ("apps/Deployment", "spec.template.spec.containers.0.resources", {"requests": {"memory": "64Mi"}}),
    ("apps/Deployment", "spec.template.spec.volumes.0", {"emptyDir": {}}),
    ("batch/CronJob", "spec", {"successfulJobsHistoryLimit": 3, "concurrencyPolicy": "Allow"}),
    ("batch/Job", "spec", {"parallelism": 1, "completions": 1}),
    ("/Service", "spec", {"type": "ClusterIP", "internalTrafficPolicy": "Cluster"}),
    ("/Service", "spec.ports.0", {"targetPort": 80, "protocol": "TCP"}),
    ("networking.k8s.io/NetworkPolicy", "spec", {"policyTypes": ["Ingress"]}),
    ("rbac.authorization.k8s.io/RoleBinding", "subjects.0", {"apiGroup": ""}),
    ("admissionregistration.k8s.io/ValidatingWebhookConfiguration", "webhooks.0", {"matchPolicy": "Equivalent"}),
    ("apiextensions.k8s.io/CustomResourceDefinition", "spec.names", {"singular": "widget", "listKind": "WidgetList"}),
]
CONTAINER = {
    "name": "a",
    "image": "a",
    "ports": [{"containerPort": 80}],
    "livenessProbe": {"httpGet": {"port": 80}},
    "resources": {"limits": {"memory": "64Mi"}},
}
PLAIN = {
    "spec": {
        "names": {"kind": "Widget"},
        "ports": [{"port": 80}],
        "template": {"spec": {"containers": [CONTAINER], "volumes": [{"name": "a"}]}},
    },
    "subjects": [{"kind": "ServiceAccount", "name": "a"}],
    "webhooks": [{"name": "a"}],
}


@pytest.mark.parametrize(("full_kind", "at", "defaults"), SPELLED_OUT, ids=[f"{a}-{b}" for a, b, _ in SPELLED_OUT])
def test_defaults_that_are_spelled_out_are_no_change(full_kind: str, at: str, defaults: dict[str, Any]) -> None:
    group, _, kind = full_kind.rpartition("/")
    plain = PLAIN if group != "apps" or kind != "DaemonSet" else {"spec": {"updateStrategy": {}}}
    old, new, other = (copy.deepcopy(plain) for _ in range(3))
    for manifest, values in ((new, defaults), (other, dict.fromkeys(defaults, "other"))):
        part: Any = manifest
        for key in at.split("."):
            part = part[int(key)] if isinstance(part, list) else part.setdefault(key, {})
        part.update(values)
    assert differences(old, new, kind, group) == differences(new, old, kind, group) == []
    assert differences(old, other, kind, group)


def test_what_is_stored_apart_from_nothing_is_a_change() -> None:
    """Pointers: the API server keeps a false, and an empty mapping, that is no default."""
    pointers: list[dict[str, Any]] = [{"automountServiceAccountToken": False}, {"affinity": {}}]
    for fields in (*pointers, {"enableServiceLinks": False}):
        new = {"spec": {"template": {"spec": {"containers": [CONTAINER], **fields}}}}
        assert differences({"spec": {"template": {"spec": {"containers": [CONTAINER]}}}}, new) != []


def test_values_of_wrong_types_stop_nothing() -> None:
    odd: list[Any] = [[], {}, "x", 1, [None], [{}], {"type": []}]
    for value in odd:
        for full_kind in ("apps/StatefulSet", "Service", "batch/Job", "networking.k8s.io/NetworkPolicy", "LimitRange"):
            for spec in (value, {"template": value, "ports": value, "strategy": value, "updateStrategy": value}):
                assert filled_in(full_kind, {"spec": spec})
            assert filled_in(
                "apps/Deployment", {"spec": {"template": {"spec": {"containers": value, "volumes": value}}}}
            )


def test_what_follows_from_another_field_is_not_told_beside_it() -> None:
    old, new = ({"spec": {"ports": [{"name": "web", "port": port}]}} for port in (80, 81))
    assert differences(old, new, "Service", "") == [("spec.ports[web].port", 80, 81)]
    old, new = (pod(a={"image": "a:1", "resources": {"limits": {"memory": size}}}) for size in ("64Mi", "96Mi"))
    changed = ("spec.template.spec.containers[a].resources.limits.memory", "64Mi", "96Mi")
    assert differences(old, new) == [changed]


def test_values_of_secrets_are_not_kept() -> None:
    copied = {"kubectl.kubernetes.io/last-applied-configuration": "hidden"}
    annotations = {"metadata": {"name": "a", "annotations": copied}}
    old, new = {"data": {"a": "aGlkZGVu"}}, {"stringData": {"a": "hidden too"}, **annotations}
    head = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}
    found = changed_fields(*(Object({**head, **content}, "a.yaml", "ns") for content in (old, new)))
    assert [(change.path, change.secret) for change in found] == [("metadata.annotations", True), ("data.a", True)]
    assert "idden" not in repr(found)

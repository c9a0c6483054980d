"""A small plan with something of everything, for the renderers."""

from __future__ import annotations

from trees import Manifest, application, snapshot, tree, with_fields, written

from constructs_lib.plan.plan import Plan, plan


def _object(version: str, kind: str, name: str, **content: object) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "ns"}, **content}


WEB = _object(
    "apps/v1",
    "Deployment",
    "web",
    spec={"replicas": 2, "template": {"spec": {"containers": [{"name": "web", "image": "web:1"}]}}},
)
SETTINGS = _object("v1", "ConfigMap", "settings", data={"a.conf": "one\ntwo\nthree\n"})
TOKEN = _object("v1", "Secret", "token", data={"token": "aGlkZGVu"})
CLAIM = _object("v1", "PersistentVolumeClaim", "files")
KEPT = _object("v1", "ConfigMap", "kept")
NEWS = _object("v1", "ConfigMap", "news")


def sample() -> Plan:
    """Return the plan."""
    old = tree({"web": [WEB, SETTINGS, TOKEN], "store": [KEPT, CLAIM]})
    new = tree(
        {
            "web": [
                with_fields(WEB, {"spec.template.spec.containers.0.image": "web:2"}),
                with_fields(SETTINGS, {"data": {"a.conf": "one\n2 <b>\nthree\n"}}),
                with_fields(TOKEN, {"data.token": "bmV3"}),
                NEWS,
            ],
            "store": [KEPT],
        },
        **{"apps/extra.yaml": b"apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: all_apps}\n"},
    )
    old["apps/web.yaml"] = written(with_fields(application("web", "parts/web"), {"spec.source.targetRevision": "v1"}))
    return plan(snapshot(old, "old"), snapshot(new, "new"))


def nothing() -> Plan:
    """Return the plan of a tree that stays as it is."""
    return plan(snapshot(tree({})), snapshot(tree({})))

"""The steps of a plan, in the order of Argo CD."""

from __future__ import annotations

from trees import application, between, config, root, tree, with_fields, written

from constructs_lib.plan.change import Effect
from constructs_lib.plan.report.words import summary


def test_steps_are_those_of_argo_cd() -> None:
    old = tree({"first": [config("a", x="1")], "second": [config("b", x="1")], "third": [config("c", x="1")]})
    new = tree({"first": [config("a", x="2")], "second": [config("b", x="2")], "new": [config("d")]})
    found = between(old, new)
    assert [
        (step.component, step.wave, step.parent, [change.full_name for change in step.changes]) for step in found.steps
    ] == [
        ("first", 0, "root", ["ConfigMap/ns/a"]),
        ("second", 1, "root", ["ConfigMap/ns/b"]),
        ("third", 2, "root", ["Application/argocd/third", "ConfigMap/ns/c"]),
        ("new", 2, "root", ["Application/argocd/new", "ConfigMap/ns/d"]),
    ]
    assert found.components == ["first", "second", "third", "new"]
    assert summary(found).startswith("Plan: 4 components in 3 waves: ")
    assert found.summary == {Effect.CREATE: 2, Effect.UPDATE: 2, Effect.DELETE: 2}


def test_what_goes_last_is_deleted_after_all_that_used_it() -> None:
    early = {"metadata.annotations": {"argocd.argoproj.io/sync-wave": "-1"}}
    web = [config("b", x="1"), with_fields(config("c"), early)]
    files = tree({"store": [config("a")], "web": web, "last": [config("d", x="1")]})
    changed = tree({"web": [config("b", x="2")], "last": [config("d", x="2")]})
    for options, expected in (
        (
            [],
            [
                ("store", 0, ["Application/argocd/store", "ConfigMap/ns/a"]),
                ("web", 1, ["ConfigMap/ns/c", "ConfigMap/ns/b"]),
                ("last", 2, ["ConfigMap/ns/d"]),
            ],
        ),
        (
            ["PruneLast=true"],
            [
                ("web", 1, ["ConfigMap/ns/b", "ConfigMap/ns/c"]),
                ("last", 2, ["ConfigMap/ns/d"]),
                ("store", 3, ["Application/argocd/store", "ConfigMap/ns/a"]),
            ],
        ),
    ):
        fields = {"spec.syncPolicy.syncOptions": options}
        apps = {
            "apps/root.yaml": written(with_fields(root(), fields)),
            "apps/web.yaml": written(with_fields(application("web", "parts/web", 1), fields)),
            "apps/last.yaml": written(application("last", "parts/last", 2)),
        }
        steps = between({**files, **apps}, {**changed, **apps}).steps
        assert [(step.component, step.wave, [each.full_name for each in step.changes]) for step in steps] == expected


def test_nested_applications() -> None:
    team = application("team", "teams/one", 1)
    nested = {
        "apps/root.yaml": written(root()),
        "apps/kept.yaml": written(config("kept")),
        "apps/team.yaml": written(team),
        "teams/one/web.yaml": written(application("web", "web")),
        "web/a.yaml": written(config("a", x="1")),
    }
    changed = {**nested, "web/a.yaml": written(config("a", x="2"))}
    assert [(step.component, step.parent) for step in between(nested, changed).steps] == [("web", "team")]
    gone = {path: content for path, content in nested.items() if not path.startswith(("apps/team", "teams", "web"))}
    found = between(nested, gone)
    assert [(change.full_name, change.effect) for change in found.changes] == [
        ("Application/argocd/team", Effect.DELETE),
        ("Application/argocd/web", Effect.DELETE),
        ("ConfigMap/ns/a", Effect.DELETE),
    ]

"""Components and workloads that move to another namespace, or get another name: one danger that says what it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from trees import Manifest, application, between, config, root, tree, with_fields, written

from constructs_lib.plan.change import Change, Effect
from constructs_lib.plan.plan import Plan, allow_names, allowed, unknown_names
from constructs_lib.plan.report.json_report import document
from constructs_lib.plan.report.markdown import render
from constructs_lib.publish.checkout import PublishError
from constructs_lib.publish.scope import refuse_dangers

LAST = {"spec.syncPolicy.syncOptions": ["PruneLast=true"]}
KEPT = {
    "metadata.annotations": {
        "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
        "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
    }
}


def made(version: str, kind: str, name: str, namespace: str, spec: Mapping[str, Any]) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": dict(spec)}


def pods(name: str, image: str, **more: Any) -> Manifest:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": name, "image": image, "env": [{"name": "SELF", "value": name}], **more}]},
    }
    return {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": template}


def server(name: str = "web", namespace: str = "ns", image: str = "shop/web:1", **more: Any) -> list[Manifest]:
    """Return a Deployment and its Service."""
    service = {"selector": {"app": name}, "ports": [{"port": 80}]}
    return [
        made("apps/v1", "Deployment", name, namespace, pods(name, image, **more)),
        made("v1", "Service", name, namespace, service),
    ]


def database(name: str = "db", namespace: str = "ns", **more: Any) -> Manifest:
    """Return a StatefulSet with a volume for each of its two pods."""
    spec = {**pods(name, "postgres:18", **more), "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}
    return made("apps/v1", "StatefulSet", name, namespace, spec)


def claimed(name: str, namespace: str, claim: str) -> list[Manifest]:
    """Return a Deployment with a volume, and its claim."""
    volume = {"name": "files", "persistentVolumeClaim": {"claimName": claim}}
    fields = {"spec.template.spec.volumes": [volume]}
    workload = made("apps/v1", "Deployment", name, namespace, pods(name, "shop/files:1"))
    return [with_fields(workload, fields), made("v1", "PersistentVolumeClaim", claim, namespace, {})]


def cluster(name: str, namespace: str) -> Manifest:
    """Return a custom resource for which an operator makes a database with volumes."""
    return made("postgresql.cnpg.io/v1", "Cluster", name, namespace, {"instances": 2, "storage": {"size": "1Gi"}})


def deployed(
    parts: Mapping[str, Sequence[Manifest]], places: Mapping[str, str] = {}, options: Mapping[str, Any] = LAST
) -> dict[str, bytes]:
    """Return a tree of Applications with these objects, in these namespaces unless it is ``ns``."""
    files = tree(parts)
    for wave, name in enumerate(parts):
        fields = {**options, "spec.destination.namespace": places.get(name, "ns")}
        files[f"apps/{name}.yaml"] = written(with_fields(application(name, f"parts/{name}", wave), fields))
    return {**files, "apps/root.yaml": written(with_fields(root(), options))}


def only_danger(found: Plan, name: str) -> Change:
    """Return the one dangerous change, which all reports and publish call by one name."""
    assert [change.name for change in found.losing] == [name]
    (change,) = found.losing
    assert allow_names(found) == [name]
    assert document(found)["allow"] == [name]
    with pytest.raises(PublishError, match=f"add --allow {name}$"):
        refuse_dangers(found, [])
    refuse_dangers(found, [name])
    written_reasons = {
        reason["text"] for step in document(found)["steps"] for each in step["changes"] for reason in each["reasons"]
    }
    for reason in change.reasons:
        assert reason.text in written_reasons
    assert "Instead: " in render(found)
    return change


def told(change: Change) -> str:
    return "\n".join([*(reason.text for reason in change.reasons), change.fix])


CALLER = config("settings", URL="http://web.ns:80")


# Components.


def test_another_namespace_with_data() -> None:
    data = with_fields(database(), KEPT)
    old = deployed({"app": [*server(), data], "front": [CALLER]})
    new = deployed(
        {"app": [*server(namespace="other"), with_fields(database(namespace="other"), KEPT)], "front": [CALLER]},
        {"app": "other"},
    )
    change = only_danger(between(old, new), "Application/app")
    assert (change.action, change.effect) == ("change", Effect.UPDATE)
    text = told(change)
    assert "The new one starts empty." in text
    assert "PersistentVolumeClaim/data-db-0 to 1 in ns." in text
    assert "web.ns becomes web.other. front calls it by the old one." in text
    assert "From then on, nobody answers front under the old address" in text
    assert "dump the data and restore it" in text


def test_another_namespace_that_only_the_objects_name() -> None:
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("ns", "other")]
    old = deployed({"app": [namespaces[0], *server(), *server("admin", image="shop/admin:1")]}, {"app": ""})
    moved = [*server(namespace="other"), *server("admin", "other", "shop/admin:1")]
    found = between(old, deployed({"app": [namespaces[1], *moved]}, {"app": ""}))
    text = told(only_danger(found, "Deployment/web"))
    assert "It moves to the namespace other: new objects there take the place of those in ns." in text
    assert Effect.DATA_LOSS not in found.summary


def test_another_namespace_without_data() -> None:
    found = between(deployed({"app": server()}), deployed({"app": server(namespace="other")}, {"app": "other"}))
    text = told(only_danger(found, "Application/app"))
    assert "starts empty" not in text
    assert "then the old one is removed, at the end of the same sync (PruneLast=true)" in text
    assert "Nobody in the tree calls it by the old one." in text
    assert change_order(text) == ["Declare the new one beside", "let its callers use", "remove the old one"]


def change_order(text: str) -> list[str]:
    steps = ["Declare the new one beside", "let its callers use", "remove the old one"]
    assert sorted(steps, key=text.rindex) == steps
    return steps


def test_nobody_answers_where_the_old_one_goes_first() -> None:
    old = deployed({"app": server()}, options={})
    for new in (
        deployed({"app": server(namespace="other")}, {"app": "other"}, {}),
        deployed({"site": server("site", "other")}, {"site": "other"}, {}),
        deployed({"app": server("site")}, options={}),
    ):
        (change,) = between(old, new).dangerous
        assert "Nobody answers from when the old one is removed until the new one is ready" in told(change)


@pytest.mark.parametrize("namespace", ["ns", "other"])
def test_another_name(namespace: str) -> None:
    old = deployed(
        {"app": [*server("app"), with_fields(database("app-db"), KEPT)], "front": [config("s", URL="app.ns")]}
    )
    parts = [*server("shop", namespace), with_fields(database("shop-db", namespace), KEPT)]
    new = deployed({"shop": parts, "front": [config("s", URL=f"shop.{namespace}")]}, {"shop": namespace})
    found = between(old, new)
    text = told(only_danger(found, "Application/app"))
    assert "shop takes its place." in text
    assert "PersistentVolumeClaim/data-app-db-0 to 1 in ns." in text
    assert f"app.ns becomes shop.{namespace}. front calls" in text
    assert "both run until all callers are rolled out" in text
    assert "dump the data and restore it" in text


def test_another_name_without_data_replaces_a_namespace_and_loses_nothing() -> None:
    def parts(name: str) -> list[Manifest]:
        return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, *server(name, name)]

    found = between(
        deployed({"app": parts("app")}, {"app": "app"}), deployed({"shop": parts("shop")}, {"shop": "shop"})
    )
    change = only_danger(found, "Application/app")
    assert change.effect == Effect.DELETE
    assert "It has no volumes" in told(change)
    assert Effect.DATA_LOSS not in found.summary


def test_a_component_that_shares_a_namespace_with_its_new_name_stands_still() -> None:
    options = {"spec.syncPolicy.syncOptions": ["FailOnSharedResource=true", "PruneLast=true"]}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}}
    old, new = ({name: [namespace, *server(name)]} for name in ("app", "shop"))
    for chosen, stands in ((options, True), (LAST, False)):
        found = between(deployed(old, options=chosen), deployed(new, options=chosen))
        change = only_danger(found, "Application/app")
        assert change.effect == (Effect.REPLACEMENT if stands else Effect.DELETE)
        text = told(change)
        assert ("Both have Namespace/ns. The sync of shop fails" in text) == stands
        assert ("somebody answers all the time" in text.rpartition("Declare")[0]) != stands


def test_data_that_goes_with_the_old_one_is_a_danger_of_its_own() -> None:
    old = deployed({"app": claimed("app", "ns", "app-files")})
    new = deployed({"shop": claimed("shop", "ns", "shop-files")})
    found = between(old, new)
    assert allow_names(found) == ["Application/app", "PersistentVolumeClaim/app-files"]
    assert "the old data goes with the old one: PersistentVolumeClaim/app-files in ns." in told(found.dangerous[0])


def test_a_namespace_with_data_or_with_others_is_a_danger_of_its_own() -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}}
    moved = deployed({"app": claimed("app", "other", "files"), "front": [CALLER]}, {"app": "other", "front": "front"})
    old = deployed({"app": [namespace, *claimed("app", "ns", "files")], "front": [CALLER]}, {"front": "front"})
    assert "Namespace/ns" in allow_names(between(old, moved))
    old = deployed({"app": [namespace, *server()], "front": [CALLER]}, {"front": "front"})
    for place, dangers in (("ns", ["Application/app", "Namespace/ns"]), ("front", ["Application/app"])):
        new = deployed({"app": server(namespace="other"), "front": [CALLER]}, {"app": "other", "front": place})
        assert sorted(allow_names(between(old, new))) == dangers


def test_callers_are_found_in_the_values_of_charts() -> None:
    chart = {"repoURL": "https://charts", "chart": "thing", "helm": {"values": "url: http://web.ns:80"}}
    front = written(with_fields(application("front", ""), {"spec.source": chart}))
    old = {**deployed({"app": server()}), "apps/front.yaml": front}
    new = {**deployed({"app": server(namespace="other")}, {"app": "other"}), "apps/front.yaml": front}
    assert "front calls it by the old one." in told(only_danger(between(old, new), "Application/app"))


def test_another_namespace_and_other_pods() -> None:
    variables = [{"name": "SELF", "value": "site"}]
    new = deployed({"app": server(namespace="other", image="mirror/site:2", env=variables)}, {"app": "other"})
    only_danger(between(deployed({"app": server()}), new), "Application/app")


def test_a_public_address_that_goes_is_told() -> None:
    def public(namespace: str) -> list[Manifest]:
        deployment, service = server(namespace=namespace)
        return [deployment, with_fields(service, {"spec.type": "LoadBalancer"})]

    found = between(deployed({"app": public("ns")}), deployed({"app": public("other")}, {"app": "other"}))
    assert "the public address, which may never come again" in told(only_danger(found, "Application/app"))


def test_what_a_moved_component_drops_is_a_danger_of_its_own() -> None:
    old = deployed({"app": [*server(), *server("admin", image="shop/admin:1")]})
    found = between(old, deployed({"app": server(namespace="other")}, {"app": "other"}))
    assert sorted(allow_names(found)) == ["Application/app", "Deployment/admin", "Service/admin"]


def test_what_the_project_permits_no_more_runs_on() -> None:
    def project(namespace: str) -> bytes:
        spec = {"destinations": [{"server": "*", "namespace": namespace}]}
        manifest = made("argoproj.io/v1alpha1", "AppProject", "default", "argocd", spec)
        return written(with_fields(manifest, {"metadata.annotations": {"argocd.argoproj.io/sync-wave": "-1"}}))

    old = {**deployed({"app": server()}), "apps/project.yaml": project("*")}
    moved = deployed({"app": server(namespace="other")}, {"app": "other"})
    for namespace, effect in (("other", Effect.KEPT), ("*", Effect.DELETE)):
        found = between(old, {**moved, "apps/project.yaml": project(namespace)})
        assert {change.effect for change in found.changes if change.action == "delete"} == {effect}
        text = told(only_danger(found, "Application/app"))
        assert ("both run, until a person removes it" in text) == (effect == Effect.KEPT)


# Workloads.


@pytest.mark.parametrize("data", [database, cluster])
def test_a_protected_store_under_another_name_starts_empty(data: Any) -> None:
    service = server()[1]
    old, new = (with_fields(data(name, "ns"), KEPT) for name in ("db", "store"))
    found = between(deployed({"app": [old, service]}), deployed({"app": [new, service]}))
    change = only_danger(found, f"{old['kind']}/db")
    assert change.effect == Effect.KEPT
    text = told(change)
    assert f"{old['kind']}/store takes its place." in text
    assert "The new one starts empty. Nobody moves the old data" in text
    assert "both run, until a person removes it" in text
    assert "Its address changes" not in text


def test_a_workload_under_another_name_that_uses_the_same_volume_is_not_empty() -> None:
    def parts(name: str) -> list[Manifest]:
        return claimed(name, "ns", "files")

    found = between(deployed({"app": parts("web")}), deployed({"app": parts("site")}))
    text = told(only_danger(found, "Deployment/web"))
    assert "starts empty" not in text


def test_a_workload_that_moves_to_another_application_and_namespace() -> None:
    old = deployed({"app": [*server(), config("a")], "site": [config("b")]})
    new = deployed({"app": [config("a")], "site": [*server(namespace="other"), config("b")]})
    text = told(only_danger(between(old, new), "Deployment/web"))
    assert "Deployment/web in other takes its place." in text
    assert "web.ns becomes web.other" in text


# Harmless twins.


def test_one_component_goes_and_an_unrelated_one_comes() -> None:
    names = {"name": "POSTGRES_DB", "value": "orders"}
    old = deployed({"orders": [*server("orders", image="shop/orders:1"), database("orders-db", env=[names])]})
    other = database("mails-db", env=[{**names, "value": "mails"}])
    for parts in (
        [*server("mails", image="shop/mails:1"), other],
        [*server("mails", image="shop/mails:1"), database("mails-db", env=[names])],
        # Of the same image, it is told something else.
        [*server("mails", image="shop/orders:1", args=["--mails"]), other],
        [config("mails")],
    ):
        found = between(old, deployed({"mails": parts}))
        reasons = "\n".join(told(change) for change in found.changes)
        assert "takes its place" not in reasons
        assert "starts empty" not in reasons
        assert allow_names(found) == ["Component/orders"]


def test_a_worker_of_the_same_image_that_does_something_else() -> None:
    old = deployed({"app": server("mailer", image="shop/worker:1", args=["mail"])[:1]})
    new = deployed({"app": server("cleaner", image="shop/worker:1", args=["clean"])[:1]})
    (change,) = between(old, new).dangerous
    assert (change.name, "takes its place" in told(change)) == ("Deployment/mailer", False)


def test_pods_of_the_same_image_that_are_told_something_else() -> None:
    def site(name: str, text: str, **more: Any) -> list[Manifest]:
        volume = {"name": "pages", "configMap": {"name": name}}
        deployment = server(name, image="nginx:1", env=[], **more)[0]
        return [with_fields(deployment, {"spec.template.spec.volumes": [volume]}), config(name, page=text)]

    variables = [{"name": name, "value": "1"} for name in ("A", "B")]
    for old, new, alike in (
        (site("docs", "Read the docs."), site("blog", "Read the blog."), True),
        (site("docs", "Read this."), site("blog", "Buy that."), False),
        (server("one", env=variables[:1])[:1], server("two", env=variables[1:])[:1], False),
    ):
        found = between(deployed({"app": old}), deployed({"app": new}))
        assert ["takes its place" in told(change) for change in found.dangerous] == [alike]


def test_what_stays_where_it_is_does_not_move() -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}}
    old = deployed({"app": [namespace, *server(), database()]})
    label = with_fields(namespace, {"metadata.labels": {"team": "blue"}})
    assert not between(old, deployed({"app": [label, *server(), database()]})).dangerous
    # All objects name their namespace themselves.
    assert not between(old, deployed({"app": [namespace, *server(), database()]}, {"app": "other"})).dangerous
    # Pods of another image under the same name.
    assert not between(old, deployed({"app": [namespace, *server(image="shop/other:1"), database()]})).dangerous


# What is kept.


def test_what_is_kept_leaves_its_application_synced_if_it_says_so() -> None:
    for fields, differs in (
        (KEPT, False),
        ({"metadata.annotations": {"argocd.argoproj.io/sync-options": "Prune=false"}}, True),
    ):
        (change,) = between(
            deployed({"app": [with_fields(config("a"), fields), config("b")]}), deployed({"app": [config("b")]})
        ).changes
        assert change.effect == Effect.KEPT
        assert ("app is OutOfSync (requires pruning)" in told(change)) == differs
        assert ("kubectl annotate configmap a --namespace ns argocd.argoproj.io/tracking-id-" in change.fix) == differs


# Agreement to the removal of a component as a whole.

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "files", "namespace": "ns"},
    "spec": {},
}
CLUSTER = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "db", "namespace": "ns"},
    "spec": {"instances": 1, "storage": {"size": "1Gi"}},
}


@pytest.mark.parametrize(
    ("objects", "place", "names"),
    [
        ([*server()], "other", ["Component/app"]),
        ([NAMESPACE, *server()], "other", ["Component/app"]),
        ([NAMESPACE, *server()], "ns", ["Component/app", "Namespace/ns"]),
        ([NAMESPACE, *server(), CLAIM], "other", ["Component/app", "Namespace/ns", "PersistentVolumeClaim/files"]),
        ([NAMESPACE, *server(), CLUSTER], "other", ["Component/app", "Namespace/ns", "Cluster/db"]),
    ],
    ids=["without a namespace", "stateless", "beside another one", "with data", "with what an operator makes"],
)
def test_name_of_a_component_allows_what_goes_with_it(objects: list[Manifest], place: str, names: list[str]) -> None:
    beside = {"site": [config("b")]}
    old = deployed({"app": objects, **beside}, {"site": place})
    found = between(old, deployed(beside, {"site": place}))
    assert sorted(allow_names(found)) == sorted(names)
    lost = [change.name for change in found.changes if change.effect == Effect.DATA_LOSS]
    assert ("Namespace/ns" in lost) is ("Namespace/ns" in names)
    assert all(allowed(change, names) for change in found.dangerous)
    assert unknown_names(found, names) == []
    dangers = [change.name for change in found.dangerous]
    assert all(allowed(change, dangers) for change in found.dangerous), "each can be named as well"
    # As long as the component stays, its name allows nothing.
    found = between(old, deployed({"app": [config("c")], **beside}, {"site": place}))
    assert found.dangerous
    assert not any(allowed(change, ["Component/app"]) for change in found.dangerous)
    assert unknown_names(found, ["Component/app"]) == ["Component/app"]

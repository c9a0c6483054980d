"""Patches of generated objects: what they change, what follows, and what they may not."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from systems import environment

from constructs_lib import DeclarationError, HelmChart, Microservice, Postgres, System, api, generated, synthesize
from constructs_lib.argocd.objects import WAVE
from constructs_lib.derive.explanation import origins
from constructs_lib.derive.graph import Graph
from constructs_lib.repository.pins import Pin, Pins

WEB = "dist/staging/web/"


class Shop:
    """A service with its database, and a chart."""

    def __init__(self) -> None:
        self.system = System(environment("staging", "external-secrets"), "shop")
        more: dict[str, Any] = {"env": {"A": "b", "KEY": generated("a key")}, "ports": {"http": 8080}}
        self.web = Microservice(self.system, "web", image="example/web:1.2.3", **more)
        self.db = Postgres(self.web, "db", image="postgres:18.6", database="shop", user="shop", storage="1Gi")
        self.web.needs(self.db.endpoint("sql"), {"DB": "address"})
        self.chart = HelmChart(self.system, "edge", repository="https://example.com", chart="edge", version="1.0.0")

    def objects(self, pins: Pins | None = None) -> dict[str, Any]:
        """Return the objects by their path."""
        files = synthesize(self.system, pins).files
        return {path: yaml.safe_load(content) for path, content in files.items() if path.endswith(".yaml")}


#: What is done, and what is then different: of which file, at which fields.
CHANGES: dict[str, tuple[Callable[[Shop], None], str, Mapping[str, Any]]] = {
    "a pod": (
        lambda shop: shop.web.patch(
            "Deployment", {"spec": {"template": {"spec": {"hostAliases": [{"ip": "1.2.3.4"}]}}}}
        ),
        f"{WEB}Deployment-web.yaml",
        {"spec.template.spec.hostAliases": [{"ip": "1.2.3.4"}]},
    ),
    "by group and kind": (
        lambda shop: shop.db.patch("apps/StatefulSet", {"spec": {"minReadySeconds": 5}}),
        f"{WEB}StatefulSet-web-db.yaml",
        {"spec.minReadySeconds": 5},
    ),
    "one of several": (
        lambda shop: shop.db.patch("Service", {"spec": {"trafficDistribution": "PreferClose"}}),
        f"{WEB}Service-web-db.yaml",
        {"spec.trafficDistribution": "PreferClose"},
    ),
    "one of several by its name": (
        lambda shop: shop.db.patch("Service", {"metadata": {"labels": {"a": "b"}}}, name="web-db-nodes"),
        f"{WEB}Service-web-db-nodes.yaml",
        {"metadata.labels.a": "b"},
    ),
    "a Namespace": (
        lambda shop: shop.web.component.patch("Namespace", {"metadata": {"labels": {"team": "a"}}}),
        f"{WEB}Namespace-web.yaml",
        {"metadata.labels.team": "a"},
    ),
    "a policy of the component": (
        lambda shop: shop.web.component.patch(
            "NetworkPolicy", {"metadata": {"labels": {"a": "b"}}}, name="default-deny"
        ),
        f"{WEB}NetworkPolicy-default-deny.yaml",
        {"metadata.labels.a": "b"},
    ),
    "an ExternalSecret": (
        lambda shop: shop.web.component.patch("ExternalSecret", {"spec": {"refreshInterval": "5m0s"}}),
        f"{WEB}ExternalSecret-web.yaml",
        {"spec.refreshInterval": "5m0s"},
    ),
    "an object of a workload, by its component": (
        lambda shop: shop.web.component.patch("StatefulSet", {"spec": {"minReadySeconds": 5}}),
        f"{WEB}StatefulSet-web-db.yaml",
        {"spec.minReadySeconds": 5},
    ),
    "an Application": (
        lambda shop: shop.web.component.patch(
            "Application",
            {
                "metadata": {"annotations": {"notifications.argoproj.io/subscribe.on-sync-failed.slack": "ops"}},
                "spec": {"syncPolicy": {"automated": None, "syncOptions": ["PruneLast=false"]}},
            },
        ),
        "argocd/staging/Application-web.yaml",
        {
            "metadata.annotations.notifications.argoproj.io/subscribe.on-sync-failed.slack": "ops",
            "spec.syncPolicy.automated.prune": None,
            "spec.syncPolicy.automated.selfHeal": None,
            "spec.syncPolicy.syncOptions": [
                "FailOnSharedResource=true",
                "PruneLast=false",
                "RespectIgnoreDifferences=true",
                "ServerSideApply=true",
            ],
        },
    ),
    "an Application of a chart": (
        lambda shop: shop.chart.patch(
            "Application", {"spec": {"sources": [{"repoURL": "https://example.com", "helm": {"skipCrds": True}}]}}
        ),
        "argocd/staging/Application-edge.yaml",
        {"spec.sources[0].helm.skipCrds": True},
    ),
    "an AppProject": (
        lambda shop: shop.web.component.patch("AppProject", {"spec": {"syncWindows": [{"kind": "allow"}]}}),
        "argocd/staging/AppProject-shop-web.yaml",
        {"spec.syncWindows": [{"kind": "allow"}]},
    ),
    "the root": (
        lambda shop: shop.system.patch("Application", {"spec": {"revisionHistoryLimit": 3}}),
        "argocd/staging/root.yaml",
        {"spec.revisionHistoryLimit": 3},
    ),
}


def fields(value: Any, at: str = "") -> dict[str, Any]:
    """Return all values of an object by their paths; a list of anything but mappings is one."""
    if isinstance(value, dict) and value:
        return {path: each for key, entry in value.items() for path, each in fields(entry, f"{at}.{key}").items()}
    if at.endswith(".sources"):
        return {path: each for i, entry in enumerate(value) for path, each in fields(entry, f"{at}[{i}]").items()}
    return {at.removeprefix("."): value}


@pytest.mark.parametrize("name", CHANGES)
def test_it_changes_this_and_nothing_else(name: str) -> None:
    patch, path, expected = CHANGES[name]
    before = Shop().objects()
    shop = Shop()
    patch(shop)
    after = shop.objects()
    assert [other for other in after if after[other] != before.get(other)] == [path]
    old, new = fields(before[path]), fields(after[path])
    assert {field: new.get(field) for field in old.keys() | new.keys() if old.get(field) != new.get(field)} == expected


def test_why_names_its_line() -> None:
    shop = Shop()
    shop.web.patch("Deployment", {"spec": {"paused": True}})
    shop.web.component.patch("Application", {"metadata": {"labels": {"a": "b"}}})
    shop.system.patch("Application", {"metadata": {"labels": {"a": "b"}}})
    first = inspect.getsourcelines(test_why_names_its_line)[1]
    found = {
        f"{origin.manifest['kind']}/{origin.manifest['metadata']['name']}": [
            patch.location.line - first for patch in origin.patches
        ]
        for origin in origins(shop.system, Graph(shop.system))
        if origin.patches
    }
    assert found == {"Deployment/web": [2], "Application/web": [3], "Application/shop": [4]}


def test_patches_are_applied_in_the_order_of_their_lines() -> None:
    shop = Shop()
    shop.web.patch("Deployment", {"spec": {"replicas": 2}})
    shop.web.component.patch("Deployment", {"spec": {"replicas": 3}})
    assert shop.objects()[f"{WEB}Deployment-web.yaml"]["spec"]["replicas"] == 3


def test_later_changes_of_a_mapping_are_none_of_the_patch() -> None:
    shop, change = Shop(), {"spec": {"replicas": 2}}
    shop.web.patch("Deployment", change)
    change["spec"]["replicas"] = 5
    assert shop.objects()[f"{WEB}Deployment-web.yaml"]["spec"]["replicas"] == 2


def test_pods_start_anew_when_their_configuration_is_patched() -> None:
    def annotations(value: str) -> dict[str, str]:
        shop = Shop()
        shop.web.patch("ConfigMap", {"data": {"A": value}})
        after = shop.objects()
        other = fields(after[f"{WEB}StatefulSet-web-db.yaml"])
        assert not [field for field in other if "checksum/patched" in field]
        found: dict[str, str] = after[f"{WEB}Deployment-web.yaml"]["spec"]["template"]["metadata"]["annotations"]
        return found

    first, second = annotations("c"), annotations("d")
    assert first["checksum/config"] == second["checksum/config"]
    assert first["checksum/patched"] != second["checksum/patched"]
    assert annotations("c") == first


def test_a_job_that_cannot_be_changed_gets_another_name() -> None:
    def name(value: str) -> str:
        shop = Shop()
        if value:
            shop.db.patch("Job", {"spec": {"template": {"spec": {"priorityClassName": value}}}}, name="web-db-schema")
        [path] = [path for path in shop.objects() if path.startswith(f"{WEB}Job-")]
        return path

    assert len({name(""), name("a"), name("b")}) == 3
    assert name("a") == name("a")


def test_the_project_permits_what_a_patch_makes_and_check_judges_it() -> None:
    shop = Shop()
    assert [finding.check.code for finding in api.check(shop.system)] == []
    shop.web.patch("Deployment", {"spec": {"template": {"spec": {"hostNetwork": True}}}})
    found = api.check(shop.system)
    assert "pod-security-violated" in {finding.check.code for finding in found}


def test_what_check_finds_has_the_line_of_the_patch_that_sets_it() -> None:
    shop = Shop()
    shop.web.patch("Deployment", {"spec": {"replicas": 2}})
    shop.web.patch("Deployment", {"spec": {"template": {"spec": {"hostNetwork": True}}}})
    shop.web.patch("Service", {"spec": {"selector": {"app.kubernetes.io/name": "web"}, "type": "Lost"}})
    shop.db.patch("StatefulSet", {"spec": {"template": {"spec": {"containers": [{"name": "db", "image": "db"}]}}}})
    first = inspect.getsourcelines(test_what_check_finds_has_the_line_of_the_patch_that_sets_it)[1]
    found = defaultdict[str, set[int]](set)
    for finding in api.check(shop.system):
        found[finding.check.code].add(int(finding.location.removeprefix(f"{__file__}:")) - first)
    lines = {code: found[code] for code in ("bad-value", "image-not-pinned", "pod-security-violated")}
    assert lines == {"bad-value": {4}, "image-not-pinned": {5}, "pod-security-violated": {3, 5}}
    assert found["call-blocked"].isdisjoint(range(6))


def test_a_patched_application_is_pinned() -> None:
    shop = Shop()
    shop.web.component.patch("Application", {"spec": {"syncPolicy": {"automated": {"selfHeal": False}}}})
    shop.web.component.patch("AppProject", {"spec": {"destinations": None, "description": "mine"}})
    pin = Pin("a" * 40, "b" * 40, "web")
    after = shop.objects(Pins({"web": pin}, {"web": ("left",)}))
    spec = after["argocd/staging/Application-web.yaml"]["spec"]
    assert spec["source"]["targetRevision"] == "a" * 40
    assert spec["syncPolicy"]["automated"] == {"prune": True, "selfHeal": False}
    project = after["argocd/staging/AppProject-shop-web.yaml"]["spec"]
    assert [entry["namespace"] for entry in project["destinations"]] == ["left", "web"]


CANNOT = 'of the Deployment "web" cannot be patched: '
WAVES = "the wave follows from needs() and after(): declare there what it comes after"
SELECTOR = "Kubernetes changes no selector, and policies and Services know the pods by it: add labels beside it."
SOURCES = (
    'what spec.source names of the Application "{name}" cannot be patched: publish pins what it reads, and plan reads '
    "it there: the repository and the branch are those of GitRepository(…), and a chart's are arguments of HelmChart."
)

#: What is done, and what is said about it.
MISTAKES: dict[str, tuple[Callable[[Shop], None], list[str]]] = {
    "no such kind": (
        lambda shop: shop.web.patch("Deploymnet", {"spec": {}}),
        ['it has no Deploymnet; did you mean "Deployment"?'],
    ),
    "what a chart makes": (
        lambda shop: shop.chart.patch("Deployment", {"spec": {}}),
        [
            "it has no Deployment; one of AppProject, Application, Namespace, NetworkPolicy. What Argo CD renders of "
            "its chart is out of reach: say it in values=…, or declare it with rendered=True."
        ],
    ),
    "no such name": (
        lambda shop: shop.web.patch("Deployment", {"spec": {}}, name="wep"),
        ['it has no Deployment "wep"; did you mean "web"?'],
    ),
    "no such namespace": (
        lambda shop: shop.web.patch("Deployment", {"spec": {}}, name="web", namespace="shop"),
        ['Deployment "web" is in web, and not in shop.'],
    ),
    "of several": (
        lambda shop: shop.web.component.patch("PodDisruptionBudget", {"spec": {}}, name="db"),
        ['it has no PodDisruptionBudget "db"; one of web, web-db.'],
    ),
    "which of several": (
        lambda shop: shop.chart.patch("NetworkPolicy", {"spec": {}}),
        ["there are several NetworkPolicy; say which with name=…: default-deny or dns."],
    ),
    "of the component": (
        lambda shop: shop.web.patch("Namespace", {"metadata": {"labels": {"a": "b"}}}),
        ["the Namespace is the component's: say component.patch(…) in the place of this."],
    ),
    "the Application of a workload": (
        lambda shop: shop.web.patch("Application", {"metadata": {"labels": {"a": "b"}}}),
        ["the Application is the component's: say component.patch(…) in the place of this."],
    ),
    "another Application": (
        lambda shop: shop.web.component.patch("Application", {"metadata": {"labels": {"a": "b"}}}, name="edge"),
        ['its Application is called "web", and not "edge".'],
    ),
    "nothing": (
        lambda shop: shop.web.patch("Deployment", {"spec": {"replicas": 1}}),
        ['it changes nothing in the Deployment "web"; take it away.'],
    ),
    "no change at all": (
        lambda shop: shop.web.patch("Deployment", {}),
        ['it changes nothing in the Deployment "web"; take it away.'],
    ),
    "nothing in an Application": (
        lambda shop: shop.web.component.patch("Application", {"spec": {"revisionHistoryLimit": 5}}),
        ['it changes nothing in the Application "web"; take it away.'],
    ),
    "what it is": (
        lambda shop: shop.web.patch("Deployment", {"kind": "Rollout", "apiVersion": "argoproj.io/v1alpha1"}),
        [
            f"{field} {CANNOT}that would be another object: make one of your own with cdk8s.ApiObject, and leave this "
            "one."
            for field in ("apiVersion", "kind")
        ],
    ),
    "where it is": (
        lambda shop: shop.web.patch("Deployment", {"metadata": {"namespace": "other", "name": "w"}}),
        [
            f"metadata.name {CANNOT}it is named by its id: declare it under another one.",
            f"metadata.namespace {CANNOT}say namespace=… where its component is declared.",
        ],
    ),
    "all of its metadata": (
        lambda shop: shop.web.patch("Service", {"metadata": None}),
        [
            f'metadata.{field} of the Service "web" cannot be patched: {advice}.'
            for field, advice in (
                (f"annotations.{WAVE}", WAVES),
                ("name", "it is named by its id: declare it under another one"),
                ("namespace", "say namespace=… where its component is declared"),
            )
        ],
    ),
    "the selector": (
        lambda shop: shop.web.patch("Deployment", {"spec": {"selector": {"matchLabels": {"a": "b"}}}}),
        [f"spec.selector {CANNOT}{SELECTOR}"],
    ),
    "the labels of the pods": (
        lambda shop: shop.web.patch(
            "Deployment", {"spec": {"template": {"metadata": {"labels": {"app.kubernetes.io/name": "x"}}}}}
        ),
        [f"the label app.kubernetes.io/name of the pods {CANNOT}{SELECTOR}"],
    ),
    "all of the template": (
        lambda shop: shop.web.patch("Deployment", {"spec": {"template": None}}),
        [f"the label app.kubernetes.io/name of the pods {CANNOT}{SELECTOR}"],
    ),
    "the wave of an Application": (
        lambda shop: shop.web.component.patch("Application", {"metadata": {"annotations": {WAVE: "5"}}}),
        [f'metadata.annotations.{WAVE} of the Application "web" cannot be patched: {WAVES}.'],
    ),
    "what is pinned": (
        lambda shop: shop.web.component.patch("Application", {"spec": {"source": {"targetRevision": "v1"}}}),
        [SOURCES.format(name="web")],
    ),
    "the source": (
        lambda shop: shop.web.component.patch("Application", {"spec": {"source": None}}),
        [SOURCES.format(name="web")],
    ),
    "one more source": (
        lambda shop: shop.chart.patch("Application", {"spec": {"sources": [{"repoURL": "https://a.b", "path": "c"}]}}),
        [SOURCES.format(name="edge")],
    ),
    "the project and the place of an Application": (
        lambda shop: shop.system.patch(
            "Application", {"spec": {"project": "default", "destination": {"namespace": "x"}}}
        ),
        [
            'spec.destination of the Application "shop" cannot be patched: say namespace=… where its component is '
            "declared.",
            'spec.project of the Application "shop" cannot be patched: a component has a project of its own: patch the '
            "AppProject.",
        ],
    ),
    "the project of the root": (
        lambda shop: shop.system.patch("AppProject", {"spec": {}}),
        ["a system has its root Application to patch, and no AppProject: the root's belongs to the bootstrap."],
    ),
    "an object of a component, by the system": (
        lambda shop: shop.system.patch("Deployment", {"spec": {}}),
        ["a system has its root Application to patch, and no Deployment: it is a component's."],
    ),
    "what the guard refuses": (
        lambda shop: shop.web.component.patch(
            "AppProject", {"spec": {"roles": [{"name": "a"}], "sourceRepos": ["*"], "sourceIntegrity": {"git": {}}}}
        ),
        [
            f'spec.{field} of the AppProject "shop-web" cannot be patched: {advice}.'
            for field, advice in (
                (
                    "roles",
                    "the guard of the bootstrap refuses it: rights of people and accounts are the bootstrap's",
                ),
                ("sourceIntegrity", "say signed_by=… of the Environment"),
                ("sourceRepos", "the guard of the bootstrap refuses patterns: name each"),
            )
        ],
    ),
    "of another shape": (
        lambda shop: shop.web.patch("Deployment", {"spec": {"template": {"spec": {"containers": {"name": "web"}}}}}),
        ['of the Deployment "web", spec.template.spec.containers is a list, which a mapping cannot replace.'],
    ),
    "no JSON": (
        lambda shop: shop.web.patch("Deployment", {"spec": {"a": generated("x")}}),
        ["spec.a is an object of type Secret, which is no value of JSON."],
    ),
    "no mapping": (
        lambda shop: shop.web.patch("Deployment", []),  # type: ignore[arg-type]
        ['change: a mapping such as {"…": …} is needed, not a list.'],
    ),
    "no kind": (
        lambda shop: shop.web.patch(None, {}, name=5),  # type: ignore[arg-type]
        ["kind: a text is needed, not None.", 'name: a text or None is needed, not 5; write "5".'],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_told_at_its_line(name: str) -> None:
    patch, told = MISTAKES[name]
    shop = Shop()
    patch(shop)
    with pytest.raises(DeclarationError) as failure:
        shop.objects()
    found = failure.value.diagnostics
    assert [diagnostic.problem for diagnostic in found] == [f"patch(): {problem}" for problem in told]
    first = patch.__code__.co_firstlineno
    assert all(diagnostic.location.file == __file__ for diagnostic in found)
    assert all(first <= diagnostic.location.line <= first + 5 for diagnostic in found)


def test_no_patch_breaks_the_library() -> None:
    """Whatever is taken away, what comes out is a tree or a mistake."""
    for path, manifest in Shop().objects().items():
        kind, name = manifest.get("kind"), manifest.get("metadata", {}).get("name")
        if not path.startswith(("dist/", "argocd/")) or path.endswith("-root.yaml"):
            continue
        for field in [
            *(key for key in manifest if key != "metadata"),
            "metadata",
            *map("spec.{}".format, manifest.get("spec", ())),
        ]:
            shop = Shop()
            change: Any = None
            for key in reversed(field.split(".", 1)):
                change = {key: change}
            if path.endswith("root.yaml"):
                shop.system.patch(kind, change)
            else:
                component = shop.chart if "edge" in path else shop.web.component
                component.patch(kind, change, name=name)
            try:
                api.check(shop.system)
            except DeclarationError as error:
                assert all("patch(): " in each.problem for each in error.diagnostics)

"""What an AppProject permits: one table, to which check and plan are held as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from constructs_lib.argocd.objects import Object
from constructs_lib.argocd.projects import Project, repository_name
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.references import proof as references
from constructs_lib.plan.change import Effect
from constructs_lib.plan.plan import plan
from constructs_lib.repository.snapshot import Snapshot

URL = "https://github.com/shop/gitops"
SERVER = {"server": "https://kubernetes.default.svc"}
IN_CLUSTER = {"name": "in-cluster"}
OTHER = {"server": "https://other"}
ALL = {"group": "*", "kind": "*"}
EVERYWHERE = {"destinations": [{"server": "*", "namespace": "*"}]}


def manifest(kind: str, name: str, api_version: str, namespace: str = "", **content: Any) -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **place}, **content}


def project(spec: Mapping[str, Any]) -> dict[str, Any]:
    found = manifest("AppProject", "p", "argoproj.io/v1alpha1", "argocd", spec={"sourceRepos": ["*"], **spec})
    found["metadata"]["annotations"] = {"argocd.argoproj.io/sync-wave": "-1"}
    return found


NAMESPACED = manifest("ConfigMap", "web", "v1", "team-a")
CLUSTER_SCOPED = manifest("ClusterRole", "web", "rbac.authorization.k8s.io/v1")
DEPLOYMENT = manifest("Deployment", "web", "apps/v1", "team-a")


def to(*destinations: Mapping[str, str]) -> dict[str, Any]:
    return {"destinations": list(destinations)}


CASES = [
    # Namespaces.
    (to({**SERVER, "namespace": "team-a"}), NAMESPACED, SERVER, True),
    (to({**SERVER, "namespace": "team-b"}), NAMESPACED, SERVER, False),
    (to({**SERVER, "namespace": "team-*"}), NAMESPACED, SERVER, True),
    (to({**SERVER, "namespace": "team-[ab]"}), NAMESPACED, SERVER, True),
    (to({**SERVER, "namespace": "team-[!a]"}), NAMESPACED, SERVER, False),
    (to({**SERVER, "namespace": "{team,shop}-a"}), NAMESPACED, SERVER, True),
    (to({**SERVER, "namespace": "!kube-*"}), NAMESPACED, SERVER, True),
    (to({**SERVER, "namespace": "!team-*"}), NAMESPACED, SERVER, False),
    (to({**SERVER, "namespace": "*"}, {**SERVER, "namespace": "!team-a"}), NAMESPACED, SERVER, False),
    (to({**SERVER, "namespace": "*"}, {**OTHER, "namespace": "!team-a"}), NAMESPACED, SERVER, True),
    (to({**SERVER, "namespace": "*"}, {"server": "!https://kubernetes*", "namespace": "team-a"}), NAMESPACED, SERVER, False),  # noqa: E501
    (to({**SERVER, "namespace": "*"}, {"server": "!https://kubernetes*", "namespace": "team-b"}), NAMESPACED, SERVER, True),  # noqa: E501
    (to({**SERVER, "namespace": "*"}, {"name": "!in-*", "namespace": "team-b"}), NAMESPACED, SERVER, False),
    (to(), NAMESPACED, SERVER, False),
    ({"destinations": "odd"}, NAMESPACED, SERVER, False),
    (to(), CLUSTER_SCOPED, SERVER, False),
    # Clusters, by their address or their name.
    (to({"server": "*", "namespace": "*"}), NAMESPACED, SERVER, True),
    (to({"server": "https://*", "namespace": "*"}), NAMESPACED, SERVER, True),
    (to({**OTHER, "namespace": "*"}), NAMESPACED, SERVER, False),
    (to({**IN_CLUSTER, "namespace": "*"}), NAMESPACED, SERVER, True),
    (to({**SERVER, "namespace": "*"}), NAMESPACED, IN_CLUSTER, True),
    (to({"name": "in-[!c]luster", "namespace": "*"}), NAMESPACED, IN_CLUSTER, False),
    (to({"name": "production", "namespace": "*"}), NAMESPACED, IN_CLUSTER, False),
    (to({"name": "prod*", "namespace": "*"}), NAMESPACED, {"name": "production"}, True),
    (to({"name": "staging", "namespace": "*"}), NAMESPACED, {"name": "production"}, False),
    # Nobody can tell from a repository which address a cluster has that is named, or which name.
    (to({**SERVER, "namespace": "*"}), NAMESPACED, {"name": "production"}, True),
    (to({"name": "production", "namespace": "*"}), NAMESPACED, OTHER, True),
    (to({"name": "production", "namespace": "team-b"}), NAMESPACED, OTHER, False),
    # Kinds with a namespace: all of them but for what the lists say.
    ({**EVERYWHERE, "namespaceResourceWhitelist": None}, NAMESPACED, SERVER, True),
    ({**EVERYWHERE, "namespaceResourceWhitelist": []}, NAMESPACED, SERVER, False),
    ({**EVERYWHERE, "namespaceResourceWhitelist": [ALL]}, NAMESPACED, SERVER, True),
    ({**EVERYWHERE, "namespaceResourceWhitelist": [{"group": "", "kind": "[Cc]onfigMap"}]}, NAMESPACED, SERVER, True),
    ({**EVERYWHERE, "namespaceResourceWhitelist": [{"group": "", "kind": "[^C]*"}]}, NAMESPACED, SERVER, False),
    ({**EVERYWHERE, "namespaceResourceWhitelist": [{"group": "", "kind": "{ConfigMap,Secret}"}]}, NAMESPACED, SERVER, False),  # noqa: E501
    ({**EVERYWHERE, "namespaceResourceWhitelist": [{"group": "!batch", "kind": "*"}]}, DEPLOYMENT, SERVER, False),
    ({**EVERYWHERE, "namespaceResourceWhitelist": [{"group": "app[a-s]", "kind": "*"}]}, DEPLOYMENT, SERVER, True),
    ({**EVERYWHERE, "namespaceResourceBlacklist": [{"group": "!apps", "kind": "*"}]}, DEPLOYMENT, SERVER, True),
    ({**EVERYWHERE, "namespaceResourceBlacklist": [{"group": "app?", "kind": "Deploy*"}]}, DEPLOYMENT, SERVER, False),
    ({**EVERYWHERE, "namespaceResourceBlacklist": [{"group": "", "kind": "Deployment"}]}, DEPLOYMENT, SERVER, True),
    # Kinds without one: only what the lists say, by name if they say one.
    ({"clusterResourceWhitelist": [ALL]}, CLUSTER_SCOPED, SERVER, True),
    ({"clusterResourceWhitelist": [{"group": "rbac.*", "kind": "Cluster*"}]}, CLUSTER_SCOPED, SERVER, True),
    ({"clusterResourceWhitelist": [{"group": "", "kind": "ClusterRole"}]}, CLUSTER_SCOPED, SERVER, False),
    ({"clusterResourceWhitelist": [{**ALL, "name": "we[ab]"}]}, CLUSTER_SCOPED, SERVER, True),
    ({"clusterResourceWhitelist": [{**ALL, "name": "shop-*"}]}, CLUSTER_SCOPED, SERVER, False),
    ({"clusterResourceWhitelist": [ALL], "clusterResourceBlacklist": [{**ALL, "name": "w*"}]}, CLUSTER_SCOPED, SERVER, False),  # noqa: E501
    ({"clusterResourceWhitelist": [ALL], "clusterResourceBlacklist": [{**ALL, "name": "shop"}]}, CLUSTER_SCOPED, SERVER, True),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize(("spec", "item", "destination", "permitted"), CASES)
def test_permits(spec: Any, item: Any, destination: Mapping[str, str], permitted: bool) -> None:
    found = Project(Object(project(spec), "p.yaml", "argocd"))
    assert found.permits(Object(item, "a.yaml", item["metadata"].get("namespace", "")), destination) is permitted


def files(spec: Any, item: Any, destination: Mapping[str, str]) -> dict[str, bytes]:
    """Return a project, an Application of it, the object that it deploys, and a root for all of them."""
    policy = {"automated": {"prune": True}, "syncOptions": ["CreateNamespace=true"]}
    app, root = (
        manifest("Application", name, "argoproj.io/v1alpha1", "argocd", spec={
            "project": of, "source": {"repoURL": URL, "path": path}, "destination": there, "syncPolicy": policy,
        })
        for name, of, path, there in (
            ("app", "p", "parts/app", {**destination, "namespace": item["metadata"].get("namespace", "")}),
            ("root", "default", "apps", {**SERVER, "namespace": "argocd"}),
        )
    )  # fmt: skip
    app["metadata"]["finalizers"] = ["resources-finalizer.argocd.argoproj.io"]
    written = {"root.yaml": root, "apps/app.yaml": app, "apps/p.yaml": project(spec), "parts/app/a.yaml": item}
    return {path: yaml.safe_dump(content).encode() for path, content in written.items()}


@pytest.mark.parametrize(("spec", "item", "destination", "permitted"), CASES)
def test_check_and_plan_say_the_same(spec: Any, item: Any, destination: Mapping[str, str], permitted: bool) -> None:
    tree = files(spec, item, destination)
    found = references.PROOF.prove(ClusterModel(Snapshot.of_files("tree", tree)))
    refused = {finding.check.code for finding in found} & {"project-refuses-destination", "project-refuses-kind"}
    assert bool(refused) is not permitted

    # What a project permits no more stays when its Application is deleted.
    anything = {**EVERYWHERE, "clusterResourceWhitelist": [ALL]}
    before = tree | {"apps/p.yaml": yaml.safe_dump(project(anything)).encode()}
    after = {path: content for path, content in tree.items() if path not in ("apps/app.yaml", "parts/app/a.yaml")}
    changes = plan(Snapshot.of_files("old", before), Snapshot.of_files("new", after)).changes
    effects = {change.kind: change.effect for change in changes}
    assert effects[item["kind"]] == (Effect.DELETE if permitted else Effect.KEPT)


@pytest.mark.parametrize(
    ("patterns", "permitted"),
    [
        (["*"], True),
        (["https://github.com/shop/*"], True),
        (["https://github.com/shop/gitop[a-z]"], True),
        (["https://GitHub.com/shop/gitops.git"], True),
        (["https://github.com/*"], False),
        (["https://github.com/**"], True),
        (["https://github.com/shop/other"], False),
        (["!https://github.com/shop/*"], False),
        (["!https://github.com/other/*"], True),
        (["*", "!https://github.com/shop/*"], False),
        # A brace is no character of an address: it is escaped, and every star beside it.
        (["https://github.com/shop/{gitops,other}"], False),
        ([], False),
    ],
)
def test_repositories(patterns: list[str], permitted: bool) -> None:
    found = Project(Object(project({"sourceRepos": patterns}), "p.yaml", "argocd"))
    assert found.permits_repository(URL) is permitted


def test_a_repository_has_several_addresses() -> None:
    addresses = ("git@github.com:Shop/gitops.git", "ssh://git@github.com/shop/gitops", " git@github.com/shop/gitops ")
    assert {repository_name(address) for address in addresses} == {"git@github.com/shop/gitops"}


@pytest.mark.parametrize(
    ("listed", "namespace", "permitted"),
    [
        ([], "argocd", True),
        ([], "apps", False),
        (["apps"], "apps", True),
        (["other", "app*"], "apps", True),
        (["app"], "apps", False),
        (["/^app.*$/"], "apps", True),
        ([], "", True),
    ],
)
def test_namespaces_of_applications(listed: list[str], namespace: str, permitted: bool) -> None:
    found = Project(Object(project({"sourceNamespaces": listed}), "p.yaml", "argocd"))
    assert found.permits_applications_of(namespace) is permitted

"""Several environments in one cluster, an Argo CD elsewhere, and one in another namespace: from synth to publish."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from app_runs import mistakes, run
from shop import Shop

from constructs_lib.api import plan

APP = """
from constructs_lib import *

REPOSITORY = GitRepository("https://github.com/example/shop.git")
CLUSTER = dict(kubernetes="1.36", nodes=3, provides=("external-secrets", "metrics-api", "reloader"))
SAVES = S3Bucket(endpoint="https://s3.example.com", bucket="saves", region="fra1")
HERE


def shop(environment):
    system = System(environment, "shop")
    stock = Microservice(system, "stock", image="example/stock:1.0.0", ports={"http": 8080})
    front = Microservice(system, "front", namespace="web", image="example/front:1.0.0", ports={"http": 3000})
    front.needs(stock.endpoint("http"), {"STOCK": "address"})
    data = Postgres(front, "db", image="postgres:18.0", database="d", user="u", storage="1Gi")
    front.needs(data.endpoint("sql"), {"PASSWORD": "password"})
    # more
    return system


main(shop, ENVIRONMENTS)
"""
ENVIRONMENT = 'Environment(name="laptop", repository=REPOSITORY, backups=SAVES, cluster=Cluster(**CLUSTER{}){})'
ACCOUNT = ', external_secrets_account="external-secrets/external-secrets"'
TOPOLOGIES = {
    "another namespace": "ENVIRONMENTS = [" + ENVIRONMENT.format("", ', argocd=ArgoCD(namespace="gitops")') + "]",
    "applications elsewhere": "ENVIRONMENTS = ["
    + ENVIRONMENT.format("", ', argocd=ArgoCD(namespace="gitops", application_namespace="shop-apps")')
    + "]",
    "a hub, by address": "ENVIRONMENTS = ["
    + ENVIRONMENT.format(', destination_server="https://10.0.0.1:6443"', "")
    + "]",
    "a hub, by name": "ENVIRONMENTS = ["
    + ENVIRONMENT.format(', destination_name="production-fra1"', ', argocd=ArgoCD(namespace="hub")')
    + "]",
    "two in one cluster": "ARGOCD = ArgoCD()\nENVIRONMENTS = ["
    + ENVIRONMENT.format(ACCOUNT, ", argocd=ARGOCD")
    + ",\n    "
    + ENVIRONMENT.format(
        ACCOUNT, ', argocd=ARGOCD, prefix="staging-", secret_store_namespace="staging-secrets"'
    ).replace("laptop", "staging")
    + "]",
}


def objects(folder: Path, environment: str) -> list[dict[str, Any]]:
    """Return all objects of an environment."""
    found = sorted([*folder.glob(f"argocd/{environment}/*.yaml"), *folder.glob(f"dist/{environment}/*/*.yaml")])
    return [yaml.safe_load(path.read_text()) for path in found]


@pytest.fixture(scope="module", params=TOPOLOGIES)
def topology(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop in one of the topologies, published."""
    shop = Shop.create(tmp_path_factory.mktemp("topology"))
    (shop.folder / "app.py").write_text(APP.replace("HERE", TOPOLOGIES[request.param]))
    shop.commit("Declare")
    for environment in ("laptop", "staging") if "two" in request.param else ("laptop",):
        shop.publish(environment=environment)
        shop.check(environment)
    return shop


def test_everything_holds_and_is_published(topology: Shop) -> None:
    run = topology.run("check")
    assert (run.code, "0 errors, 0 warnings." in run.said) == (0, True), run.said
    run = topology.run("check", "--tree", ".")
    assert (run.code, "0 errors, 0 warnings." in run.said) == (0, True), run.said
    assert topology.run("synth", "--check").code == 0
    assert topology.run("plan").said.count("No changes.") == len([*topology.folder.glob("argocd/*")])


def test_every_application_may_do_what_it_does(topology: Shop) -> None:
    for folder in topology.folder.glob("argocd/*"):
        made = objects(topology.folder, folder.name)
        argocd = [item for item in made if item["apiVersion"].startswith("argoproj.io/")]
        projects = {item["metadata"]["name"]: item for item in argocd if item["kind"] == "AppProject"}
        [home] = {item["metadata"]["namespace"] for item in projects.values()}
        for item in argocd:
            if item["kind"] == "Application":
                project = projects[item["spec"]["project"]]["spec"]
                assert item["spec"]["destination"] in project["destinations"]
                where = item["metadata"]["namespace"]
                assert where == home or project["sourceNamespaces"] == [where]
                is_root = "directory" in item["spec"]["source"]
                here = {"server": "https://kubernetes.default.svc", "namespace": where}
                assert not is_root or item["spec"]["destination"] == here


def test_one_change_is_one_component(topology: Shop) -> None:
    topology.change("example/front:1.0.0", "example/front:1.1.0")
    for folder in topology.folder.glob("argocd/*"):
        prefix = "staging-" if folder.name == "staging" else ""
        said = topology.run("plan", folder.name).said
        assert "rolling restart" in said
        assert "1 component" in said
        assert f"Publish {folder.name}: {prefix}front" in topology.publish(environment=folder.name)
        topology.check(folder.name)
    topology.git("revert", "--no-edit", "HEAD")
    assert "rolls back" in topology.run("plan", "--to", "HEAD").said
    topology.git("reset", "--quiet", "--hard", "HEAD~1")


@pytest.mark.parametrize("topology", ["two in one cluster"], indirect=True)
def test_a_prefix_is_no_other_component_to_a_promotion(topology: Shop) -> None:
    topology.change("example/front:1.", "example/front:2.")
    topology.publish(environment="staging")
    topology.change("example/stock:1.0.0", "example/stock:1.1.0")
    run = topology.run("promote", "staging", "laptop", "--skip-health")
    assert run.code == 0, run.said
    assert "alone: staging shows nothing about it" not in run.said
    assert "Publish laptop: front" in run.said
    topology.publish(environment="laptop")


def written(tmp_path: Path, name: str) -> Path:
    (tmp_path / "app.py").write_text(APP.replace("HERE", TOPOLOGIES[name]))
    assert run(tmp_path / "app.py").code == 0
    return tmp_path


def test_two_environments_have_nothing_in_common(tmp_path: Path) -> None:
    folder = written(tmp_path, "two in one cluster")
    identities = [
        {
            (item["apiVersion"], item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
            for item in objects(folder, environment)
        }
        for environment in ("laptop", "staging")
    ]
    assert identities[0].isdisjoint(identities[1])
    assert len(identities[0]) == len(identities[1])
    inputs = [
        json.loads((folder / f"bootstrap/argocd/{name}.tfvars.json").read_text()) for name in ("laptop", "staging")
    ]
    assert [each["argocd"] for each in inputs] == [
        {"others": ["staging-shop"]},
        {"install": False, "others": ["shop"]},
    ]
    # The operator of the cluster may ask for tokens of the account that reads secrets, in either.
    binding = yaml.safe_load((folder / "dist/staging/staging-front/RoleBinding-staging-secrets.yaml").read_text())
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "external-secrets", "namespace": "external-secrets"}
    ]


def test_a_cluster_elsewhere_is_told_to_the_bootstrap(tmp_path: Path) -> None:
    folder = written(tmp_path, "a hub, by name")
    told = json.loads((folder / "bootstrap/argocd/laptop.tfvars.json").read_text())["argocd"]
    assert told == {
        "namespace": "hub",
        "applications": "hub",
        "install": False,
        "remote": True,
        "destination": {"name": "production-fra1"},
    }


def test_another_destination_is_a_danger(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, address in ((old, "10.0.0.1"), (new, "10.0.0.2")):
        folder.mkdir()
        (folder / "app.py").write_text(
            APP.replace("HERE", TOPOLOGIES["a hub, by address"]).replace("10.0.0.1", address)
        )
        assert run(folder / "app.py").code == 0
    dangerous = {change.name: change for change in plan(old, new).dangerous}
    assert {"Application/front", "Application/stock"} <= dangerous.keys()
    assert "deploys to another cluster" in str(dangerous["Application/front"].reasons)


TWO = """
from constructs_lib import *

ONE = ArgoCD()
REPOSITORY = GitRepository("https://github.com/example/shop.git")
CLUSTER = Cluster(kubernetes="1.36", nodes=3)
A = Environment(name="a", repository=REPOSITORY, cluster=CLUSTER, argocd=ONE)
B = Environment(name="b", repository=REPOSITORY, cluster=OTHER)


def shop(environment):
    system = System(environment, "shop")
    CERT
    return system


main(shop, [A, B])
"""


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (
            "CLUSTER, argocd=ONE",
            "app.py:8: environment b: its cluster is that of a, declared at app.py:7, and Applications, AppProjects "
            'and namespaces of the two have the same names; give one of the two a prefix, such as prefix="b-", or each '
            "a cluster of its own.",
        ),
        (
            'Cluster(kubernetes="1.36", nodes=3, destination_name="b"), argocd=ONE',
            "app.py:8: environment b: its Argo CD is that of a, declared at app.py:7, and Applications of the two have "
            'the same names; give one of the two a prefix, such as prefix="b-", or each an Argo CD of its own.',
        ),
        (
            'CLUSTER, argocd=ONE, prefix="b-"',
            "app.py:8: environment b: its secret values would be in the namespace of those of a, declared at app.py:7, "
            'secret-store; give it another, such as secret_store_namespace="b-secret-store".',
        ),
        ("CLUSTER", ""),
        ("CLUSTER, argocd=ArgoCD()", ""),
        ('CLUSTER, argocd=ONE, prefix="b-", secret_store_namespace="b-secrets"', ""),
        ('Cluster(kubernetes="1.36", nodes=3, destination_name="b"), argocd=ONE, prefix="b-"', ""),
        (
            'CLUSTER, prefix="B-"',
            'app.py:8: environment b: prefix: "B-x" is no DNS label: only a-z, 0-9 and "-", beginning and ending with '
            'a letter or digit; for instance "b-x".',
        ),
    ],
)
def test_environments_that_would_take_over_each_other(tmp_path: Path, other: str, line: str) -> None:
    (tmp_path / "app.py").write_text(TWO.replace("OTHER", other).replace("CERT", "pass"))
    found = run(tmp_path / "app.py")
    assert found == mistakes(line) if line else found.code == 0


def test_what_a_cluster_has_once_is_declared_once(tmp_path: Path) -> None:
    two = TWO.replace("OTHER", 'CLUSTER, argocd=ONE, prefix="b-", secret_store_namespace="b-secrets"')
    (tmp_path / "app.py").write_text(two.replace("CERT", 'ExternalSecrets(system, "eso", version="0.19.2")'))
    found = run(tmp_path / "app.py", "synth", "a")
    assert found.code == 1
    assert found.said[0].startswith("app.py:13: environment b: a has the same: ")
    assert "*.external-secrets.io" in found.said[0]
    once = 'environment is A and ExternalSecrets(system, "eso", version="0.19.2")'
    (tmp_path / "app.py").write_text(two.replace("CERT", once))
    assert run(tmp_path / "app.py").code == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ('destination_server="10.0.0.1"', '"10.0.0.1" is no address of an API server'),
        ('destination_server="https://kubernetes.default.svc"', "it is the cluster in which Argo CD runs"),
        ('destination_server="https://a", destination_name="a"', "destination_server names the cluster already"),
        ('destination_name="in-cluster"', "it is the cluster in which Argo CD runs"),
        ('destination_name="a b"', '"a b" is no name of a cluster'),
        ('external_secrets_account="eso"', '"eso" is no account; write "namespace/name"'),
        ('external_secrets_account="a/b"', 'write provides=("external-secrets",)'),
    ],
)
def test_a_wrong_destination_is_told(tmp_path: Path, arguments: str, problem: str) -> None:
    other = f'Cluster(kubernetes="1.36", nodes=3, {arguments})'
    (tmp_path / "app.py").write_text(TWO.replace("OTHER", other).replace("CERT", "pass"))
    found = run(tmp_path / "app.py")
    assert found.code == 1
    assert found.said[0].startswith("app.py:8: ")
    assert problem in found.said[0]


#: The same system twice: all names are the same but for the prefix.
BESIDE = {
    "shop": ', argocd=ArgoCD(others=("bank-shop",))',
    "bank": ', argocd=ArgoCD(install=False, others=("shop",)), prefix="bank-", secret_store_namespace="bank-secrets"',
}
APART = ', prefix="bank-", secret_store_namespace="bank-secrets"'


def systems(kind: str, folder: Path) -> tuple[Shop, Shop]:
    """Declare two systems for one cluster, in two folders of one repository, or in two repositories."""
    if kind == "two folders":
        whole = Shop.create(folder)
        (whole.folder / "app.py").unlink()
        found = {name: Shop(whole.folder / "systems" / name, whole.remote) for name in BESIDE}
    else:
        for name in BESIDE:
            (folder / name).mkdir()
        found = {name: Shop.create(folder / name) for name in BESIDE}
    for name, system in found.items():
        here = f'mono.git", path="systems/{name}' if kind == "two folders" else f"{name}.git"
        text = APP.replace("HERE", f"ENVIRONMENTS = [{ENVIRONMENT.format(ACCOUNT, BESIDE[name])}]")
        system.folder.mkdir(parents=True, exist_ok=True)
        (system.folder / "app.py").write_text(text.replace("shop.git", here))
        system.commit("Declare")
        system.git("push", "--quiet")
    return found["shop"], found["bank"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["two folders", "two repositories"])
def test_two_systems_in_one_cluster(tmp_path: Path, kind: str) -> None:
    shop, bank = systems(kind, tmp_path)
    for system in (shop, bank):
        assert system.run("synth").code == 0
        assert "0 errors, 0 warnings." in (found := system.run("check")).said, found.said
        planned = system.run("plan")
        assert (planned.code, "2 components in 2 waves" in planned.said) == (0, True), planned.said
        system.commit("Synthesize")
        system.publish()
        system.check()
    if kind == "two folders":
        found = shop.run("check", "--tree", str(shop.folder.parent))
        assert (found.code, "0 errors, 0 warnings." in found.said) == (0, True), found.said
    identities = [
        {
            (item["apiVersion"], item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
            for item in objects(system.folder, "laptop")
        }
        for system in (shop, bank)
    ]
    assert identities[0].isdisjoint(identities[1])
    assert len(identities[0]) == len(identities[1])
    # What one changes is no matter of the other.
    bank.change("example/front:1.0.0", "example/front:1.1.0")
    assert "Publish laptop: bank-front" in bank.publish()
    assert shop.run("plan").said.splitlines()[-1] == "No changes."


@pytest.mark.slow
def test_two_systems_that_are_not_kept_apart(tmp_path: Path) -> None:
    shop, bank = systems("two folders", tmp_path)
    assert shop.run().code == 0
    bank.edit(APART, "")
    assert bank.run().err.splitlines()[0] == (
        "app.py:7: environment laptop: others: shop is its own root Application; name those of other systems, and give "
        "one a prefix."
    )
    bank.edit('System(environment, "shop")', 'System(environment, "bank")')
    for arguments in ((), ("check",), ("plan",), ("publish", "laptop")):
        found = bank.run(*arguments)
        assert (found.code, found.err.splitlines()[:3]) == (
            1,
            [
                "app.py:7: environment laptop: its Argo CD deploys shop, of ../shop/argocd/laptop, too, and its secret "
                "values would be in the same namespace, secret-store; give it another, such as "
                'secret_store_namespace="bank-secret-store".',
                "app.py:7: environment laptop: its Argo CD deploys shop, of ../shop/argocd/laptop, too, and the two "
                "have the same: Namespace stock, Application stock, Namespace web and 1 more. Two Applications would "
                'fight for it. Give one of the two systems a prefix, such as prefix="bank-".',
                "2 mistakes in the declaration; nothing was written.",
            ],
        ), arguments
    assert not (bank.folder / "dist").exists()
    # One that is of another Argo CD may have a cluster in which the names are free.
    bank.edit(', others=("shop",)', "")
    assert bank.run().code == 0

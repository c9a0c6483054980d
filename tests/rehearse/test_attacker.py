"""Somebody who may open pull requests, or push branches, reaches nothing that no plan names: on a real Argo CD."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from app_runs import run_process
from repositories import IDENTITY, git
from running import wait_for
from stage import Stage, shop, stage

from constructs_lib.argocd.refresh import REFRESH
from constructs_lib.kubernetes.manifest import Manifest

#: The declaration of the shop, whose plans are looked at.
APP = """\
import sys

sys.path[:0] = [{tests!r}, {here!r}]
from stage import shop

from constructs_lib import main

main(lambda environment: shop(), [shop().environment])
"""
ROLE = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: {name}}}\nroleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}\nsubjects: [{{kind: Group, apiGroup: rbac.authorization.k8s.io, name: 'system:authenticated'}}]\n"  # noqa: E501
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\ndata: {{a: b}}\n"
APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: evil-application, namespace: argocd}
spec:
  project: default
  source: {repoURL: ADDRESS, targetRevision: main, path: stuff}
  destination: {server: https://kubernetes.default.svc, namespace: kube-system}
  syncPolicy: {automated: {prune: true, selfHeal: true}}
"""
CONFIGS = {"evil-pinned-config": "front", "evil-config": "basket"}
#: What the attacker tries to bring in, by the branch that a pull request is made of. The last one leaves the root's
#: operation waiting for an Application that never becomes healthy.
WAYS = {
    "pin": ("evil-pinned", "evil-pinned-config"),
    "folder": ("evil-folder", "evil-config", "evil-link", "evil-first", "evil-second"),
    "root": ("evil-root",),
    "application": ("evil-application", "evil-elsewhere"),
    "widened": ("shop-basket", "evil-widened", "evil-by-widened"),
    "project": ("evil-project", "evil-by-project"),
}
#: Why it does not come in, as the root and the new Application say; a folder that no pin names is not even read.
REFUSALS = {
    "folder": (),
    "root": ("ClusterRoleBinding is not permitted in project shop-root",),
    "application": ("An Application of the branch has a project of the branch",),
    "widened": ("An AppProject of the branch names its namespaces",),
    "project": ("An AppProject of the branch names its namespaces", "project evil-project which does not exist"),
}
#: Whoever may change argocd/ may add an Application; what it would bring needs a project that permits it.
HARMLESS = {"evil-project"}
EVERYTHING = [{"group": "*", "kind": "*"}]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("shop"), [shop()]) as found:
        found.install(found.trees[0])
        found.install_guard(found.trees[0])
        yield found


@pytest.fixture(scope="module")
def clone(attacked: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The attacker's clone, with a branch for every way."""
    folder = tmp_path_factory.mktemp("attacker") / "work"
    git(folder.parent, "clone", "--quiet", str(attacked.rehearsal.scratch.remote), str(folder))
    attack(folder)
    here = Path(__file__).parent
    (folder / "app.py").write_text(APP.format(tests=str(here.parent), here=str(here)))
    return folder


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def attack(folder: Path) -> None:
    """Push the branch "evil", and commit the others."""
    dist, argocd = folder / "dist/staging", folder / "argocd/staging"
    application = argocd / "Application-front.yaml"
    pinned, url = (
        re.search(text, application.read_text()) for text in (r"targetRevision: (\w{40})", r"repoURL: (\S+)")
    )
    assert pinned
    assert url

    def commit(branch: str, message: str) -> None:
        git(folder, "switch", "--quiet", "--create", branch)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", f"--message={message}")

    write(dist / "front/z.yaml", ROLE.format(name="evil-pinned"))
    write(dist / "front/y.yaml", CONFIG.format(name="evil-pinned-config", namespace="front"))
    commit("evil", "Something else")
    git(folder, "push", "--quiet", "origin", "evil")
    evil = git(folder, "rev-parse", "HEAD")

    git(folder, "switch", "--quiet", "main")
    for file in (application, folder / "pins/staging.json"):
        file.write_text(file.read_text().replace(pinned[1], evil))
    commit("pin", "Take a newer version")

    git(folder, "switch", "--quiet", "main")
    write(dist / "basket/z.yaml", ROLE.format(name="evil-folder"))
    write(dist / "basket/y.yaml", CONFIG.format(name="evil-config", namespace="basket"))
    write(folder / "stuff/link.yaml", ROLE.format(name="evil-link"))
    (dist / "basket/x.yaml").symlink_to("../../../stuff/link.yaml")
    both = [yaml.safe_load(ROLE.format(name=name)) for name in ("evil-first", "evil-second")]
    write(dist / "stock/v.yaml", "\n".join(map(json.dumps, both)))
    commit("folder", "Mend a typing error")

    git(folder, "switch", "--quiet", "main")
    write(argocd / "u.yaml", ROLE.format(name="evil-root"))
    commit("root", "Add a comment")

    git(folder, "switch", "--quiet", "main")
    write(argocd / "Application-evil.yaml", APPLICATION.replace("ADDRESS", url[1]))
    write(folder / "stuff/elsewhere.yaml", ROLE.format(name="evil-elsewhere"))
    commit("application", "Add a tool")

    git(folder, "switch", "--quiet", "main")
    own = yaml.safe_load((argocd / "AppProject-shop-basket.yaml").read_text())
    new = {**own, "metadata": {"name": "evil-project", "namespace": "argocd"}}
    for way, project in (("project", new), ("widened", own)):
        git(folder, "switch", "--quiet", "main")
        name = project["metadata"]["name"]
        spec = {
            **project["spec"],
            "destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": EVERYTHING,
        }
        write(argocd / f"AppProject-{name}.yaml", yaml.safe_dump({**project, "spec": spec}))
        text = APPLICATION.replace("ADDRESS", url[1]).replace("evil-application", f"evil-{way}")
        write(argocd / "Application-evil.yaml", text.replace("project: default", f"project: {name}"))
        write(folder / "stuff/tool.yaml", ROLE.format(name=f"evil-by-{way}"))
        commit(way, "Add a tool")
    git(folder, "switch", "--quiet", "main")


def test_a_pushed_branch_reaches_nothing(attacked: Stage, clone: Path) -> None:
    look(attacked)
    assert not reached(attacked)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_reaches_the_cluster_that_is_not_named(attacked: Stage, clone: Path, way: str) -> None:
    """Even if somebody merges it: what is there afterwards is in the plan, and projects have refused the rest."""
    planned = run_process(clone, "plan", "staging", "--merge", way, "--strict", **IDENTITY)
    assert planned.code == 1
    if way == "pin":
        assert "front: the commit" in planned.err
        assert "is not on origin/main" in planned.err
        return
    assert [name for name in WAYS[way] if name not in planned.out] == []
    before, commit = git(clone, "rev-parse", "origin/main"), git(clone, "rev-parse", way)
    git(clone, "push", "--quiet", "--force", "origin", f"{way}:main")
    attacked.rehearsal.argocd.refresh()
    wait_for(lambda: all(text in said(attacked, commit) for text in (commit, *REFUSALS[way])), f"Argo CD at {way}")
    look(attacked)
    found = reached(attacked)
    git(clone, "push", "--quiet", "--force", "origin", f"{before}:main")
    end = {"status": {"operationState": {"phase": "Terminating"}}}
    if REFUSALS[way]:
        attacked.rehearsal.client.patch(applications(attacked)["shop"], end)
    assert found <= HARMLESS


def applications(attacked: Stage) -> dict[str, Manifest]:
    """Return the live Applications by their names."""
    return {item["metadata"]["name"]: item for item in attacked.rehearsal.argocd.applications()}


def said(attacked: Stage, commit: str) -> str:
    """Return what Argo CD says of the root at a commit, what it tried to apply of it, and what holds up the others."""
    found = applications(attacked)
    status = found.pop("shop")["status"]
    operation = status.get("operationState", {})
    tried = operation if operation.get("syncResult", {}).get("revision") == commit else {}
    return json.dumps(
        [status.get("sync"), tried, [item.get("status", {}).get("conditions") for item in found.values()]]
    )


def look(attacked: Stage) -> None:
    """Have Argo CD compare all Applications, and wait until it has done all that it does of itself after that."""
    for _ in range(2):  # the first may begin with what it knew before
        attacked.rehearsal.argocd.refresh()
        wait_for(lambda: is_calm(attacked), "Argo CD to compare all Applications")


def is_calm(attacked: Stage) -> bool:
    """Tell whether no Application waits to be compared, and none but the root has an operation."""
    return not any(
        REFRESH in item["metadata"].get("annotations", {})
        or (
            name != "shop"
            and ("operation" in item or item.get("status", {}).get("operationState", {}).get("phase") == "Running")
        )
        for name, item in applications(attacked).items()
    )


def reached(attacked: Stage) -> set[str]:
    """Return the names of what is in the cluster by the attacker's doing."""
    objects = [yaml.safe_load(ROLE.format(name=name)) for names in WAYS.values() for name in names]
    objects += [yaml.safe_load(CONFIG.format(name=name, namespace=place)) for name, place in CONFIGS.items()]
    made = ("evil-application", "evil-project", "evil-widened")
    objects += [yaml.safe_load(APPLICATION.replace("evil-application", name)) for name in made]
    client = attacked.rehearsal.client
    projects = [item for item in attacked.rehearsal.watcher.snapshot() if item["kind"] == "AppProject"]
    # Argo CD itself makes "default", in which nobody of the branch may be.
    wide = [item for item in projects if item["spec"].get("clusterResourceWhitelist") == EVERYTHING]
    names = {item["metadata"]["name"] for item in wide} - {"default"}
    return {f"AppProject/{name}" for name in names} | {each["metadata"]["name"] for each in objects if client.get(each)}

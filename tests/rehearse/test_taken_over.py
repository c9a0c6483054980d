"""What kubectl and another Application have deployed is imported, taken over by a real Argo CD, and renamed."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from imports import declared, imported
from repositories import git
from stage import Stage, altered, broken_promises, stage, tools

from constructs_lib import synthesize
from constructs_lib.argocd.refresh import REFRESH, refresh
from constructs_lib.kubernetes.manifest import Manifest, inner, manifest
from constructs_lib.plan.plan import Plan, plan
from constructs_lib.publish.takeover import Takeover, kubectl
from constructs_lib.rehearse.findings import Subject
from constructs_lib.rehearse.remotes import Answer
from constructs_lib.repository.snapshot import Snapshot
from constructs_lib.synth.tree import Tree

#: What kubectl has applied, and what another Application deploys.
RUNNING = Path(__file__).parent / "running"
API = "argoproj.io/v1alpha1"
#: What is never to be deleted or made anew.
LASTING = {"ConfigMap", "Deployment", "PersistentVolumeClaim", "Service", "StatefulSet"}
NAMESPACES = ("ledger", "web")
#: As docs/publishing.md has it.
DUMP = """\
kubectl get $(kubectl api-resources --namespaced --verbs list --output name \
| grep -v -e secrets -e events | paste -sd,) --namespace {0} --output yaml --show-managed-fields > {0}.yaml
kubectl get namespace {0} --output yaml --show-managed-fields > namespace-{0}.yaml
kubectl get applications --all-namespaces --output yaml > applications.yaml
"""


class Bank:
    """A running system, and its import.

    Attributes:
        tree: What the import declares.
        uids: The ids of what lasts, as it ran before.
        announced: The last plan from what runs to what is declared: to ask for all that runs takes a while.
    """

    announced: Plan

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self.folder = stage, folder
        self.tree: Tree = stage.trees[0]
        self.uids: dict[str, str] = {}

    def run(self, command: str) -> str:
        """Run a command as somebody who works in the folder, with kubectl."""
        program = Path(tools().kubectl).parent
        where = {"KUBECONFIG": str(self.stage.rehearsal.kubeconfig), "PATH": f"{program}:{os.environ['PATH']}"}
        made = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env={**os.environ, **where},
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, f"{command}: {made.stderr}"
        return made.stdout

    def live(self, kind: str, name: str, namespace: str, api: str = "apps/v1") -> Manifest:
        """Return an object of the cluster; empty if it is not there."""
        return self.stage.rehearsal.client.get(manifest(api, kind, name, namespace, {})) or {}

    def lasting(self) -> dict[str, str]:
        """Return the ids of what lasts."""
        found = self.stage.rehearsal.watcher.snapshot()
        return {
            f"{item['kind']}/{item['metadata']['namespace']}/{item['metadata']['name']}": item["metadata"]["uid"]
            for item in found
            if item["kind"] in LASTING and item["metadata"]["namespace"] in NAMESPACES
        }

    def pods(self) -> dict[str, str]:
        """Return the ids of the pods, each with its workload."""
        found = [item for item in self.stage.rehearsal.watcher.snapshot() if item["kind"] == "Pod"]
        return {item["metadata"]["uid"]: item["metadata"]["labels"]["app"] for item in found}

    def plan(self) -> Plan:
        """Return the plan from what runs now to what is declared."""
        folder = self.folder / "running"
        folder.mkdir(exist_ok=True)
        for namespace in NAMESPACES:
            self.run(f"cd running\n{DUMP.format(namespace)}")
        self.announced = plan(Snapshot.of_folder(folder, "running"), snapshot(self.tree), folder="argocd/local")
        return self.announced


def snapshot(tree: Tree) -> Snapshot:
    return Snapshot.of_files("declared", tree.files)


def until(condition: Callable[[], object], seconds: float = 300) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with the import of what is kept of it in Git."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("app")
    for file in RUNNING.iterdir():
        lines = [line for line in file.read_text().splitlines() if not line.endswith("# no more")]
        grown = [line.replace("1Gi", "2Gi") if "# 2Gi" in line else line for line in lines]
        (source / file.name).write_text("\n".join(grown))
    imported(source, folder, name="bank")
    return folder / "app.py"


@pytest.fixture(scope="module")
def bank(app: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    with stage(tmp_path_factory.mktemp("stage"), [declared(app, "bank")]) as found:
        bank = Bank(found, tmp_path_factory.mktemp("work"))
        root = found.rehearsal.scratch.remote.parent / "work"
        (root / "theirs").mkdir()
        (root / "theirs/web.yaml").write_text((RUNNING / "theirs.yaml").read_text())
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message=Deploy the web")
        git(root, "push", "--quiet", "origin", "HEAD:refs/heads/main")
        bank.run(f"kubectl apply --filename {RUNNING / 'applied.yaml'}")
        for made in theirs(bank.tree):
            found.rehearsal.client.apply(made)
        until(lambda: all(bank.live(kind, name, at)["status"].get("readyReplicas") for kind, name, at in WORKLOADS))
        bank.uids = bank.lasting()
        yield bank


WORKLOADS = [
    ("Deployment", "api", "ledger"),
    ("StatefulSet", "audit", "ledger"),
    ("StatefulSet", "books", "ledger"),
]


def theirs(tree: Tree) -> list[Manifest]:
    """Return another Application with its project, as somebody has made it by hand."""
    everything = {"group": "*", "kind": "*"}
    here = {"server": "https://kubernetes.default.svc"}
    url = tree.manifest("argocd/local/root.yaml")["spec"]["source"]["repoURL"]
    permitted = {"sourceRepos": ["*"], "destinations": [{**here, "namespace": "*"}]}
    project = {**permitted, "clusterResourceWhitelist": [everything]}
    application = {
        "project": "theirs",
        "source": {"repoURL": url, "path": "theirs", "targetRevision": "main"},
        "destination": {**here, "namespace": "web"},
        "syncPolicy": {"automated": {"prune": True, "selfHeal": True}, "syncOptions": ["CreateNamespace=true"]},
    }
    made = [
        manifest(API, "AppProject", "theirs", "argocd", {}, spec=project),
        manifest(API, "Application", "legacy", "argocd", {}, spec=application),
    ]
    made[1]["metadata"]["finalizers"] = ["resources-finalizer.argocd.argoproj.io"]
    return made


def test_the_plan_tells_what_becomes_of_what_runs(bank: Bank) -> None:
    until(lambda: bank.live("Deployment", "web", "web").get("status", {}).get("readyReplicas"))
    bank.uids = bank.lasting()
    found = bank.plan()
    told = {change.full_name: change for change in found.changes if change.action != "create"}
    assert {name: change.effect.words for name, change in told.items()} == {
        "Application/argocd/legacy": "kept in the cluster",
        "ConfigMap/ledger/rates": "kept in the cluster",
        "ConfigMap/web/theirs": "update in place",
        "Deployment/ledger/api": "rolling restart",
        "Deployment/web/web": "rolling restart",
        "Namespace/ledger": "update in place",
        "Namespace/web": "update in place",
        "PersistentVolumeClaim/ledger/data-audit-0": "kept in the cluster",
        "PersistentVolumeClaim/ledger/data-books-0": "kept in the cluster",
        "PersistentVolumeClaim/ledger/uploads": "update in place",
        "PersistentVolumeClaim/web/sessions": "update in place",
        "Service/ledger/api": "update in place",
        "Service/ledger/audit": "update in place",
        "Service/ledger/books": "update in place",
        "Service/web/web": "update in place",
        "StatefulSet/ledger/audit": "rolling restart",
        "StatefulSet/ledger/books": "data loss",
    }
    assert {change.full_name for change in found.dangerous} == {
        # A Deployment with one volume has another strategy than the one that was filled in.
        "Deployment/ledger/api",
        "StatefulSet/ledger/books",
        *(name for name in told if "/web/" in name),
    }
    for name in ("Service/ledger/api", "Service/web/web"):
        assert "metadata.labels.team" in [field.path for field in told[name].fields if field.new is None]


def test_nothing_is_dangerous_after_what_it_says_was_done(bank: Bank) -> None:
    told = {change.full_name: change.fix for change in bank.announced.dangerous}
    books = told.pop("StatefulSet/ledger/books")
    assert "edit pvc" in books
    size = '{"spec": {"resources": {"requests": {"storage": "2Gi"}}}}'
    bank.run(f"kubectl --namespace ledger patch pvc data-books-0 --type merge --patch '{size}'")
    commands = [
        command for fix in (*told.values(), books) for command in COMMAND.findall(fix) if " edit " not in command
    ]
    for command in dict.fromkeys(commands):
        bank.run(command)
    assert [change.full_name for change in bank.plan().dangerous] == []
    assert {name: uid for name, uid in bank.uids.items() if name != "StatefulSet/ledger/books"} == bank.lasting()


#: A command in the text of a plan.
COMMAND = re.compile(r"kubectl (?:(?! and kubectl|\. |,|\))(?:'[^']*'|.))+")


def test_what_runs_is_taken_over(bank: Bank) -> None:
    """All stays the same object, with its volumes, and becomes what is declared; what nobody declares stays."""
    announced, pods, start = bank.announced, bank.pods(), time.monotonic()
    outcome = bank.stage.install(bank.tree)
    # The rehearsal takes it for an installation from nothing, whose plan would be another.
    assert [each.text for each in outcome.findings if each.breaks and each.subject != Subject.PLAN] == []
    now = bank.lasting()
    assert {name: now.get(name) for name in bank.uids if name != "StatefulSet/ledger/books"} == {
        name: uid for name, uid in bank.uids.items() if name != "StatefulSet/ledger/books"
    }
    seen = bank.stage.rehearsal.watcher.seen_since(start)
    assert [item["metadata"]["name"] for _, verb, item in seen if verb == "DELETED" and item["kind"] in LASTING] == []
    restarted = {change.name for change in announced.changes if change.effect.words == "rolling restart"}
    replaced = {workload for uid, workload in pods.items() if uid not in bank.pods()}
    assert restarted == {"Deployment/api", "Deployment/web", "StatefulSet/audit"}
    # Under the new StatefulSet as well, the pods of the old one restart with what is declared.
    assert replaced == {"api", "audit", "books", "web"}
    assert bank.live("ConfigMap", "rates", "ledger", "v1")
    for change in bank.plan().changes:
        assert change.action != "change" or not change.fields, (change.full_name, change.fields)


def test_a_renamed_component_keeps_all_it_has(bank: Bank, app: Path) -> None:
    text = app.read_text()
    names = 'formerly={"journal": "ledger", "journal/entries": "books"}'
    for old, new in {
        'System(environment, "bank")': f'System(environment, "bank", {names})',
        'Component(system, "ledger"': 'Component(system, "journal"',
        '        "books",\n': '        "entries",\n',
    }.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    app.write_text(text)
    renamed = synthesize(declared(app, "bank"))
    scratch = bank.stage.rehearsal.scratch
    assert not plan(snapshot(bank.tree), snapshot(renamed)).changes
    assert not scratch.has_news(renamed)
    before, start = bank.lasting(), time.monotonic()
    outcome = bank.stage.publish(altered(renamed, "1", "ledger")[0])
    assert not broken_promises(outcome)
    assert [row.component for row in outcome.progress] == ["ledger"]
    assert bank.lasting() == before
    seen = bank.stage.rehearsal.watcher.seen_since(start)
    assert [item["metadata"]["name"] for _, verb, item in seen if verb == "DELETED" and item["kind"] in LASTING] == []


def test_no_look_at_the_branch_is_lost(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Argo CD asks the remote before a push, has its answer after it, and looks once more all the same."""
    rehearsal = bank.stage.rehearsal
    remotes, asked, pushed = rehearsal.argocd._remotes, threading.Event(), threading.Event()
    answer = remotes.answer

    def late(method: str, address: str, query: str, *rest: object) -> Answer:
        found = answer(method, address, query, *rest)  # type: ignore[arg-type]
        if "git-upload-pack" in query and not asked.is_set():
            asked.set()
            assert pushed.wait(120)
        return found

    monkeypatch.setattr(remotes, "answer", late)
    root = bank.tree.manifest("argocd/local/root.yaml")

    def now() -> Manifest:
        return bank.live("Application", "bank", "argocd", API)

    rehearsal.client.patch(root, refresh(datetime.now(UTC)))
    assert asked.wait(120)
    rehearsal.scratch.publish(altered(bank.tree, "2", "web")[0])
    run = kubectl("rehearsal", rehearsal.kubeconfig, os.fspath(tools().kubectl))

    def pause(seconds: float) -> None:
        pushed.set()
        time.sleep(seconds)

    pins = {name: pin.revision for name, pin in rehearsal.scratch.pins("local").items()}
    Takeover(run, root, print, pause=pause).take_over(pins, rehearsal.scratch.head or "")
    pushed.set()
    until(lambda: REFRESH not in (inner(now(), "metadata", "annotations") or {}))
    assert inner(now(), "status", "sync", "revision") == rehearsal.scratch.head

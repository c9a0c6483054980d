"""Rolls changes out on a control plane and an Argo CD of its own, phase by phase, and keeps what happened."""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import zip_longest
from types import TracebackType
from typing import Any, Self

from constructs_lib.argocd.objects import Object
from constructs_lib.check.bootstrap import Bootstrap
from constructs_lib.check.order.needs import CHARTS_OF_KINDS
from constructs_lib.kubernetes.manifest import Manifest, mapping
from constructs_lib.kubernetes.platform import NAMESPACES
from constructs_lib.plan.plan import plan
from constructs_lib.publish.takeover import Takeover, kubectl
from constructs_lib.rehearse.api_client import ApiError
from constructs_lib.rehearse.argocd import API, KINDS, ArgoCD, definitions
from constructs_lib.rehearse.borrowed import borrow, close_nodes, give_back
from constructs_lib.rehearse.changes import BROKEN
from constructs_lib.rehearse.control_plane import Authority, start_control_plane, start_nodes
from constructs_lib.rehearse.judgement import Outcome, judge
from constructs_lib.rehearse.metrics import APISERVICE
from constructs_lib.rehearse.operators import Operators, definition
from constructs_lib.rehearse.processes import RehearsalError, Workspace
from constructs_lib.rehearse.recording import Moment, Recording
from constructs_lib.rehearse.remotes import Chart, Remotes, charts_of, stand_in
from constructs_lib.rehearse.scratch import ScratchRepository
from constructs_lib.rehearse.secrets import bootstrapped
from constructs_lib.rehearse.settings import Settings
from constructs_lib.rehearse.tools import Tools
from constructs_lib.rehearse.watching import Watcher
from constructs_lib.repository.applications import Applications, find_applications
from constructs_lib.repository.snapshot import Snapshot

#: Seconds for which all Applications have to be Synced and Healthy.
_QUIET = 2.0
#: Seconds for which a broken component is watched: would a later wave begin?
_HOLD = 25.0
_DEFINITION = "CustomResourceDefinition"


class Rehearsal:
    """A cluster and an Argo CD in which changes are tried.

    Attributes:
        replaced: Charts that could not be had, so that only the kinds that they bring are there.
        kubeconfig: A kubeconfig with all rights.
        scratch: The repository.
    """

    def __init__(
        self,
        tools: Tools,
        settings: Settings,
        trees: Iterable[Snapshot],
        tell: Callable[[str], None],
        context: str | None = None,
    ) -> None:
        """Prepare; nothing runs until the context begins.

        Args:
            tools: The programs.
            settings: What is rehearsed.
            trees: All that will be deployed: their charts and kinds are looked up in advance.
            tell: Called with what is under way.
            context: Context of the user's kubeconfig with an empty cluster, in place of a control plane of its own.
        """
        self._tools = tools
        self._context = context
        self._settings = settings
        self._tell = tell
        pairs = [(tree, self._applications(tree)) for tree in trees]
        self._found = [found for _, found in pairs]
        for application in (each for found in self._found for each in found.all):
            for chart in application.charts:
                # The content of an artifact with a digest, and the commits of others, nobody can make up.
                if not chart.source.get("chart"):
                    raise RehearsalError(
                        f"{application.name} reads {chart.title} by a digest or from Git, and a rehearsal stands in "
                        f"for charts by name and version alone: leave it out, or declare it rendered=True, to rehearse."
                    )
        stores = [Bootstrap(tree.files, found.all).store for tree, found in pairs]
        self._secrets = [*bootstrapped(store for store in stores if store)]
        self._stack = ExitStack()
        self._installed = False
        self.replaced: list[Chart] = []

    def _applications(self, tree: Snapshot) -> Applications:
        return find_applications(tree, [f"argocd/{self._settings.environment}"])

    def __enter__(self) -> Self:
        """Start everything."""
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything, unless it is kept."""
        self._stack.close()

    def keep(self) -> None:
        """Leave everything running when the context ends."""
        self.workspace.keep = True

    def _start(self) -> None:
        its = {*KINDS, *(item.kind for item in self._objects() if item.group == "argoproj.io")}
        kinds_of_argocd = [*definitions(self._tools.definitions, its)]
        if not kinds_of_argocd:
            raise RehearsalError(
                f"{self._tools.definitions} is missing: it has to hold the CustomResourceDefinitions of Argo CD, the "
                f"folder manifests/crds of its repository at v{self._tools.argocd.version}."
            )
        self._tell("starting the control plane")
        workspace = self.workspace = self._stack.enter_context(Workspace())
        authority = Authority(workspace.folder)
        if self._context:
            plane = borrow(workspace, self._tools, self._context)
            self._stack.callback(give_back, plane.client)
            close_nodes(plane.client, closed=True)
        else:
            plane = start_control_plane(workspace, self._tools, authority)
        if plane.metrics:
            self._stack.callback(plane.metrics.close)
        self.kubeconfig, self.client = plane.kubeconfig, plane.client
        start_nodes(workspace, self._tools, plane, self._settings.nodes)
        settings = self._settings
        self.scratch = ScratchRepository(workspace.folder, settings.source, settings.branch, settings.publication)
        charts = self._charts()
        remotes = Remotes(authority, {self._settings.repository: self.scratch.remote}, charts)
        self._stack.callback(remotes.close)
        self._tell("starting Argo CD")
        for manifest in kinds_of_argocd:
            self.client.apply(manifest)
        workspace.wait_for("kube-apiserver", lambda: all(self.client.resource(API, kind) for kind in KINDS))
        for manifest in (*self._given, *self._secrets, *self._namespaces(), *self._storage_classes()):
            # A cluster that was there before has classes of its own.
            if not self.client.get(manifest):
                self.client.apply(manifest)
        rendered = {chart.name for chart in charts if chart not in self.replaced}
        brought = "metrics-server" in rendered or APISERVICE in {item.name for item in self._objects()}
        if plane.metrics and not brought:
            plane.metrics.register()
        self.argocd = ArgoCD(workspace, self._tools, plane, authority, remotes, self._settings.argocd)
        health = {f"resource.customizations.health.{kind}": lua for kind, lua in self._settings.health.items()}
        self.argocd.start({"application.resourceTrackingMethod": "annotation", **health}, self._settings.sync_timeout)
        if self._context:
            # It would make anew what is removed.
            self._stack.callback(workspace.stop, "argocd-application-controller")
        kinds = {(item.manifest["apiVersion"], item.kind): item for item in self._objects()}
        custom = [pair for pair, item in kinds.items() if _is_custom(item.group)]
        operators = Operators(self.client, custom)
        self._stack.callback(operators.close)
        self.simulated = operators.simulated
        if plane.metrics and any(item.kind == "HorizontalPodAutoscaler" for item in self._objects()):
            self.simulated["metrics"] = None
        self.watcher = Watcher(self.client, kinds)
        self._stack.callback(self.watcher.close)

    def _objects(self) -> list[Object]:
        return [item for found in self._found for item in _objects(found)]

    def _objects_of(self, tree: Snapshot, *, by_hand: bool = False) -> list[Object]:
        return _objects(self._applications(tree), by_hand=by_hand)

    def _namespaces(self) -> list[Manifest]:
        """Return the namespaces that the trees take for given, as the bootstrap makes them."""
        made = {item.name for item in self._objects() if item.kind == "Namespace"}
        made |= {each.namespace for found in self._found for each in found.all if each.creates_namespace}
        names = (
            {item.namespace for item in self._objects() if item.namespace}
            - made
            - {self._settings.argocd.namespace, *NAMESPACES}
        )
        return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(names)]

    def _storage_classes(self) -> list[Manifest]:
        names: set[str] = set()
        for item in self._objects():
            claims = item.spec.get("volumeClaimTemplates") or (
                [item.manifest] if item.kind == "PersistentVolumeClaim" else []
            )
            names |= {name for claim in claims if (name := mapping(claim.get("spec")).get("storageClassName"))}
        api = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "rehearsal"}
        return [{**api, "metadata": {"name": name}, "allowVolumeExpansion": True} for name in sorted(names)]

    def _charts(self) -> dict[Chart, bytes]:
        """Return an archive for every chart: the real one, or one with the kinds that the trees use of it."""
        found: dict[Chart, bytes] = {}
        defined = {mapping(item.spec.get("names")).get("kind") for item in self._objects() if item.kind == _DEFINITION}
        kinds = {
            (item.manifest["apiVersion"], item.kind): bool(item.namespace)
            for item in self._objects()
            if _is_custom(item.group) and item.group != "argoproj.io" and item.kind not in defined
        }
        charts = [
            chart
            for applications in self._found
            for application in applications.all
            if application.item
            for chart in charts_of(application.item.manifest)
        ]
        for chart in dict.fromkeys(charts):
            file = self._settings.charts / chart.file if self._settings.charts else None
            if file and file.exists():
                found[chart] = file.read_bytes()
                continue
            brought = [kind for kind in kinds if chart.name in CHARTS_OF_KINDS.get(kind[0].partition("/")[0], ())]
            found[chart] = stand_in(chart, [definition(*kind, namespaced=kinds.pop(kind)) for kind in sorted(brought)])
            self.replaced.append(chart)
        # What no known chart brings has to be in the cluster already.
        self._given = [definition(*kind, namespaced=namespaced) for kind, namespaced in sorted(kinds.items())]
        return found

    def run(
        self,
        name: str,
        push: Callable[[], object],
        *,
        broken: Collection[str] = (),
        kill: bool = False,
        take_over: bool = False,
    ) -> Outcome:
        """Push something, wait until it is rolled out, and judge what happened.

        Args:
            name: What is done, in words.
            push: Changes the scratch repository.
            broken: Components whose new pods never get ready: it ends some time after these pods could not start.
            kill: Whether the controller dies in the middle.
            take_over: Whether it takes over from what hangs, as ``publish --context`` does.

        Raises:
            RehearsalError: A program ended.
        """
        self._tell(name)
        environment = self._settings.environment
        folder = f"argocd/{environment}"
        installed = self._installed
        old = self.scratch.snapshot(environment, "before") if installed else Snapshot("nothing", {})
        push()
        new = self.scratch.snapshot(environment, "afterwards")
        start, began = time.monotonic(), datetime.now(UTC)
        # Later than the start, so that no change is missed; one that is in both does no harm.
        before = tuple(self.watcher.snapshot())
        if self._installed:
            self.argocd.refresh()
        else:
            self._apply_root(new)
        if take_over:
            run = kubectl("rehearsal", self.kubeconfig, os.fspath(self._tools.kubectl))
            pins = {pin: each.revision for pin, each in self.scratch.pins(environment).items()}
            Takeover(run, self._root(new), self._tell).take_over(pins, self.scratch.head or "")
        self._wait(start, name, broken, kill=kill)
        if installed and not broken and self._by_hand(old) != self._by_hand(new):
            # As somebody does who applies the bootstrap after the push.
            self._apply_root(new)
            self.argocd.refresh()
            self._wait(start, name, broken, kill=False)
        moments = tuple(Moment(round(at - start, 3), verb, item) for at, verb, item in self.watcher.seen_since(start))
        return judge(
            Recording(before, moments, began),
            old,
            new,
            plan(old, new, folder=folder),
            phase=name,
            folders=[folder],
            broken=frozenset(broken),
            warnings=() if broken else tuple(self._prove(new)),
        )

    def _prove(self, tree: Snapshot) -> Iterator[str]:
        """Yield what the API server says when all objects of a tree are applied once more, without doing it."""
        self.client.warnings.clear()
        for item in self._objects_of(tree):
            place = {"namespace": item.namespace} if item.namespace else {}
            try:
                self.client.apply({**item.manifest, "metadata": {**item.metadata, **place}}, dry_run=True)
            except ApiError as error:
                yield f"{item.kind}/{item.name}: {error}"
        yield from self.client.warnings

    def _apply_root(self, tree: Snapshot) -> None:
        """Apply what the bootstrap applies: the outermost Application with its project."""
        root = self._root(tree)
        for item in self._objects_of(tree):
            if item.kind == "AppProject" and item.name == root["spec"]["project"]:
                self.client.apply(item.manifest)
        self.client.apply(root)
        self._installed = True

    def _by_hand(self, tree: Snapshot) -> list[Manifest]:
        return [item.manifest for item in self._objects_of(tree, by_hand=True)]

    def _root(self, tree: Snapshot) -> Manifest:
        for item in self._objects_of(tree, by_hand=True):
            if item.kind == "Application":
                return item.manifest
        raise RehearsalError(f"There is no Application in argocd/{self._settings.environment} to begin with.")

    def _wait(self, start: float, name: str, broken: Collection[str], *, kill: bool) -> None:
        """Wait until everything has settled, or there is no more patience.

        With broken components it is enough that their pods could not start for some time.
        """
        told, killed, calm_since, refreshed = "", not kill, 0.0, start
        while (now := time.monotonic()) - start < self._settings.patience:
            self.workspace.ensure_all_run()
            objects = self.watcher.snapshot()
            waiting = self._waiting(objects)
            if now - refreshed > _QUIET:
                # Argo CD marks no definition as an Application's, and so misses that it is established. A chart's own
                # programs, which change all the time, are not here.
                self.argocd.refresh(
                    item for item in objects if item["kind"] == "Application" and _DEFINITION in _why(item)
                )
                refreshed = now
            if not killed and now - start > 3 and "operation" in waiting.values():
                self.argocd.kill_controller()
                killed = True
            state = f"{name}: {now - start:.0f} s, waiting for {', '.join(sorted(waiting)) or 'nothing'}"
            if state != told:
                self._tell(told := state)
            calm_since = 0.0 if waiting else calm_since or now
            if calm_since and now - calm_since > _QUIET:
                return
            if broken and (since := self._broken_since(start)) and now - since > _HOLD:
                return
            time.sleep(0.25)

    def _broken_since(self, start: float) -> float | None:
        """Return since when there are pods whose image cannot be pulled."""
        for at, _, item in self.watcher.seen_since(start):
            images = [each["image"] for each in item["spec"]["containers"]] if item["kind"] == "Pod" else []
            if any(image.endswith(f":{BROKEN}") for image in images):
                return at
        return None

    def _waiting(self, objects: list[dict[str, Any]]) -> dict[str, str]:
        """Return the Applications that have not settled, with the reason."""
        settings, head, found = self._settings, self.scratch.head, {}
        branch = f"refs/heads/{settings.publication or settings.branch}"
        applications = [item for item in objects if item["kind"] == "Application"]
        for item in applications:
            spec, status = item["spec"], item.get("status") or {}
            sync, health = status.get("sync") or {}, (status.get("health") or {}).get("status")
            compared = sync.get("comparedTo") or {}
            triples = zip_longest(
                [source.get("targetRevision") for source in spec.get("sources") or [spec["source"]]],
                [source.get("targetRevision") for source in compared.get("sources") or [compared.get("source") or {}]],
                sync.get("revisions") or [sync.get("revision")],
            )
            is_stale = any(wanted != known or (wanted == branch and at != head) for wanted, known, at in triples)
            if item.get("operation") or (status.get("operationState") or {}).get("phase") in ("Running", "Terminating"):
                found[item["metadata"]["name"]] = "operation"
            elif is_stale or sync.get("status") != "Synced" or health != "Healthy":
                found[item["metadata"]["name"]] = f"{sync.get('status')}, {health}"
        return found if applications else {"the root Application": "not there"}


def _objects(found: Applications, *, by_hand: bool = False) -> list[Object]:
    """Return all objects that Applications deploy, or those that no Application deploys."""
    return [
        item
        for application in found.all
        if not by_hand or not application.item
        for path, content in application.files.items()
        for item in application.read(path, content)
    ]


def _why(application: dict[str, Any]) -> str:
    """Return what an Application's health is caused by."""
    return str((mapping(application.get("status")).get("health") or {}).get("message"))


def _is_custom(group: str) -> bool:
    """Return whether a group's kinds come by a CustomResourceDefinition.

    https://kubernetes.io/docs/reference/using-api/#api-groups
    """
    return ("." in group and not group.endswith(".k8s.io")) or group in ("gateway.networking.k8s.io",)

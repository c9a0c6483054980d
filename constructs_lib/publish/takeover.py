"""Takes over from a publication that hangs: its operations are ended, so that Argo CD takes up the next one."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from constructs_lib.argocd.refresh import REFRESH, refresh
from constructs_lib.kubernetes.manifest import Manifest, inner, mapping, mappings
from constructs_lib.publish.checkout import PublishError
from constructs_lib.publish.hanging import (
    WORKLOADS,
    StuckPod,
    complaints,
    deployed,
    is_ready,
    is_running,
    is_settled,
    is_superseded,
    phase,
    started,
    stuck_pod,
    troubles,
    was_given_up,
    workloads_of,
)
from constructs_lib.user_error import UserError

#: Runs kubectl with some arguments and returns what it prints; raises :class:`KubectlError` if it fails.
Kubectl = Callable[..., str]

_APPLICATIONS = "applications.argoproj.io"
_END = {"status": {"operationState": {"phase": "Terminating"}}}
#: How often something is looked at anew, a second apart: until Argo CD begins by itself; until operations are ended;
#: until a pod can be deleted, whose StatefulSet may be in a late wave.
_FEW_TRIES, _TRIES, _LONG_TRIES = 5, 120, 1800


class KubectlError(UserError):
    """Kubectl is missing, cannot reach the cluster, or was refused something."""


def kubectl(context: str, kubeconfig: Path | None = None, program: str = "kubectl") -> Kubectl:
    """Return what runs kubectl in a context of a kubeconfig, by default that of the user; without one, in the current.

    The program is looked for on the PATH, unless it is given as a path.

    Raises:
        KubectlError: There is no kubectl.
    """
    found = shutil.which(program)
    if found is None:
        raise KubectlError(
            "There is no kubectl on the PATH, with which the cluster is asked: install it "
            "(https://kubernetes.io/docs/tasks/tools/), or publish without --context."
        )
    where = [*([f"--context={context}"] if context else []), *([f"--kubeconfig={kubeconfig}"] if kubeconfig else [])]
    which = f"the context {context}" if context else "the current context"

    def run(*arguments: str) -> str:
        command = [found, *where, "--request-timeout=30s", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            said = result.stderr.strip().splitlines() or ["it says nothing."]
            raise KubectlError(f"kubectl {' '.join(arguments[:3])} in {which}: {said[-1]}")
        return result.stdout

    return run


def by_hand(root: Manifest) -> tuple[str, str]:
    """Return the commands that show whether a rollout hangs, and that end it."""
    name, namespace = root["metadata"]["name"], root["metadata"]["namespace"]
    command = f"kubectl --namespace {namespace}"
    see = f"{command} get applications"
    return see, f"{command} patch application {name} --type merge --patch '{json.dumps(_END)}'"


@dataclass(frozen=True)
class Rollout:
    """What the cluster is rolling out.

    Attributes:
        running: Whether an operation of the root runs; then it takes up no other commit.
        commits: What it deploys.
        hangs: Why it hangs, by component, the root among them; empty if it does not.
        unsettled: Components that are not there yet, or not healthy.
        stuck: Pods that keep StatefulSets from their newest revision.
        follows: The revision that the root follows.
    """

    running: bool
    commits: Set[str]
    hangs: Mapping[str, Sequence[str]]
    unsettled: Sequence[str]
    stuck: Sequence[StuckPod]
    follows: str = ""


class Takeover:
    """The root Application of a cluster and what it rolls out, seen and changed by kubectl."""

    def __init__(
        self,
        run: Kubectl,
        root: Manifest,
        tell: Callable[[str], None] = print,
        *,
        pause: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Ask nothing yet.

        Args:
            run: Runs kubectl, as :func:`kubectl` returns it.
            root: The root Application as it is declared.
            tell: Is told what is done, a line each.
            pause: Waits for some seconds.
            now: Tells the time.
        """
        self._run, self._root, self._tell, self._pause, self._now = run, root, tell, pause, now
        self._name, self._namespace = root["metadata"]["name"], root["metadata"]["namespace"]

    def look(self) -> Rollout:
        """Return what the cluster is rolling out.

        Raises:
            KubectlError: The cluster does not answer.
            PublishError: The cluster has no such root, or one that deploys something else.
        """
        root, children = self.applications()
        hangs: dict[str, list[str]] = {}
        stuck: list[StuckPod] = []
        objects: dict[str, list[Manifest]] = {}
        unsettled = {name: child for name, child in children.items() if not is_settled(child)}
        for name, application in unsettled.items():
            reasons = [*complaints(application)]
            own = workloads_of(application)
            for namespace in sorted({namespace for _, namespace, _ in own}):
                if namespace not in objects:
                    kinds = ",".join([*WORKLOADS.values(), "pods"])
                    objects[namespace] = self._list(kinds, namespace)
                pods = [item for item in objects[namespace] if item["kind"] == "Pod"]
                for item in objects[namespace]:
                    if (item["kind"], namespace, item["metadata"]["name"]) in own:
                        for reason, cause in troubles(item, pods, self._now()):
                            reasons.append(reason)
                            stuck += [found] if (found := stuck_pod(name, item, cause)) else []
            if reasons:
                hangs[name] = reasons
        if not hangs and (reasons := [*complaints(root)]):
            hangs[self._name] = reasons
        follows = str(inner(root, "spec", "source", "targetRevision") or "")
        return Rollout(is_running(root), deployed(root), hangs, sorted(unsettled), stuck, follows)

    def describe(self, rollout: Rollout) -> None:
        """Tell whether the last publication hangs, and why, and whether the root follows what it is declared to."""
        declared = str(inner(self._root, "spec", "source", "targetRevision") or "")
        if rollout.follows != declared:
            self._tell(
                f"The Application {self._name} of the cluster follows {rollout.follows}, and is declared to follow "
                f"{declared}: apply bootstrap/argocd once that branch is there."
            )
        if not rollout.running and not rollout.hangs:
            return
        what = "The last publication hangs" if rollout.hangs else "The last publication is still being rolled out"
        self._tell(f"{what}: {', '.join(rollout.hangs or rollout.unsettled) or self._name}.")
        for component, reasons in rollout.hangs.items():
            for reason in dict.fromkeys(reasons):
                self._tell(f"  {component}: {reason}")

    def take_over(self, pins: Mapping[str, str], head: str) -> None:
        """Make Argo CD take up what was pushed, even if what it rolls out hangs.

        Ended are the operation of the root, unless it deploys what was pushed, and those of components that deploy
        another commit than they are pinned to. A component's operation that is ended is not begun anew for the same
        commit (``alreadyAttemptedSync`` of Argo CD's controller), so that those of others are left alone.

        Args:
            pins: The commit of each component, as it was pushed.
            head: The newest commit of the branch.

        Raises:
            KubectlError: The cluster does not answer, or refuses something.
            PublishError: Argo CD does not end its operations.
        """
        rollout = self._wait(head)
        root, children = self.applications()
        every = {**children, self._name: root}
        moving = {name for name, child in children.items() if name in pins and pins[name] not in deployed(child)}
        if rollout.hangs:
            old = [self._name] if head not in deployed(root) else []
            self._end({name: every[name] for name in (*old, *sorted(moving)) if is_running(every[name])})
        self._refresh()
        if head not in deployed(root):
            self._take_up(head)
        for name, application in every.items():
            if was_given_up(application) and {**pins, self._name: head}.get(name) in deployed(application):
                self._begin(application)
        for name in sorted(rollout.hangs.keys() - moving - {self._name}):
            self._tell(f"{name} hangs still: what was pushed does not change it, and later waves wait for it.")
        self._free([pod for pod in rollout.stuck if pod.component in moving or self._is_superseded(pod)])

    def _wait(self, head: str) -> Rollout:
        """Return what the cluster rolls out, once it is what was pushed, or nothing, or something that hangs."""
        for number in range(_LONG_TRIES):
            rollout = self.look()
            if rollout.hangs or not rollout.running or head in rollout.commits:
                break
            if number == 0:
                what = ", ".join(rollout.unsettled) or self._name
                self._tell(f"Argo CD takes up what was pushed after {what}. Ctrl-C ends the wait for it, and no more.")
            self._pause(2)
        return rollout

    def applications(self) -> tuple[Manifest, dict[str, Manifest]]:
        """Return the root and the Applications that it deploys, by their names.

        Raises:
            KubectlError: The cluster does not answer.
            PublishError: The cluster has no such root, or one that deploys something else.
        """
        found = {item["metadata"]["name"]: item for item in self._list(_APPLICATIONS, self._namespace)}
        root = found.get(self._name)
        if root is None:
            raise PublishError(
                f"The cluster has no Application {self._name} in the namespace {self._namespace}. Is it the right "
                f"context? Where Argo CD is still to be installed, publish without --context."
            )
        mine, its = (mapping(inner(each, "spec", "source")) for each in (self._root, root))
        if (mine.get("repoURL"), mine.get("path")) != (its.get("repoURL"), its.get("path")):
            raise PublishError(
                f"The Application {self._name} of the cluster deploys {its.get('path')} from {its.get('repoURL')}, not "
                f"{mine.get('path')} from {mine.get('repoURL')}; is it the right context?"
            )
        names = [each.get("name") for each in mappings(inner(root, "status", "resources")) if _is_application(each)]
        return root, {str(name): found[str(name)] for name in names if name in found}

    def _list(self, kinds: str, namespace: str) -> list[Manifest]:
        answer = json.loads(self._run("get", kinds, f"--namespace={namespace}", "--output=json"))
        return [dict(item) for item in mappings(answer.get("items"))]

    def _get(self, kind: str, name: str, namespace: str) -> Manifest | None:
        """Return an object; None if it is not there."""
        arguments = ("get", kind, name, f"--namespace={namespace}", "--output=json", "--ignore-not-found")
        answer = self._run(*arguments)
        return dict(json.loads(answer)) if answer.strip() else None

    def _patch(self, name: str, patch: Mapping[str, Any]) -> None:
        where = (_APPLICATIONS, name, f"--namespace={self._namespace}")
        self._run("patch", *where, "--type=merge", f"--patch={json.dumps(patch)}")

    def _end(self, applications: Mapping[str, Manifest]) -> None:
        """End the operations of some Applications that run, and wait until Argo CD has done so."""
        waiting = {name: started(each) if phase(each) == "Running" else "" for name, each in applications.items()}
        asked: set[str] = set()
        for _ in range(_TRIES):
            for name, since in [*waiting.items()]:
                application = self._get(_APPLICATIONS, name, self._namespace)
                if application is None or not is_running(application) or (since and started(application) != since):
                    del waiting[name]
                # Before it is running, and again after it is over, its phase is no one's to set.
                elif phase(application) == "Running" and self._ends(application) and name not in asked:
                    asked.add(name)
                    self._tell(f"Ended the operation of {name}.")
            if not waiting:
                return
            self._pause(1)
        raise PublishError(
            f"Argo CD does not end the operation of {', '.join(waiting)}. Does its controller run? "
            f"kubectl --namespace {self._namespace} get pods"
        )

    def _ends(self, application: Manifest) -> bool:
        """End an operation as ``TerminateOperation`` of Argo CD's server does; it is not if it changed meanwhile."""
        metadata = application["metadata"]
        try:
            self._patch(metadata["name"], {"metadata": {"resourceVersion": metadata["resourceVersion"]}, **_END})
        except KubectlError as error:
            if "the object has been modified" in str(error):
                return False
            raise
        return True

    def _refresh(self) -> None:
        """Have the root compared with the newest commit, once no comparison is under way that began before.

        Argo CD before 3.6 knows no time of a request, and would take this one for that one.
        """
        for _ in range(_TRIES):
            root = self._get(_APPLICATIONS, self._name, self._namespace)
            if REFRESH not in mapping(inner(root, "metadata", "annotations")):
                break
            self._pause(1)
        self._patch(self._name, refresh(self._now()))

    def _begin(self, application: Manifest) -> None:
        """Begin a sync anew that ended before it was done: Argo CD itself tries a commit only once."""
        name, policy = application["metadata"]["name"], mapping(inner(application, "spec", "syncPolicy"))
        sync = {"prune": True, "syncOptions": policy.get("syncOptions", [])}
        by = {"username": "publish"}
        self._patch(name, {"operation": {"initiatedBy": by, "retry": policy.get("retry", {}), "sync": sync}})
        self._tell(f"Began the sync of {name} anew, which had ended before it was done.")

    def _take_up(self, head: str) -> None:
        """Have the root deploy what was pushed, if Argo CD does not do so by itself after a failure.

        If it has compared the commit while the last operation ran, it takes it afterwards for one that changes nothing,
        and does not sync it (``revisionsMayHaveChanges`` of its controller).
        """
        for _ in range(_FEW_TRIES):
            root = self._get(_APPLICATIONS, self._name, self._namespace)
            if root is None or not was_given_up(root) or head in deployed(root):
                return
            self._pause(1)
        if root:
            self._begin(root)

    def _is_superseded(self, pod: StuckPod) -> bool:
        stateful_set = self._get("statefulsets.apps", pod.stateful_set, pod.namespace)
        return stateful_set is not None and is_superseded(pod, stateful_set)

    def _free(self, pods: Sequence[StuckPod]) -> None:
        """Delete pods as soon as their StatefulSets have another revision."""
        waiting = [*pods]
        for pod in pods:
            self._tell(f"Pod/{pod.name} holds up its StatefulSet, and is deleted once that has another revision.")
        for _ in range(_LONG_TRIES):
            for pod in [*waiting]:
                live = self._get("pods", pod.name, pod.namespace)
                if live is None or live["metadata"]["uid"] != pod.uid or is_ready(live):
                    waiting.remove(pod)
                elif self._is_superseded(pod):
                    self._run("delete", "pods", pod.name, f"--namespace={pod.namespace}", "--wait=false")
                    self._tell(f"Deleted Pod/{pod.name}.")
                    waiting.remove(pod)
            if not waiting:
                return
            self._pause(1)
        left = " and ".join(f"kubectl --namespace {pod.namespace} delete pod {pod.name}" for pod in waiting)
        raise PublishError(f"There is no other revision yet. When there is: {left}")


def _is_application(resource: Mapping[str, Any]) -> bool:
    return resource.get("kind") == "Application" and resource.get("group") == "argoproj.io"

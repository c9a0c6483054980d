"""Recordings written by hand: a tree of components, each with a Deployment, and a few words for what happens when.

A tree is a mapping of components to what they are, such as ``db: {image: 2, replicas: 2, calls: [cache]}``; see
:func:`manifests`. What happens is a mapping of seconds to words, such as ``3: [app db, apply Deployment/db]``; see the
methods of :class:`Lab`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import yaml

from constructs_lib.kubernetes.manifest import digest
from constructs_lib.plan.plan import Plan, plan
from constructs_lib.rehearse.judgement import Outcome, judge
from constructs_lib.rehearse.recording import Moment, Recording, Verb
from constructs_lib.repository.snapshot import Snapshot

Manifest = dict[str, Any]
BEGAN = datetime(2026, 11, 28, 12, tzinfo=UTC)
_SOURCE = {"repoURL": "https://example.com/shop.git", "targetRevision": "main"}
_SYNC = "argocd.argoproj.io/sync-options"


def thing(kind: str, name: str, api_version: str = "v1", **content: Any) -> Manifest:
    """Return an object in the namespace of the shop."""
    metadata = {"name": name, "namespace": "argocd" if kind == "Application" else "shop"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def application(name: str, wave: int = 0, pin: str = "main") -> Manifest:
    """Return an Application that deploys the folder with its name."""
    found = thing("Application", name, "argoproj.io/v1alpha1")
    found["metadata"]["annotations"] = {"argocd.argoproj.io/sync-wave": str(wave)}
    found["metadata"]["finalizers"] = ["resources-finalizer.argocd.argoproj.io"]
    found["spec"] = {
        "source": {**_SOURCE, "targetRevision": pin, "path": name},
        "destination": {"namespace": "argocd" if name == "apps" else "shop"},
        "syncPolicy": {"automated": {"prune": True}},
    }
    return found


def root(options: list[str]) -> Manifest:
    """Return the Application that deploys the others, with some sync options."""
    found = application("apps")
    found["spec"]["syncPolicy"]["syncOptions"] = options
    return found


def manifests(name: str, about: Mapping[str, Any]) -> list[Manifest]:
    """Return the objects of a component.

    Args:
        name: Its name.
        about: Of its workload ``kind`` (Deployment, StatefulSet, DaemonSet, Job), ``image``, ``replicas`` or in their
            place ``minimum`` (of an autoscaler), ``strategy``, ``partition``, ``suspend``, ``grace`` (seconds to end),
            ``forced`` (replaced by force), ``empty`` (with fields that mean nothing), ``ignored`` (a field that Argo CD
            ignores), and of its pods ``calls`` (addresses), ``awaits`` (the same of an init container), ``settings``
            (data of a ConfigMap), ``port``. Of its Service ``offers`` (its port), ``labels``, ``kept`` (not pruned),
            ``headless``. Of its policy ``callers`` (components that it lets in; without, there is none), ``opens`` (a
            port of its pods), ``leaves`` (lets it call). ``custom`` (a kind without a namespace), ``hook``, and of its
            Application ``wave``, ``pin``, ``chart``.
    """
    labels, port, kind = {"app": name}, about.get("port", 80), about.get("kind", "Deployment")
    addresses: list[Manifest] = [
        {"name": f"URL_{each[:2]}".upper(), "value": f"http://{each}"} for each in about.get("calls", ())
    ]
    container = {
        "name": name,
        "image": f"{name}:{about.get('image', 1)}",
        "env": addresses,
        "ports": [{"containerPort": port}],
    }
    pod: Manifest = {"containers": [container]}
    if "awaits" in about:
        waits = [{"name": "URL", "value": f"http://{each}"} for each in about["awaits"]]
        pod["initContainers"] = [{"name": "wait", "image": "wait", "env": waits}]
    spec: Manifest = {"template": {"metadata": {"labels": labels}, "spec": pod}}
    if "grace" in about:
        spec["template"]["spec"]["terminationGracePeriodSeconds"] = about["grace"]
    if kind != "Job":
        spec["selector"] = {"matchLabels": labels}
    if "settings" in about:
        container["envFrom"] = [{"configMapRef": {"name": name}}]
    if "partition" in about:
        spec["updateStrategy"] = {"rollingUpdate": {"partition": about["partition"]}}
    if about.get("empty"):
        spec |= {"paused": False, "minReadySeconds": 0}
    if kind in ("Deployment", "StatefulSet") and "minimum" not in about:
        spec["replicas"] = about.get("replicas", 1)
    offered = [{"port": about.get("offers", 80), "targetPort": port}]
    service = thing("Service", name, spec={"selector": labels, "ports": offered})
    service["metadata"]["labels"] = about.get("labels", {})
    if about.get("headless"):
        service["spec"]["clusterIP"] = "None"
    if about.get("kept"):
        service["metadata"]["annotations"] = {_SYNC: "Prune=false,Delete=false"}
    found = [thing(kind, name, "batch/v1" if kind == "Job" else "apps/v1", spec=spec), service]
    if "callers" in about:
        peers = [{"podSelector": {"matchLabels": {"app": each}}} for each in about["callers"]]
        opened = {"ports": [{"port": about["opens"]}]} if "opens" in about else {}
        types = ["Ingress"] if about.get("leaves", True) else ["Ingress", "Egress"]
        rules: Manifest = {"podSelector": {"matchLabels": labels}, "policyTypes": types}
        found.append(
            thing(
                "NetworkPolicy",
                name,
                "networking.k8s.io/v1",
                spec={**rules, "ingress": [{"from": [peer], **opened} for peer in peers]},
            )
        )
    if "minimum" in about:
        target = {"apiVersion": "apps/v1", "kind": kind, "name": name}
        scaler = {"scaleTargetRef": target, "minReplicas": about["minimum"], "maxReplicas": 9}
        found.append(thing("HorizontalPodAutoscaler", name, "autoscaling/v2", spec=scaler))
    spec |= {key: about[key] for key in ("strategy", "suspend") if key in about}
    if about.get("forced"):
        found[0]["metadata"]["annotations"] = {_SYNC: "Replace=true,Force=true"}
    if about.get("hook"):
        found.append(thing("Job", f"{name}-hook", "batch/v1", spec={"template": {"spec": pod}}))
        found[-1]["metadata"]["annotations"] = {"argocd.argoproj.io/hook": "Sync"}
    if "custom" in about:
        found.append(thing(about["custom"], "store", "example.com/v1"))
        del found[-1]["metadata"]["namespace"]
    if "settings" in about:
        found.append(thing("ConfigMap", name, data=about["settings"]))
    return found


def tree(components: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Manifest]]:
    """Return the folders of a tree: ``apps`` with the Applications, and one for each component."""
    applications = []
    for number, (name, about) in enumerate(components.items()):
        found = application(name, about.get("wave", number), about.get("pin", "main"))
        if about.get("chart"):
            chart = {"repoURL": "https://charts.example.com", "chart": name, "targetRevision": "1.0.0"}
            found["spec"]["sources"] = [found["spec"].pop("source"), chart]
        if "ignored" in about:
            found["spec"]["ignoreDifferences"] = [
                {"group": "apps", "kind": "Deployment", "jsonPointers": [about["ignored"]]}
            ]
        applications.append(found)
    return {"apps": applications, **{name: manifests(name, about) for name, about in components.items()}}


def snapshot(folders: Mapping[str, list[Manifest]], options: list[str]) -> Snapshot:
    """Return a tree as a snapshot, with the root, which is applied by hand and has some sync options."""
    files = {"root.yaml": yaml.safe_dump(root(options)).encode()} if len(folders) > 1 else {}
    for folder, found in folders.items():
        files |= {
            f"{folder}/{each['kind']}-{each['metadata']['name']}.yaml": yaml.safe_dump(each).encode() for each in found
        }
    return Snapshot.of_files("tree", files)


class Lab:
    """A cluster as a test says it: what is there at the beginning, and what happens.

    Every method with a name that ends in an underscore is a word; what it does is its docstring.
    """

    def __init__(
        self, old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]], options: Iterable[str] = ()
    ) -> None:
        self.options = list(options)
        self.old, self.new = tree(old), tree(new)
        self.objects: dict[tuple[str, str], Manifest] = {}
        self.moments: list[Moment] = []
        self._at = 0.0
        self._number = 0
        self._pods: dict[str, list[str]] = {}
        if old:
            self.root_()
        for folder, found in self.old.items():
            for each in found:
                self.apply("ADDED", each)
            if folder != "apps":
                self.healthy_(folder)
                for each in found:
                    scaler = self.objects.get(("HorizontalPodAutoscaler", folder), {"spec": {"minReplicas": 1}})
                    if each["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
                        self.status(each["kind"], folder, {"observedGeneration": 1})
                        self.pods_(folder, str(each["spec"].get("replicas", scaler["spec"]["minReplicas"])))
                        self.ready_(folder)
                    if each["kind"] == "Job":
                        self.status(
                            "Job", each["metadata"]["name"], {"conditions": [{"type": "Complete", "status": "True"}]}
                        )
        self.begin([])

    def begin(self, steps: list[str]) -> None:
        """Do something before the phase begins."""
        self.do(steps)
        self.before = [*self.objects.values()]
        self.moments = []

    def do(self, steps: list[str]) -> None:
        """Do what some words say."""
        for step in steps:
            word, *arguments = step.split(" ", 3)
            getattr(self, f"{word}_")(*arguments)

    def play(self, script: Mapping[Any, list[str]]) -> Recording:
        """Do what a script says, and return the recording."""
        for self._at, steps in script.items():
            self.do(steps)
        return Recording(tuple(self.before), tuple(self.moments), BEGAN)

    def apply(self, verb: Verb, manifest: Manifest, **metadata: Any) -> Manifest:
        """Let the API server take in an object: it has an id, and a generation that grows with its spec."""
        key = manifest["kind"], manifest["metadata"]["name"]
        known = self.objects.get(key) if verb == "MODIFIED" else None
        self._number += 1
        found = copy.deepcopy(manifest)
        own: Manifest = known["metadata"] if known else {"uid": f"id-{self._number}", "generation": 1}
        same = known is None or known.get("spec") == found.get("spec")
        found["metadata"] |= {"uid": own["uid"], "generation": own["generation"] + (not same), **metadata}
        found["metadata"]["resourceVersion"] = str(self._number)
        found.setdefault("status", (known or {}).get("status", {}))
        self.objects[key] = found
        self.moments.append(Moment(self._at, verb, found))
        return found

    def status(self, kind: str, name: str, status: Manifest) -> None:
        """Change the status of an object."""
        known = self.objects[kind, name]
        self.apply("MODIFIED", {**known, "status": {**known.get("status", {}), **status}})

    def delete(self, kind: str, name: str) -> None:
        """Delete an object."""
        self.moments.append(Moment(self._at, "DELETED", self.objects.pop((kind, name))))

    def _wanted(self, kind: str, name: str) -> Manifest:
        return next(
            each
            for found in self.new.values()
            for each in found
            if (each["kind"], each["metadata"]["name"]) == (kind, name)
        )

    def root_(self) -> None:
        """Apply the root."""
        self.apply("ADDED", root(self.options))

    def app_(self, name: str) -> None:
        """Apply the Application as the new tree has it; Argo CD has not seen that yet."""
        self.apply_(f"Application/{name}")

    def apply_(self, full: str) -> None:
        """Apply an object as the new tree has it; ``Kind/name``."""
        kind, name = full.split("/")
        found = self.apply("MODIFIED" if (kind, name) in self.objects else "ADDED", self._wanted(kind, name))
        if "replicas" in found.get("spec", {}) or kind in ("Deployment", "DaemonSet"):
            self.status(kind, name, {"observedGeneration": found["metadata"]["generation"]})

    def unseen_(self, full: str) -> None:
        """Let the controller of a workload not have seen its newest spec."""
        kind, name = full.split("/")
        self.status(kind, name, {"observedGeneration": 0})

    def all_(self, name: str, replicas: str = "1") -> None:
        """Roll a whole component out at once, with new pods that are ready, and remove the old ones."""
        self.app_(name)
        for each in self.new[name]:
            self.apply_(f"{each['kind']}/{name}")
        old = [*self._pods.get(name, ())]
        self.pods_(name, replicas)
        self.ready_(name)
        for pod in old:
            self.delete_(f"Pod/{pod}")
            self._pods[name].remove(pod)
        self.healthy_(name)

    def healthy_(self, name: str, health: str = "Healthy") -> None:
        """Let Argo CD call an Application, as its spec is now, synced and healthy (or what is named instead)."""
        spec = self.objects["Application", name]["spec"]
        compared = {key: spec[key] for key in ("source", "sources", "destination") if key in spec}
        operation = {"phase": "Succeeded", "message": "successfully synced"}
        found = {"sync": {"status": "Synced", "comparedTo": compared}, "health": {"status": health}}
        self.status("Application", name, {**found, "operationState": operation})

    def _workload(self, name: str) -> Manifest:
        kinds = ("Deployment", "StatefulSet", "DaemonSet")
        return next(self.objects[kind, name] for kind in kinds if (kind, name) in self.objects)

    def pods_(self, name: str, count: str) -> None:
        """Make new pods of the workload as it is now; they are not ready."""
        workload = self._workload(name)
        template = workload["spec"]["template"]
        hash, kind = digest(template, 5), workload["kind"]
        owner, label = workload, "controller-revision-hash"
        if kind != "StatefulSet":
            label = "pod-template-hash" if kind == "Deployment" else label
            revision = thing(
                "ReplicaSet" if kind == "Deployment" else "ControllerRevision", f"{name}-{hash}", "apps/v1"
            )
            self._number += 1
            revision["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": str(self._number)}
            revision |= {"revision": self._number} if kind == "DaemonSet" else {}
            made = self._own(revision, workload, {label: hash})
            owner = made if kind == "Deployment" else workload
        self.status(kind, name, {"updateRevision": hash, "desiredNumberScheduled": int(count)})
        for _ in range(int(count)):
            self._number += 1
            pod = thing("Pod", f"{name}-{hash}-{self._number}", spec=template["spec"], status={"phase": "Running"})
            self._own(pod, owner, {**template["metadata"]["labels"], label: hash})
            self._pods.setdefault(name, []).append(pod["metadata"]["name"])

    def _own(self, item: Manifest, owner: Manifest, labels: Mapping[str, str]) -> Manifest:
        owners = [{"uid": owner["metadata"]["uid"], "controller": True}]
        known = (item["kind"], item["metadata"]["name"]) in self.objects
        return self.apply("MODIFIED" if known else "ADDED", item, labels=dict(labels), ownerReferences=owners)

    def ready_(self, name: str, count: str = "99") -> None:
        """Let the newest pods be ready."""
        for pod in self._pods.get(name, [])[-int(count) :]:
            self.status("Pod", pod, {"conditions": [{"type": "Ready", "status": "True"}]})

    def restart_(self, name: str, count: str) -> None:
        """Let somebody restart the pods of a Deployment, as ``kubectl rollout restart`` does."""
        self._workload(name)["spec"]["template"]["metadata"]["annotations"] = {"restarted": "now"}
        self.pods_(name, count)
        self.ready_(name)
        self.gone_(name, count)

    def running_(self, name: str, phase: str) -> None:
        """Let Argo CD call an Application healthy while it still syncs, or when it is about to."""
        self.healthy_(name)
        self.moments.pop()
        operation: Manifest = {"operation": {"sync": {}}} if phase == "Pending" else {}
        known = {key: value for key, value in self.objects["Application", name].items() if key != "operation"}
        self.apply("MODIFIED", {**known, **operation})
        self.moments.pop()
        self.status(
            "Application", name, {"operationState": {"phase": "Running" if phase == "Running" else "Succeeded"}}
        )

    def scale_(self, name: str, replicas: str) -> None:
        """Scale a Deployment by hand, and let the API server drop what is empty in it."""
        known = self.objects["Deployment", name]
        spec = {key: value for key, value in known["spec"].items() if value not in (False, 0)}
        found = self.apply("MODIFIED", {**known, "spec": {**spec, "replicas": int(replicas)}})
        self.status("Deployment", name, {"observedGeneration": found["metadata"]["generation"]})

    def chart_(self, application: str, name: str, replicas: str) -> None:
        """Let the chart of an Application make a Deployment, with pods that are not ready."""
        found = manifests(name, {"replicas": int(replicas)})[0]
        mark = {"argocd.argoproj.io/tracking-id": f"{application}:apps/Deployment:shop/{name}"}
        self.apply("ADDED", found, annotations=mark)
        self.status("Deployment", name, {"observedGeneration": 1})
        self.pods_(name, replicas)

    def unready_(self, name: str) -> None:
        """Let no pod be ready."""
        for pod in self._pods[name]:
            self.status("Pod", pod, {"conditions": [{"type": "Ready", "status": "False"}]})

    def end_(self, name: str, count: str) -> None:
        """Let the oldest pods of a workload end: they still run, and get no requests any more."""
        for pod in self._pods[name][: int(count)]:
            self.apply("MODIFIED", self.objects["Pod", pod], deletionTimestamp="2026-11-28T12:00:00Z")

    def gone_(self, name: str, count: str) -> None:
        """Remove the oldest pods of a workload."""
        for pod in self._pods[name][: int(count)]:
            self.delete_(f"Pod/{pod}")
        del self._pods[name][: int(count)]

    def delete_(self, full: str) -> None:
        """Delete an object; ``Kind/name``."""
        self.delete(*full.split("/"))

    def says_(self, kind: str, name: str, status: str) -> None:
        """Change the status of an object: of that name, or of the newest pod of a workload; the status is YAML."""
        self.status(kind, self._pods[name][-1] if kind == "Pod" else name, yaml.safe_load(status))

    def finalize_(self, full: str) -> None:
        """Delete an object that a finalizer still keeps; ``Kind/name``."""
        kind, name = full.split("/")
        self.apply("MODIFIED", self.objects[kind, name], deletionTimestamp="2026-11-28T12:00:00Z")

    def track_(self, full: str, application: str) -> None:
        """Let an Application deploy an object from now on; ``Kind/name``."""
        kind, name = full.split("/")
        mark = {"argocd.argoproj.io/tracking-id": f"{application}:/{kind}:shop/{name}"}
        self.apply("MODIFIED", self.objects[kind, name], annotations=mark)

    def event_(self, kind: str, name: str, text: str) -> None:
        """Let a controller write an Event about an object: ``Reason: message`` of the type Warning."""
        reason, message = text.split(": ", 1)
        about = {"kind": kind, "namespace": "shop", "name": name}
        self._number += 1
        found = thing("Event", f"{name}.{self._number}", type="Warning", reason=reason, message=message)
        self.apply("ADDED", {**found, "involvedObject": about})

    def judged(self, script: Mapping[Any, list[str]], **arguments: Any) -> Outcome:
        """Return what is made of a script."""
        old, new = self.snapshots
        return judge(self.play(script), old, new, self.plan, phase="update", **arguments)

    @property
    def snapshots(self) -> tuple[Snapshot, Snapshot]:
        """The trees before and afterwards."""
        return snapshot(self.old, self.options), snapshot(self.new, self.options)

    @property
    def plan(self) -> Plan:
        """What the plan says."""
        return plan(*self.snapshots)

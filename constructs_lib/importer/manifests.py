"""A declaration from manifests of Kubernetes: of a folder, of a file, of what Helm rendered."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from constructs_lib.argocd.objects import WAVE
from constructs_lib.importer.code import Call, call
from constructs_lib.importer.edges import find_edges
from constructs_lib.importer.lookups import Lookups, key_of
from constructs_lib.importer.model import GUESSED, INCLUDED, LEFT_OUT, TAKEN_UP, Group, Imported, Program, merged_level
from constructs_lib.importer.openings import let_peers_call, open_hosts, open_ways_in
from constructs_lib.importer.pods import PodReader, level_of_pods
from constructs_lib.importer.ports import name_ports
from constructs_lib.importer.values import holds_secret_text
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import Manifest, inner, mapping, mappings, sequence, texts, texts_in
from constructs_lib.kubernetes.objects import CLUSTER_SCOPED, Object
from constructs_lib.kubernetes.workloads import pods_of

#: The kind of a construct for each kind of workload.
_KINDS = {
    "Deployment": "Microservice",
    "StatefulSet": "StatefulSet",
    "DaemonSet": "DaemonSet",
    "CronJob": "CronJob",
    "Job": "Job",
}
_NOT_RUNNING = ("CronJob", "Job")
#: Namespaces in which nothing is declared, because they belong to the cluster or to what reads secrets.
_TAKEN = platform.NAMESPACES | {"external-secrets", "secret-store"}
#: Fields of a Service that say what Kubernetes does anyway.
_USUAL_OF_SERVICES = {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"}
#: Fields of workloads for which the library has values of its own.
_OWN = ("selector", "template", "replicas", "revisionHistoryLimit", "progressDeadlineSeconds", "minReadySeconds")


def read_manifests(imported: Imported, manifests: Sequence[Manifest]) -> None:
    """Give a system what manifests say; those without a namespace are put into one called as the system."""
    objects = [_placed(imported, each) for each in manifests]
    imported.original = copy.deepcopy(objects)
    lookups = Lookups.of(objects)
    _Reader(imported, lookups, objects).read()
    find_edges(imported)
    let_peers_call(imported)
    open_hosts(imported)
    open_ways_in(imported)


def _placed(imported: Imported, manifest: Manifest) -> Manifest:
    """Return an object with its namespace."""
    found = copy.deepcopy(manifest)
    metadata = found["metadata"] = dict(mapping(found.get("metadata")))
    if found["kind"] in CLUSTER_SCOPED:
        return found
    if metadata.get("namespace") in (None, "", "default"):
        if metadata.get("namespace"):
            text = f"what is in the namespace default is in {imported.name}: default is nobody's to own."
            imported.note(GUESSED, text)
        metadata["namespace"] = imported.name
    return found


class _Reader:
    """Reads all objects; each is declared, taken up by another, left out, or stays as YAML."""

    def __init__(self, imported: Imported, lookups: Lookups, objects: Sequence[Manifest]) -> None:
        self.imported, self.lookups, self.objects = imported, lookups, objects
        self.done: set[int] = set()

    def read(self) -> None:
        for each in self.objects:
            if each["kind"] in _KINDS and str(each["apiVersion"]).partition("/")[0] in ("apps", "batch"):
                self._workload(each)
        for each in self.objects:
            if id(each) not in self.done:
                self._rest(each)

    # Workloads.

    def _workload(self, manifest: Manifest) -> None:
        kind, namespace, name = key_of(manifest)
        if namespace in _TAKEN:
            self.imported.note(LEFT_OUT, f"{kind}/{name}: the namespace {namespace} has another owner.")
            self.done.add(id(manifest))
            return
        group = self.imported.group(namespace)
        spec = copy.deepcopy(dict(mapping(manifest.get("spec"))))
        template = inner(spec, "jobTemplate", "spec", "template") if kind == "CronJob" else spec.get("template")
        reason = self._why_not(manifest, group, spec, template)
        if reason or not isinstance(template, dict):
            self._include(group, manifest, reason)
            return
        self.done.add(id(manifest))
        program = Program(_KINDS[kind], group.id, name)
        self.imported.programs.append(program)
        template["metadata"] = dict(mapping(template.get("metadata")))
        labels = texts(template["metadata"].get("labels"))
        selector = texts(inner(spec, "selector", "matchLabels")) if kind not in _NOT_RUNNING else {}
        reader = PodReader(self.imported, self.lookups, group, program, template, kind not in _NOT_RUNNING)
        services = self._services(namespace, labels) if reader.runs_on else []
        if reader.runs_on:
            reader.ports = name_ports(program, template["spec"], services)
            self._take_services(program, services, reader.ports)
        self._of_kind(manifest, program, spec)
        reader.read(selector)
        if templates := program.arguments.pop("_templates", None):
            spec["volumeClaimTemplates"] = templates
        if selector and selector != {"app.kubernetes.io/name": name}:
            program.arguments["selector"] = selector
        self._account(program, namespace, template["spec"])
        rest = {key: each for key, each in spec.items() if key not in _OWN and each not in ({}, None)}
        self._set_template(rest, kind, template, spec)
        if metadata := _metadata(manifest):
            program.rest[manifest["kind"], name] = {"metadata": metadata, "spec": rest}
        else:
            program.rest[manifest["kind"], name] = {"spec": rest}
        self._replicas(manifest, program, spec)

    def _why_not(self, manifest: Manifest, group: Group, spec: Mapping[str, Any], template: Any) -> str:
        """Return why a workload is not declared; nothing if it is."""
        name = str(mapping(manifest.get("metadata")).get("name"))
        if not mappings(inner(template, "spec", "containers")):
            return "it has no containers"
        if any(each.key == (group.id, name) for each in self.imported.programs):
            return f"another workload is called {name}, too"
        selector = mapping(spec.get("selector"))
        if selector.get("matchExpressions"):
            return "its selector has expressions, and not labels alone"
        if len(name) > 40:
            return "its name is too long for what the library appends to it"
        if mapping(mapping(manifest.get("metadata")).get("annotations")).get("helm.sh/hook"):
            return "it is a hook of Helm's"
        return ""

    def _of_kind(self, manifest: Manifest, program: Program, spec: dict[str, Any]) -> None:
        """Take what is special about a kind."""
        given = program.arguments
        if program.kind == "CronJob":
            given["schedule"] = str(spec.pop("schedule", ""))
            for key, argument, usual in (
                ("timeZone", "zone", "Etc/UTC"),
                ("concurrencyPolicy", "concurrency", "Forbid"),
            ):
                default = "Allow" if argument == "concurrency" else usual
                if (value := spec.pop(key, default)) != usual:
                    given[argument] = str(value)
            if spec.pop("suspend", False):
                given["suspended"] = True
            self._of_job(given, mapping(inner(spec, "jobTemplate", "spec")))
            for key in (
                "jobTemplate",
                "successfulJobsHistoryLimit",
                "failedJobsHistoryLimit",
                "startingDeadlineSeconds",
            ):
                spec.pop(key, None)
        elif program.kind == "Job":
            self._of_job(given, spec)
            for key in (
                "backoffLimit",
                "activeDeadlineSeconds",
                "ttlSecondsAfterFinished",
                "completions",
                "parallelism",
            ):
                if spec.get(key) in (1, None) or key in (
                    "backoffLimit",
                    "activeDeadlineSeconds",
                    "ttlSecondsAfterFinished",
                ):
                    spec.pop(key, None)
        elif program.kind == "StatefulSet":
            if spec.pop("podManagementPolicy", "OrderedReady") == "Parallel":
                given["parallel"] = True
            given["_claims"] = mappings(spec.pop("volumeClaimTemplates", None))
            service = str(spec.pop("serviceName", "") or "")
            if service and service != f"{program.id}-nodes":
                spec["serviceName"] = service

    def _of_job(self, given: dict[str, Any], spec: Mapping[str, Any]) -> None:
        if (seconds := spec.get("activeDeadlineSeconds")) is not None:
            given["timeout_seconds"] = seconds
        if (tries := spec.get("backoffLimit", 6)) != 3:
            given["retries"] = tries

    def _set_template(self, rest: dict[str, Any], kind: str, template: dict[str, Any], spec: Mapping[str, Any]) -> None:
        """Put what is left of the pods where a patch changes it."""
        pod = {key: each for key, each in template["spec"].items() if each not in ({}, [], None)}
        left = {"metadata": template["metadata"]} if template.get("metadata") else {}
        left |= {"spec": pod} if pod else {}
        if left:
            if kind == "CronJob":
                rest["jobTemplate"] = {"spec": {"template": left}}
            else:
                rest["template"] = left

    def _replicas(self, manifest: Manifest, program: Program, spec: Mapping[str, Any]) -> None:
        kind, namespace, name = key_of(manifest)
        replicas = spec.get("replicas", 1)
        for each in self.objects if kind == "Deployment" else ():
            target = mapping(inner(each, "spec", "scaleTargetRef"))
            is_its = key_of(each)[:2] == ("HorizontalPodAutoscaler", namespace) and target.get("name") == name
            if is_its and (made := _autoscale(each)):
                program.arguments["replicas"] = made
                self.done.add(id(each))
                if key_of(each)[2] != name:
                    self._moved(each, f"the autoscaler of {name} is called {name}.")
                return
        if kind in ("Deployment", "StatefulSet") and replicas != 1:
            program.arguments["replicas"] = replicas

    # Services.

    def _services(self, namespace: str, labels: Mapping[str, str]) -> list[Manifest]:
        """Return the Services that lead to pods with some labels."""
        found = []
        for each in self.objects:
            selector = texts(inner(each, "spec", "selector"))
            same = each["kind"] == "Service" and key_of(each)[1] == namespace
            if same and selector and selector.items() <= labels.items():
                found.append(each)
        return found

    def _take_services(self, program: Program, services: Sequence[Manifest], names: Mapping[int | str, str]) -> None:
        """Declare the Service with the name of a program, and its load balancer; the others stay as YAML."""
        by_number = program.ports
        for each in services:
            name = key_of(each)[2]
            spec = dict(mapping(each.get("spec")))
            program.hosts[name] = dict(_endpoints(spec, names))
            if name == program.id and by_number:
                self.done.add(id(each))
                left = {key: value for key, value in spec.items() if key not in ("selector", "ports")}
                if spec.get("clusterIP") not in (None, "None"):
                    left.pop("clusterIP", None)
                left.pop("clusterIPs", None)
                for key, value in _USUAL_OF_SERVICES.items():
                    if left.get(key) == value:
                        del left[key]
                if left.get("type") == "LoadBalancer" and not any(
                    "nodePort" in one for one in mappings(spec.get("ports"))
                ):
                    program.arguments["exposed"] = _all([*by_number])
                    del left["type"]
                patch: Manifest = {"spec": left} if left else {}
                if metadata := _metadata(each):
                    patch["metadata"] = metadata
                program.rest["Service", name] = patch
            elif name == f"{program.id}-external" and spec.get("type") == "LoadBalancer":
                if balancer := _load_balancer(each, program):
                    self.done.add(id(each))
                    program.arguments["exposed"] = balancer
            elif name == f"{program.id}-nodes" and program.kind == "StatefulSet":
                self.done.add(id(each))

    # Everything else.

    def _account(self, program: Program, namespace: str, pod: dict[str, Any]) -> None:
        """Let the library make the account, unless somebody gave rights to the one that there is."""
        name = str(pod.pop("serviceAccountName", "") or pod.pop("serviceAccount", "") or "default")
        pod.pop("serviceAccount", None)
        given = [each for each in self.objects if _is_about(each, name, namespace)]
        account = self.lookups.objects.get(("ServiceAccount", namespace, name))
        if not given and not (account and _metadata(account)):
            if account and id(account) not in self.done:
                self.done.add(id(account))
                if name != program.id:
                    self._moved(account, f"each program has an account of its own, in the place of {name}.")
            return
        if rules := self._rules(given, namespace, name):
            program.arguments["rbac"] = rules
            if account and name != program.id:
                self._moved(account, f"each program has an account of its own, in the place of {name}.")
            elif account:
                self.done.add(id(account))
            for each in given:
                self.done.add(id(each))
                role = self.lookups.objects[("Role", namespace, str(inner(each, "roleRef", "name")))]
                self.done.add(id(role))
                self._moved(each, f"what {program.id} may do in the Kubernetes API is in its rbac.")
                self._moved(role, f"what {program.id} may do in the Kubernetes API is in its rbac.")
            return
        if account and name == program.id:
            self.done.add(id(account))
            program.rest["ServiceAccount", name] = {"metadata": _metadata(account)}
        if name != program.id:
            pod["serviceAccountName"] = name
        pod["automountServiceAccountToken"] = True
        text = f"{program.id} calls the Kubernetes API as {name}, and policies do not let it: give it rbac=[Rule(…)]."
        self.imported.note(LEFT_OUT, text)

    def _rules(self, bindings: Sequence[Manifest], namespace: str, account: str) -> list[Call]:
        """Return what Roles permit one account; nothing if no argument says it."""
        found: list[Call] = []
        for each in bindings:
            role = self.lookups.objects.get(("Role", namespace, str(inner(each, "roleRef", "name"))))
            if each["kind"] != "RoleBinding" or inner(each, "roleRef", "kind") != "Role" or role is None:
                return []
            if len(mappings(each.get("subjects"))) != 1:
                return []
            for rule in mappings(role.get("rules")):
                groups = [str(one) for one in sequence(rule.get("apiGroups"))]
                resources, verbs = ([str(one) for one in sequence(rule.get(key))] for key in ("resources", "verbs"))
                if rule.get("resourceNames") or not resources or "*" in "".join((*groups, *resources, *verbs)):
                    return []
                for group in groups:
                    found.append(Call("Rule", (resources, verbs), {"api_group": group} if group else {}))
        return found

    def _rest(self, manifest: Manifest) -> None:
        kind, namespace, name = key_of(manifest)
        key = (kind, namespace, name)
        if kind == "Namespace" and name not in _TAKEN:
            self.imported.group(name)
            self._moved(manifest, f"the Namespace {name} is made with its component.")
            return
        if namespace in _TAKEN or (kind == "Namespace" and name in _TAKEN):
            self.imported.note(LEFT_OUT, f"{kind}/{name}: the namespace {namespace or name} has another owner.")
            return
        if str(inner(manifest, "metadata", "annotations", "helm.sh/hook")).startswith("test"):
            self.imported.note(LEFT_OUT, f"{kind}/{name}: it is a test of the chart.")
            return
        group = self.imported.group(namespace) if namespace else self._first_group()
        if kind == "Secret":
            keys = ", ".join(sorted({*mapping(manifest.get("data")), *mapping(manifest.get("stringData"))}))
            if key in self.lookups.used and key not in self.lookups.kept:
                self._moved(manifest, f"values of the Secret {name} ({keys}) are in the store of secrets.")
            else:
                self.imported.note(LEFT_OUT, f"Secret/{name}: a value of a secret is kept out of Git; it had {keys}.")
            return
        if key in self.lookups.used and key not in self.lookups.kept and kind == "ConfigMap":
            self._moved(manifest, f"what the ConfigMap {name} holds is told to each program that reads it.")
            return
        if key in self.lookups.used and kind == "PersistentVolumeClaim":
            return
        if kind == "PodDisruptionBudget":
            labels = texts(inner(manifest, "spec", "selector", "matchLabels"))
            if any(labels.items() <= texts(each.arguments.get("selector")).items() for each in self.imported.programs):
                self._moved(
                    manifest, f"{name}: the library gives each program a PodDisruptionBudget, for one pod at a time."
                )
                return
        if kind == "ServiceAccount" and key not in self.lookups.kept and not _metadata(manifest):
            used = any(_is_about(each, name, namespace) for each in self.objects)
            if not used:
                self._moved(manifest, f"each program has an account of its own, in the place of {name}.")
                return
        self._include(group, manifest, _WHY.get(kind, "no construct declares it"))

    def _first_group(self) -> Group:
        return next(iter(self.imported.groups.values()), None) or self.imported.group(self.imported.name)

    def _include(self, group: Group, manifest: Manifest, reason: str) -> None:
        self.done.add(id(manifest))
        if any(map(holds_secret_text, texts_in(manifest))):
            name = f"{manifest['kind']}/{key_of(manifest)[2]}"
            return self.imported.note(LEFT_OUT, f"{name}: it holds a secret, which is kept out of Git.")
        found = copy.deepcopy(manifest)
        if found["metadata"].get("namespace") == group.namespace:
            del found["metadata"]["namespace"]
        group.included.append(found)
        if pods := pods_of(Object(manifest, "", "")):
            group.pod_security = merged_level(group.pod_security, level_of_pods(pods.spec))
        self.imported.note(INCLUDED, f"{manifest['kind']}/{key_of(manifest)[2]}: {reason}.")

    def _moved(self, manifest: Manifest, text: str) -> None:
        self.done.add(id(manifest))
        kind, namespace, name = key_of(manifest)
        self.imported.moved.add((kind, namespace, name))
        if kind not in ("Namespace",):
            self.imported.note(TAKEN_UP, text)


_WHY = {
    "Ingress": "its controller is not known; declare an Ingress with it in its place",
    "HTTPRoute": "its Gateway is not known; declare an HttpRoute with it, so that policies let it in",
    "Service": "it is a further name for pods; a program has one Service with its own name",
    "NetworkPolicy": "policies follow from the edges; what this one opens is open beside them",
    "ConfigMap": "a pod mounts it in a way that no argument says, or nothing reads it",
    "PersistentVolumeClaim": "several programs share it, or none mounts it",
    "HorizontalPodAutoscaler": "it scales by more than the CPU",
}


def _endpoints(spec: Mapping[str, Any], names: Mapping[int | str, str]) -> Iterator[tuple[int, str]]:
    """Yield the numbers of a Service with the names of the ports of the program behind them."""
    for port in mappings(spec.get("ports")):
        name = names.get(port.get("targetPort", port.get("port")) or "")
        if name and isinstance(port.get("port"), int):
            yield port["port"], name


def _metadata(manifest: Manifest) -> dict[str, Any]:
    """Return the annotations of an object that say more than what tool applied it."""
    tools = ("helm.sh/", "meta.helm.sh/", "kubectl.kubernetes.io/", "deployment.kubernetes.io/", WAVE)
    kept = {
        key: value
        for key, value in texts(inner(manifest, "metadata", "annotations")).items()
        if not key.startswith(tools)
    }
    return {"annotations": kept} if kept else {}


def _all(names: list[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else names


def _load_balancer(service: Manifest, program: Program) -> Call | None:
    spec = mapping(service.get("spec"))
    known = program.hosts[key_of(service)[2]]
    if len(known) != len(mappings(spec.get("ports"))) or any(
        "nodePort" in each for each in mappings(spec.get("ports"))
    ):
        return None
    named: dict[str, Any] = {"annotations": each} if (each := texts(inner(service, "metadata", "annotations"))) else {}
    if spec.get("externalTrafficPolicy") == "Local":
        named["keeps_client_address"] = True
    ranges = [str(each) for each in sequence(spec.get("loadBalancerSourceRanges"))]
    return Call(
        "LoadBalancer", ({name: number for number, name in known.items()}, *((ranges,) if ranges else ())), named
    )


def _autoscale(manifest: Manifest) -> Call | None:
    spec = mapping(manifest.get("spec"))
    cpu = spec.get("targetCPUUtilizationPercentage")
    metrics = mappings(spec.get("metrics"))
    if metrics:
        resource = mapping(metrics[0].get("resource"))
        if len(metrics) > 1 or resource.get("name") != "cpu":
            return None
        cpu = inner(resource, "target", "averageUtilization")
    if not isinstance(cpu, int) or not 1 <= cpu <= 100 or spec.get("behavior"):
        return None
    return call("Autoscale", spec.get("minReplicas", 1), spec.get("maxReplicas"), cpu=cpu if cpu != 75 else None)


def _is_about(binding: Manifest, account: str, namespace: str) -> bool:
    """Tell whether a binding gives rights to an account."""
    if binding["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
        return False
    return any(
        each.get("kind") == "ServiceAccount"
        and each.get("name") == account
        and (each.get("namespace") or key_of(binding)[1]) in (namespace, "default")
        for each in mappings(binding.get("subjects"))
    )

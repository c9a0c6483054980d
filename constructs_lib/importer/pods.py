"""Arguments of a program from the pods of a manifest. What they say is taken out of it; what is left is for patches."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from constructs_lib.declare import validation
from constructs_lib.declare.component import PodSecurity
from constructs_lib.importer import values
from constructs_lib.importer.code import Call, call
from constructs_lib.importer.lookups import Lookups, main_container
from constructs_lib.importer.model import GUESSED, LEFT_OUT, Group, Imported, Program, merged_level
from constructs_lib.importer.mounts import read_volumes
from constructs_lib.kubernetes.manifest import mapping, mappings, sequence, texts
from constructs_lib.kubernetes.workloads import references

#: Annotations and labels of tools that rendered the manifests, and of nothing that runs.
_OF_TOOLS = ("helm.sh/", "kubectl.kubernetes.io/", "meta.helm.sh/", "checksum/")
_LABELS_OF_TOOLS = (
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "app.kubernetes.io/part-of",
    "heritage",
)
#: Fields of a pod that say what Kubernetes, or the library, does anyway.
_USUAL = {
    "restartPolicy": "Always",
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
    "enableServiceLinks": False,
    "automountServiceAccountToken": False,
    "hostNetwork": False,
    "shareProcessNamespace": False,
}
_USUAL_OF_CONTAINERS = {
    "imagePullPolicy": "IfNotPresent",
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
#: Names of containers that the library has for its own.
_TAKEN = ("wait", "telemetry")
_TIMINGS = (
    ("delay_seconds", "initialDelaySeconds", 0),
    ("period_seconds", "periodSeconds", 10),
    ("timeout_seconds", "timeoutSeconds", 1),
    ("failures", "failureThreshold", 3),
)


@dataclass
class PodReader:
    """Reads the pods of one workload.

    Attributes:
        template: The template of the pods, which is taken apart.
        runs_on: Whether the program keeps running, so that it has ports and probes.
        ports: The names of its ports, by their number and by the name that they have in the manifest.
        hidden: Variables in the place of secrets in the command that was read last.
    """

    imported: Imported
    lookups: Lookups
    group: Group
    program: Program
    template: dict[str, Any]
    runs_on: bool = True
    ports: dict[int | str, str] = field(default_factory=dict)
    hidden: dict[str, Any] = field(default_factory=dict)

    def read(self, selector: Mapping[str, str]) -> None:
        """Give the program what its pods say."""
        pod, given = self.template["spec"], self.program.arguments
        main = main_container(pod, self.program.id)
        given["image"] = values.image(self.imported, self.program.id, str(main.pop("image", "")))
        given |= self._words(main)
        if env := self._env(main):
            given["env"] = env
        given |= self._probes(main) if self.runs_on else {}
        given |= self._resources(main)
        self._labels(selector)
        self._security(pod, main)
        self._placement(pod)
        self._ending(pod)
        read_volumes(self.imported, self.lookups, self.group, self.program, pod, main)
        self._others(pod, env)
        self._drop(pod, _USUAL)
        self._drop(main, _USUAL_OF_CONTAINERS)
        pod["containers"] = [each for each in pod["containers"] if each]
        main_left = {key: each for key, each in main.items() if key != "name"}
        if main_left:
            main["name"] = self.program.id
        else:
            pod["containers"] = [each for each in pod["containers"] if each is not main]

    def _words(self, container: dict[str, Any], name: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key in ("command", "args"):
            if words := sequence(container.pop(key, None)):
                owner = name or self.program.id
                found[key] = [self._word(owner, str(each)) for each in words]
        return found

    def _word(self, owner: str, text: str) -> Any:
        """Return a word of a command; one with a secret is a variable there."""
        if not values.holds_secret_text(text):
            return values.word(self.imported, owner, text)
        name = f"ARGUMENT_{len(self.hidden) + 1}"
        self.hidden[name] = values.secret(self.imported, owner, name)
        return f"$({name})"

    def _env(self, container: dict[str, Any]) -> dict[str, Any]:
        found, self.hidden = self.hidden, {}
        left = []
        for source in mappings(container.pop("envFrom", None)):
            taken = self._all_of(source)
            if taken is None:
                left.append(dict(source))
            else:
                found |= taken
        if left:
            container["envFrom"] = left
        rest = []
        entries = mappings(container.pop("env", None))
        for entry in entries:
            name, value = str(entry.get("name")), self._value(entry, {str(each.get("name")) for each in entries})
            if value is None or validation.environment_variable(name):
                found.pop(name, None)
                rest.append(dict(entry))
            else:
                found[name] = value
        if rest:
            container["env"] = rest
        return found

    def _all_of(self, source: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return all entries of a ConfigMap or a Secret as variables; None if there is none in the source."""
        prefix, namespace = str(source.get("prefix") or ""), self.group.namespace
        config = str(mapping(source.get("configMapRef")).get("name") or "")
        secret = str(mapping(source.get("secretRef")).get("name") or "")
        if config and (data := self.lookups.config_map(namespace, config)) is not None:
            return {
                f"{prefix}{key}": values.variable(self.imported, self.program.id, f"{prefix}{key}", text)
                for key, text in data.items()
            }
        if secret and (keys := self.lookups.secret_keys(namespace, secret)) is not None:
            return {f"{prefix}{key}": values.secret(self.imported, self.program.id, f"{prefix}{key}") for key in keys}
        return None

    def _value(self, entry: Mapping[str, Any], beside: Set[str]) -> object | None:
        """Return the value of a variable, which stands beside others; None if no argument says it."""
        name, source = str(entry.get("name")), mapping(entry.get("valueFrom"))
        if not source:
            text = str(entry.get("value") or "")
            # Of variables that nobody declares, and of escapes, the library makes something else.
            is_odd = "$$" in text or not {*references(text)} <= beside
            is_secret = values.holds_secret_text(text) or validation.plain_secret(name, text)
            return None if is_odd and not is_secret else values.variable(self.imported, self.program.id, name, text)
        if path := mapping(source.get("fieldRef")).get("fieldPath"):
            return call("field", str(path))
        if secret := mapping(source.get("secretKeyRef")):
            self.lookups.secret_keys(self.group.namespace, str(secret.get("name")))
            return None if secret.get("optional") else values.secret(self.imported, self.program.id, name)
        if config := mapping(source.get("configMapKeyRef")):
            data = self.lookups.config_map(self.group.namespace, str(config.get("name"))) or {}
            text = data.get(str(config.get("key")), "")
            return (
                values.variable(self.imported, self.program.id, name, text) if str(config.get("key")) in data else None
            )
        return None

    def _probes(self, container: dict[str, Any], named: Mapping[int | str, str] | None = None) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for argument in ("readiness", "liveness", "startup"):
            probe = mapping(container.get(f"{argument}Probe"))
            if made := self.probe(probe, self.ports if named is None else named):
                found[argument] = made
                del container[f"{argument}Probe"]
        if "startup" in found:
            timings = found["startup"].named
            seconds = timings.get("period_seconds", 10) * timings.get("failures", 3)
            found |= {"start_seconds": seconds} if seconds > 180 else {}
        return found

    def probe(self, probe: Mapping[str, Any], ports: Mapping[int | str, str]) -> Call | None:
        """Return a probe; None if there is none, or no argument says it."""
        if not probe or probe.get("successThreshold", 1) != 1 or "terminationGracePeriodSeconds" in probe:
            return None
        timings = {name: probe.get(key, default) for name, key, default in _TIMINGS if probe.get(key, default) != 0}
        how = next((each for each in ("httpGet", "grpc", "tcpSocket", "exec") if each in probe), "")
        asked = mapping(probe.get(how))
        if how == "exec":
            command = [
                values.word(self.imported, self.program.id, str(each)) for each in sequence(asked.get("command"))
            ]
            return Call("Exec", (command,), timings)
        port = ports.get(asked.get("port") or "")
        if port is None or asked.get("host"):
            return None
        if how == "httpGet":
            headers = {str(each.get("name")): str(each.get("value")) for each in mappings(asked.get("httpHeaders"))}
            more = {"scheme": "HTTPS"} if asked.get("scheme") == "HTTPS" else {}
            arguments = (str(asked.get("path") or "/"), port, *((headers,) if headers else ()))
            return Call("Http", arguments, {**more, **timings})
        if how == "grpc":
            return Call("Grpc", (port, *((str(asked["service"]),) if asked.get("service") else ())), timings)
        return Call("Tcp", (port,), timings) if how == "tcpSocket" else None

    def _resources(self, container: dict[str, Any], owner: str = "") -> dict[str, Any]:
        said = mapping(container.get("resources"))
        known = ("cpu", "memory")
        parts = [dict(mapping(said.get(part))) for part in ("requests", "limits")]
        if any(key not in known and "/" not in key for part in parts for key in part):
            left = {
                part: {k: v for k, v in mapping(said.get(part)).items() if k not in known}
                for part in ("requests", "limits")
            }
            container["resources"] = {part: each for part, each in left.items() if each}
        else:
            container.pop("resources", None)
        requests, limits = ({k: v for k, v in part.items() if k in known or "/" in k} for part in parts)
        found = values.resources(self.imported, owner or self.program.id, requests, limits)
        return {"resources": found} if found else {}

    def _labels(self, selector: Mapping[str, str]) -> None:
        metadata = self.template.get("metadata") or {}
        labels, annotations = texts(metadata.get("labels")), texts(metadata.get("annotations"))
        own: dict[str, str] = {}
        left: dict[str, str] = {}
        for key, value in labels.items():
            if key in selector or key.startswith(_OF_TOOLS) or key in _LABELS_OF_TOOLS:
                continue
            (left if key.startswith("app.kubernetes.io/") else own)[key] = value
        if left.get("app.kubernetes.io/name") == self.program.id:
            del left["app.kubernetes.io/name"]
        kept = {key: value for key, value in annotations.items() if not key.startswith(_OF_TOOLS)}
        self.program.arguments |= {"labels": own} if own else {}
        self.program.arguments |= {"annotations": kept} if kept else {}
        self.template["metadata"] = {"labels": left} if left else {}

    def _security(self, pod: dict[str, Any], main: dict[str, Any]) -> None:
        """Take the user, and leave out what the library says anyway; what is laxer stays for a patch."""
        of_pod = dict(mapping(pod.pop("securityContext", None)))
        user = mapping(main.get("securityContext")).get("runAsUser", of_pod.get("runAsUser"))
        if isinstance(user, int) and user > 0:
            self.program.arguments["user"] = user
        elif user is None:
            self.imported.note(GUESSED, f"{self.program.id}: it runs as the user 10001, of which nothing is said.")
        group = user if user else 10001
        usual = {"runAsUser": user, "runAsGroup": group, "fsGroup": group, "runAsNonRoot": True}
        usual |= {"fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}}
        self._drop(of_pod, {key: each for key, each in usual.items() if user != 0 or key != "runAsUser"})
        if user == 0:
            of_pod |= {"runAsUser": 0, "runAsNonRoot": False}
        if of_pod:
            pod["securityContext"] = of_pod
        for each in (*pod["containers"], *mappings(pod.get("initContainers"))):
            of_container = dict(mapping(each.pop("securityContext", None)))
            self._level(of_container, root=user == 0)
            if of_container.get("runAsUser") == user and user:
                del of_container["runAsUser"]
            if capabilities := dict(mapping(of_container.get("capabilities"))):
                if [str(one).upper() for one in sequence(capabilities.get("drop"))] == ["ALL"]:
                    del capabilities["drop"]
                of_container["capabilities"] = capabilities
                self._drop(of_container, {"capabilities": {}})
            known: dict[str, Any] = {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "privileged": False,
            }
            known |= {"runAsNonRoot": True, "runAsGroup": group, "seccompProfile": {"type": "RuntimeDefault"}}
            self._drop(of_container, known)
            if of_container.get("privileged"):
                # The API server refuses the one without the other.
                of_container["allowPrivilegeEscalation"] = True
            if of_container:
                each["securityContext"] = of_container
        if any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            self.group.pod_security = "privileged"

    def _level(self, security: Mapping[str, Any], *, root: bool) -> None:
        """Have the namespace permit what a container needs."""
        is_lax = root or security.get("runAsUser") == 0 or security.get("allowPrivilegeEscalation")
        added = map(str, sequence(mapping(security.get("capabilities")).get("add")))
        levels: list[PodSecurity] = ["baseline" if is_lax else "restricted", values.level_of(added)]
        if security.get("privileged"):
            levels.append("privileged")
        for level in levels:
            self.group.pod_security = merged_level(self.group.pod_security, level)

    def _placement(self, pod: dict[str, Any]) -> None:
        nodes, tolerations = texts(pod.pop("nodeSelector", None)), mappings(pod.pop("tolerations", None))
        found: dict[str, Any] = {"nodes": nodes} if nodes else {}
        if tolerations:
            found["tolerations"] = [
                Call(
                    "Toleration",
                    tuple(str(each[key]) for key in ("key", "value", "effect") if each.get(key))
                    if all(each.get(key) for key in ("key", "value"))
                    else (str(each.get("key") or ""),),
                    {
                        **({"effect": each["effect"]} if each.get("effect") and not each.get("value") else {}),
                        **({"seconds": each["tolerationSeconds"]} if "tolerationSeconds" in each else {}),
                    },
                )
                for each in tolerations
            ]
        if priority := pod.pop("priorityClassName", None):
            found["priority"] = str(priority)
        if found:
            self.program.arguments["placement"] = Call("Placement", (), found)
        if pod.pop("imagePullSecrets", None):
            self.program.arguments["pull_secret"] = values.secret(
                self.imported, self.program.id, "login for the images"
            )

    def _ending(self, pod: dict[str, Any]) -> None:
        seconds = pod.pop("terminationGracePeriodSeconds", 30)
        if self.runs_on and seconds != 30 and isinstance(seconds, int) and 1 <= seconds <= 3600:
            self.program.arguments["drain_seconds"] = seconds

    def _others(self, pod: dict[str, Any], variables: Mapping[str, Any]) -> None:
        """Take init containers and sidecars."""
        for argument, field_ in (("init_containers", "initContainers"), ("sidecars", "containers")):
            found = []
            for each in [*mappings(pod.get(field_))]:
                if "image" in each:
                    found.append((each, self._container(dict(each), variables, runs_on=field_ == "containers")))
            sidecars = [made for each, made in found if argument == "sidecars" or each.get("restartPolicy") == "Always"]
            before = [made for each, made in found if argument != "sidecars" and each.get("restartPolicy") != "Always"]
            if sidecars:
                self.program.arguments["sidecars"] = [*self.program.arguments.get("sidecars", ()), *sidecars]
            if before:
                self.program.arguments["init_containers"] = before
            taken = [each for each, _ in found]
            if field_ in pod:
                pod[field_] = [each for each in pod[field_] if not any(each is one for one in taken)]
                if not pod[field_] and field_ == "initContainers":
                    del pod[field_]

    def _container(self, each: dict[str, Any], variables: Mapping[str, Any], *, runs_on: bool) -> Call:
        name, image = str(each.pop("name")), str(each.pop("image"))
        if name in _TAKEN:
            self.imported.note(GUESSED, f"{self.program.id}: the container {name} is called {name}-first.")
            name = f"{name}-first"
        found: dict[str, Any] = {"name": name, "image": values.image(self.imported, self.program.id, image)}
        found |= self._words(each, name)
        own = self._env(each)
        if own and all(variables.get(key) == value for key, value in own.items()):
            found["with_variables"] = True if len(own) == len(variables) else [*own]
        elif own:
            found["env"] = own
        found |= self._resources(each, f"{self.program.id}, {name}")
        if runs_on:
            found |= {key: value for key, value in self._probes(each).items() if key != "start_seconds"}
        mounts = [str(one.get("mountPath")) for one in mappings(each.pop("volumeMounts", None))]
        known = {*self.program.arguments.get("volumes", {})}
        known |= {path.rpartition("/")[0] for path in self.program.arguments.get("files", {})}
        shared = [path for path in mounts if path in known]
        if lost := sorted({*mounts} - {*shared, "/tmp"}):
            self.imported.note(LEFT_OUT, f"{self.program.id}, {name}: what is mounted at {', '.join(lost)}.")
        if shared:
            found["mounts"] = shared
        self._drop(each, {**_USUAL_OF_CONTAINERS, "restartPolicy": "Always"})
        if lost := sorted(key for key in each if key not in ("ports", "securityContext")):
            self.imported.note(LEFT_OUT, f"{self.program.id}, {name}: {', '.join(lost)}.")
        return Call("Container", (), found)

    def _drop(self, fields: dict[str, Any], usual: Mapping[str, Any]) -> None:
        """Take away what says what is so anyway."""
        for key, value in usual.items():
            if key in fields and fields[key] == value:
                del fields[key]


def level_of_pods(spec: Mapping[str, Any]) -> PodSecurity:
    """Return the Pod Security level that permits pods as they are."""
    said = [
        mapping(each.get("securityContext"))
        for key in ("containers", "initContainers")
        for each in mappings(spec.get(key))
    ]
    volumes = mappings(spec.get("volumes"))
    shares = any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
    if shares or any("hostPath" in each for each in volumes) or any(each.get("privileged") for each in said):
        return "privileged"
    of_pod = mapping(spec.get("securityContext"))
    is_restricted = all(
        each.get("allowPrivilegeEscalation") is False
        and each.get("runAsNonRoot", of_pod.get("runAsNonRoot")) is True
        and (each.get("seccompProfile") or of_pod.get("seccompProfile"))
        and mapping(each.get("capabilities")).get("drop") == ["ALL"]
        for each in said
    )
    return "restricted" if is_restricted else "baseline"

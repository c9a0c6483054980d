"""Proof that pods keep to the Pod Security Standard of their namespace, and that namespaces with pods enforce one.

https://kubernetes.io/docs/concepts/security/pod-security-standards/, and the checks themselves in
https://github.com/kubernetes/kubernetes/tree/master/staging/src/k8s.io/pod-security-admission/policy.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes.manifest import entries, inner, mapping, sequence, texts
from constructs_lib.kubernetes.platform import ENFORCE
from constructs_lib.text import nearest, sentence

#: The levels, the loosest first.
LEVELS = ("privileged", "baseline", "restricted")

_CAPABILITIES = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"),
        *("NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)
_SYSCTLS = frozenset(
    {
        *("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports"),
        *("net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout"),
        *("net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time"),
        *("net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem"),
    }
)
_SELINUX_TYPES = ("container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_VOLUMES = frozenset(
    {
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"),
        *("image", "persistentVolumeClaim", "projected", "secret"),
    }
)
_MISSING = "pod-security-level-missing"
#: The controls that keep a pod from taking over its node.
_RIGHTS = ("hostProcess", "host namespaces", "privileged", "capabilities", "hostPath volumes")
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


@dataclass(frozen=True)
class Violation:
    """A field that a level does not allow; a pod gets one finding for each control, however often it violates it."""

    control: str
    at: str
    text: str
    fix: str


@dataclass(frozen=True)
class _Rule:
    """A field of the security contexts of a pod and its containers, the values that it may not have, and the texts.

    Attributes:
        is_wrong: Tells whether a value, which is None for no value, is not allowed.
        text: What is wrong, with ``{}`` for the value.
    """

    control: str
    field: str
    is_wrong: Callable[[Any], bool]
    text: str
    fix: str


def _is_true(value: object) -> bool:
    return value is True


def _is_unconfined(value: object) -> bool:
    return value == "Unconfined"


_RULES = (
    _Rule("hostProcess", "windowsOptions.hostProcess", _is_true, "it is a host process", "Take it away."),
    _Rule("privileged", "privileged", _is_true, "it is privileged", "Take privileged away."),
    _Rule(
        *("AppArmor", "appArmorProfile.type", _is_unconfined),
        *("AppArmor does not confine it", "RuntimeDefault is the default."),
    ),
    _Rule(
        *("SELinux", "seLinuxOptions.type", lambda value: value not in (None, "", *_SELINUX_TYPES)),
        *("its SELinux type is {}", f"One of {', '.join(_SELINUX_TYPES)}."),
    ),
    _Rule("SELinux", "seLinuxOptions.user", bool, "it sets an SELinux user", "Take it away."),
    _Rule("SELinux", "seLinuxOptions.role", bool, "it sets an SELinux role", "Take it away."),
    _Rule(
        *("/proc mount type", "procMount", lambda value: value not in (None, "Default")),
        *("it sees all of /proc", "Take procMount away."),
    ),
    _Rule("seccomp", "seccompProfile.type", _is_unconfined, "seccomp does not confine it", "RuntimeDefault."),
)


def violations(pods: Pods, level: str) -> Iterator[Violation]:
    """Yield what one of the :data:`LEVELS` does not allow in pods; nothing for ``privileged``."""
    if level in ("baseline", "restricted"):
        yield from _baseline(pods)
    if level == "restricted":
        yield from _restricted(pods)


def _context(part: Any) -> Mapping[str, Any]:
    return mapping(part.get("securityContext"))


def _contexts(pods: Pods) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the security contexts of the pod and of all its containers, with their paths."""
    yield f"{pods.path}.securityContext", _context(pods.spec)
    for container in pods.containers:
        yield f"{container.path}.securityContext", _context(container)


def _added(context: Mapping[str, Any]) -> set[str]:
    return set(map(str, sequence(inner(context, "capabilities", "add"))))


def _baseline(pods: Pods) -> Iterator[Violation]:
    for at, context in _contexts(pods):
        for rule in _RULES:
            value = inner(context, *rule.field.split("."))
            if rule.is_wrong(value):
                yield Violation(rule.control, f"{at}.{rule.field}", rule.text.format(value), rule.fix)
        if added := sorted(_added(context) - _CAPABILITIES):
            yield Violation("capabilities", f"{at}.capabilities.add", f"it adds {', '.join(added)}", "Take them away.")
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pods.spec.get(field) is True:
            yield Violation("host namespaces", f"{pods.path}.{field}", f"it uses {field}", f"Take {field} away.")
    for at, volume in pods.volumes:
        if volume.get("hostPath") is not None:
            text = f"the volume {volume.get('name')} is a path of the node"
            yield Violation("hostPath volumes", f"{at}.hostPath", text, "Use another volume.")
    for container in pods.containers:
        for at, port in entries(container.get("ports"), f"{container.path}.ports"):
            if port.get("hostPort"):
                text = f"it takes the port {port['hostPort']} of the node"
                yield Violation("hostPort", f"{at}.hostPort", text, "Take hostPort away.")
        for field, handler in container.handlers:
            for kind in ("httpGet", "tcpSocket"):
                if inner(handler, kind, "host"):
                    text = "a probe or hook calls another host"
                    yield Violation("probe host", f"{container.path}.{field}.{kind}.host", text, "Take host away.")
    owner = pods.owner
    metadata = owner.metadata if owner.kind == "Pod" else inner(owner.spec, "template", "metadata")
    for key, value in texts(inner(metadata, "annotations")).items():
        if key.startswith(_APPARMOR) and value != "runtime/default" and not value.startswith("localhost/"):
            yield Violation("AppArmor", pods.path, f"AppArmor does not confine it ({key})", "Take it away.")
    for at, sysctl in entries(_context(pods.spec).get("sysctls"), f"{pods.path}.securityContext.sysctls"):
        if sysctl.get("name") not in _SYSCTLS:
            yield Violation("sysctls", f"{at}.name", f"it sets {sysctl.get('name')}", "Take it away.")


def _restricted(pods: Pods) -> Iterator[Violation]:
    for at, volume in pods.volumes:
        # A path of the node has a control of its own.
        others = sorted(volume.keys() - _VOLUMES - {"name", "hostPath"})
        if others and not volume.keys() & _VOLUMES:
            text = f"the volume {volume.get('name')} is a {others[0]}"
            yield Violation("volume types", at, text, "Claim it with a PersistentVolumeClaim.")
    if pods.spec.get("hostUsers") is not False:
        # Root of a user namespace has no rights outside of it (KEP-127).
        yield from _root(pods)
    if inner(pods.spec, "os", "name") == "windows":
        return
    common = inner(_context(pods.spec), "seccompProfile", "type")
    for container in pods.containers:
        at, context = f"{container.path}.securityContext", _context(container)
        if context.get("allowPrivilegeEscalation") is not False:
            field = f"{at}.allowPrivilegeEscalation"
            yield Violation("privilege escalation", field, "it may gain privileges", "Set it to false.")
        if inner(context, "seccompProfile", "type") is None and common is None:
            fix = "Give {type: RuntimeDefault}."
            yield Violation("seccomp", f"{at}.seccompProfile", "it has no seccomp profile", fix)
        if "ALL" not in sequence(inner(context, "capabilities", "drop")):
            yield Violation("capabilities", f"{at}.capabilities.drop", "it keeps capabilities", "Drop ALL.")
        if added := sorted(_added(context) & _CAPABILITIES - {"NET_BIND_SERVICE"}):
            yield Violation("capabilities", f"{at}.capabilities.add", f"it adds {', '.join(added)}", "Take them away.")


def _root(pods: Pods) -> Iterator[Violation]:
    common = _context(pods.spec).get("runAsNonRoot")
    wrong = [f"{pods.path}.securityContext"] if common is False else []
    for container in pods.containers:
        own = _context(container).get("runAsNonRoot")
        if own is False or (own is None and common is not True):
            wrong.append(f"{container.path}.securityContext")
    for at in wrong:
        yield Violation("running as root", f"{at}.runAsNonRoot", "it may run as root", "Set it to true.")
    for at, context in _contexts(pods):
        if context.get("runAsUser") == 0 and context["runAsUser"] is not False:
            yield Violation("user 0", f"{at}.runAsUser", "it runs as root", "Give another number.")


def enforced_levels(model: ClusterModel) -> Mapping[str, str]:
    """Return the levels that namespaces enforce; one that Argo CD creates gets its labels from the Application."""
    path = ("syncPolicy", "managedNamespaceMetadata", "labels")
    managed = {
        application.namespace: texts(inner(application.item.spec, *path))
        for application in model.applications
        if application.item and application.creates_namespace
    }
    labels = {**managed, **{name: {**managed.get(name, {}), **own} for name, own in model.namespaces.items()}}
    return {name: own[ENFORCE] for name, own in labels.items() if ENFORCE in own}


def level_findings(model: ClusterModel, levels: Mapping[str, str]) -> Iterator[Finding]:
    """Yield namespaces that enforce no level, or one that does not exist."""
    for item in model.kind("Namespace"):
        level, at = item.labels.get(ENFORCE), f"metadata.labels.{ENFORCE}"
        if level is None and item.name in model.pods_by_namespace:
            yield Finding.of(_MISSING, item, "It has pods, and enforces no Pod Security level.", at=at)
        elif level is not None and level not in LEVELS:
            problem, fix = f'"{level}" is no level.', sentence(nearest(level, LEVELS))
            yield Finding.of("pod-security-level-unknown", item, problem, at=at, fix=fix)
    created = model.pods_by_namespace.keys() - model.names("Namespace") - levels.keys()
    for application in model.applications:
        if application.item and application.creates_namespace and application.namespace in created:
            problem = f"The namespace {application.namespace} that it creates enforces no Pod Security level."
            at = "spec.syncPolicy.managedNamespaceMetadata.labels"
            yield Finding.of(_MISSING, application.item, problem, at=at)


def violation_findings(pods: Pods, level: str) -> Iterator[Finding]:
    """Yield what the level of their namespace does not allow in pods, one finding for each control."""
    first: dict[str, Violation] = {}
    for violation in violations(pods, level):
        first.setdefault(violation.control, violation)
    for violation in first.values():
        problem = f"The namespace {pods.namespace} enforces {level}, and {violation.text}."
        yield Finding.of("pod-security-violated", pods.owner, problem, at=violation.at, fix=violation.fix)


def privilege_findings(pods: Pods, level: str) -> Iterator[Finding]:
    """Yield a finding if pods have rights over their node, in a namespace that does not forbid it.

    A namespace that enforces the level privileged asks for such pods.
    """
    rights = [violation for violation in violations(pods, "baseline") if violation.control in _RIGHTS]
    rights.sort(key=lambda violation: _RIGHTS.index(violation.control))
    rights += [violation for violation in violations(pods, "restricted") if violation.control == "user 0"]
    if rights:
        texts = [*dict.fromkeys(violation.text for violation in rights)]
        more = f"; and so on, {len(texts)} in all" if len(texts) > 3 else ""
        problem = f"Of a pod it is true that {'; '.join(texts[:3])}{more}."
        found = Finding.of("privileged-pods", pods.owner, problem, at=rights[0].at)
        yield found.as_warning() if level == "privileged" else found

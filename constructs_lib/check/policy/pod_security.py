"""The Pod Security Standards: what the API server refuses in a namespace that enforces a level.

https://kubernetes.io/docs/concepts/security/pod-security-standards/, and the checks themselves in
https://github.com/kubernetes/kubernetes/tree/master/staging/src/k8s.io/pod-security-admission/policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from constructs_lib.check.model import Pods
from constructs_lib.kubernetes.manifest import mapping, sequence, texts

#: The levels, the loosest first.
LEVELS = ("privileged", "baseline", "restricted")
#: The label of a namespace whose level is enforced.
ENFORCE = "pod-security.kubernetes.io/enforce"

_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


@dataclass(frozen=True)
class Violation:
    """A field that a level does not allow.

    Attributes:
        control: The control, such as ``privileged``; a pod that breaks one at several places is told once.
        at: The field.
        text: What is wrong.
        fix: What would be right.
    """

    control: str
    at: str
    text: str
    fix: str


def violations(pods: Pods, level: str) -> Iterator[Violation]:
    """Yield what a level does not allow in pods; nothing for ``privileged``."""
    if level in ("baseline", "restricted"):
        for baseline in _BASELINE:
            yield from baseline(pods)
    if level == "restricted":
        for restricted in _RESTRICTED:
            yield from restricted(pods)


def _contexts(pods: Pods) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the security contexts of the pod and of all its containers, with their paths."""
    yield f"{pods.path}.securityContext", mapping(pods.spec.get("securityContext"))
    for container in pods.containers:
        at = container.path
        yield f"{at}.securityContext", mapping(container.get("securityContext"))


def _host_process(pods: Pods) -> Iterator[Violation]:
    for at, context in _contexts(pods):
        if mapping(context.get("windowsOptions")).get("hostProcess") is True:
            yield Violation("hostProcess", f"{at}.windowsOptions.hostProcess", "it is a host process", "Take it away.")


def _host_namespaces(pods: Pods) -> Iterator[Violation]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pods.spec.get(field) is True:
            yield Violation("host namespaces", f"{pods.path}.{field}", f"it uses {field}", f"Take {field} away.")


def _privileged(pods: Pods) -> Iterator[Violation]:
    for at, context in _contexts(pods):
        if context.get("privileged") is True:
            yield Violation("privileged", f"{at}.privileged", "it is privileged", "Take privileged away.")


def _added_capabilities(pods: Pods) -> Iterator[Violation]:
    for at, context in _contexts(pods):
        added = {str(name) for name in sequence(mapping(context.get("capabilities")).get("add"))}
        if found := sorted(added - _CAPABILITIES):
            text = f"it adds {', '.join(found)}"
            yield Violation("capabilities", f"{at}.capabilities.add", text, "Take them away.")


def _host_path(pods: Pods) -> Iterator[Violation]:
    for index, volume in enumerate(map(mapping, sequence(pods.spec.get("volumes")))):
        if volume.get("hostPath") is not None:
            text = f"the volume {volume.get('name')} is a path of the node"
            at = f"{pods.path}.volumes[{volume.get('name', index)}].hostPath"
            yield Violation("hostPath volumes", at, text, "Use another volume.")


def _host_ports(pods: Pods) -> Iterator[Violation]:
    for container in pods.containers:
        at = container.path
        for index, port in enumerate(map(mapping, sequence(container.get("ports")))):
            if port.get("hostPort"):
                text = f"it takes the port {port['hostPort']} of the node"
                yield Violation("hostPort", f"{at}.ports[{index}].hostPort", text, "Take hostPort away.")


def _probe_hosts(pods: Pods) -> Iterator[Violation]:
    for container in pods.containers:
        at = container.path
        handlers = [(name, container.get(name)) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
        lifecycle = mapping(container.get("lifecycle"))
        handlers += [(f"lifecycle.{name}", lifecycle.get(name)) for name in ("postStart", "preStop")]
        for field, handler in handlers:
            for kind in ("httpGet", "tcpSocket"):
                if mapping(mapping(handler).get(kind)).get("host"):
                    text = "a probe or hook calls another host"
                    yield Violation("probe host", f"{at}.{field}.{kind}.host", text, "Take host away.")


def _app_armor(pods: Pods) -> Iterator[Violation]:
    for at, context in _contexts(pods):
        if mapping(context.get("appArmorProfile")).get("type") == "Unconfined":
            text, fix = "AppArmor does not confine it", "RuntimeDefault is the default."
            yield Violation("AppArmor", f"{at}.appArmorProfile.type", text, fix)
    owner = pods.owner
    template = mapping(owner.metadata if owner.kind == "Pod" else mapping(owner.spec.get("template")).get("metadata"))
    for key, value in texts(template.get("annotations")).items():
        if key.startswith(_APPARMOR) and value != "runtime/default" and not value.startswith("localhost/"):
            yield Violation("AppArmor", f"{pods.path}", f"AppArmor does not confine it ({key})", "Take it away.")


def _selinux(pods: Pods) -> Iterator[Violation]:
    for at, context in _contexts(pods):
        options = mapping(context.get("seLinuxOptions"))
        if options.get("type", "") not in _SELINUX_TYPES:
            text = f"its SELinux type is {options['type']}"
            yield Violation("SELinux", f"{at}.seLinuxOptions.type", text, f"One of {', '.join(_SELINUX_TYPES[1:])}.")
        for field in ("user", "role"):
            if options.get(field):
                yield Violation(
                    "SELinux", f"{at}.seLinuxOptions.{field}", f"it sets an SELinux {field}", "Take it away."
                )


def _proc_mount(pods: Pods) -> Iterator[Violation]:
    for at, context in _contexts(pods):
        if context.get("procMount") not in (None, "Default"):
            yield Violation("/proc mount type", f"{at}.procMount", "it sees all of /proc", "Take procMount away.")


def _seccomp_baseline(pods: Pods) -> Iterator[Violation]:
    for at, context in _contexts(pods):
        if mapping(context.get("seccompProfile")).get("type") == "Unconfined":
            yield Violation("seccomp", f"{at}.seccompProfile.type", "seccomp does not confine it", "RuntimeDefault.")


def _sysctls(pods: Pods) -> Iterator[Violation]:
    context = mapping(pods.spec.get("securityContext"))
    for index, sysctl in enumerate(map(mapping, sequence(context.get("sysctls")))):
        if sysctl.get("name") not in _SYSCTLS:
            at = f"{pods.path}.securityContext.sysctls[{index}].name"
            yield Violation("sysctls", at, f"it sets {sysctl.get('name')}", "Take it away.")


def _is_windows(pods: Pods) -> bool:
    return mapping(pods.spec.get("os")).get("name") == "windows"


def _volume_types(pods: Pods) -> Iterator[Violation]:
    for index, volume in enumerate(map(mapping, sequence(pods.spec.get("volumes")))):
        # A path of the node has a control of its own.
        others = sorted(volume.keys() - _VOLUMES - {"name", "hostPath"})
        if others and not volume.keys() & _VOLUMES:
            at = f"{pods.path}.volumes[{volume.get('name', index)}]"
            text = f"the volume {volume.get('name')} is a {others[0]}"
            yield Violation("volume types", at, text, "Claim it with a PersistentVolumeClaim.")


def _privilege_escalation(pods: Pods) -> Iterator[Violation]:
    for container in pods.containers:
        at = container.path
        if mapping(container.get("securityContext")).get("allowPrivilegeEscalation") is not False and (
            not _is_windows(pods)
        ):
            field = f"{at}.securityContext.allowPrivilegeEscalation"
            yield Violation("privilege escalation", field, "it may gain privileges", "Set it to false.")


def _non_root(pods: Pods) -> Iterator[Violation]:
    if pods.spec.get("hostUsers") is False:
        # Root of a user namespace is nobody outside of it (KEP-127).
        return
    common = mapping(pods.spec.get("securityContext")).get("runAsNonRoot")
    if common is False:
        text = "it may run as root"
        yield Violation("running as root", f"{pods.path}.securityContext.runAsNonRoot", text, "Set it to true.")
    for container in pods.containers:
        at = container.path
        own = mapping(container.get("securityContext")).get("runAsNonRoot")
        if own is False or (own is None and common is not True):
            yield Violation(
                "running as root", f"{at}.securityContext.runAsNonRoot", "it may run as root", "Set it to true."
            )


def _root_user(pods: Pods) -> Iterator[Violation]:
    if pods.spec.get("hostUsers") is False:
        return
    for at, context in _contexts(pods):
        if context.get("runAsUser") == 0 and not isinstance(context.get("runAsUser"), bool):
            yield Violation("user 0", f"{at}.runAsUser", "it runs as root", "Give another number.")


def _seccomp_restricted(pods: Pods) -> Iterator[Violation]:
    if _is_windows(pods):
        return
    common = mapping(mapping(pods.spec.get("securityContext")).get("seccompProfile")).get("type")
    for container in pods.containers:
        at = container.path
        own = mapping(mapping(container.get("securityContext")).get("seccompProfile")).get("type")
        if own is None and common is None:
            field = f"{at}.securityContext.seccompProfile"
            yield Violation("seccomp", field, "it has no seccomp profile", "Give {type: RuntimeDefault}.")


def _dropped_capabilities(pods: Pods) -> Iterator[Violation]:
    if _is_windows(pods):
        return
    for container in pods.containers:
        at = container.path
        capabilities = mapping(mapping(container.get("securityContext")).get("capabilities"))
        if "ALL" not in sequence(capabilities.get("drop")):
            field = f"{at}.securityContext.capabilities.drop"
            yield Violation("capabilities", field, "it keeps capabilities", "Drop ALL.")
        added = {str(name) for name in sequence(capabilities.get("add"))} & _CAPABILITIES - {"NET_BIND_SERVICE"}
        if added:
            field = f"{at}.securityContext.capabilities.add"
            yield Violation("capabilities", field, f"it adds {', '.join(sorted(added))}", "Take them away.")


_Control = Callable[[Pods], Iterator[Violation]]
_BASELINE: tuple[_Control, ...] = (
    _host_process,
    _host_namespaces,
    _privileged,
    _added_capabilities,
    _host_path,
    _host_ports,
    _probe_hosts,
    _app_armor,
    _selinux,
    _proc_mount,
    _seccomp_baseline,
    _sysctls,
)
_RESTRICTED: tuple[_Control, ...] = (
    _volume_types,
    _privilege_escalation,
    _non_root,
    _root_user,
    _seccomp_restricted,
    _dropped_capabilities,
)

"""Rights of pods over their node and towards the API server, and what a namespace lets its pods have.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, sequence, texts
from constructs_lib.kubernetes.platform import ENFORCE, NAMESPACES
from constructs_lib.kubernetes.workloads import Container, Pods, pods_of
from constructs_lib.plan.change import Reason
from constructs_lib.plan.rights.roles import Right, account_rights, gained, shown
from constructs_lib.plan.rights.tree import Case, State, Widened, widens
from constructs_lib.repository.applications import ALL_OBJECTS, BY_HAND
from constructs_lib.text import listed

#: What a container may do that drops and adds nothing:
#: https://github.com/containerd/containerd/blob/main/pkg/oci/spec.go (``defaultUnixCaps``).
_CAPABILITIES = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)
#: With how many pods that go one that comes is compared.
_MOST_COMPARED = 16
#: Stands for the capabilities that a container has more.
_CAPABILITY = "\0"
_LEVELS = {"privileged": 0, "baseline": 1, "restricted": 2}
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SELINUX_TYPES = (None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
#: The annotations of ServiceAccounts whose token is exchanged for an identity in a cloud.
_CLOUD_IDENTITIES = (
    *("eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id"),
)


@dataclass(frozen=True)
class _Right:
    """What pods may do.

    Attributes:
        what: What it is about, such as ``capability``.
        which: Which one, such as ``SYS_ADMIN``; empty if there is one only.
        rank: The greater, the more it permits.
        text: It in words.
    """

    what: str
    which: str
    rank: int
    text: str


def _pod_rights(pods: Pods[Object]) -> Iterator[_Right]:
    spec = pods.spec
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field) is True:
            yield _Right(field, "", 1, f"uses the node's {field[4:].lower()} ({field})")
    if spec.get("hostUsers") is not False:
        yield _Right("hostUsers", "", 1, "its users are those of the node (hostUsers)")
    mounts = [mount for container in pods.containers for mount in mappings(container.get("volumeMounts"))]
    for _, volume in pods.volumes:
        if isinstance(host := volume.get("hostPath"), dict):
            used = [mount for mount in mounts if mount.get("name") == volume.get("name")]
            writes = not used or any(mount.get("readOnly") is not True for mount in used)
            path = str(PurePosixPath(str(host.get("path"))))
            how = "reads and writes" if writes else "reads"
            yield _Right("hostPath", path, 2 if writes else 1, f"{how} {path} of the node (hostPath)")
    for container in pods.containers:
        for port in mappings(container.get("ports")):
            if number := port.get("hostPort"):
                protocol = str(port.get("protocol") or "TCP")
                yield _Right(
                    "hostPort", f"{number}/{protocol}", 1, f"is reached at port {number} of the node (hostPort)"
                )
    for sysctl in mappings(inner(spec, "securityContext", "sysctls")):
        name = str(sysctl.get("name"))
        yield _Right("sysctl", name, 1, f"sets {name} of the kernel (sysctls)")
    if inner(spec, "securityContext", "windowsOptions", "hostProcess") is True:
        yield _Right("hostProcess", "", 1, "is a process of the node (hostProcess)")


def _container_rights(pods: Pods[Object], container: Container) -> Iterator[_Right]:
    name = container.name
    context, common = mapping(container.get("securityContext")), mapping(pods.spec.get("securityContext"))

    def either(*keys: str) -> Any:
        own = inner(context, *keys)
        return inner(common, *keys) if own is None else own

    if context.get("privileged") is True:
        yield _Right("privileged", "", 1, f"{name} is privileged")
    if context.get("allowPrivilegeEscalation") is not False:
        yield _Right("escalation", "", 1, f"{name} may gain privileges (allowPrivilegeEscalation)")
    dropped, added = (
        {str(each).upper().removeprefix("CAP_") for each in sequence(inner(context, "capabilities", key))}
        for key in ("drop", "add")
    )
    for capability in sorted(added | (frozenset() if "ALL" in dropped else _CAPABILITIES - dropped)):
        yield _Right("capability", capability, 1, f"{name} has the capability {_CAPABILITY}")
    if either("runAsUser") == 0 and either("runAsUser") is not False:
        yield _Right("root", "", 2, f"{name} runs as root")
    elif either("runAsNonRoot") is not True and not either("runAsUser"):
        yield _Right("root", "", 1, f"{name} may run as root (runAsNonRoot)")
    seccomp = either("seccompProfile", "type")
    if seccomp not in ("RuntimeDefault", "Localhost"):
        yield _Right("seccomp", "", 2 if seccomp else 1, f"seccomp does not confine {name}")
    if _is_unconfined(pods, container, either("appArmorProfile", "type")):
        yield _Right("AppArmor", "", 1, f"AppArmor does not confine {name}")
    options = mapping(either("seLinuxOptions"))
    if options.get("type") not in _SELINUX_TYPES or options.get("user") or options.get("role"):
        given = ", ".join(str(options[key]) for key in ("user", "role", "type") if options.get(key))
        yield _Right("SELinux", given, 1, f"{name} has the SELinux context {given}")
    if context.get("procMount") == "Unmasked":
        yield _Right("procMount", "", 1, f"{name} sees all of /proc (procMount)")
    if inner(context, "windowsOptions", "hostProcess") is True:
        yield _Right("hostProcess", "", 1, f"{name} is a process of the node (hostProcess)")


def _is_unconfined(pods: Pods[Object], container: Container, profile: object) -> bool:
    owner = pods.owner
    metadata = owner.metadata if owner.kind == "Pod" else inner(owner.manifest, *_metadata_path(pods))
    annotation = texts(inner(metadata, "annotations")).get(_APPARMOR + container.name)
    return profile == "Unconfined" or (profile is None and annotation == "unconfined")


def _metadata_path(pods: Pods[Object]) -> list[str]:
    return [*pods.path.split(".")[:-1], "metadata"]


#: What every pod has that asks for nothing and gives up nothing.
_USUAL = {("hostUsers", ""): 1, ("escalation", ""): 1, ("root", ""): 1, ("seccomp", ""): 1} | {
    ("capability", each): 1 for each in _CAPABILITIES
}


def _more(new: Iterable[_Right], old: Iterable[_Right]) -> list[str]:
    """Return the rights that are not among others, in words."""
    known = {(right.what, right.which): right.rank for right in old}
    folders = [(PurePosixPath(which), rank) for (what, which), rank in known.items() if what == "hostPath"]

    def had(right: _Right) -> bool:
        if right.what == "hostPath":
            path = PurePosixPath(right.which)
            return any(rank >= right.rank and path.is_relative_to(folder) for folder, rank in folders)
        if right.what == "capability" and ("capability", "ALL") in known:
            return True
        return known.get((right.what, right.which), 0) >= right.rank

    more = [right for right in new if not had(right)]
    capabilities = [right.which for right in more if right.what == "capability"]
    names = listed(capabilities)
    return list(dict.fromkeys(right.text.replace(_CAPABILITY, names) for right in more))


def _usual() -> list[_Right]:
    return [_Right(what, which, rank, "") for (what, which), rank in _USUAL.items()]


def _fewest(ways: Iterable[list[str]]) -> list[str]:
    return min(ways, key=len)


def _compared(new: Pods[Object], old: Pods[Object] | None) -> list[str]:
    """Return what pods may do more than others, or than pods that ask for nothing."""
    found = _more(_pod_rights(new), _pod_rights(old) if old else _usual())
    before = {container.name: container for container in old.containers} if old else {}
    names = {container.name for container in new.containers}
    renamed = [container for name, container in before.items() if name not in names]
    for container in new.containers:
        rights = [*_container_rights(new, container)]
        if old and (same := before.get(container.name)):
            found += _more(rights, _container_rights(old, same))
        elif old and renamed:
            ways = [_more(rights, _container_rights(old, each)) for each in renamed]
            found += _fewest(ways)
        else:
            found += _more(rights, _usual())
    return found


def pods_widening(case: Case) -> Widened:
    """Yield what pods may do more over their node and towards the API server."""
    new = pods_of(case.new) if case.new else None
    if new is None:
        return
    old = pods_of(case.old) if case.old else None
    ways = [_compared(new, old)]
    if old is None:
        # A workload under another name may do what the one before it did.
        ways += [_compared(new, replaced) for replaced in _likely(new, case)] if ways[0] else []
    if more := _fewest(ways):
        yield widens("pods-may-more", rights=listed(more, 5))
    if old is None and _is_elsewhere(new.namespace, case):
        yield widens("pods-elsewhere", namespace=new.namespace)
    if not case.is_fresh(new.namespace):
        yield from _token(case, new, old)


def _is_elsewhere(namespace: str, case: Case) -> bool:
    """Tell whether pods come to a namespace that is somebody else's: where they are, they can read its Secrets."""
    if case.is_fresh(namespace) or case.gone.pods(namespace) or case.component in (ALL_OBJECTS, BY_HAND):
        return False
    own = case.before.namespaces_of(case.component)
    # A component that moves is a danger of its own.
    own = own and own | {each.namespace for each in case.after.applications if each.name == case.component}
    if own is None:
        return namespace in NAMESPACES - {"default"}
    moves = any(each.name == case.item.name for each in case.gone.of(case.item.kind))
    return namespace not in own and not moves


def _likely(new: Pods[Object], case: Case) -> list[Pods[Object]]:
    """Return the pods that most likely had another name: those that go with the same containers first."""
    names = {container.name for container in new.containers}
    gone = case.gone.pods(new.namespace)
    alike = [pods for pods in gone if names == {container.name for container in pods.containers}]
    return (alike or [*gone])[:_MOST_COMPARED]


def _token(case: Case, new: Pods[Object], old: Pods[Object] | None) -> Iterator[Reason]:
    account = f"{new.namespace}/{new.account}"
    if not _holds(case.after, new):
        return
    if old is None:
        before = account_rights(case.before, new.namespace, new.account)
        if before and not case.gone.pods(new.namespace):
            yield widens("pods-use-account", account=account, rights=shown(before))
    elif not _holds(case.before, old):
        yield widens("pods-get-token", account=account)
    elif more := _gained_by(new, old, case):
        yield widens("pods-use-account", account=account, rights=shown(more))


def _gained_by(new: Pods[Object], old: Pods[Object], case: Case) -> list[Right]:
    """Return what pods may do more because they run as another ServiceAccount."""
    if new.account == old.account:
        return []
    rights = account_rights(case.after, new.namespace, new.account)
    return gained(rights, account_rights(case.before, old.namespace, old.account))


def _holds(state: State, pods: Pods[Object]) -> bool:
    return state.accounts.holds_token(pods)


def account_widening(case: Case) -> Widened:
    """Yield what pods get with their ServiceAccount: its token, or an identity in a cloud."""
    account = case.new
    if account is None:
        return
    before = case.old.annotations if case.old else {}
    for name in _CLOUD_IDENTITIES:
        if account.annotations.get(name) not in (None, before.get(name)):
            yield widens("cloud-identity", identity=account.annotations[name])
    field = "automountServiceAccountToken"
    if case.old and case.old.manifest.get(field) is False and account.manifest.get(field) is not False:
        yield widens("account-mounts-token")


# Namespaces.


def namespace_widening(case: Case) -> Widened:
    """Yield what a Namespace lets its pods have."""
    if case.new:
        old = case.old.labels if case.old else None
        yield from _level_widening(old, case.new.labels)


def managed_namespace_widening(case: Case) -> Widened:
    """Yield what the Namespace that Argo CD creates for an Application lets its pods have."""
    path = ("syncPolicy", "managedNamespaceMetadata", "labels")
    if case.new:
        old = texts(inner(case.old.spec, *path)) if case.old else None
        yield from _level_widening(old, texts(inner(case.new.spec, *path)))


def _level_widening(old: Mapping[str, str] | None, new: Mapping[str, str]) -> Iterator[Reason]:
    level = new.get(ENFORCE)
    if old is None:
        if level == "privileged":
            yield widens("namespace-privileged")
        return
    before, after = (_LEVELS.get(each or "", 0) for each in (old.get(ENFORCE), level))
    if after < before:
        yield widens("level-lowered", old=old[ENFORCE], new=level or "nothing")
    elif level in ("baseline", "restricted") and before == after:
        version = f"{ENFORCE}-version"
        if _version(new.get(version)) < _version(old.get(version)):
            yield widens("level-of-older-version", old=old.get(version, "latest"), new=new[version])


def _version(text: str | None) -> float:
    match = re.fullmatch(r"v1\.(\d+)", text or "")
    return int(match[1]) if match else float("inf")


def volume_widening(case: Case) -> Widened:
    """Yield the path of the node that a PersistentVolume opens."""
    if case.new is None:
        return

    def paths(item: Object | None) -> list[str]:
        places = (inner(item.spec, kind, "path") for kind in ("hostPath", "local")) if item else ()
        return [str(path) for path in places if path]

    for path in paths(case.new):
        if path not in chain(paths(case.old), *(paths(each) for each in case.gone.of("PersistentVolume"))):
            yield widens("volume-of-node", path=path)

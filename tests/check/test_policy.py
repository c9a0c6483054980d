"""What a careful platform team demands, where single faults in PositionPal's tree do not reach."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from corpus import Manifest
from planting import PRIVATE_KEY, RANDOM

from constructs_lib.argocd.objects import Object
from constructs_lib.check.calls import apart
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.policy import proof as policy
from constructs_lib.check.policy.pod_security import violations
from constructs_lib.check.proofs import prove
from constructs_lib.kubernetes.manifest_yaml import dump
from constructs_lib.kubernetes.platform import ENFORCE
from constructs_lib.kubernetes.workloads import pods_of
from constructs_lib.repository.snapshot import Snapshot

#: As much as ``restricted`` wants.
CONFINED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(container: Manifest | None = None, **spec: Any) -> Object:
    """Return a Pod that keeps to ``restricted``, but for what is given."""
    found = {"name": "a", "image": "a:1.0", "securityContext": CONFINED, **(container or {})}
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "namespace": "b", **spec.pop("metadata", {})},
        "spec": {"containers": [found], **spec},
    }
    return Object(manifest, "a.yaml", "b")


def with_context(**context: Any) -> Manifest:
    """Return a container with another security context."""
    return {"securityContext": {**CONFINED, **context}}


def broken(item: Object, level: str) -> set[str]:
    """Return the controls of a level that a pod breaks."""
    pods = pods_of(item)
    assert pods is not None
    return {violation.control for violation in violations(pods, level)}


def found(*manifests: Manifest) -> list[Finding]:
    """Return what is found in a tree without Applications."""
    files = {f"{number}.yaml": dump(manifest) for number, manifest in enumerate(manifests)}
    return [*policy.prove(ClusterModel(Snapshot("test", files)))]


BASELINE: dict[str, tuple[str, Object]] = {
    "host process": ("hostProcess", pod(with_context(windowsOptions={"hostProcess": True}))),
    "host process of the pod": ("hostProcess", pod(securityContext={"windowsOptions": {"hostProcess": True}})),
    "host network": ("host namespaces", pod(hostNetwork=True)),
    "host processes": ("host namespaces", pod(hostPID=True)),
    "host communication": ("host namespaces", pod(hostIPC=True)),
    "privileged": ("privileged", pod(with_context(privileged=True))),
    "capability": ("capabilities", pod(with_context(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}))),
    "host path": ("hostPath volumes", pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}])),
    "host port": ("hostPort", pod({"ports": [{"containerPort": 80, "hostPort": 80}]})),
    "host of a probe": ("probe host", pod({"livenessProbe": {"httpGet": {"host": "10.0.0.1", "port": 80}}})),
    "host of a hook": ("probe host", pod({"lifecycle": {"preStop": {"tcpSocket": {"host": "a", "port": 80}}}})),
    "AppArmor": ("AppArmor", pod(with_context(appArmorProfile={"type": "Unconfined"}))),
    "AppArmor as it was": (
        "AppArmor",
        pod(metadata={"annotations": {"container.apparmor.security.beta.kubernetes.io/a": "unconfined"}}),
    ),
    "SELinux type": ("SELinux", pod(with_context(seLinuxOptions={"type": "spc_t"}))),
    "SELinux user": ("SELinux", pod(securityContext={"seLinuxOptions": {"user": "system_u"}})),
    "proc": ("/proc mount type", pod(with_context(procMount="Unmasked"))),
    "seccomp": ("seccomp", pod(with_context(seccompProfile={"type": "Unconfined"}))),
    "sysctl": ("sysctls", pod(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]})),
    "init container": (
        "privileged",
        pod(initContainers=[{"name": "i", "image": "i:1", "securityContext": {**CONFINED, "privileged": True}}]),
    ),
}
RESTRICTED: dict[str, tuple[str, Object]] = {
    "volume": ("volume types", pod(volumes=[{"name": "v", "nfs": {"server": "a", "path": "/"}}])),
    "escalation": ("privilege escalation", pod(with_context(allowPrivilegeEscalation=None))),
    "root": ("running as root", pod(with_context(runAsNonRoot=None))),
    "root of the pod": ("running as root", pod(securityContext={"runAsNonRoot": False})),
    "root of a container": (
        "running as root",
        pod(with_context(runAsNonRoot=False), securityContext={"runAsNonRoot": True}),
    ),
    "user 0": ("user 0", pod(with_context(runAsUser=0))),
    "user 0 of the pod": ("user 0", pod(securityContext={"runAsUser": 0})),
    "seccomp": ("seccomp", pod(with_context(seccompProfile=None))),
    "kept capabilities": ("capabilities", pod(with_context(capabilities={"drop": ["NET_RAW"]}))),
    "added capability": ("capabilities", pod(with_context(capabilities={"drop": ["ALL"], "add": ["CHOWN"]}))),
}
ALLOWED: dict[str, Object] = {
    "as much as is needed": pod(),
    "everything said once for the pod": pod(
        {"securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}},
        securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "Localhost", "localhostProfile": "a"}},
    ),
    "a low port": pod(with_context(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]})),
    "volumes of all common kinds": pod(
        volumes=[
            {"name": kind, kind: {}}
            for kind in ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "projected", "secret")
        ]
    ),
    "root of a user namespace": pod(with_context(runAsNonRoot=None, runAsUser=0), hostUsers=False),
    "Windows": pod({"securityContext": {"runAsNonRoot": True}}, os={"name": "windows"}),
    "a safe sysctl": pod(securityContext={"sysctls": [{"name": "net.ipv4.tcp_keepalive_time", "value": "60"}]}),
}


@pytest.mark.parametrize("case", BASELINE)
def test_baseline(case: str) -> None:
    control, item = BASELINE[case]
    assert broken(item, "baseline") == {control}
    assert control in broken(item, "restricted")
    assert broken(item, "privileged") == set()


@pytest.mark.parametrize("case", RESTRICTED)
def test_restricted(case: str) -> None:
    control, item = RESTRICTED[case]
    assert broken(item, "restricted") == {control}
    assert broken(item, "baseline") == set()


@pytest.mark.parametrize("case", ALLOWED)
def test_allowed(case: str) -> None:
    assert broken(ALLOWED[case], "restricted") == set()


def test_a_pod_is_told_once_of_a_control() -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "b", "labels": {ENFORCE: "baseline"}}}
    item = pod(hostNetwork=True, hostPID=True)
    problems = [
        finding for finding in found(namespace, dict(item.manifest)) if finding.check.code == "pod-security-violated"
    ]
    assert [finding.field for finding in problems] == ["spec.hostNetwork"]


def config(**data: str) -> Manifest:
    """Return a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}, "data": data}


SHOWN: dict[str, tuple[str, str, str]] = {
    "private key": ("credential-in-clear", "tls.key", PRIVATE_KEY),
    "forge": ("credential-in-clear", "x", "gl" + "pat-" + "a1B2" * 5),
    "chat": ("credential-in-clear", "x", "xo" + "xb-" + "12345" * 4),
    "cloud": ("credential-in-clear", "x", "AK" + "IA" + "ABCD" * 4),
    "maps": ("credential-in-clear", "x", "AI" + "za" + "a1B2c" * 7),
    "payments": ("credential-in-clear", "x", "sk" + "_live_" + "a1B2" * 6),
    "vault": ("credential-in-clear", "x", "hv" + "s." + "a1B2" * 6),
    "web token": ("credential-in-clear", "x", ".".join(["ey" + "J" + "a1B2" * 4, "ey" + "J" + "c3D4" * 4, "e5F6" * 4])),
    "password by its name": ("credential-in-clear", "DB_PASSWORD", "correct-horse"),
    "random key": ("credential-in-clear", "API_KEY", RANDOM),
    "login in an address": ("credential-in-clear", "URL", "postgres://app:" + "corr3ct-horse" + "@db:5432/app"),
    "login of everybody": ("default-credentials", "URL", "amqp://guest:" + "guest" + "@rabbitmq:5672"),
    "user as password": ("default-credentials", "URL", "amqp://orders:" + "orders" + "@rabbitmq:5672"),
    "assignment in a file": ("default-credentials", "app.properties", "a = 1\nspring.datasource.password=postgres\n"),
    "flag": ("default-credentials", "run", "server --admin-password changeme --port 80"),
}
HIDDEN: dict[str, tuple[str, str]] = {
    "reference": ("DB_PASSWORD", "$(OTHER)"),
    "shell": ("script", 'PGPASSWORD="$(cat "$PASSWORD_FILE")"; export PGPASSWORD'),
    "placeholder": ("DB_PASSWORD", "<path:secret/data/db#password>"),
    "empty": ("DB_PASSWORD", ""),
    "file": ("DB_PASSWORD", "/run/secrets/password"),
    "switch": ("REQUIRE_PASSWORD", "true"),
    "public key": ("key.pub", "-" * 5 + "BEGIN PUBLIC KEY" + "-" * 5),
    "digest": ("IMAGE", "a@sha256:" + "0123456789abcdef" * 4),
    "words": ("JWT_SECRET", "gateway-session"),
    "name of a class": ("cassandra.yaml", "authenticator: PasswordAuthenticator\n"),
    "user alone": ("URL", "ssh://git@example.org/a.git"),
    "variable in an address": ("URL", "postgres://app:${DB_PASSWORD}@db:5432/app"),
    "prose": ("README", "The password is in the store; ask for the password of the database there."),
    "external store": ("DB_PASSWORD", "op://vault/item/password"),
}


@pytest.mark.parametrize("case", SHOWN)
def test_secrets_that_everybody_sees(case: str) -> None:
    code, key, value = SHOWN[case]
    (finding,) = found(config(**{key: value}))
    assert (finding.check.code, finding.field) == (code, f"data.{key}")
    secret = value.rpartition("=")[2].rpartition(":")[2].partition("@")[0].strip()
    if code == "credential-in-clear":
        assert secret not in finding.problem + finding.fix


@pytest.mark.parametrize("case", HIDDEN)
def test_secrets_that_nobody_sees(case: str) -> None:
    key, value = HIDDEN[case]
    assert found(config(**{key: value})) == []


def chart(values: Manifest) -> Manifest:
    """Return an Application of a chart with these values."""
    source = {"repoURL": "https://a.example", "chart": "a", "targetRevision": "1.0.0", "helm": {"valuesObject": values}}
    metadata = {"name": "a", "namespace": "argocd"}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": metadata,
        "spec": {"source": source},
    }


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"auth": {"existingSecret": "redis"}}, None),
        ({"auth": {"existingSecretPasswordKey": "password"}}, None),
        ({"passwordSecret": "postgres", "tlsSecret": "grafana", "secretName": "redis", "secret": "rabbitmq"}, None),
        ({"imagePullSecrets": ["root"], "credentialsSecret": "minio", "passwordSecretRef": {"name": "admin"}}, None),
        ({"auth": {"secretKeys": {"adminPasswordKey": "password"}, "secretKey": "redis-password"}}, None),
        ({"auth": {"password": "redis"}}, "default-credentials"),
        ({"auth": {"clientSecret": "changeme"}}, "default-credentials"),
        ({"minio": {"secretKey": "minioadmin"}}, "default-credentials"),
        ({"jwt": {"secret": "changeme"}}, "default-credentials"),
        ({"jwt": {"secret": RANDOM}}, "credential-in-clear"),
        ({"security": {"secretKey": RANDOM}}, "credential-in-clear"),
    ],
)
def test_names_of_secrets_in_values_are_no_passwords(values: Manifest, code: str | None) -> None:
    codes = {finding.check.code for finding in found(chart(values))}
    assert codes - {"default-project"} == ({code} if code else set())


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ({"stringData": {"password": "x"}}, True),
        ({"data": {"password": base64.b64encode(b"x").decode()}}, True),
        ({"stringData": {"password": ""}}, False),
        ({"stringData": {"password": "<path:a/b#c>"}}, False),
        ({"stringData": {"password": "ENC[AES256_GCM,data:abc]"}}, False),
        ({"type": "kubernetes.io/service-account-token"}, False),
        ({"stringData": {"type": "git", "url": "https://example.org/a.git"}}, False),
    ],
)
def test_secrets_in_git(content: Manifest, shown: bool) -> None:
    labels = {"argocd.argoproj.io/secret-type": "repository"}
    metadata = {"name": "a", "namespace": "b", "labels": labels}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **content}
    assert [finding.check.code for finding in found(secret)] == (["secret-in-git"] if shown else [])


@pytest.mark.parametrize(
    ("tag", "pinned"),
    [
        (":1.27", True),
        (":v2.0.1-alpine", True),
        (":20260101", True),
        (":main-4f2c9b1", True),
        (":17", False),
        (":stable", False),
        (":latest", False),
        ("", False),
        (":latest@sha256:" + "0" * 64, True),
        (":deadbeef-tag", False),
    ],
)
def test_images(tag: str, pinned: bool) -> None:
    found_ = [
        finding
        for finding in found(dict(pod({"image": f"a{tag}"}).manifest))
        if finding.check.code == "image-not-pinned"
    ]
    assert (not found_) is pinned


def test_everything_that_a_tool_may_add_is_not_missed() -> None:
    files = {"a/pod.yaml": dump(dict(pod().manifest)), "a/kustomization.yaml": b"resources: [pod.yaml]\n"}
    assert [*policy.prove(ClusterModel(Snapshot("test", files)))] == []
    del files["a/kustomization.yaml"]
    codes = {finding.check.code for finding in policy.prove(ClusterModel(Snapshot("test", files)))}
    assert codes == {"requests-missing", "memory-limit-missing", "token-without-role"}


def test_scripts_are_texts_for_themselves() -> None:
    words = ["psql", "-p", "80", "one\ntwo", "--password", "other", "three\n", "four\n"]
    assert list(apart(words, " ")) == ["psql -p 80", "one\ntwo", "--password other", "three\n", "four\n"]


ASKED: list[tuple[str, Manifest, Manifest]] = [
    ("privileged-pods", {}, pod(with_context(privileged=True)).manifest),
    (
        "cluster-admin-bound",
        {},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "a"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "b"}],
        },
    ),
    (
        "open-to-everybody",
        pod().manifest,
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "a", "namespace": "b"},
            "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
        },
    ),
]


@pytest.mark.parametrize(("code", "beside", "manifest"), ASKED, ids=[code for code, _, _ in ASKED])
def test_rights_are_errors_unless_the_object_asks_for_them(code: str, beside: Manifest, manifest: Manifest) -> None:
    def severity(*manifests: Manifest) -> list[str]:
        files = {f"{number}.yaml": dump(each) for number, each in enumerate(manifests) if each}
        every = prove(ClusterModel(Snapshot("test", files)))
        return [each.check.severity.value for each in every if each.check.code == code]

    def asking(**annotations: str) -> Manifest:
        return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}

    assert severity(beside, manifest) == ["error"]
    assert severity(beside, asking(**{f"constructs-lib/asks-for.{code}": "It installs definitions."})) == ["warning"]
    # A reason is needed, and another one is for something else.
    assert severity(beside, asking(**{f"constructs-lib/asks-for.{code}": " "})) == ["error"]
    assert severity(beside, asking(**{"constructs-lib/asks-for.image-not-pinned": "x"})) == ["error"]


def test_a_namespace_asks_for_privileged_pods_by_its_level() -> None:
    for level, severity in ((None, "error"), ("privileged", "warning")):
        labels = {ENFORCE: level} if level else {}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "b", "labels": labels}}
        every = found(pod(with_context(privileged=True)).manifest, namespace)
        assert [each.check.severity.value for each in every if each.check.code == "privileged-pods"] == [severity]

"""Proof that the ConfigMaps, Secrets and accounts that objects name exist, and that somebody reads those that exist."""

import re
from collections.abc import Iterator

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.references.secret_sources import SecretSources
from constructs_lib.check.references.undefined_variables import prove_variables
from constructs_lib.kubernetes.manifest import entries, mapping
from constructs_lib.kubernetes.workloads import Reference
from constructs_lib.text import hint, within

#: ConfigMaps that controllers create in every namespace.
_GIVEN_CONFIG_MAPS = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt"})
_PRIORITY_CLASSES = frozenset({"system-cluster-critical", "system-node-critical"})
#: Labels and annotations by which no sidecar and no controller looks for ConfigMaps and Secrets.
_COMMON_PREFIXES = ("app.kubernetes.io/", "argocd.argoproj.io/", "kubectl.kubernetes.io/", "helm.sh/")
_COMMON_MARKS = ("app", "component", "name", "part-of", "tier", "version")


def prove_configuration(model: ClusterModel) -> Iterator[Finding]:
    """Yield what pods refer to and does not exist, and ConfigMaps and Secrets that nobody reads."""
    secrets = model.once(SecretSources)
    read: set[tuple[str, str, str]] = set()
    for owner, reference in _references(model):
        read.add((reference.kind, owner.namespace, reference.name))
        if not reference.optional:
            prove = _config_map if reference.kind == "ConfigMap" else _secret
            yield from prove(model, owner, reference)
    for pods in model.pods:
        yield from _service_account(model, pods)
        yield from _priority_class(model, pods)
        yield from prove_variables(model, pods)
    for item in model.kind("ConfigMap"):
        if ("ConfigMap", item.namespace, item.name) not in read and _is_unused(model, item, item.name):
            yield Finding.of("config-map-unused", item, f"Nothing{within(item.namespace)} reads it.")
    for item, name in secrets.producers:
        if ("Secret", item.namespace, name) not in read and _is_unused(model, item, name):
            yield Finding.of("secret-unused", item, f"Nothing{within(item.namespace)} reads the Secret {name}.")


def _references(model: ClusterModel) -> Iterator[tuple[Object, Reference]]:
    """Yield what is read by pods, by Ingresses, and by accounts that pull images."""
    for pods in model.pods:
        for reference in pods.references:
            if reference.kind != "PersistentVolumeClaim":
                yield pods.owner, reference
    for ingress in model.kind("Ingress"):
        for at, entry in entries(ingress.spec.get("tls"), "spec.tls"):
            if isinstance(name := entry.get("secretName"), str):
                yield ingress, Reference("Secret", name, f"{at}.secretName")
    for account in model.kind("ServiceAccount"):
        for at, entry in entries(account.manifest.get("imagePullSecrets"), "imagePullSecrets"):
            yield account, Reference("Secret", str(entry.get("name")), f"{at}.name")


def _config_map(model: ClusterModel, owner: Object, reference: Reference) -> Iterator[Finding]:
    namespace, name, key, at = owner.namespace, reference.name, reference.key, reference.at
    found = model.get("ConfigMap", namespace, name)
    if found is not None:
        keys = mapping(found.manifest.get("data")).keys() | mapping(found.manifest.get("binaryData")).keys()
        if key is not None and key not in keys:
            problem = f'The ConfigMap {name} has no key "{key}".'
            yield Finding.of("config-map-key-missing", owner, problem, at=at, fix=hint("key", key, keys))
    elif namespace in model.closed_namespaces and name not in _GIVEN_CONFIG_MAPS:
        known = model.names("ConfigMap", namespace)
        yield Finding.missing("config-map-missing", owner, at, "ConfigMap", name, known, namespace)


def _secret(model: ClusterModel, owner: Object, reference: Reference) -> Iterator[Finding]:
    namespace, name, key, at = owner.namespace, reference.name, reference.key, reference.at
    secrets = model.once(SecretSources)
    if secrets.makes(namespace, name):
        keys = secrets.keys(namespace, name)
        if key is not None and keys is not None and key not in keys:
            problem = f'The Secret {name} gets no key "{key}".'
            yield Finding.of("secret-key-missing", owner, problem, at=at, fix=hint("key", key, keys))
    elif namespace in model.closed_namespaces and not _is_mentioned(model, namespace, name):
        problem = f"Nothing makes a Secret {name}{within(namespace)}."
        yield Finding.of("secret-missing", owner, problem, at=at, fix=hint("Secret", name, secrets.names(namespace)))


def _service_account(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    name, namespace = pods.account, pods.namespace
    known = model.names("ServiceAccount", namespace)
    if name != "default" and name not in known and namespace in model.closed_namespaces:
        at = f"{pods.path}.serviceAccountName"
        yield Finding.missing("service-account-missing", pods.owner, at, "ServiceAccount", name, known, namespace)


def _priority_class(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    name, known = pods.spec.get("priorityClassName"), model.names("PriorityClass") | _PRIORITY_CLASSES
    if isinstance(name, str) and name and name not in known and not model.is_named_by_chart(name):
        at = f"{pods.path}.priorityClassName"
        yield Finding.missing("priority-class-missing", pods.owner, at, "PriorityClass", name, known, hinted="class")


def _is_mentioned(model: ClusterModel, namespace: str, name: str) -> bool:
    """Tell whether a variable or an argument of a program has a name in it: it may read or make the object itself."""
    word = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])")
    return any(
        word.search(text)
        for pods in model.pods_by_namespace.get(namespace, ())
        for container in pods.containers
        for text in (
            *(said for _, said in container.words),
            *(variable.value for variable in model.variables(pods, container).values() if not variable.config_map),
        )
    )


def _is_unused(model: ClusterModel, item: Object, name: str) -> bool:
    """Tell whether nobody reads an object that no object refers to."""
    if item.namespace not in model.closed_namespaces or _is_mentioned(model, item.namespace, name):
        return False
    # Sidecars and controllers find objects by labels and annotations of their own, such as grafana_dashboard.
    marks = [*item.labels, *item.annotations]
    return all(mark.startswith(_COMMON_PREFIXES) or mark in _COMMON_MARKS for mark in marks)

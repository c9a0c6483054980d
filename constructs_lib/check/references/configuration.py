"""Proof that the ConfigMaps, Secrets, accounts, variables and volumes of pods exist, and that each one is used."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.references.readers import MAKING, READING, OtherReaders
from constructs_lib.check.references.secret_sources import SecretSources
from constructs_lib.check.storage import claims, class_of, is_shared, known_classes, storage_classes
from constructs_lib.kubernetes.manifest import entries, inner, mapping, mappings
from constructs_lib.kubernetes.workloads import Container, Reference, references
from constructs_lib.text import closest, hint, within

#: ConfigMaps that controllers create in every namespace.
_GIVEN_CONFIG_MAPS = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt"})
_PRIORITY_CLASSES = frozenset({"system-cluster-critical", "system-node-critical"})
#: Labels and annotations by which no sidecar and no controller looks for ConfigMaps and Secrets.
_COMMON_PREFIXES = ("app.kubernetes.io/", "argocd.argoproj.io/", "kubectl.kubernetes.io/", "helm.sh/")
#: What an argument says by which a program is told of an object that it reads or makes itself.
_SAYS = {"ConfigMap": re.compile("config-?map", re.IGNORECASE), "Secret": re.compile("secret", re.IGNORECASE)}
_COMMON_MARKS = ("app", "component", "name", "part-of", "tier", "version")
#: Variables that the kubelet sets for the Services of a namespace, and always for the Service of the API server.
_SERVICE_LINK = re.compile(r"[A-Z0-9_]{1,253}_(?:SERVICE_HOST|SERVICE_PORT|PORT)(?:_[A-Z0-9_]{1,253})?")


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
        yield from _undefined_variables(model, pods)
        yield from _unexpanded_variables(model, pods)
        templates = {name for _, name, _ in claims(pods.owner)}
        yield from _mounts(pods, templates)
        yield from _parts(model, pods)
        yield from _claims(model, pods, templates)
    yield from _classes(model)
    for item in model.kind("ConfigMap"):
        if ("ConfigMap", item.namespace, item.name) not in read and _is_unused(model, item, item.name):
            yield Finding.of("config-map-unused", item, f"Nothing{within(item.namespace)} reads it.")
    for item, name in secrets.producers:
        if ("Secret", item.namespace, name) not in read and _is_unused(model, item, name):
            yield Finding.of("secret-unused", item, f"Nothing{within(item.namespace)} reads the Secret {name}.")


def _references(model: ClusterModel) -> Iterator[tuple[Object, Reference]]:
    """Yield what is read by pods, by Ingresses and Gateways, and by accounts that pull images."""
    for pods in model.pods:
        for reference in pods.references:
            if reference.kind != "PersistentVolumeClaim":
                yield pods.owner, reference
    for ingress in model.kind("Ingress"):
        for at, entry in entries(ingress.spec.get("tls"), "spec.tls"):
            if isinstance(name := entry.get("secretName"), str):
                yield ingress, Reference("Secret", name, f"{at}.secretName")
    for gateway in model.kind("Gateway"):
        for at, listener in entries(gateway.spec.get("listeners"), "spec.listeners"):
            for here, entry in entries(inner(listener, "tls", "certificateRefs"), f"{at}.tls.certificateRefs"):
                if (
                    entry.get("kind", "Secret") == "Secret"
                    and entry.get("namespace", gateway.namespace) == gateway.namespace
                ):
                    yield gateway, Reference("Secret", str(entry.get("name")), f"{here}.name")
    for route in model.kind("IngressRoute", "IngressRouteTCP"):
        if isinstance(name := inner(route.spec, "tls", "secretName"), str):
            yield route, Reference("Secret", name, "spec.tls.secretName")
    for account in model.kind("ServiceAccount"):
        for at, entry in entries(account.manifest.get("imagePullSecrets"), "imagePullSecrets"):
            yield account, Reference("Secret", str(entry.get("name")), f"{at}.name")


def _config_map(model: ClusterModel, owner: Object, reference: Reference) -> Iterator[Finding]:
    namespace, name, key, at = owner.namespace, reference.name, reference.key, reference.at
    found = model.get("ConfigMap", namespace, name)
    if found is not None:
        keys = mapping(found.manifest.get("data")).keys() | mapping(found.manifest.get("binaryData")).keys()
        if key is not None and key not in keys and not model.has_several(found):
            problem = f'The ConfigMap {name} has no key "{key}".'
            yield Finding.of("config-map-key-missing", owner, problem, at=at, fix=hint("key", key, keys))
    elif model.lacks("ConfigMap", namespace, name) and name not in _GIVEN_CONFIG_MAPS:
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
    elif model.lacks("Secret", namespace, name) and (
        not _may_be_made(model, namespace, name) or closest(name, secrets.names(namespace), 0.9)
    ):
        problem = f"Nothing makes a Secret {name}{within(namespace)}."
        code = "pull-secret-missing" if "imagePullSecrets" in at else "secret-missing"
        found = Finding.of(code, owner, problem, at=at, fix=hint("Secret", name, secrets.names(namespace)))
        yield found.because_of("Secret", namespace, name)


def _service_account(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    name, namespace = pods.account, pods.namespace
    known = model.names("ServiceAccount", namespace)
    if name != "default" and name not in known and model.lacks("ServiceAccount", namespace, name):
        at = f"{pods.path}.serviceAccountName"
        yield Finding.missing("service-account-missing", pods.owner, at, "ServiceAccount", name, known, namespace)


def _priority_class(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    name, known = pods.spec.get("priorityClassName"), model.names("PriorityClass") | _PRIORITY_CLASSES
    if isinstance(name, str) and name and name not in known and not model.is_named_by_chart(name):
        at = f"{pods.path}.priorityClassName"
        yield Finding.missing("priority-class-missing", pods.owner, at, "PriorityClass", name, known, hinted="class")


def _may_be_made(model: ClusterModel, namespace: str, name: str) -> bool:
    """Tell whether a program or an operator may make a Secret that no object of the tree makes."""
    others = model.once(OtherReaders)
    return others.may(MAKING, "Secret", namespace, name) or any(
        map(_SAYS["Secret"].search, _mentions(model, namespace, name))
    )


def _mentions(model: ClusterModel, namespace: str, name: str) -> Iterator[str]:
    """Yield the variables and arguments of programs that have a name in them."""
    word = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])")
    for pods in model.pods_by_namespace.get(namespace, ()):
        for container in pods.containers:
            variables = model.variables(pods, container).values()
            for text in (
                *(said for _, said in container.words),
                *(variable.value for variable in variables if not variable.config_map),
            ):
                if word.search(text):
                    yield text


def _is_unused(model: ClusterModel, item: Object, name: str) -> bool:
    """Tell whether nobody reads an object that no pod refers to."""
    kind, others = "ConfigMap" if item.kind == "ConfigMap" else "Secret", model.once(OtherReaders)
    if item.namespace not in model.closed_namespaces or others.names(item.namespace, name):
        return False
    mentions = [*_mentions(model, item.namespace, name)]
    if others.may(READING, kind, item.namespace, name, by_name=not mentions) or any(map(_SAYS[kind].search, mentions)):
        return False
    # Sidecars and controllers find objects by labels and annotations of their own, such as grafana_dashboard.
    marks = [*item.labels, *item.annotations]
    return all(mark.startswith(_COMMON_PREFIXES) or mark in _COMMON_MARKS for mark in marks)


def _undefined_variables(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    """Yield ``$(NAME)`` in variables and arguments for which no variable is defined before."""
    has_links = pods.spec.get("enableServiceLinks") is not False
    for container in pods.containers:
        defined = _from_whole_maps(model, pods, container)
        if defined is None:
            continue
        variables = mappings(container.get("env"))
        texts: list[tuple[str, object, str]] = [
            (f"{container.path}.env[{variable.get('name')}].value", variable.get("value"), str(variable.get("name")))
            for variable in variables
        ]
        # A shell script has $( … ) of its own, which Kubernetes leaves alone as well.
        texts += [(at, word, "") for at, word in container.words if not re.search(r"\s", word)]
        names = {str(variable.get("name")) for variable in variables}
        for at, text, defines in texts:
            for name in references(text) if isinstance(text, str) else ():
                is_link = (has_links or name.startswith("KUBERNETES_")) and _SERVICE_LINK.fullmatch(name)
                if name not in defined and not is_link:
                    problem = f"$({name}) is not defined before it is used."
                    fix = f"Put {name} above it." if name in names else hint("variable", name, defined)
                    yield Finding.of("variable-undefined", pods.owner, problem, at=at, fix=fix)
            if defines:
                defined.add(defines)


def _unexpanded_variables(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    """Yield ``$(NAME)`` in values from ConfigMaps, where Kubernetes expands nothing, if there is such a variable."""
    for container in pods.containers:
        known = model.variables(pods, container)
        names = {*known, *(str(entry.get("name")) for entry in mappings(container.get("env")))}
        for variable in known.values():
            referred = [name for name in references(variable.value) if name in names] if variable.config_map else []
            if referred:
                problem = f"$({referred[0]}) in {variable.name} of the ConfigMap {variable.config_map} is not expanded."
                yield Finding.of("variable-not-expanded", pods.owner, problem, at=variable.at)


def _from_whole_maps(model: ClusterModel, pods: Pods, container: Container) -> set[str] | None:
    """Return the variables that ``envFrom`` defines, or None if not all of them are known."""
    found: set[str] = set()
    for source in mappings(container.get("envFrom")):
        keys: set[str] | None = None
        if isinstance(source.get("configMapRef"), dict):
            read = model.get("ConfigMap", pods.namespace, str(inner(source, "configMapRef", "name")))
            keys = set(mapping(read.manifest.get("data"))) if read else None
        elif isinstance(source.get("secretRef"), dict):
            keys = model.once(SecretSources).keys(pods.namespace, str(inner(source, "secretRef", "name")))
        if keys is None:
            return None
        found |= {f"{source.get('prefix') or ''}{key}" for key in keys}
    return found


def _mounts(pods: Pods, templates: set[str]) -> Iterator[Finding]:
    volumes = {str(volume.get("name")) for _, volume in pods.volumes} | templates
    mounted: set[str] = set()
    for container in pods.containers:
        for field in ("volumeMounts", "volumeDevices"):
            for at, mount in entries(container.get(field), f"{container.path}.{field}"):
                name = str(mount.get("name"))
                mounted.add(name)
                if name not in volumes:
                    problem, fix = f'The pods have no volume "{name}".', hint("volume", name, volumes)
                    yield Finding.of("mount-without-volume", pods.owner, problem, at=f"{at}.name", fix=fix)
    for name in sorted(volumes - mounted):
        problem = f'No container mounts the volume "{name}".'
        yield Finding.of("volume-not-mounted", pods.owner, problem, at=f"{pods.path}.volumes[{name}]")


def _parts(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    """Yield the mounts of one file of a ConfigMap or Secret that has no such file: a folder is mounted in its place."""
    for container in pods.containers:
        for at, mount in entries(container.get("volumeMounts"), f"{container.path}.volumeMounts"):
            part, name = mount.get("subPath"), mount.get("name")
            volume = next((each for _, each in pods.volumes if each.get("name") == name), {})
            files = _files(model, pods, volume) if isinstance(part, str) and part else None
            if files is not None and part not in {file[: len(str(part))] for file in files}:
                problem, fix = f"The volume {name} has no file {part}.", hint("file", str(part), files)
                yield Finding.of("mount-without-file", pods.owner, problem, at=f"{at}.subPath", fix=fix)


def _files(model: ClusterModel, pods: Pods, volume: Mapping[str, Any]) -> set[str] | None:
    """Return the files in a volume of a ConfigMap or a Secret; None for others, and where they are not known."""
    config_map, secret = mapping(volume.get("configMap")), mapping(volume.get("secret"))
    source = config_map or secret
    if not source or source.get("optional") is True:
        return None
    if items := mappings(source.get("items")):
        return {str(item.get("path")) for item in items}
    if secret:
        return model.once(SecretSources).keys(pods.namespace, str(secret.get("secretName")))
    found = model.get("ConfigMap", pods.namespace, str(config_map.get("name")))
    if found is None or model.has_several(found):
        return None
    return {*mapping(found.manifest.get("data")), *mapping(found.manifest.get("binaryData"))}


def _claims(model: ClusterModel, pods: Pods, templates: set[str]) -> Iterator[Finding]:
    known = model.names("PersistentVolumeClaim", pods.namespace)
    for path, volume in pods.volumes:
        name = inner(volume, "persistentVolumeClaim", "claimName")
        # The controller of a StatefulSet replaces a volume that has the name of a template by the pod's own claim.
        if not isinstance(name, str) or name in known or str(volume.get("name")) in templates:
            continue
        if model.lacks("PersistentVolumeClaim", pods.namespace, name) and not _is_of_template(
            model, name, pods.namespace
        ):
            kind, at = "PersistentVolumeClaim", f"{path}.persistentVolumeClaim.claimName"
            yield Finding.missing("claim-missing", pods.owner, at, kind, name, known, pods.namespace, "claim")


def _is_of_template(model: ClusterModel, name: str, namespace: str) -> bool:
    """Tell whether a claim is one that a StatefulSet creates: its name is template, StatefulSet and a number."""
    base, _, number = name.rpartition("-")
    return number.isdecimal() and any(
        f"{template}-{item.name}" == base
        for item in model.kind("StatefulSet")
        if item.namespace == namespace
        for _, template, _ in claims(item)
    )


def _classes(model: ClusterModel) -> Iterator[Finding]:
    classes, known = storage_classes(model), known_classes(model)
    for item in model.kind("PersistentVolumeClaim", "StatefulSet"):
        for at, _, spec in claims(item):
            name = class_of(model, spec)
            # storageClassName: "" disables dynamic provisioning: the claim takes a PersistentVolume made by hand.
            if classes is not None and name and name not in classes:
                problem = f"A cluster of the kind {model.cluster.kind} has no storage class {name}."
                fix = hint("class", name, classes)
                yield Finding.of("storage-class-missing", item, problem, at=f"{at}.storageClassName", fix=fix)
            elif name is not None and name in known and known[name].shared is False and is_shared(spec):
                problem = f"The storage class {name} has no volumes that pods on several nodes can use."
                yield Finding.of("access-mode-unsupported", item, problem, at=f"{at}.accessModes")

"""Proof that ``$(NAME)`` in the variables and arguments of containers names a variable that is defined before."""

import re
from collections.abc import Iterator

from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.references.secret_sources import SecretSources
from constructs_lib.kubernetes.containers import Container, references
from constructs_lib.kubernetes.manifest import inner, mapping, mappings
from constructs_lib.text import hint

#: Variables that the kubelet sets for the Services of a namespace, and always for the Service of the API server.
_SERVICE_LINK = re.compile(r"[A-Z0-9_]+_(?:SERVICE_HOST|SERVICE_PORT|PORT)(?:_[A-Z0-9_]+)?")


def prove_variables(model: ClusterModel, pods: Pods) -> Iterator[Finding]:
    """Yield references to variables that are not defined where they are used."""
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

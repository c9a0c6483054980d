"""What External Secrets and Sealed Secrets need so that they make a Secret that is of use."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.references.readers import MAKING, OtherReaders
from constructs_lib.check.references.secret_sources import SecretSources, external_secrets
from constructs_lib.kubernetes.accounts import BINDINGS
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, sequence, texts
from constructs_lib.text import hint, within

_GROUP = "external-secrets.io"
_ACTION = re.compile(r"\{\{((?:(?!\{\{|\}\})[\s\S])*)\}\}")
#: A field of what the template is given, and not of a part of it, a number or the end of a name.
_FIELD = re.compile(r"""(?<![\w.)\]"'])(?:\$)?\.([A-Za-z_][\w-]*)|index\s+\.\s+"([^"]+)\"""")
_QUOTED = re.compile(r"""(?<!\.\s)"[^"]*"|`[^`]*`""")
#: The keys that the API server wants in a Secret of a type: https://kubernetes.io/docs/concepts/configuration/secret/#secret-types
_OF_TYPE = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def prove_stores(model: ClusterModel) -> Iterator[Finding]:
    """Yield stores that cannot be read, templates of values that are not read, and what makes a Secret in vain."""
    for store in model.kind("SecretStore", "ClusterSecretStore"):
        if store.group == _GROUP:
            for at, key, reference in _named(mapping(store.spec.get("provider")), "spec.provider"):
                place = store.namespace or str(reference.get("namespace") or "")
                if key in ("serviceAccount", "serviceAccountRef"):
                    yield from _account(model, store, at, place, str(reference["name"]))
                elif key.lower().endswith("secretref"):
                    yield from _secret(model, store, at, place, reference)
    for item in external_secrets(model):
        yield from _template(item)
    for item in model.kind("SealedSecret", "ExternalSecret"):
        template = mapping(item.spec.get("template") or inner(item.spec, "target", "template"))
        keys = model.once(SecretSources).keys(item.namespace, _made(item))
        missing = [key for key in _OF_TYPE.get(str(template.get("type")), ()) if keys is not None and key not in keys]
        if missing:
            problem = f"A Secret of the type {template['type']} has a key {missing[0]}, and this one gets none."
            yield Finding.of("secret-type-unfit", item, problem, at="spec")


def _made(item: Object) -> str:
    target = inner(item.spec, "target", "name") or inner(item.spec, "template", "metadata", "name")
    return str(target or item.name)


def _named(part: object, at: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield the objects that a provider names, each with its field and the field's own name."""
    for key, value in mapping(part).items():
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            yield f"{at}.{key}", key, value
        yield from _named(value, f"{at}.{key}")


def _account(model: ClusterModel, store: Object, at: str, namespace: str, name: str) -> Iterator[Finding]:
    if model.get("ServiceAccount", namespace, name) is None:
        if model.lacks("ServiceAccount", namespace, name) and name != "default":
            known = model.names("ServiceAccount", namespace)
            yield Finding.missing(
                "store-account-missing", store, f"{at}.name", "ServiceAccount", name, known, namespace
            )
    elif model.once(_may_take_no_tokens) and not _is_lent(model, namespace, name):
        problem = f"No Role{within(namespace)} lets External Secrets create a token of the ServiceAccount {name}."
        yield Finding.of(
            "store-account-missing", store, problem, at=at, fix="Bind one for serviceaccounts/token to it."
        )


def _may_take_no_tokens(model: ClusterModel) -> bool:
    """Tell whether the chart of External Secrets leaves it to the tree whose tokens it may create."""
    charts = (chart for application in model.all_applications for chart in application.charts)
    told = (chart.helm for chart in charts if chart.name == "external-secrets")
    return any(inner(helm, "valuesObject", "rbac", "serviceAccountTokenCreate") is False for helm in told)


def _is_lent(model: ClusterModel, namespace: str, name: str) -> bool:
    for binding in (each for each in model.kind(*BINDINGS) if each.namespace in ("", namespace)):
        reference = mapping(binding.manifest.get("roleRef"))
        kind = str(reference.get("kind"))
        role = model.get(
            kind,
            binding.namespace if kind == "Role" else "",
            str(reference.get("name")),
            "rbac.authorization.k8s.io",
        )
        for rule in mappings(role.manifest.get("rules")) if role else ():
            names = sequence(rule.get("resourceNames"))
            is_about = not {"serviceaccounts/token", "*"}.isdisjoint(map(str, sequence(rule.get("resources"))))
            may = not {"create", "*"}.isdisjoint(map(str, sequence(rule.get("verbs"))))
            if is_about and may and (not names or name in names) and binding.manifest.get("subjects"):
                return True
    return False


def _secret(model: ClusterModel, store: Object, at: str, place: str, reference: Mapping[str, Any]) -> Iterator[Finding]:
    sources, others = model.once(SecretSources), model.once(OtherReaders)
    name, key = str(reference["name"]), reference.get("key")
    keys = sources.keys(place, name)
    if not sources.makes(place, name):
        if model.lacks("Secret", place, name) and not others.may(MAKING, "Secret", place, name):
            known = sources.names(place)
            yield Finding.missing("store-secret-missing", store, f"{at}.name", "Secret", name, known, place)
    elif keys is not None and isinstance(key, str) and key not in keys:
        problem, fix = f'The Secret {name} gets no key "{key}".', hint("key", key, keys)
        yield Finding.of("store-secret-missing", store, problem, at=f"{at}.key", fix=fix)


def _template(item: Object) -> Iterator[Finding]:
    """Yield values that a template of a Secret uses and that are not read.

    https://external-secrets.io/latest/guides/templating/
    """
    template = mapping(inner(item.spec, "target", "template"))
    if item.spec.get("dataFrom") or template.get("engineVersion", "v2") != "v2":
        return
    known = {str(entry.get("secretKey")) for entry in mappings(item.spec.get("data"))}
    for key, text in texts(template.get("data")).items():
        actions = _ACTION.findall(text)
        # Within these, a dot is a part of a value.
        if any(re.search(r"\b(?:range|with|define|block)\b", action) for action in actions):
            continue
        for action in actions:
            for field, indexed in _FIELD.findall(_QUOTED.sub("", action) if "index" not in action else action):
                at, name = f"spec.target.template.data.{key}", field or indexed
                if name in known and "-" in field:
                    problem, fix = f"{{{{ .{name} }}}} is no name of a field.", f'Write {{{{ index . "{name}" }}}}.'
                    yield Finding.of("secret-template-unfit", item, problem, at=at, fix=fix)
                elif name not in known:
                    problem = f'It uses a value "{name}" that it does not read.'
                    yield Finding.of("secret-template-unfit", item, problem, at=at, fix=hint("value", name, known))

"""What names, labels and annotations may be made of, and how large an object may be.

The functions of the API server are ``ValidateObjectMeta`` and ``ValidateAnnotations`` in
k8s.io/apimachinery/pkg/api/validation.
"""

import base64
import binascii
import re
from collections.abc import Callable

from constructs_lib.argocd.objects import Object
from constructs_lib.check.bootstrap import version_number
from constructs_lib.check.schemas.faults import Fault, Faults, repeated
from constructs_lib.kubernetes import names
from constructs_lib.kubernetes.manifest import entries, inner, mapping, sequence
from constructs_lib.text import given, nearest, sentence

_MOST_ANNOTATIONS = 256 * 1024
_MOST_DATA = 1024 * 1024
#: Kubernetes that takes Services whose names begin with a digit (KEP-5311).
_RELAXED_SERVICES = (1, 36)
#: Characters of a name, less what is appended to it. The pods of a StatefulSet have the label controller-revision-hash,
#: which is NAME-HASH with a hash of ten characters; the Jobs of a CronJob get eleven characters more
#: (``ValidateCronJobCreate``).
_MOST_CHARACTERS = {("apps", "StatefulSet"): 63 - 11, ("batch", "CronJob"): 63 - 11, ("batch", "Job"): 63}
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")

_LABEL_RULE = "at most 63 lower-case letters, digits and hyphens, with a letter or digit at both ends"
_SUBDOMAIN_RULE = "at most 253 lower-case letters, digits, hyphens and dots, with a letter or digit at both ends"
_KEY_RULE = "at most 253 letters, digits, hyphens, underscores and dots"
_LABEL_KEY_FIX = (
    "A key has at most 63 letters, digits, hyphens, underscores and dots; a domain and a / may stand before them."
)


def _name_rule(item: Object, version: str) -> tuple[Callable[[str], bool], str]:
    match item.group, item.kind:
        case "", "Service" if version_number(version) < _RELAXED_SERVICES:
            return names.is_label_1035, f"{_LABEL_RULE}, and a letter first"
        case ("", "Namespace" | "Service") | ("apps", "StatefulSet"):
            return names.is_label, _LABEL_RULE
        case ("rbac.authorization.k8s.io", _) | ("policy", "PodDisruptionBudget"):
            return names.is_path_segment, "anything without / and %"
        case ("networking.k8s.io", "IPAddress"):
            return bool, "an IP address"
    return names.is_subdomain, _SUBDOMAIN_RULE


def metadata_faults(item: Object, version: str) -> Faults:
    """Yield what is wrong with the name, the labels and the annotations of an object."""
    yield from _name_faults(item, version)
    if item.namespace and not names.is_label(item.namespace):
        problem = f'"{item.namespace}" is no name of a namespace.'
        yield Fault("bad-name", "metadata.namespace", problem, f"A namespace has {_LABEL_RULE}.")
    yield from label_faults(item.metadata.get("labels"), "metadata.labels")
    yield from annotation_faults(item.metadata.get("annotations"), "metadata.annotations")
    for index, finalizer in enumerate(sequence(item.metadata.get("finalizers"))):
        # validateFinalizerName in pkg/apis/core/validation; those of Kubernetes itself have no domain.
        if not names.is_label_key(str(finalizer or "")):
            problem = f"{given(finalizer or '')} cannot be a finalizer."
            yield Fault("bad-name", f"metadata.finalizers[{index}]", problem, _LABEL_KEY_FIX)
    finalizers = enumerate(sequence(item.metadata.get("finalizers")))
    for at, name in repeated((f"metadata.finalizers[{index}]", str(name)) for index, name in finalizers):
        yield Fault("duplicate-entry", at, f'The finalizer "{name}" is there twice.')
    if item.full_kind == "Namespace":
        yield from _pod_security_faults(item)


_LEVELS = ("privileged", "baseline", "restricted")


def _pod_security_faults(item: Object) -> Faults:
    """Yield levels and versions that are none in the labels of a Namespace that say how secure its pods must be.

    https://kubernetes.io/docs/concepts/security/pod-security-admission/#pod-security-admission-labels-for-namespaces
    """
    for mode in ("enforce", "audit", "warn"):
        key = f"pod-security.kubernetes.io/{mode}-version"
        version = item.labels.get(key)
        level = item.labels.get(key.removesuffix("-version"))
        # A policy tells which levels are enforced, and whether there is such a level.
        if level is not None and level not in _LEVELS and not (mode == "enforce" and level):
            at, fix = f"metadata.labels.{key.removesuffix('-version')}", f"It is one of {', '.join(_LEVELS)}."
            yield Fault("bad-value", at, f"{given(level)} is no level.", fix)
        if version is not None and version != "latest" and not re.fullmatch(r"v1\.(0|[1-9][0-9]*)", version):
            fix = "latest and v1.30 are such."
            yield Fault("bad-value", f"metadata.labels.{key}", f"{given(version)} is no version of Kubernetes.", fix)


def _name_faults(item: Object, version: str) -> Faults:
    name, at = item.metadata.get("name"), "metadata.name"
    if not isinstance(name, str):
        if name is None and not item.metadata.get("generateName"):
            yield Fault("missing-field", at, "It has no name.", "Give it metadata.name.")
        return
    fits, rule = _name_rule(item, version)
    most = _MOST_CHARACTERS.get((item.group, item.kind), len(name))
    if not fits(name):
        yield Fault("bad-name", at, f'"{name}" is no name.', f"A {item.kind} has {rule}.")
    elif len(name) > most:
        problem = f"The name has {len(name)} characters, and what is appended leaves no room for more than {most}."
        yield Fault("name-too-long", at, problem, f"Shorten it to {most} characters.")


def label_faults(labels: object, at: str) -> Faults:
    """Yield what is wrong with labels, or with what selects them."""
    for key, value in mapping(labels).items():
        if not names.is_label_key(key):
            yield Fault("bad-label", f"{at}.{key}", f'"{key}" cannot be the key of a label.', _LABEL_KEY_FIX)
        if isinstance(value, str) and not names.is_label_value(value):
            yield Fault("bad-label", f"{at}.{key}", f"{given(value)} cannot be the value of the label {key}.")


def selector_faults(selector: object, at: str) -> Faults:
    """Yield what is wrong with a label selector."""
    yield from label_faults(inner(selector, "matchLabels"), f"{at}.matchLabels")
    for here, expression in entries(inner(selector, "matchExpressions"), f"{at}.matchExpressions"):
        operator, values = expression.get("operator"), sequence(expression.get("values"))
        if operator in ("In", "NotIn") and not values:
            yield Fault("bad-selector", f"{here}.values", f"{operator} needs values.")
        elif operator in ("Exists", "DoesNotExist") and values:
            yield Fault("bad-selector", f"{here}.values", f"{operator} has no values.")
        elif isinstance(operator, str) and operator not in _OPERATORS:
            fix = sentence(nearest(operator, _OPERATORS))
            yield Fault("bad-selector", f"{here}.operator", f'"{operator}" is no operator.', fix)


def annotation_faults(annotations: object, at: str) -> Faults:
    """Yield what is wrong with the keys of annotations, and with the size of all of them."""
    size = 0
    for key, value in mapping(annotations).items():
        size += _bytes(key) + (_bytes(value) if isinstance(value, str) else 0)
        if not names.is_label_key(key.lower()):
            yield Fault("bad-label", f"{at}.{key}", f'"{key}" cannot be the key of an annotation.', _LABEL_KEY_FIX)
    if size > _MOST_ANNOTATIONS:
        problem = f"The annotations have {size} bytes, and there is room for {_MOST_ANNOTATIONS}."
        yield Fault("size-limit-exceeded", at, problem)


def _bytes(text: str) -> int:
    # JSON can hold halves of a character.
    return len(text.encode(errors="surrogatepass"))


def data_faults(item: Object) -> Faults:
    """Yield what is wrong with the data of a ConfigMap or Secret (``ValidateConfigMap``, ``ValidateSecret``)."""
    data = {field: mapping(item.manifest.get(field)) for field in ("data", "binaryData", "stringData")}
    size = 0
    for field, values in data.items():
        is_encoded = field == "binaryData" or (field == "data" and item.kind == "Secret")
        for key, value in values.items():
            at = f"{field}.{key}"
            if not names.is_config_key(key):
                yield Fault("bad-name", at, f'"{key}" cannot be a key of a {item.kind}.', f"A key has {_KEY_RULE}.")
            if isinstance(value, str) and is_encoded:
                try:
                    size += len(base64.b64decode("".join(value.split()), validate=True))
                except (binascii.Error, ValueError):
                    fix = "Encode it, or write it under stringData." if field == "data" else "Encode it."
                    yield Fault("bad-value", at, f"The value of {key} is not Base64.", fix)
            elif isinstance(value, str):
                size += _bytes(value)
    if size > _MOST_DATA:
        yield Fault("size-limit-exceeded", "data", f"The data have {size} bytes, and there is room for {_MOST_DATA}.")
    for key in sorted(data["data"].keys() & data["binaryData"].keys()):
        problem = f'"{key}" is in data and in binaryData.'
        yield Fault("bad-name", f"binaryData.{key}", problem, "Keep it in one of the two.")

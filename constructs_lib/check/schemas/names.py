"""What names, labels and annotations may be made of, and how large an object may be.

The functions of the API server are ``ValidateObjectMeta`` and ``ValidateAnnotations`` in
k8s.io/apimachinery/pkg/api/validation.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.schemas.openapi import number
from constructs_lib.kubernetes.manifest import mapping
from constructs_lib.kubernetes.names import (
    is_config_key,
    is_label,
    is_label_1035,
    is_label_key,
    is_label_value,
    is_path_segment,
    is_subdomain,
)
from constructs_lib.text import given

_MOST_ANNOTATIONS = 256 * 1024
_MOST_DATA = 1024 * 1024
#: Kubernetes that takes Services whose names begin with a digit (KEP-5311).
_RELAXED_SERVICES = (1, 36)
#: A StatefulSet's pods have the label controller-revision-hash, NAME-HASH with a hash of ten characters.
_STATEFUL_SET = 63 - 11
#: ValidateCronJobCreate: eleven characters are appended for every Job.
_CRON_JOB = 63 - 11
_JOB = 63

_LABEL_RULE = "at most 63 lower-case letters, digits and hyphens, with a letter or digit at both ends"
_SUBDOMAIN_RULE = "at most 253 lower-case letters, digits, hyphens and dots, with a letter or digit at both ends"
_KEY_RULE = "at most 253 letters, digits, hyphens, underscores and dots"
_LABEL_KEY_FIX = (
    "A key has at most 63 letters, digits, hyphens, underscores and dots; a domain and a / may stand before them."
)
PORT_NAME_RULE = "at most 15 lower-case letters, digits and single hyphens, a letter among them"


def _name_rule(item: Object, version: str) -> tuple[Callable[[str], bool], str]:
    match item.group, item.kind:
        case "", "Service" if number(version) < _RELAXED_SERVICES:
            return is_label_1035, f"{_LABEL_RULE}, and a letter first"
        case ("", "Namespace" | "Service") | ("apps", "StatefulSet"):
            return is_label, _LABEL_RULE
        case ("rbac.authorization.k8s.io", _) | ("policy", "PodDisruptionBudget"):
            return is_path_segment, "anything without / and %"
        case ("networking.k8s.io", "IPAddress"):
            return bool, "an IP address"
    return is_subdomain, _SUBDOMAIN_RULE


def metadata_findings(item: Object, version: str) -> Iterator[Finding]:
    """Yield what is wrong with the name, the labels and the annotations of an object.

    Args:
        item: The object.
        version: The version of Kubernetes.
    """
    yield from _name_findings(item, version)
    if item.namespace and not is_label(item.namespace):
        problem = f'"{item.namespace}" is no name of a namespace.'
        yield Finding.of("bad-name", item, problem, at="metadata.namespace", fix=f"A namespace has {_LABEL_RULE}.")
    yield from label_findings(item, item.metadata.get("labels"), "metadata.labels")
    yield from annotation_findings(item, item.metadata.get("annotations"), "metadata.annotations")


def _name_findings(item: Object, version: str) -> Iterator[Finding]:
    name = item.metadata.get("name")
    if not isinstance(name, str):
        if name is None and not item.metadata.get("generateName"):
            yield Finding.of("missing-field", item, "It has no name.", at="metadata.name", fix="Give it metadata.name.")
        return
    fits, rule = _name_rule(item, version)
    if not fits(name):
        yield Finding.of(
            "bad-name", item, f'"{name}" is no name.', at="metadata.name", fix=f"A {item.kind} has {rule}."
        )
        return
    most = {"StatefulSet": _STATEFUL_SET, "CronJob": _CRON_JOB, "Job": _JOB}.get(item.kind)
    if most and len(name) > most and item.group in ("apps", "batch"):
        problem = f"The name has {len(name)} characters, and what is appended leaves no room for more than {most}."
        yield Finding.of("name-too-long", item, problem, at="metadata.name", fix=f"Shorten it to {most} characters.")


def label_findings(item: Object, labels: object, at: str) -> Iterator[Finding]:
    """Yield what is wrong with labels, or with what selects them.

    Args:
        item: The object that they belong to.
        labels: The labels.
        at: Where they stand.
    """
    for key, value in mapping(labels).items():
        if not is_label_key(key):
            problem = f'"{key}" cannot be the key of a label.'
            yield Finding.of("bad-label", item, problem, at=f"{at}.{key}", fix=_LABEL_KEY_FIX)
        if isinstance(value, str) and not is_label_value(value):
            yield Finding.of(
                "bad-label", item, f"{given(value)} cannot be the value of the label {key}.", at=f"{at}.{key}"
            )


def annotation_findings(item: Object, annotations: object, at: str) -> Iterator[Finding]:
    """Yield what is wrong with the keys of annotations, and with the size of all of them.

    Args:
        item: The object that they belong to.
        annotations: The annotations.
        at: Where they stand.
    """
    size = 0
    for key, value in mapping(annotations).items():
        size += _bytes(key) + (_bytes(value) if isinstance(value, str) else 0)
        if not is_label_key(key.lower()):
            problem = f'"{key}" cannot be the key of an annotation.'
            yield Finding.of("bad-label", item, problem, at=f"{at}.{key}", fix=_LABEL_KEY_FIX)
    if size > _MOST_ANNOTATIONS:
        problem = f"The annotations have {size} bytes, and there is room for {_MOST_ANNOTATIONS}."
        yield Finding.of("size-limit-exceeded", item, problem, at=at)


def _bytes(text: str) -> int:
    # JSON can hold halves of a character.
    return len(text.encode(errors="surrogatepass"))


def data_findings(item: Object) -> Iterator[Finding]:
    """Yield what is wrong with the data of a ConfigMap or Secret (``ValidateConfigMap``, ``ValidateSecret``).

    Args:
        item: The ConfigMap or Secret.
    """
    fields: dict[str, Mapping[str, object]] = {
        field: mapping(item.manifest.get(field)) for field in ("data", "binaryData", "stringData")
    }
    size = 0
    for field, entries in fields.items():
        encoded = field == "binaryData" or (field == "data" and item.kind == "Secret")
        for key, value in entries.items():
            if not is_config_key(key):
                fix = f"A key has {_KEY_RULE}."
                yield Finding.of(
                    "bad-name", item, f'"{key}" cannot be a key of a {item.kind}.', at=f"{field}.{key}", fix=fix
                )
            if isinstance(value, str) and encoded:
                try:
                    size += len(base64.b64decode("".join(value.split()), validate=True))
                except (binascii.Error, ValueError):
                    fix = "Encode it, or write it under stringData." if field == "data" else "Encode it."
                    yield Finding.of(
                        "bad-value", item, f"The value of {key} is not Base64.", at=f"{field}.{key}", fix=fix
                    )
            elif isinstance(value, str):
                size += _bytes(value)
    if size > _MOST_DATA:
        yield Finding.of(
            "size-limit-exceeded", item, f"The data have {size} bytes, and there is room for {_MOST_DATA}.", at="data"
        )
    for key in sorted(fields["data"].keys() & fields["binaryData"].keys()):
        fix = "Keep it in one of the two."
        yield Finding.of("bad-name", item, f'"{key}" is in data and in binaryData.', at=f"binaryData.{key}", fix=fix)

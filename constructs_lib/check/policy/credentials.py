"""Proof that nobody who reads the repository sees a secret. No message repeats what was found."""

import base64
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from functools import lru_cache
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.calls import apart
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import Pods
from constructs_lib.credentials import (
    holds_secret,
    is_well_known,
    logins,
    names_object,
    names_password,
    names_secret,
)
from constructs_lib.kubernetes.manifest import mapping, mappings, sequence, texts

_ASSIGNMENT = re.compile(
    r"(?:^|[\s\"'{,;(-])([\w.-]{0,60}(?:password|passwd|passphrase|_pass|_pwd))[\"']?(?:\s*[=:]\s*|\s+)[\"']?([^\s\"',;{}()]+)",
    re.IGNORECASE,
)
#: Each name that _ASSIGNMENT finds ends with one of these.
_PASSWORD_WORDS = ("password", "passwd", "passphrase", "_pass", "_pwd")
#: What stands for a value from elsewhere: a variable, a placeholder, an encrypted value, a path.
_REFERENCE = re.compile(
    r"[$<>%]|\{\{|^ENC\[|^(?:vault:|op://|ref\+|file:)|^\*+$|^/|^(?:true|false|null|none|yes|no)$", re.IGNORECASE
)
_DEFAULTS = re.compile(
    r"(?:1234(?:5(?:6(?:78)?)?)?|admin(?:123)?|cassandra|change-?it|change-?me|default|demo|elastic|example|grafana|guest"
    r"|letmein|minio(?:admin)?|mongo|mysql|pass|passw[o0]rd|postgres|prom-operator|qwerty|rabbitmq|redis|root|s3cr3t"
    r"|secret|test|toor|user|welcome)",
    re.IGNORECASE,
)
#: Those that nobody calls an object.
_NO_NAMES = re.compile(
    r"[0-9].*|admin123|change.*|letmein|passw[o0]rd|qwerty|s3cr3t|secret|test|toor|welcome", re.IGNORECASE
)
#: What entries of Secrets are called: a "secretKey" with this value is the name of one.
_ENTRIES = re.compile(r"(?:[a-z0-9]+[-_.])*(?:pass(?:word)?|secret|token|key|user(?:name)?)", re.IGNORECASE)
#: Addresses that are secrets themselves.
_HOOKS = re.compile(r"hooks\.slack\.com/|/api/webhooks/|webhook\.office\.com/|events\.pagerduty\.com/integration/")
#: Keys of a Secret that say who logs in, and where.
_PLAIN_KEYS = re.compile(
    r"(?:^|[_.-])(?:user(?:name)?|host(?:name)?|port|db|dbname|database|region|version)$", re.IGNORECASE
)
#: What the names of files end in that programs are configured by.
_CONFIGURATIONS = (".cfg", ".cnf", ".conf", ".ini", ".properties", ".toml", ".yaml", ".yml")
_COMMENT = re.compile(r"^[ \t]*[#;].*$", re.MULTILINE)
#: A setting in such a file, also in one of JSON.
_SETTING = re.compile(r"[\"']?([A-Za-z][\w.-]{0,80})[\"']?[ \t]{0,20}[:=][ \t]{0,20}[\"']?([^\s\"',{}]*)")
#: Keys of a Secret that names a repository or cluster of Argo CD and needs no login.
_HARMLESS_KEYS = {"enableLfs", "enableOCI", "forceHttpBasicAuth", "insecure", "name", "project", "type", "url"}


def credential_findings(item: Object, pods: Pods | None) -> Iterator[Finding]:
    """Yield the secrets that an object shows, and those of the pods that it makes, if it makes some."""
    if item.kind == "Secret" and not item.group:
        yield from _secret(item)
    elif item.kind == "ConfigMap" and not item.group:
        for key, value in texts(item.manifest.get("data")).items():
            yield from _text(item, key, value, f"data.{key}")
    elif item.kind == "Application":
        for source in (mapping(item.spec.get("source")), *mappings(item.spec.get("sources"))):
            yield from _chart(item, mapping(source.get("helm")))
    elif pods is not None:
        yield from _pods(item, pods)


def _secret(item: Object) -> Iterator[Finding]:
    for field in ("data", "stringData"):
        values = texts(item.manifest.get(field))
        shown = sorted(
            key
            for key, value in values.items()
            if value and not _REFERENCE.search(value) and not _is_plain(key, value, is_encoded=field == "data")
        )
        if item.metadata.get("labels") and set(shown) <= _HARMLESS_KEYS:
            shown = []
        if shown:
            yield Finding.of("secret-in-git", item, f"It shows {', '.join(shown)}.", at=field)


def _is_plain(key: str, value: str, *, is_encoded: bool) -> bool:
    """Tell whether an entry of a Secret is none: a name or an address, or the configuration of a program."""
    if is_encoded:
        try:
            value = base64.b64decode(value, validate=True).decode()
        except ValueError:
            return False
    if is_well_known(value) or _within(value) or _HOOKS.search(value):
        return False
    if _PLAIN_KEYS.search(key):
        return "\n" not in value.strip()
    if not key.endswith(_CONFIGURATIONS):
        return False
    value = _COMMENT.sub("", value)
    settings = [*_SETTING.finditer(value)]
    return bool(settings or not value.strip()) and not any(
        holds_secret(setting[1], variables=True) and not _is_reference(setting[2]) for setting in settings
    )


def _pods(item: Object, pods: Pods) -> Iterator[Finding]:
    for container in pods.containers:
        variables = {
            str(variable["name"]): variable["value"]
            for variable in mappings(container.get("env"))
            if isinstance(variable.get("value"), str) and "name" in variable
        }
        users = {value for name, value in variables.items() if name.upper().endswith(("USER", "USERNAME"))}
        for name, value in variables.items():
            yield from _text(item, name, value, f"{container.path}.env[{name}].value", users)
        for field in ("command", "args"):
            for text in apart(map(str, sequence(container.get(field))), " "):
                yield from _text(item, "", text, f"{container.path}.{field}", users)


def _text(item: Object, name: str, value: str, at: str, users: Set[str] = frozenset()) -> Iterator[Finding]:
    found = _named(name, value, users) or _within(value)
    if is_well_known(value):
        found = "credential-in-clear", "A private key or token is written down here."
    if found:
        code, problem = found
        yield Finding.of(code, item, problem, at=at)


#: The code of a check, and what is wrong.
_Found = tuple[str, str]


def _named(name: str, value: str, users: Set[str]) -> _Found | None:
    """Return what is wrong with a value if its name says that it is a secret."""
    says_password = names_password(name) and not names_object(name)
    if not (says_password or names_secret(name)) or _is_reference(value):
        return None
    if _DEFAULTS.fullmatch(value) or value in users:
        return "default-credentials", f"{name} is a password that everybody tries first."
    if says_password or _is_random(value):
        return "credential-in-clear", f"{name} is written down here."
    return None


@lru_cache(maxsize=1024)
def _within(value: str) -> _Found | None:
    """Return what is wrong with any text: it has an address with a login, or assigns a password."""
    for user, password in logins(value):
        if not _is_reference(password):
            weak = bool(_DEFAULTS.fullmatch(password)) or user == password
            code = "default-credentials" if weak else "credential-in-clear"
            return code, f"An address holds the password of {user or 'nobody'}."
    lower = value.lower()
    for assignment in _ASSIGNMENT.finditer(value) if any(word in lower for word in _PASSWORD_WORDS) else ():
        if _DEFAULTS.fullmatch(assignment[2]):
            return "default-credentials", f"{assignment[1]} is a password that everybody tries first."
        if _is_random(assignment[2]) and not _is_reference(assignment[2]):
            return "credential-in-clear", f"{assignment[1]} is written down here."
    return None


def _is_reference(value: str) -> bool:
    return not value.strip() or bool(_REFERENCE.search(value))


def _is_random(value: str) -> bool:
    """Tell whether a text looks like a random secret: long, with letters and digits, and without a pattern."""
    if len(value) < 16 or not re.search(r"[A-Za-z]", value) or not re.search(r"[0-9]", value) or " " in value:
        return False
    counts = Counter(value).values()
    entropy = -sum(count / len(value) * math.log2(count / len(value)) for count in counts)
    return entropy > 3.2 and "://" not in value and "." not in value.strip(".")


def _chart(item: Object, helm: Mapping[str, Any]) -> Iterator[Finding]:
    at = "spec.source.helm"
    for parameter in mappings(helm.get("parameters")):
        name, value = str(parameter.get("name", "")), str(parameter.get("value", ""))
        if not _names_object(name, value):
            yield from _text(item, name.rpartition(".")[2], value, f"{at}.parameters")
    yield from _text(item, "", str(helm.get("values") or ""), f"{at}.values")
    parts: list[tuple[str, Any]] = [("", helm.get("valuesObject"))]
    while parts:
        path, part = parts.pop()
        if isinstance(part, dict):
            parts += [(f"{path}.{key}", value) for key, value in part.items()]
        elif isinstance(part, list):
            parts += [(f"{path}[{index}]", value) for index, value in enumerate(part)]
        elif isinstance(part, str) and not _names_object(path, part):
            yield from _text(item, path.rpartition(".")[2], part, f"{at}.valuesObject{path}")


def _names_object(path: str, value: str) -> bool:
    """Tell whether a value of a chart names a Secret or an entry of it.

    By custom ``secret`` alone is the name of one, and ``secretKey`` that of an entry if its value reads like one.
    """
    name = path.rpartition(".")[2].rpartition("[")[0] or path.rpartition(".")[2]
    is_entry = name.lower().endswith("secretkey") and _ENTRIES.fullmatch(value) is not None
    is_name = name.lower() in ("secret", "secrets") and not (is_well_known(value) or _is_random(value))
    return is_entry or (is_name and not _NO_NAMES.fullmatch(value))

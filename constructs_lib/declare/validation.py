"""Rules for names, quantities, images and schedules, each as a function that returns what is wrong, or None."""

from __future__ import annotations

import re
from decimal import Decimal

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_ENVIRONMENT_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|[kMGTPE]|[KMGTPE]i)?")
_IMAGE = re.compile(
    r"(?P<name>(?:[a-z0-9.-]+(?::\d+)?/)?[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_EXACT_VERSION = re.compile(r"v?\d+\.\d+(\.\d+)?([-+._][A-Za-z0-9.+_-]+)?")
_CHART_VERSION = re.compile(r"v?\d+\.\d+\.\d+([-+][A-Za-z0-9.+-]+)?")
_HOST_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_SQL_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
_CRON_FIELD = re.compile(r"(\*|\d+(-\d+)?)(/\d+)?(,(\*|\d+(-\d+)?)(/\d+)?)*")
_SECRET_NAME = re.compile(
    r"(^|_)(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|(API|LICENSE|LICENCE|PRIVATE|ACCESS|SECRET)_?KEY)$"
)
_URL_WITH_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@", re.IGNORECASE)
_GIT_URL = re.compile(r"https://[^\s/]+/\S+|ssh://\S+|git@[^\s:]+:\S+")

_FACTORS: dict[str | None, Decimal] = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    **dict(zip("kMGTPE", (Decimal(1000) ** power for power in range(1, 7)), strict=True)),
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}


def dns_label(name: object) -> str | None:
    """Check an RFC 1123 label: names of namespaces, Services and containers.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names
    """
    if not isinstance(name, str) or not name:
        return f"a name is a text that is not empty, not {name!r}."
    if len(name) > 63:
        return f'the name "{name}" has {len(name)} characters; at most 63 are allowed.'
    if not _DNS_LABEL.fullmatch(name):
        better = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        hint = f'; for instance "{better}".' if better else "."
        return f'"{name}" is no DNS label: only a-z, 0-9 and "-", beginning and ending with a letter or digit{hint}'
    return None


def port_name(name: object) -> str | None:
    """Check an IANA service name: at most 15 characters, at least one letter, no two dashes in a row.

    https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Container (ports.name)
    """
    problem = dns_label(name)
    if problem:
        return problem
    if isinstance(name, str) and (len(name) > 15 or not re.search("[a-z]", name) or "--" in name):
        return f'the port name "{name}" must have at most 15 characters, one of them a letter, and no "--".'
    return None


def port_number(number: object) -> str | None:
    """Check a TCP port."""
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 65535:
        return f"{number!r} is no port; a whole number from 1 to 65535 is needed."
    return None


def environment_variable(name: str) -> str | None:
    """Check the name of an environment variable."""
    if not _ENVIRONMENT_VARIABLE.fullmatch(name):
        return f'"{name}" is no name of an environment variable; letters, digits and "_", not a digit first.'
    return None


def parse_quantity(quantity: str) -> Decimal:
    """Return the value of a Kubernetes quantity, in its base unit (bytes, cores).

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/

    Raises:
        ValueError: It is no quantity.
    """
    match = _QUANTITY.fullmatch(quantity)
    if not match:
        raise ValueError(quantity)
    factor: Decimal = _FACTORS[match[2]]
    return Decimal(match[1]) * factor


def quantity(text: object, example: str) -> str | None:
    """Check that ``text`` is a quantity above zero; ``example`` shows a right one."""
    try:
        positive = isinstance(text, str) and parse_quantity(text) > 0
    except ValueError:
        positive = False
    return None if positive else f'{text!r} is no quantity above zero; write it like "{example}".'


def image(reference: object) -> str | None:
    """Check an image reference: it has a digest, or else an exact version as its tag."""
    if not isinstance(reference, str) or not (match := _IMAGE.fullmatch(reference)):
        return f'{reference!r} is no image reference; write "name:1.2.3" or "name:1.2.3@sha256:<64 hex digits>".'
    if match["digest"]:
        return None
    if not match["tag"]:
        return f'the image "{reference}" has neither a digest nor a version; write "{reference}:1.2.3@sha256:…".'
    if not _EXACT_VERSION.fullmatch(match["tag"]):
        return (
            f'the image "{reference}" has neither a digest nor an exact version: '
            f'"{match["tag"]}" can mean another image tomorrow; add "@sha256:…".'
        )
    return None


def chart_version(version: object) -> str | None:
    """Check that a Helm chart's version is exact, not a range."""
    if not isinstance(version, str) or not _CHART_VERSION.fullmatch(version):
        return f'{version!r} is no exact chart version; write it like "1.2.3", without a range.'
    return None


def sql_name(name: object) -> str | None:
    """Check a name in a database that needs no quotes: a database, a role, a keyspace."""
    if not isinstance(name, str) or not _SQL_NAME.fullmatch(name):
        return f'{name!r} is no plain name in a database; a-z, 0-9 and "_", at most 48, a letter first.'
    return None


def java_heap(heap: object, limit: str) -> str | None:
    """Check the size of a Java heap, which leaves at least a third of the container's memory to the rest of Java."""
    if not isinstance(heap, str) or not re.fullmatch(r"[1-9]\d*[MG]", heap):
        return f'{heap!r} is no size of a Java heap; write it like "512M".'
    try:
        allowed = parse_quantity(limit) * 2 / 3
    except ValueError:
        return None
    if parse_quantity(f"{heap}i") > allowed:
        return f"{heap} is more than two thirds of the memory limit {limit}; at most {int(allowed / 1024**2)}M."
    return None


def host_name(name: object) -> str | None:
    """Check the full name of an internet host."""
    if not isinstance(name, str) or not _HOST_NAME.fullmatch(name):
        return f'{name!r} is no full host name; write it like "api.example.com", without scheme, port or path.'
    return None


def cron(schedule: object) -> str | None:
    """Check a cron expression of five fields: minute, hour, day of month, month, day of week."""
    limits = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
    fields = schedule.split() if isinstance(schedule, str) else []
    if len(fields) == 5 and all(_CRON_FIELD.fullmatch(entry) for entry in fields):
        for entry, (low, high) in zip(fields, limits, strict=True):
            values = [int(number) for number in re.findall(r"(?<!/)\b\d+", entry)]
            if not all(low <= value <= high for value in values):
                break
        else:
            return None
    return f'{schedule!r} is no cron expression; five fields are needed, for instance "17 3 * * *".'


def plain_secret(name: str, value: str) -> str | None:
    """Tell a secret that is given as plain text, by the variable's name or a password inside a URL."""
    if _SECRET_NAME.search(name.upper()) and value:
        return (
            f'{name} looks like a secret and is given as plain text; use generated("…") or supplied("…"), '
            f'or plain("…") if it is none.'
        )
    if _URL_WITH_PASSWORD.search(value):
        return f"{name} holds a URL with a password in plain text; give the password as a secret of its own."
    return None


def git_url(url: object) -> str | None:
    """Check a Git repository's address that carries no password."""
    if not isinstance(url, str) or not _GIT_URL.fullmatch(url):
        return f'{url!r} is no Git repository; write it like "https://github.com/team/repository.git".'
    if _URL_WITH_PASSWORD.search(url):
        return "the Git repository's address holds a password; Argo CD takes it from a Secret instead."
    return None

"""Rules for names, quantities, images and schedules, each as a function that returns what is wrong, or None."""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Literal

from constructs_lib.credentials import holds_login, is_well_known, logins, names_password, names_secret
from constructs_lib.kubernetes import names
from constructs_lib.kubernetes import quantity as quantities
from constructs_lib.kubernetes.cron import schedule_problem
from constructs_lib.kubernetes.manifest_yaml import dump
from constructs_lib.text import shown

#: What an image needs beside its name: a digest or an exact version, or any tag.
ImageTags = Literal["exact", "any"]

_CHART_REPOSITORY = re.compile(r"(https|oci)://[^\s/@]+(/\S*)?")
_SCHEMELESS = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]+)?(/[^\s@]*)?")
_LOGIN_IN_HTTPS = re.compile(r"https?://[^/\s@]+@", re.IGNORECASE)
_GIT_URL = re.compile(r"https://[^\s/]+/\S+|ssh://\S+|git@[^\s:]+:\S+")
#: What ``git check-ref-format`` refuses in a branch, and full references.
_NO_BRANCH = re.compile(r"refs/.*|[-/.].*|.*([\s~^:?*\[\\\x00-\x1f\x7f]|\.\.|@\{|//|/\.).*|.*(/|\.|\.lock)|@|")


def _rule(rule: str | Callable[[str], object], problem: str) -> Callable[[object], str | None]:
    """Return a rule for texts, a pattern or a function; ``problem`` says what one is not that does not fit."""
    fits = re.compile(rule).fullmatch if isinstance(rule, str) else rule
    return lambda value: None if isinstance(value, str) and fits(value) else f"{shown(value)} {problem}"


environment_variable = _rule(
    names.is_variable, "is no name of an environment variable; letters, digits and _ - ., not a digit first."
)
#: Of a Helm chart: exact, not a range.
chart_version = _rule(
    r"v?[0-9]+\.[0-9]+\.[0-9]+([-+][A-Za-z0-9.+-]+)?",
    'is no exact chart version; write it like "1.2.3", without a range.',
)
chart_name = _rule(r"[A-Za-z0-9][A-Za-z0-9._/-]*", "is no name of a chart; letters, digits and . _ - are allowed.")
#: A name in a database that needs no quotes: a database, a role, a keyspace.
sql_name = _rule(
    r"[a-z][a-z0-9_]{0,47}", 'is no plain name in a database; a-z, 0-9 and "_", at most 48, a letter first.'
)
#: Digest of an OCI artifact.
digest = _rule(r"sha256:[0-9a-f]{64}", 'is no digest; write it like "sha256:<64 hex digits>".')
#: The full name of an internet host.
host_name = _rule(
    r"(?=.{1,253}$)([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]{2,63}",
    'is no full host name; write it like "api.example.com", without scheme, port or path.',
)
#: What a client may be told about an endpoint, which may be the key of a secret.
attribute = _rule(
    r"[a-z][a-z0-9_-]{0,62}", 'is no name of an attribute; a-z, 0-9, "_" and "-" are allowed, a letter first.'
)
#: A DNS domain, which may be a single label.
domain = _rule(
    lambda name: not any(map(dns_label, name.split("."))), 'is no DNS domain; write it like "cluster.local".'
)
#: The short name of a Git branch: https://git-scm.com/docs/git-check-ref-format.
git_branch = _rule(
    lambda name: not _NO_BRANCH.fullmatch(name), 'is no branch; write its short name, for instance "main".'
)


def dns_label(name: object) -> str | None:
    """Check an RFC 1123 label: names of namespaces, Services and containers.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names
    """
    if not isinstance(name, str) or not name:
        return f"a name is a text that is not empty, not {shown(name)}."
    if len(name) > 63:
        return f"the name {shown(name)} has {len(name)} characters; at most 63 are allowed."
    if not names.is_label(name):
        better = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        hint = f'; for instance "{better}".' if better else "."
        return (
            f'{shown(name)} is no DNS label: only a-z, 0-9 and "-", beginning and ending with a letter or digit{hint}'
        )
    return None


def port_name(name: object) -> str | None:
    """Check an IANA service name: at most 15 characters, at least one letter, no two dashes in a row.

    https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Container (ports.name)
    """
    if problem := dns_label(name):
        return problem
    if not names.is_port_name(str(name)):
        return f'the port name "{name}" must have at most 15 characters, one of them a letter, and no "--".'
    return None


def port_number(number: object) -> str | None:
    """Check a TCP port."""
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 65535:
        return f"{shown(number)} is no port; a whole number from 1 to 65535 is needed."
    return None


def image(reference: object, tags: ImageTags | None = None) -> str | None:
    """Check an image reference: it has a digest, or else an exact version or, if that is enough, any tag.

    ``tags`` is what the environment says, where that counts.
    """
    found = names.image(reference) if isinstance(reference, str) else None
    if found is None:
        return f'{shown(reference)} is no image reference; write "name:1.2.3" or "name:1.2.3@sha256:<64 hex digits>".'
    if found.is_exact or (found.tag and tags == "any"):
        return None
    if not found.tag:
        return f'the image "{reference}" has neither a digest nor a version; write "{reference}:1.2.3@sha256:…".'
    instead = ", or see image_tags of Environment" if tags else ""
    return (
        f'the image "{reference}" has neither a digest nor an exact version: '
        f'"{found.tag}" can mean another image tomorrow; add "@sha256:…"{instead}.'
    )


def pull_secret(owner: str) -> str | None:
    """Check by whom the login for a registry is given, which is a file with an address, a user and a password."""
    if owner == "generated":
        return 'pull_secret: generated("…") makes a password, and a login is what a registry gave; use supplied("…").'
    return None


def java_heap(heap: object, limit: str) -> str | None:
    """Check the size of a Java heap, which leaves at least a third of the container's memory to the rest of Java."""
    if not isinstance(heap, str) or not re.fullmatch(r"[1-9]\d*[MG]", heap):
        return f'{shown(heap)} is no size of a Java heap; write it like "512M".'
    try:
        allowed = quantities.parse_quantity(limit) * 2 / 3
    except ValueError:
        return None
    if quantities.parse_quantity(f"{heap}i") > allowed:
        return f"{heap} is more than two thirds of the memory limit {limit}; at most {int(allowed / 1024**2)}M."
    return None


def network(block: str) -> str | None:
    """Check a CIDR block of IPv4, as a NetworkPolicy names it."""
    try:
        written = ipaddress.IPv4Network(block)
    except ValueError:
        try:
            meant = ipaddress.IPv4Network(block, strict=False)
        except ValueError:
            return f'{shown(block)} is no network; write it like "10.0.0.0/8".'
        alone = f"{block.partition('/')[0]}/32"
        return f'{shown(block)} is an address in a network; write "{meant}", or "{alone}" for it alone.'
    return None if "/" in block else f'{shown(block)} lacks its length; write "{written}".'


def opened_network(block: str, before: Sequence[str]) -> str | None:
    """Check a CIDR block to which policies open a host outside, and which comes after others."""
    if problem := network(block):
        return problem
    if block in before:
        return f'"{block}" is there twice; name it once.'
    if block.endswith("/0"):
        return f'"{block}" is everything, the cluster too; for the internet leave it out.'
    return None


def is_address(host: str) -> bool:
    """Tell whether a host is an address of IPv4."""
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def host(name: str) -> str | None:
    """Check the full name or the IPv4 address of a host that pods can call."""
    if is_address(name):
        address = ipaddress.IPv4Address(name)
        if address.is_loopback or address.is_unspecified or address.is_multicast:
            return f"{shown(name)} is no address of another host."
        return None
    if ":" in name and re.fullmatch(r"[0-9a-f:.]+", name):
        return f"{shown(name)} is no address of IPv4, which is all that policies are written for; write its name."
    return host_name(name)


def internet_host(name: str) -> str | None:
    """Check the full name of a host in the internet."""
    if is_address(name):
        return f'{shown(name)} is an address; declare External(system, "…", host="{name}", ports=…), and need that.'
    return host_name(name)


def broker_names(names: Sequence[str]) -> str | None:
    """Check that ``names`` are of exchanges or queues: https://www.rabbitmq.com/docs/queues#names."""
    for number, name in enumerate(names):
        if not 1 <= len(name.encode()) <= 255:
            return f"{shown(name)} is no name; one of 1 to 255 bytes is needed."
        if name in names[:number]:
            return f"{shown(name)} is there twice; name it once."
    return None


def cron(schedule: object) -> str | None:
    """Check the schedule of a CronJob, in UTC."""
    problem = schedule_problem(schedule) if isinstance(schedule, str) else "it is no text"
    return f'{shown(schedule)} is no schedule: {problem}; write it like "17 3 * * *".' if problem else None


def plain_secret(name: str, value: str) -> str | None:
    """Tell a secret that is given as plain text, by the variable's name, a password in a URL, or the value itself."""
    unless = 'or plain("…") if it is none.'
    if value and (names_password(name) or names_secret(name)) and name not in ("PWD", "OLDPWD"):
        return f'{name} looks like a secret and is given as plain text; use generated("…") or supplied("…"), {unless}'
    if holds_login(value):
        return (
            f"{name} holds a URL with a password in plain text; give the password as a secret of its own, "
            f'or use plain("…") if it is none.'
        )
    if is_well_known(value):
        return f'{name} holds a private key or a token in plain text; use supplied("…"), {unless}'
    return None


def git_url(url: object) -> str | None:
    """Check a Git repository's address that carries no password."""
    if isinstance(url, str) and (any(logins(url)) or _LOGIN_IN_HTTPS.match(url)):
        return "the Git repository's address holds a login; leave it out, Argo CD takes it from a Secret."
    if not isinstance(url, str) or not _GIT_URL.fullmatch(url):
        return f'{shown(url)} is no Git repository; write it like "https://github.com/team/repository.git".'
    return None


def chart_repository(url: str) -> str | None:
    """Check the address of a repository of Helm charts."""
    if any(logins(url)) or _LOGIN_IN_HTTPS.match(url):
        return "the address holds a login; leave it out, Argo CD takes it from a Secret."
    if not _CHART_REPOSITORY.fullmatch(url):
        better = "https://charts.example.com"
        if _SCHEMELESS.fullmatch(url):
            better = f'https://{url}", or for an OCI registry "oci://{url}'
        return f'{shown(url)} is no chart repository; write it like "{better}".'
    return None


def git_folder(path: str) -> str | None:
    """Check the path of a folder in a Git repository."""
    if not path or path.startswith("/") or ".." in path.split("/") or any(char.isspace() for char in path):
        return f'{shown(path)} is no folder of a repository; write it like "deploy/base", or "." for its root.'
    return None


def fixed_revision(revision: str) -> str | None:
    """Check that a revision of somebody's Git repository means the same tomorrow: a commit, or a tag.

    What it is cannot be asked here: a short name counts as a tag if it has an exact version in it.
    """
    if re.fullmatch(r"[0-9a-f]{40}|refs/tags/\S+|(?!refs/)\S*[0-9]+\.[0-9]+\.[0-9]+\S*", revision):
        return None
    return (
        f"{shown(revision)} may be a branch, which means other files tomorrow; write a commit (40 hex digits), "
        f'a tag with an exact version such as "v1.2.3", or any other tag as "refs/tags/…".'
    )


def chart_values(values: Mapping[str, object]) -> str | None:
    """Check that the values of a chart can be written as YAML."""
    try:
        dump(values)
    except (TypeError, ValueError) as problem:
        return f"{problem}; use texts, numbers, True, False, None, lists and mappings."
    return None


def label(name: str, value: str) -> str | None:
    """Check a Kubernetes label.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
    """
    if not names.is_label_key(name):
        return f'{shown(name)} is no name of a label; write it like "team" or "example.com/team".'
    if not names.is_label_value(value):
        return f"{name}: {shown(value)} is no value of a label; at most 63 letters, digits and . _ - are allowed."
    return None


def file_names(paths: Iterable[PurePath | str]) -> str | None:
    """Check that files can be kept in one object of Kubernetes, which knows them by their names alone."""
    known: set[str] = set()
    for name in (PurePath(path).name for path in paths):
        if not names.is_config_key(name):
            return f"{shown(name)} is no name for a file in Kubernetes; letters, digits and . _ - are allowed."
        if name in known:
            return f"two files are called {shown(name)}; give each one a name of its own."
        known.add(name)
    return None

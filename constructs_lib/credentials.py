"""What looks like a credential: for the declaration, which keeps it out of Git, and for check, which finds it there."""

import re
from collections.abc import Iterator
from functools import lru_cache

#: What private keys and the tokens of well-known services begin with. All parts end somewhere: otherwise, the time for
#: a text of nothing but beginnings would grow with the square of its length.
WELL_KNOWN = re.compile(
    r"-----BEGIN (?:[A-Z]{1,20} ){0,5}PRIVATE KEY(?: BLOCK)?-----"
    r"|\b(?:gh[opsur]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22,255})"
    r"|\bglpat-[A-Za-z0-9_-]{20,300}"
    r"|\bxox[abposr]-[A-Za-z0-9-]{10,300}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bAIza[A-Za-z0-9_-]{35}"
    r"|\b[rs]k_live_[A-Za-z0-9]{16,}"
    r"|\bdop_v1_[a-f0-9]{64}"
    r"|\bdckr_pat_[A-Za-z0-9_-]{20,300}"
    r"|\bhvs\.[A-Za-z0-9_-]{20,300}"
    r"|\bnpm_[A-Za-z0-9]{36}"
    r"|\bpypi-AgE[A-Za-z0-9_-]{16,300}"
    r"|\beyJ[A-Za-z0-9_-]{10,500}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,700}"
)
#: Each text that it finds holds one of these; looking for them first is a hundred times as fast.
_SIGNS = (
    *("PRIVATE KEY", "ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "xox", "AKIA", "ASIA", "AIza"),
    *("k_live_", "dop_v1_", "dckr_pat_", "hvs.", "npm_", "pypi-AgE", "eyJ"),
)
#: An address with a login: the user, and the password.
LOGIN = re.compile(r"\b[a-z][a-z0-9+.-]{0,30}://([^\s/:@'\"]*):([^\s/@'\"]+)@", re.IGNORECASE)
#: The value of another variable of a program.
_VARIABLE = re.compile(r"\$\([^)]+\)")
_PASSWORD = re.compile(r"(?:password|passwd|passphrase|(?:\b|_)(?:pass|pwd|pw))$", re.IGNORECASE)
_SECRET = re.compile(
    r"(?:(?:api|access|account|encryption|licen[cs]e|private|secret|signing|auth)[_.-]?key|secret|token|credentials?)$",
    re.IGNORECASE,
)

#: Words of a name, also of one in camel case.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORD = re.compile(
    r".*(?:passwords?|passwd|passphrase|secrets?|tokens?|credentials?|authorization|(?:api|access|private)keys?)"
)
#: Words that mean a secret at the end of a name only.
_AT_THE_END = ("key", "keys", "pass", "pwd", "pw")
#: What is behind such a word where the value is the secret all the same.
_FORMS = re.compile(r"[0-9]+|b|base|hex|pem|old|new|current|previous|next|primary|secondary")
#: Names with these at the end say something about a secret: where it is, what form it has, how long it holds.
_ABOUT = re.compile(
    r"age|alg|algorithm|arn|attempts|audience|backend|claim|class|column|cookie|count|days|dir|directory|duration|enabled"
    r"|endpoint|expiration|expires|expiry|field|files?|filename|folder|format|headers?|host|hours|ids?|index|interval"
    r"|issuer|kind|length|lifetime|limit|location|max|min|minutes|mode|mount|names?|namespace|paths?|period|policy|port"
    r"|prefix|provider|refs?|region|required|role|rotation|scopes?|seconds|service|size|source|store|suffix|timeout|ttl"
    r"|types?|uri|urls?|user|username|validity|version"
)
#: Names with these in them count secrets, or name an object of Kubernetes or an entry of it.
_NAMING = re.compile(r"count|existing|max|maximum|min|minimum|num|number|pull|total")
#: Before the word "secret" at the end: what is kept in a Secret, or who reads it, so that its name is meant.
_KEPT = re.compile(r"admin|auth|ca|cert|certificate|credentials?|database|db|image|passwords?|registry|tls|user")
#: The fields of objects that hold a secret itself, beside those of passwords and tokens.
_KEY_FIELDS = (["api", "key"], ["private", "key"], ["client", "secret"], ["apikey"])
#: Before the word "key": what is no lock, or in what the key is one of several.
_PLAIN_KEYS = re.compile(
    r"cache|composite|config|event|foreign|group|index|label|map|message|object|partition|password|primary|public|row"
    r"|routing|search|shard|sort|tag|token|topology|translation"
)


# Scripts and dashboards are the same in many objects and trees.
@lru_cache(maxsize=1024)
def is_well_known(text: str) -> bool:
    """Tell whether a text holds a private key, or a token of a well-known service."""
    return any(sign in text for sign in _SIGNS) and WELL_KNOWN.search(text) is not None


def names_password(name: str) -> bool:
    """Tell whether a name says that its value is a password."""
    return _PASSWORD.search(name) is not None


def names_secret(name: str) -> bool:
    """Tell whether a name says that its value is another secret, such as a token or a key."""
    return _SECRET.search(name) is not None and not names_object(name)


@lru_cache(maxsize=4096)
def names_object(name: str) -> bool:
    """Tell whether a name says that its value is the name of a Secret or of an entry of it: ``existingSecret``."""
    words = [word.lower() for word in _WORDS.findall(name)]
    kept = words[-1:] == ["secret"] and bool(words[:-1]) and _KEPT.fullmatch(words[-2]) is not None
    # "existingSecretKey" is an entry of the Secret that "existingSecret" names.
    return kept or any(word in ("existing", "pull") for word in words)


@lru_cache(maxsize=4096)
def holds_secret(name: str, *, variables: bool) -> bool:
    """Tell whether a name says that its value must not be shown: rather too often than not often enough.

    Args:
        name: The name, such as ``DB_PASSWORD_1`` and ``adminPassword``; not ``TOKEN_TTL`` and ``PASSWORD_FILE``.
        variables: Whether it is the name of a variable, an option, or an entry of a configuration. What is called
            ``secret`` or ``key`` in an object of Kubernetes names another object, or an entry of it.
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    while len(words) > 1 and _FORMS.fullmatch(words[-1]):
        words.pop()
    if not words or name in ("PWD", "OLDPWD") or _ABOUT.fullmatch(words[-1]) or any(map(_NAMING.fullmatch, words)):
        return False
    if not variables:
        return names_password(name) or (names_secret(name) and words[-1] == "token") or words[-2:] in _KEY_FIELDS
    # An entry that is called "key" and nothing else is rarely a secret; a variable KEY is.
    is_plain = _PLAIN_KEYS.fullmatch(words[-2]) is not None if words[:-1] else not name.isupper()
    if words[-1] in ("key", "keys") and is_plain:
        return False
    return words[-1] in _AT_THE_END or any(map(_SECRET_WORD.fullmatch, words))


def logins(text: str) -> Iterator[tuple[str, str]]:
    """Yield user and password of the logins in the addresses of a text."""
    return ((match[1], match[2]) for match in (LOGIN.finditer(text) if "://" in text else ()))


def holds_login(text: str) -> bool:
    """Tell whether an address in a text has a login whose password is not another variable's value, ``$(NAME)``."""
    return any(not _VARIABLE.fullmatch(password) for _, password in logins(text))

"""What looks like a credential: for the declaration, which keeps it out of Git, and for check, which finds it there."""

import re
from collections.abc import Iterator
from functools import lru_cache

#: What private keys and the tokens of well-known services begin with.
_WELL_KNOWN = re.compile(
    r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----"
    r"|\b(?:gh[opsur]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22,})"
    r"|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\bxox[abposr]-[A-Za-z0-9-]{10,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bAIza[A-Za-z0-9_-]{35}"
    r"|\b[rs]k_live_[A-Za-z0-9]{16,}"
    r"|\bdop_v1_[a-f0-9]{64}"
    r"|\bdckr_pat_[A-Za-z0-9_-]{20,}"
    r"|\bhvs\.[A-Za-z0-9_-]{20,}"
    r"|\bnpm_[A-Za-z0-9]{36}"
    r"|\bpypi-AgE[A-Za-z0-9_-]{16,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
)
#: Each text that _WELL_KNOWN finds holds one of these; looking for them first is a hundred times as fast.
_SIGNS = (
    *("PRIVATE KEY", "ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "xox", "AKIA", "ASIA", "AIza"),
    *("k_live_", "dop_v1_", "dckr_pat_", "hvs.", "npm_", "pypi-AgE", "eyJ"),
)
_LOGIN = re.compile(r"\b[a-z][a-z0-9+.-]{0,30}://([^\s/:@'\"]*):([^\s/@'\"]+)@", re.IGNORECASE)
_PASSWORD = re.compile(r"(?:password|passwd|passphrase|(?:\b|_)(?:pass|pwd|pw))$", re.IGNORECASE)
_SECRET = re.compile(
    r"(?:(?:api|access|account|encryption|licen[cs]e|private|secret|signing|auth)[_.-]?key|secret|token|credentials?)$",
    re.IGNORECASE,
)


# Scripts and dashboards are the same in many objects and trees.
@lru_cache(maxsize=1024)
def is_well_known(text: str) -> bool:
    """Tell whether a text holds a private key, or a token of a well-known service."""
    return any(sign in text for sign in _SIGNS) and _WELL_KNOWN.search(text) is not None


def names_password(name: str) -> bool:
    """Tell whether a name says that its value is a password."""
    return _PASSWORD.search(name) is not None


def names_secret(name: str) -> bool:
    """Tell whether a name says that its value is another secret, such as a token or a key."""
    return _SECRET.search(name) is not None


def logins(text: str) -> Iterator[tuple[str, str]]:
    """Yield user and password of the logins in the addresses of a text."""
    return ((match[1], match[2]) for match in (_LOGIN.finditer(text) if "://" in text else ()))

"""References of images, as the kubelet reads them.

``ParseNormalizedNamed`` of https://github.com/distribution/reference: a first part with a dot, a colon or a capital, or
``localhost``, is a registry; without one, it is Docker Hub.
"""

import re
from dataclasses import dataclass
from functools import cache

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_WORD = r"[A-Za-z0-9](?:[-A-Za-z0-9]*[A-Za-z0-9])?"
_IMAGE = re.compile(
    # Before the first slash, what can be a registry is one.
    rf"(?:(?P<registry>(?=localhost/|[^/]*[.:A-Z])(?:{_WORD}(?:\.{_WORD})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?)/)?"
    rf"(?P<path>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][-.A-Za-z0-9_]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}))?"
)
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")
#: What tells one version from the next: two numbers, a day, a commit.
_EXACT = re.compile(r"\d+\.\d+|\d{8}|(?:^|[-._])(?=[0-9a-f]*\d)[0-9a-f]{7,40}(?:$|[-._])")


@dataclass(frozen=True)
class Image:
    """A reference of an image.

    Attributes:
        registry: Host, and port if it has one; empty for Docker Hub.
        path: Its name in the registry, such as ``library/postgres``.
        tag: Its tag; empty if it has none, which means ``latest`` unless it has a digest.
        digest: Its digest with the algorithm; empty if it has none.
    """

    registry: str
    path: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """The last part of its path: what the image is called wherever it is mirrored."""
        return self.path.rpartition("/")[2]

    @property
    def is_exact(self) -> bool:
        """Whether it will be the same image tomorrow: by its digest, or by a tag that tells a version."""
        return bool(self.digest) or _EXACT.search(self.tag) is not None


@cache
def image(text: str) -> Image | None:
    """Return what a reference says, or None if it is none."""
    match = _IMAGE.fullmatch(text)
    if match is None or len(match["path"]) > 255 or _IDENTIFIER.fullmatch(text):
        return None
    return Image(match["registry"] or "", match["path"], match["tag"] or "", match["digest"] or "")

"""What names, labels, keys and references of images may be made of.

The functions of the API server are those of k8s.io/apimachinery/pkg/util/validation: ``IsDNS1123Label``,
``IsDNS1035Label``, ``IsDNS1123Subdomain``, ``IsQualifiedName``, ``IsValidLabelValue``, ``IsValidPortName``,
``IsConfigMapKey``, ``IsEnvVarName`` and ``IsRelaxedEnvVarName``; and ``IsValidPathSegmentName`` of
k8s.io/apimachinery/pkg/api/validation/path.

How the kubelet reads references of images: ``ParseNormalizedNamed`` of https://github.com/distribution/reference. A
first part with a dot, a colon or a capital, or ``localhost``, is a registry; without one, it is Docker Hub.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

_WORD = re.compile(r"[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_VARIABLE = re.compile(r"(?!\.\.|\.\Z)[-._a-zA-Z][-._a-zA-Z0-9]*")
_PRINTABLE = re.compile(r"[ -<>-~]+")
#: Since 1.32 the name of a variable has any printable character of ASCII but for "=" (KEP-4369).
_RELAXED_VARIABLES = (1, 32)


def _like(pattern: str) -> Callable[[str], bool]:
    """Return the function that tells whether a whole text is like a pattern."""
    whole = re.compile(pattern).fullmatch
    return cache(lambda text: whole(text) is not None)


#: Tells whether a text is a label of RFC 1123: the name of a Namespace, a Service, a container.
is_label = _like(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
#: Tells whether a text is a label of RFC 1035, which begins with a letter.
is_label_1035 = _like(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
#: Tells whether a text is a subdomain of RFC 1123: the name of most objects.
is_subdomain = _like(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
#: Tells whether a text can be the value of a label.
is_label_value = _like(f"(?:{_WORD.pattern})?")
#: Tells whether a text can be the name of a port (RFC 6335).
is_port_name = _like(r"(?=.*[a-z])(?!.*--)[a-z0-9](?:[-a-z0-9]{0,13}[a-z0-9])?")
#: Tells whether a text can be a key of a ConfigMap or a Secret, and so the name of a file from it.
is_config_key = _like(r"(?!\.\.|\.\Z)[-._a-zA-Z0-9]{1,253}")


#: Tells whether the name of a host is of a private network by its form, and leads nowhere in the internet: by a domain
#: that is kept out of it (RFC 2606, 6762 with its appendix G, 8375, ICANN's ``internal``), or as clouds call what they
#: put into networks of their users: databases of DigitalOcean, endpoints of AWS and Azure.
is_private_host = _like(
    r"(?:.+\.)?(?:corp|home|home\.arpa|internal|intranet|invalid|lan|local|localdomain|localhost|private|test)"
    r"|private-.+\.db\.ondigitalocean\.com|.+\.vpce\.amazonaws\.com|.+\.privatelink\..+"
)


@cache
def is_label_key(text: str) -> bool:
    """Tell whether a text can be the key of a label."""
    prefix, slash, name = text.rpartition("/")
    return bool(_WORD.fullmatch(name)) and (not slash or is_subdomain(prefix))


@cache
def is_variable(text: str, version: tuple[int, ...] = (1, 0)) -> bool:
    """Tell whether a text can be the name of an environment variable, by default in all versions of Kubernetes."""
    return bool((_VARIABLE if version < _RELAXED_VARIABLES else _PRINTABLE).fullmatch(text))


def is_path_segment(text: str) -> bool:
    """Tell whether a text can be a part of a path, which is all that some names have to be."""
    return text not in ("", ".", "..") and "/" not in text and "%" not in text


_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"[A-Za-z0-9](?:[-A-Za-z0-9]*[A-Za-z0-9])?"
_IMAGE = re.compile(
    # Before the first slash, what can be a registry is one.
    rf"(?:(?P<registry>(?=localhost/|[^/]*[.:A-Z])(?:{_HOST}(?:\.{_HOST})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?)/)?"
    rf"(?P<path>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][-.A-Za-z0-9_]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}))?"
)
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")
#: What tells one version from the next: two numbers, a day, a commit.
_EXACT = re.compile(r"\d+\.\d+|\d{8}|(?:^|[-._])(?=[0-9a-f]*\d)[0-9a-f]{7,40}(?:$|[-._])")


#: Annotation of an object whose pods may have images with any tag; its value tells that: ``any``.
IMAGE_TAGS = "constructs-lib/image-tags"


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

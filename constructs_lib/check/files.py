"""What stands in files of configuration, line by line: the values of their keys, and what begins like a URL."""

import re
from collections.abc import Iterator

from constructs_lib.kubernetes.workloads import Variable

#: Files that people read, and programs: what looks like an address in them may be an example, or a part of a text.
_TEXTS = (".htm", ".html", ".js", ".lua", ".md", ".py", ".sql", ".tmpl", ".txt", ".xml")
_COMMENT = re.compile(r"^[ \t]*(?:#|//|;|--|\*).*$|\s#.*$", re.MULTILINE)
_KEY = re.compile(
    r"""^[ \t]*(?:-[ \t]+)?["']?([\w.-]+)["']?[ \t]*[:=][ \t]*["']?([^\s"',;]+)["']?(?:[ \t]*[,;])?[ \t\r]*$""",
    re.MULTILINE,
)
_URL = re.compile(r"""(?<![\w:+])[a-z][a-z0-9+]*://[^\s"',;)}<>]+""")
#: Names that a file of nginx or of HAProxy gives to hosts of its own.
_OWN = re.compile(r"^[ \t]*(?:upstream|backend)[ \t]+([\w.-]+)", re.MULTILINE)
_MAY_BE = re.compile(r"://|[:=]\s*[\"']?[a-z][\w.-]*:\d")


def lines(file: Variable) -> Iterator[Variable]:
    """Yield the values of the keys in a file of configuration, and its URLs; nothing of what is no such file."""
    text = file.value
    if "\n" not in text or file.name.endswith(_TEXTS) or not _MAY_BE.search(text):
        return
    text = _COMMENT.sub("", text)
    own, seen = set(_OWN.findall(text)), set()
    for key, value in _KEY.findall(text):
        seen.add(value)
        yield Variable(key, value, file.at)
    for url in _URL.findall(text):
        if url not in seen and re.split(r"[/:]", url.partition("://")[2])[0] not in own:
            seen.add(url)
            yield Variable("", url, file.at)

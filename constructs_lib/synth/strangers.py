"""Files in the generator's folders that it has not made: they are named, and not removed unless that is asked for."""

import re
from collections.abc import Iterable
from pathlib import Path

from constructs_lib.synth.writer import Change, WriteError
from constructs_lib.text import listed, plural

#: What the generator calls its files, and one of what each of them holds at its beginning.
_OURS = (
    (re.compile(r"argocd/[^/]+/((Application|AppProject)-[^/]+|root)\.yaml"), (b"app.kubernetes.io/part-of",)),
    (
        re.compile(r"dist/[^/]+/[^/]+/[A-Z][A-Za-z0-9]*-[^/]+\.yaml"),
        (b"app.kubernetes.io/part-of", b"argocd.argoproj.io/sync-wave"),
    ),
    (re.compile(r"bootstrap/(argocd|cluster)/[^/]+\.tfvars\.json"), (b'{\n  "environment": ',)),
    (re.compile(r"bootstrap/k3d/[^/]+\.yaml"), (b"apiVersion: k3d.io/",)),
)
#: Bytes of a file in which its metadata are.
_BEGINNING = 65536
_NAMED = 10


def refuse_strangers(root: Path, change: Change) -> None:
    """Refuse to change a tree if files would be removed or overwritten that are not the generator's.

    Raises:
        WriteError: There are some; all of them are named, up to ten.
    """
    if found := sorted(_strangers(root, (*change.updated, *change.removed))):
        them = "it" if len(found) == 1 else "them"
        raise WriteError(
            f"{plural(len(found), 'file')} in folders that belong to the generator {'is' if them == 'it' else 'are'} "
            f"not from it: {listed(found, _NAMED)}. Move {them} elsewhere, or have {them} removed with "
            f"python app.py synth --adopt; nothing was written."
        )


def _strangers(root: Path, paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        signs = next((signs for pattern, signs in _OURS if pattern.fullmatch(path)), ())
        file = root / path
        # A link is nobody's content.
        if not file.is_symlink() and not (signs and any(sign in _beginning(file) for sign in signs)):
            yield path


def _beginning(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_BEGINNING)
    except OSError:
        return b""

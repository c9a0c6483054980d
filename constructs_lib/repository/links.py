"""Symbolic links of a repository, as Argo CD follows and refuses them."""

import posixpath
from collections.abc import Iterator, Mapping
from functools import cached_property

#: How many links Go follows before it calls them a loop (``filepath.EvalSymlinks``).
_MOST = 255


class Links:
    """The symbolic links of a repository by their path.

    Attributes:
        targets: What they hold.
        base: The folder of the repository from which their paths are told; empty for the repository itself.
    """

    def __init__(self, targets: Mapping[str, str] | None = None, base: str = "") -> None:
        """Follow nothing yet."""
        self.targets: Mapping[str, str] = targets or {}
        self.base = base

    @cached_property
    def outside(self) -> list[str]:
        """The links that are absolute or leave the repository on their way: with one of them, Argo CD renders nothing.

        ``CheckOutOfBoundsSymlinks`` in ``util/app/path/path.go`` of Argo CD.
        """
        return sorted(path for path, target in self.targets.items() if _leaves(posixpath.join(self.base, path), target))

    def resolve(self, path: str) -> str | None:
        """Return a path with all links in it followed; None if they go round in a circle or leave :attr:`base`."""
        if not self.targets:
            return path
        pending, found, followed = path.split("/")[::-1], list[str](), 0
        while pending:
            part = pending.pop()
            if part == "..":
                if not found:
                    return None
                found.pop()
                continue
            if part in ("", "."):
                continue
            found.append(part)
            target = self.targets.get("/".join(found))
            if target is not None:
                followed += 1
                if followed > _MOST or target.startswith("/"):
                    return None
                found.pop()
                pending += target.split("/")[::-1]
        return "/".join(found)

    def files(self, known: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Yield the path of each link that leads to a known file, with the path of the file."""
        for path in self.targets:
            target = self.resolve(path)
            if target is not None and target in known:
                yield path, target


def _leaves(path: str, target: str) -> bool:
    if target.startswith("/"):
        return True
    here = posixpath.dirname(path)
    for part in target.split("/"):
        here = posixpath.normpath(posixpath.join(here, part))
        if here == ".." or here.startswith("../"):
            return True
    return False

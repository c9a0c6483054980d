"""What a shell offers for a word that is not complete: names that the generated files have, so that no app is run."""

from pathlib import Path

#: The folder of what Argo CD reads, with a folder for each environment, and what the files of components begin with.
_FOLDER, _COMPONENT = "argocd", "Application-"


def environments(incomplete: str) -> list[str]:
    """Return the environments of the current folder that begin so."""
    return sorted(each.name for each in Path(_FOLDER).glob("*/") if each.name.startswith(incomplete))


def components(incomplete: str) -> list[str]:
    """Return the components of all environments of the current folder that begin so."""
    files = Path(_FOLDER).glob(f"*/{_COMPONENT}*.yaml")
    names = {file.stem.removeprefix(_COMPONENT) for file in files}
    return sorted(name for name in names if name.startswith(incomplete))

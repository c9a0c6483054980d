"""Writes what the library is made of, as requirements.lock has it, to sbom.cdx.json: make sbom.

CycloneDX's own program writes the components with their hashes. It reads no dependencies from a lock; those come from
the lock's comments.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def runtime(lock: str, direct: set[str]) -> dict[str, tuple[str, set[str]]]:
    """Return the entry, and the users, of each package of a lock that some packages need, themselves included.

    An entry begins with the name at the beginning of a line, and its comments name what needs it: ``# via typer``.
    """
    entries = {entry.partition("==")[0]: entry for entry in re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]}
    users = {
        name: set(re.findall(r"^    #(?: via)? +([a-z0-9][\w.-]*)", entry, re.MULTILINE))
        for name, entry in entries.items()
    }
    needed: set[str] = set()
    more = direct & entries.keys()
    while more:
        needed |= more
        more = {name for name, by in users.items() if by & needed} - needed
    return {name: (entry, users[name] & needed) for name, entry in entries.items() if name in needed}


def sbom() -> str:
    """Return the bill of materials; the same files give the same text."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    direct = {re.split(r"[^\w-]", requirement, maxsplit=1)[0].lower() for requirement in project["dependencies"]}
    packages = runtime((ROOT / "requirements.lock").read_text(encoding="utf-8"), direct)
    (version,) = re.findall(r'^VERSION = "(.+)"', (ROOT / "constructs_lib/version.py").read_text(), re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        # The version is dynamic, which the program does not follow.
        described = Path(folder, "pyproject.toml")
        described.write_text(text.replace('dynamic = ["version"]', f'version = "{version}"'), encoding="utf-8")
        command = [str(ROOT / ".venv-sbom/bin/cyclonedx-py"), "requirements", "-", "--pyproject", str(described)]
        options = ["--mc-type", "library", "--output-reproducible"]
        entries = "".join(entry for entry, _ in packages.values())
        result = subprocess.run([*command, *options], input=entries, stdout=subprocess.PIPE, text=True, check=True)
    document = json.loads(result.stdout)
    references = {component["name"]: component["bom-ref"] for component in document["components"]}
    needs = {name: [user for user in packages if name in packages[user][1]] for name in packages}
    root = document["metadata"]["component"]["bom-ref"]
    document["dependencies"] = [
        {"ref": reference, "dependsOn": sorted(references[name] for name in names)}
        for reference, names in [(root, direct), *((references[name], names) for name, names in needs.items())]
    ]
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(sbom(), encoding="utf-8")

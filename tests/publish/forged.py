"""Pins as somebody sets them by hand, in the files that a pull request would change."""

from __future__ import annotations

import json
from typing import Any

from shop import Shop

#: An object that no publication brings.
SMUGGLED = """apiVersion: v1
kind: ConfigMap
metadata:
  name: smuggled
data: {a: b}
"""


def forge(shop: Shop, component: str = "basket", environment: str = "laptop", **fields: str) -> None:
    """Set fields of a pin, and the revision in its Application as well, as synthesis would."""
    file = shop.folder / "pins" / f"{environment}.json"
    content: dict[str, Any] = json.loads(file.read_text())
    old = content["components"][component]
    if revision := fields.get("revision"):
        application = shop.folder / "argocd" / environment / f"Application-{component}.yaml"
        text = application.read_text()
        assert old["revision"] in text
        application.write_text(text.replace(old["revision"], revision))
    old.update(fields)
    write(shop, content, environment)


def write(shop: Shop, content: dict[str, Any], environment: str = "laptop") -> None:
    """Write the file of pins as publish would."""
    (shop.folder / "pins" / f"{environment}.json").write_text(json.dumps(content, indent=2) + "\n")


def smuggle(shop: Shop, component: str = "basket") -> str:
    """Commit an object to the folder of a component on a branch of its own; return the id."""
    branch = shop.git("branch", "--show-current")
    shop.git("switch", "--quiet", "--create", "side")
    (shop.folder / "dist" / "laptop" / component / "ConfigMap-smuggled.yaml").write_text(SMUGGLED)
    commit = shop.commit("Smuggle")
    shop.git("switch", "--quiet", branch)
    return commit


def merge(shop: Shop, branch: str = "pull-request") -> None:
    """Merge what is checked out into main, on the remote, whatever anybody says of it."""
    shop.git("switch", "--quiet", "main")
    shop.git("merge", "--quiet", "--no-ff", "--message", "Merge", branch)
    shop.git("push", "--quiet")

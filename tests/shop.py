"""A shop in Git repositories of its own: a checkout, the bare repository that it is pushed to, and a colleague's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from app_runs import Run, run_process
from repositories import IDENTITY

#: The environments, and the beginning of the function that declares the shop.
BEGINNING = """
from constructs_lib import *

REPOSITORY = GitRepository("https://github.com/example/shop.git")
CLUSTER = K3d(kubernetes="1.36", nodes=1, provides=("external-secrets", "metrics-api"))
LAPTOP = Environment(name="laptop", repository=REPOSITORY, cluster=CLUSTER)
CLOUD = Environment(name="cloud", repository=REPOSITORY, cluster=CLUSTER)


def shop(environment):
    system = System(environment, "shop")
"""
APP = (
    BEGINNING
    + """\
    stock = Microservice(system, "stock", image="example/stock:1.0.0", ports={"http": 8080})
    basket = Microservice(system, "basket", image="example/basket:1.0.0", ports={"http": 8080})
    front = Microservice(system, "front", image="example/front:1.0.0", ports={"http": 3000}, exposed="http")
    basket.needs(stock.endpoint("http"), {"STOCK": "address"})
    front.needs(basket.endpoint("http"), {"BASKET": "address"})
    # more
    return system


main(shop, [LAPTOP, CLOUD])
"""
)


#: A change of the declaration: a new version of one component.
BASKET = ("example/basket:1.0.0", "example/basket:1.1.0")


@dataclass(frozen=True)
class Shop:
    """The shop's checkout and its remote.

    Attributes:
        folder: The checkout.
        remote: The bare repository.
    """

    folder: Path
    remote: Path

    @classmethod
    def create(cls, folder: Path) -> Shop:
        """Return a shop whose declaration is committed and pushed, and that was never synthesized."""
        shop = cls(folder / "work", folder / "origin.git")
        shop.folder.mkdir()
        shop.git("init", "--quiet", "--initial-branch=main")
        shop.git("init", "--quiet", "--bare", "--initial-branch=main", str(shop.remote))
        shop.git("remote", "add", "origin", str(shop.remote))
        (shop.folder / "app.py").write_text(APP)
        (shop.folder / ".gitignore").write_text("__pycache__/\n")
        shop.commit("Declare the shop")
        shop.git("push", "--quiet", "--set-upstream", "origin", "main")
        return shop

    def copied(self, folder: Path) -> Shop:
        """Return another shop that is as this one."""
        shop = Shop(folder / self.folder.name, folder / self.remote.name)
        for source, target in ((self.folder, shop.folder), (self.remote, shop.remote)):
            shutil.copytree(source, target, symlinks=True)
        shop.git("remote", "set-url", "origin", str(shop.remote))
        return shop

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        """Return what git prints in the checkout."""
        command = ["git", "-C", str(folder or self.folder), *arguments]
        environment = {**os.environ, **IDENTITY}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout.rstrip("\n")

    def commit(self, message: str) -> str:
        """Commit everything that is in the checkout; return the id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def edit(self, old: str, new: str) -> None:
        """Change the declaration."""
        app = self.folder / "app.py"
        text = app.read_text()
        assert old in text
        app.write_text(text.replace(old, new))

    def change(self, old: str, new: str) -> str:
        """Change the declaration and commit that; return the id."""
        self.edit(old, new)
        return self.commit("Change the shop")

    def hook(self, name: str, script: str, folder: Path | None = None) -> Path:
        """Put a hook of Git in place, in the checkout or in another repository; return its file."""
        path = (folder or self.folder / ".git") / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def run(self, *arguments: str, **variables: str) -> Run:
        """Run the app in a process of its own."""
        return run_process(self.folder, *arguments, **IDENTITY, **variables)

    def publish(self, *arguments: str, environment: str = "laptop") -> str:
        """Publish, which must succeed; return what it printed."""
        run = self.run("publish", environment, *arguments)
        assert run.code == 0, run.said
        return run.said

    def pins(self, environment: str = "laptop", revision: str = "HEAD") -> dict[str, dict[str, str]]:
        """Return the committed pins."""
        pins: dict[str, dict[str, str]] = self.pins_file(environment, revision)["components"]
        return pins

    def pins_file(self, environment: str = "laptop", revision: str = "HEAD") -> dict[str, Any]:
        """Return the content of the committed file of pins."""
        content: dict[str, Any] = json.loads(self.git("show", f"{revision}:./pins/{environment}.json"))
        return content

    def permitted(self, component: str, environment: str = "laptop", revision: str = "HEAD") -> set[str]:
        """Return the namespaces that the committed AppProject of a component permits."""
        text = self.git("show", f"{revision}:./argocd/{environment}/AppProject-shop-{component}.yaml")
        spec = yaml.safe_load(text)["spec"]
        namespaces = {entry["namespace"] for entry in spec["destinations"]}
        assert namespaces == {entry["name"] for entry in spec["clusterResourceWhitelist"]}
        return namespaces

    def pinned(self, environment: str = "laptop", revision: str = "HEAD") -> dict[str, str]:
        """Return the revision from which each committed Application reads."""
        folder = f"argocd/{environment}"
        found: dict[str, str] = {}
        for file in self.git("ls-tree", "--full-tree", "--name-only", f"{revision}:./{folder}").splitlines():
            if file.startswith("Application-"):
                manifest: dict[str, Any] = yaml.safe_load(self.git("show", f"{revision}:./{folder}/{file}"))
                spec = manifest["spec"]
                # Before the manifests stands what is of others.
                *_, source = spec.get("sources") or [spec["source"]]
                found[manifest["metadata"]["name"]] = source["targetRevision"]
        return found

    @property
    def pushed(self) -> str:
        """The commit that the remote is at."""
        return self.git("rev-parse", "main", folder=self.remote)

    @property
    def status(self) -> str:
        """What git says of the working tree."""
        return self.git("status", "--porcelain")

    def check(self, environment: str = "laptop") -> None:
        """Assert that everything is published: pushed, committed, and pinned to commits that hold it."""
        head = self.git("rev-parse", "HEAD")
        assert self.pushed == head
        assert self.status == ""
        pins, pinned = self.pins(environment), self.pinned(environment)
        components = self.git("ls-tree", "--full-tree", "--name-only", f"HEAD:./dist/{environment}").splitlines()
        assert sorted(pins) == sorted(components) == sorted(pinned)
        for component, pin in pins.items():
            folder = f"dist/{environment}/{component}"
            assert pinned[component] == pin["revision"]
            assert self.git("rev-parse", f"HEAD:./{folder}") == pin["content"]
            assert self.git("rev-parse", f"{pin['revision']}:./{folder}") == pin["content"]
            self.git("merge-base", "--is-ancestor", pin["revision"], "HEAD")

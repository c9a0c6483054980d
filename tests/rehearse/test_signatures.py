"""Commits that are signed, and a real Argo CD that deploys no other ones."""

from __future__ import annotations

import dataclasses
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from signing_key import signing_key
from stage import Stage, altered, broken_promises, stage
from systems import environment as environment_of

from constructs_lib import Microservice, System
from constructs_lib.rehearse.argocd import ArgoCD
from constructs_lib.synth.tree import Tree


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of OpenPGP, made for this test.

    Attributes:
        id: Its id.
        home: The folder of gpg that has it.
        public: Its public half.
    """

    id: str
    home: str
    public: str


@pytest.fixture(scope="module")
def key() -> Iterator[Key]:
    with signing_key() as (home, fingerprint, gpg):
        yield Key(fingerprint[-16:], home, gpg("--export", "--armor"))


@pytest.fixture(scope="module")
def signed(key: Key, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A rehearsal whose Argo CD verifies, as in a cluster: it has the public key, and the AppProjects ask for it."""
    system = System(dataclasses.replace(environment_of("staging"), signed_by=(key.id,)), "shop")
    for name in ("stock", "front"):
        Microservice(system, name, image=f"example/{name}:1.0.0", ports={"http": 8080}, replicas=2)
    begin: Callable[..., None] = ArgoCD.__init__
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="argocd-gpg") as ring:

        def verifying(argocd: ArgoCD, *arguments: Any) -> None:
            begin(argocd, *arguments)
            keys = tmp_path_factory.mktemp("keys")
            (keys / key.id).write_text(key.public)
            argocd._environment |= {
                "ARGOCD_GPG_ENABLED": "true",
                "ARGOCD_GPG_DATA_PATH": str(keys),
                "ARGOCD_GNUPGHOME": ring,
            }

        patch.setattr(ArgoCD, "__init__", verifying)
        patch.setenv("GNUPGHOME", key.home)
        with stage(tmp_path_factory.mktemp("signed"), [system]) as found:
            yield found
        subprocess.run(["gpgconf", "--homedir", ring, "--kill", "all"], check=False)


def sign(stage: Stage, key: Key | None) -> None:
    """Have what is committed from here on signed, or not."""
    for name, value in {"commit.gpgSign": str(bool(key)).lower(), "user.signingKey": key.id if key else ""}.items():
        stage.rehearsal.scratch._git.run("config", name, value)


def refusal(stage: Stage, name: str) -> str:
    """Return what Argo CD says against the commit of an Application."""
    for _ in range(240):
        for application in stage.rehearsal.argocd.applications():
            said = str(application.get("status", {}).get("conditions", ""))
            if application["metadata"]["name"] == name and "Failed verifying revision" in said:
                return said
        time.sleep(0.25)
    pytest.fail(f"Argo CD says nothing against the commit of {name}")


def image(stage: Stage, tree: Tree, name: str) -> str:
    """Return the annotation that a restart leaves in the cluster."""
    namespace = tree.applications[name]["spec"]["destination"]["namespace"]
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace}}
    found = stage.rehearsal.client.get(manifest)
    assert found
    return str(found["spec"]["template"]["metadata"].get("annotations", {}).get("constructs-lib/rehearsal", ""))


def test_what_is_signed_is_deployed(signed: Stage, key: Key) -> None:
    sign(signed, key)
    assert not broken_promises(signed.install(signed.trees[0]))
    tree, _ = altered(signed.trees[0], "1", "stock")
    assert not broken_promises(signed.publish(tree))
    assert image(signed, tree, "stock") == "1"


def test_what_is_not_signed_is_not_deployed(signed: Stage, key: Key) -> None:
    """Neither what the root reads from the branch, nor a pin that somebody moved to a commit of his own."""
    tree, _ = altered(signed.trees[0], "2", "stock")
    sign(signed, None)
    signed.rehearsal.scratch.publish(tree)
    signed.rehearsal.argocd.refresh()
    assert "unsigned" in refusal(signed, "shop")
    # Now the branch ends in a commit that is signed, and the pin in it names one that is not.
    sign(signed, key)
    git = signed.rehearsal.scratch._git
    git.run("commit", "--quiet", "--allow-empty", "--message=Sign what is not mine")
    git.run("push", "--quiet", "origin", "HEAD:refs/heads/main")
    signed.rehearsal.argocd.refresh()
    assert "unsigned" in refusal(signed, "stock")
    assert image(signed, tree, "stock") == "1"

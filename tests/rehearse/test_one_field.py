"""What check and plan say of objects with one field that differs, beside what the real API server says."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import pytest
import yaml
from crds import definitions
from edge_shop import edge_shop, files_of
from one_field import Case, Manifest, cases, kept
from stage import tools
from synthesized import Synthesized

from constructs_lib import Gateway, HttpRoute, Ingress, Listener, supplied
from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Severity
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.policy.proof import PROOF as POLICY
from constructs_lib.check.references.proof import PROOF as REFERENCES
from constructs_lib.check.schemas.proof import PROOF as SCHEMAS
from constructs_lib.kubernetes.objects import CLUSTER_SCOPED
from constructs_lib.plan.change import ROLLING, Effect
from constructs_lib.plan.fields import changed_fields
from constructs_lib.plan.plan import plan
from constructs_lib.rehearse.api_client import ApiClient, ApiError
from constructs_lib.rehearse.control_plane import Authority, start_api_server
from constructs_lib.rehearse.processes import Workspace
from constructs_lib.repository.snapshot import Snapshot

NUMBER, SEED = 5_000, 1
DISAGREEMENTS = yaml.safe_load(Path(__file__).with_name("disagreements.yaml").read_text())
#: What the API server finds and other proofs than that of the schemas do.
OF_OTHERS = {"hook-outlasts-grace-period", "mount-without-volume", "pod-security-level-unknown"}

Pairs = list[tuple[Manifest, Manifest]]


def declared(trees: Mapping[str, Synthesized]) -> Iterator[Manifest]:
    """Yield the objects of both environments, each in namespaces of its own, as if nothing were a hook."""
    for environment, tree in trees.items():
        for parsed in tree.parsed.values():
            manifest = copy.deepcopy(parsed)
            metadata = manifest["metadata"]
            if "annotations" in metadata:
                own = {key: text for key, text in metadata["annotations"].items() if "argocd.argoproj.io/" not in key}
                metadata["annotations"] = own
            place = "name" if manifest["kind"] in CLUSTER_SCOPED else "namespace"
            metadata[place] += f"-{environment}"
            yield manifest


def is_served(client: ApiClient, definition: Manifest) -> bool:
    version = f"{definition['group']}/{definition['versions'][0]['name']}"
    return client.resource(version, definition["names"]["kind"]) is not None


@pytest.fixture(scope="module")
def client() -> Iterator[ApiClient]:
    with Workspace() as workspace:
        found = tools()
        made = start_api_server(workspace, found, Authority(workspace.folder)).client
        own = [yaml.safe_load(file.read_text()) for file in found.definitions.glob("*-crd.yaml")]
        every = [{key: value for key, value in each.items() if key != "status"} for each in (*own, *definitions())]
        for definition in every:
            made.apply(definition)
        for definition in every:
            workspace.wait_for("kube-apiserver", partial(is_served, made, definition["spec"]))
        yield made


@pytest.fixture(scope="module")
def pairs(client: ApiClient, trees: Mapping[str, Synthesized]) -> Pairs:
    """The objects as the trees have them, and as the API server keeps them."""
    manifests = sorted(declared(trees), key=lambda manifest: manifest["kind"] != "Namespace")
    made = {manifest["metadata"]["name"] for manifest in manifests if manifest["kind"] == "Namespace"}
    for namespace in {manifest["metadata"].get("namespace") for manifest in manifests} - made - {None}:
        client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    return [(manifest, client.apply(manifest)) for manifest in manifests]


def test_what_the_server_fills_in_is_known(pairs: Pairs) -> None:
    differing = {
        f"{old['kind']}: {change.path}"
        for old, stored in pairs
        for change in changed_fields(Object(old, "", ""), Object(kept(stored), "", ""))
    }
    assert sorted(differing) == []


def test_the_server_takes_what_leads_into_a_system(client: ApiClient) -> None:
    shop = edge_shop(gateways=True)
    listeners = {"http": Listener(redirect=True), "https": Listener("*.example.com", supplied("certificate"))}
    gateway = Gateway(shop.system, controller=shop.traefik, listeners=listeners)
    routes = {"/": shop.web.endpoint("http"), "/api": shop.orders.endpoint("http")}
    HttpRoute(shop.web, "web", gateway=gateway, host="www.example.com", routes=routes)
    Ingress(shop.web, "shop", host="shop.example.org", routes=routes, controller=shop.traefik, tls=shop.issuer)
    manifests = sorted(files_of(shop.system).values(), key=lambda manifest: manifest["kind"] != "Namespace")
    changed = [
        f"{manifest['kind']}: {change.path}"
        for manifest in manifests
        for change in changed_fields(Object(manifest, "", ""), Object(kept(client.apply(manifest)), "", ""))
    ]
    assert changed == []
    assert {"Certificate", "ClusterIssuer", "Gateway", "HTTPRoute", "Ingress"} <= {each["kind"] for each in manifests}


def snapshot(manifest: Manifest) -> Snapshot:
    return Snapshot.of_files("tree", {"object.json": json.dumps(manifest).encode()})


def checked(manifest: Manifest) -> tuple[set[str], set[str]]:
    """Return the codes of the errors that check finds in an object itself, and those of its warnings."""
    model = ClusterModel(snapshot(manifest))
    others = (each for proof in (POLICY, REFERENCES) for each in proof.prove(model))
    found = [*SCHEMAS.prove(model), *(each for each in others if each.check.code in OF_OTHERS)]
    errors = {finding.check.code for finding in found if finding.check.severity == Severity.ERROR}
    return errors, {finding.check.code for finding in found} - errors


def planned(old: Manifest, new: Manifest) -> str:
    """Return what plan says: that a change is refused, restarts pods, is made in place, or is none."""
    changes = plan(snapshot(old), snapshot(new)).changes
    if not changes:
        return "nothing"
    [change] = changes
    if change.effect >= Effect.REPLACEMENT:
        return "refused"
    kind = "/".join(filter(None, change.identity[:2]))
    template = kind in ROLLING and any(field.below("spec", "template") for field in change.fields)
    return "restart" if template else "update"


def happened(case: Case, result: Manifest) -> str:
    before, after = case.stored, result
    if kept(before) == kept(after):
        return "nothing"
    rolls = case.old["kind"] in ("DaemonSet", "Deployment", "StatefulSet")
    return "restart" if rolls and before["spec"]["template"] != after["spec"]["template"] else "update"


class Server:
    """Tries objects out and stores none."""

    def __init__(self, client: ApiClient) -> None:
        self.client = client

    def applied(self, case: Case) -> Manifest | str:
        """Return what would be stored if the object were applied over the one that is there, or why it is refused."""
        try:
            return self.client.apply(case.new, dry_run=True)
        except ApiError as error:
            return str(error)

    def refusal(self, manifest: Manifest) -> str:
        """Return why the server does not create an object like this one; empty if it does."""
        other = {**manifest, "metadata": {**manifest["metadata"], "name": "another"}}
        resource = self.client.resource(other["apiVersion"], other["kind"])
        assert resource
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        try:
            self.client.request("POST", resource.path(other["metadata"].get("namespace")), other, query=query)
        except ApiError as error:
            return str(error)
        return ""


def judged(case: Case, server: Server) -> Iterator[tuple[str, str]]:
    """Yield what check and plan say otherwise than the server does, by what tells the difference from others."""
    errors, warnings = checked(case.new)
    result = server.applied(case)
    refusal = server.refusal(case.new) if errors or isinstance(result, str) else ""
    if bool(errors) != bool(refusal):
        yield f"check: {case}", f"check finds {sorted(errors)}; the server says: {refusal or 'fine'}"
    # What is applied on the server's side may not have an entry twice, and null is a value there.
    if errors or refusal or warnings & {"duplicate-entry", "null-value"}:
        return
    said, done = planned(case.old, case.new), "refused" if isinstance(result, str) else happened(case, result)
    if said != done:
        # Emptied mappings of custom resources become null, which their schemas refuse.
        kind = "emptied" if isinstance(result, str) and 'Invalid value: "null"' in result else "plan"
        yield f"{kind}: {case}", f"plan says {said}; the server: {done if isinstance(result, dict) else result}"


def test_check_and_plan_agree_with_the_server(client: ApiClient, pairs: Pairs) -> None:
    tried = cases(pairs, NUMBER, SEED)
    assert len(tried) >= 2_500
    server = Server(client)
    found = dict(each for case in tried for each in judged(case, server))
    known = {entry["cases"]: entry["reason"] for entry in DISAGREEMENTS}
    assert len(known) == len(DISAGREEMENTS) <= 20
    new = {name: text for name, text in found.items() if not any(fnmatchcase(name, pattern) for pattern in known)}
    assert new == {}, "\n".join(f"{name} | {text}" for name, text in sorted(new.items()))
    unused = [pattern for pattern in known if not any(fnmatchcase(name, pattern) for name in found)]
    assert unused == []

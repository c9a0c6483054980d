"""What nobody does in a rehearsal: volumes, load balancers, and the operators of custom resources.

Each is simulated by name, and what was simulated is told.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.rehearse.api_client import ApiClient, ApiError, Resource, Verb
from constructs_lib.rehearse.secrets import RefusedError, fetched

_EXTERNAL_SECRETS = "external-secrets.io"
#: Groups whose objects nobody has to act on.
_INERT = ("argoproj.io", "monitoring.coreos.com")
#: Seconds until the operator of secrets tries again what it could not read.
_AGAIN = 1.0
#: An address for documentation: https://www.rfc-editor.org/rfc/rfc5737
_ADDRESS = "192.0.2.1"


class Operators:
    """Simulated controllers, each in a thread.

    Attributes:
        simulated: Kinds of objects that they acted on.
    """

    def __init__(self, client: ApiClient, custom: Iterable[tuple[str, str]]) -> None:
        """Start them.

        Args:
            client: A client with all rights.
            custom: API version and kind of all custom resources; they may not be served yet.
        """
        self.simulated: dict[str, None] = {}
        self._client = client
        self._stop = threading.Event()
        #: ExternalSecrets, by their ids, that will be tried again.
        self._waiting: set[str] = set()
        self._watch(Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims", True), self._provide_volume)
        self._watch(Resource("v1", "Service", "services", True), self._give_address)
        self._watch(Resource("networking.k8s.io/v1", "Ingress", "ingresses", True), self._serve)
        for api_version, kind in custom:
            group = api_version.partition("/")[0]
            if group not in _INERT:
                act = self._fetch_secret if (group, kind) == (_EXTERNAL_SECRETS, "ExternalSecret") else self._be_ready
                threading.Thread(target=self._watch_once_served, args=(api_version, kind, act), daemon=True).start()

    def close(self) -> None:
        """Stop them."""
        self._stop.set()

    def _watch(self, resource: Resource, act: Callable[[dict[str, Any]], None]) -> None:
        def tell(verb: Verb, item: dict[str, Any]) -> None:
            item = {"apiVersion": resource.api_version, "kind": resource.kind, **item}
            if verb != "DELETED" and "deletionTimestamp" not in item["metadata"] and not self._stop.is_set():
                try:
                    act(item)
                except (ApiError, OSError):
                    # It has changed, or is gone: the next change is told as well.
                    return

        threading.Thread(target=self._client.watch, args=(resource, tell, self._stop), daemon=True).start()

    def _watch_once_served(self, api_version: str, kind: str, act: Callable[[dict[str, Any]], None]) -> None:
        while not (resource := self._client.resource(api_version, kind)):
            if self._stop.wait(1):
                return
        self._watch(resource, act)

    def _provide_volume(self, claim: dict[str, Any]) -> None:
        """Make a volume for a claim, as a provisioner does.

        https://kubernetes.io/docs/concepts/storage/persistent-volumes/#binding
        """
        metadata, spec = claim["metadata"], claim["spec"]
        if spec.get("volumeName"):
            return
        self.simulated["volumes"] = None
        reference = {key: metadata[key] for key in ("name", "namespace", "uid")}
        self._client.apply(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": f"pvc-{metadata['uid']}"},
                "spec": {
                    "capacity": {"storage": spec["resources"]["requests"]["storage"]},
                    "accessModes": spec["accessModes"],
                    "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **reference},
                    "persistentVolumeReclaimPolicy": "Retain",
                    "storageClassName": spec.get("storageClassName") or "",
                    "csi": {"driver": "rehearsal", "volumeHandle": metadata["uid"]},
                },
            }
        )

    def _give_address(self, service: dict[str, Any]) -> None:
        balanced = service["spec"].get("type") == "LoadBalancer"
        if balanced and not service.get("status", {}).get("loadBalancer", {}).get("ingress"):
            self.simulated["addresses of load balancers"] = None
            self._client.patch(service, {"status": {"loadBalancer": {"ingress": [{"ip": _ADDRESS}]}}}, "status")

    def _serve(self, ingress: dict[str, Any]) -> None:
        """Give an Ingress an address, as its controller does, which takes that of its own load balancer."""
        if not ingress.get("status", {}).get("loadBalancer", {}).get("ingress"):
            self.simulated["addresses of Ingresses"] = None
            self._client.patch(ingress, {"status": {"loadBalancer": {"ingress": [{"ip": _ADDRESS}]}}}, "status")

    def _fetch_secret(self, item: dict[str, Any]) -> None:
        """Make the Secret of an ExternalSecret with the values that its store lets it read; keep the old one if not.

        https://external-secrets.io/latest/api/externalsecret/
        """
        metadata, spec = item["metadata"], item["spec"]
        try:
            data = fetched(self._client, item)
        except RefusedError as refusal:
            self._set_ready(item, "False", "SecretSyncedError", f"could not get secret data from provider: {refusal}")
            self._try_again(item)
            return
        if data is None:
            return
        secret: Manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": spec.get("target", {}).get("name") or metadata["name"],
                "namespace": metadata["namespace"],
                "ownerReferences": [
                    {
                        "apiVersion": item["apiVersion"],
                        "kind": item["kind"],
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "data": data,
        }
        self._client.apply(secret)
        self._be_ready(item)

    def _try_again(self, item: dict[str, Any]) -> None:
        """Have an ExternalSecret looked at again, as it is by then."""
        uid = item["metadata"]["uid"]
        if uid in self._waiting:
            return
        self._waiting.add(uid)

        def look() -> None:
            self._waiting.discard(uid)
            try:
                live = None if self._stop.is_set() else self._client.get(item)
                if live and "deletionTimestamp" not in live["metadata"]:
                    self._fetch_secret(live)
            except (ApiError, OSError):
                self._try_again(item)

        timer = threading.Timer(_AGAIN, look)
        timer.daemon = True
        timer.start()

    def _be_ready(self, item: dict[str, Any]) -> None:
        self._set_ready(item, "True", "Rehearsed", "simulated")

    def _set_ready(self, item: dict[str, Any], status: str, reason: str, message: str) -> None:
        generation = item["metadata"].get("generation", 1)
        self.simulated[item["kind"]] = None
        condition = {
            "type": "Ready",
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": generation,
            "lastTransitionTime": item["metadata"]["creationTimestamp"],
        }
        if condition in (item.get("status", {}).get("conditions") or []):
            return
        change = {"status": {"observedGeneration": generation, "conditions": [condition]}}
        self._client.patch(item, change, "status")


def definition(api_version: str, kind: str, *, namespaced: bool) -> Manifest:
    """Return a CustomResourceDefinition that takes any object of a kind.

    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
    """
    group, _, version = api_version.partition("/")
    plural = f"{kind.lower().removesuffix('y')}ies" if kind.endswith("y") else f"{kind.lower()}s"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": "Namespaced" if namespaced else "Cluster",
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": anything},
                    "subresources": {"status": {}},
                }
            ],
        },
    }

"""What nobody does in a rehearsal: volumes, load balancers, and the operators of custom resources.

Each is simulated by name, and what was simulated is told.
"""

import base64
import threading
from collections.abc import Callable, Iterable
from typing import Any

from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.rehearse.api_client import ApiClient, ApiError, Resource, Verb

_EXTERNAL_SECRETS = "external-secrets.io"
#: Groups whose objects nobody has to act on.
_INERT = ("argoproj.io", "monitoring.coreos.com")


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
        self._watch(Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims", True), self._provide_volume)
        self._watch(Resource("v1", "Service", "services", True), self._give_address)
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
            # An address for documentation: https://www.rfc-editor.org/rfc/rfc5737
            self._client.patch(service, {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}, "status")

    def _fetch_secret(self, item: dict[str, Any]) -> None:
        """Make the Secret of an ExternalSecret with a placeholder for each value.

        https://external-secrets.io/latest/api/externalsecret/
        """
        metadata, spec = item["metadata"], item["spec"]
        keys = [entry["secretKey"] for entry in spec.get("data") or ()]
        templated = spec.get("target", {}).get("template", {}).get("data") or {}
        value = base64.b64encode(b"placeholder").decode()
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
            "data": dict.fromkeys([*(templated or keys)], value),
        }
        self._client.apply(secret)
        self._be_ready(item)

    def _be_ready(self, item: dict[str, Any]) -> None:
        generation = item["metadata"].get("generation", 1)
        conditions = item.get("status", {}).get("conditions") or []
        if any(known.get("type") == "Ready" and known.get("observedGeneration") == generation for known in conditions):
            return
        self.simulated[item["kind"]] = None
        condition = {
            "type": "Ready",
            "status": "True",
            "reason": "Rehearsed",
            "message": "simulated",
            "observedGeneration": generation,
            "lastTransitionTime": item["metadata"]["creationTimestamp"],
        }
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

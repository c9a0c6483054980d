"""Watches a cluster and remembers every change, with the second in which it was seen."""

import threading
import time
from collections.abc import Iterable
from typing import Any

from constructs_lib.rehearse.api_client import ApiClient, Verb

#: Kinds that a rollout makes beside those in the trees.
MADE = (
    ("v1", "Pod"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Event"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "ControllerRevision"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("argoproj.io/v1alpha1", "Application"),
    ("argoproj.io/v1alpha1", "AppProject"),
)


class Watcher:
    """Watches some kinds in the background.

    Attributes:
        live: What is there now, by its uid.
    """

    def __init__(self, client: ApiClient, kinds: Iterable[tuple[str, str]]) -> None:
        """Begin to watch; a kind that is not served yet is watched once it is."""
        self.live: dict[str, dict[str, Any]] = {}
        self._seen: list[tuple[float, Verb, dict[str, Any]]] = []
        self._client = client
        self._stop = threading.Event()
        self._lock = threading.Lock()
        for api_version, kind in dict.fromkeys([*MADE, *kinds]):
            threading.Thread(target=self._watch, args=(api_version, kind), daemon=True).start()

    def close(self) -> None:
        """Watch no more."""
        self._stop.set()

    def snapshot(self) -> list[dict[str, Any]]:
        """Return what is there now."""
        with self._lock:
            return [*self.live.values()]

    def seen_since(self, moment: float) -> list[tuple[float, Verb, dict[str, Any]]]:
        """Return the changes since a moment of :func:`time.monotonic`: when, what happened, and the object."""
        with self._lock:
            return [entry for entry in self._seen if entry[0] >= moment]

    def _watch(self, api_version: str, kind: str) -> None:
        while not (resource := self._client.resource(api_version, kind)):
            if self._stop.wait(0.5):
                return

        def tell(verb: Verb, item: dict[str, Any]) -> None:
            item["metadata"].pop("managedFields", None)
            item = {"apiVersion": api_version, "kind": kind, **item}
            with self._lock:
                self._seen.append((time.monotonic(), verb, item))
                if verb == "DELETED":
                    self.live.pop(item["metadata"]["uid"], None)
                else:
                    self.live[item["metadata"]["uid"]] = item

        self._client.watch(resource, tell, self._stop)

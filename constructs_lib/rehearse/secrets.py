"""The secrets of a rehearsal: the store as the bootstrap fills it, and what External Secrets may read of it.

Who may read is asked of the API server, so that Roles and identities are those of the trees.
"""

import base64
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from constructs_lib.check.bootstrap import Store
from constructs_lib.kubernetes.manifest import Manifest, inner, mapping, mappings, sequence
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.rehearse.api_client import ApiClient, Resource
from constructs_lib.rehearse.argocd import APPLICATIONS

_RBAC = "rbac.authorization.k8s.io"
_SECRETS = Resource("v1", "Secret", "secrets", True)
_REVIEWS = Resource("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews", False)
#: What a store holds that is not in the cluster.
_PLACEHOLDER = base64.b64encode(b"placeholder").decode()


class RefusedError(Exception):
    """External Secrets cannot read a value; the message is about what it would say itself."""


def bootstrapped(stores: Iterable[Store]) -> Iterator[Manifest]:
    """Yield what ``bootstrap/argocd/secrets.tf`` makes for some trees, one applied over the other.

    It is applied before the tree that needs it is published, and takes nothing away here. A value tells its origin.
    """
    places: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    readers: dict[tuple[str, str], str] = {}
    for store in stores:
        for (component, key), origin in sorted(store.values.items()):
            places[store.namespace].setdefault(component, {})[key] = base64.b64encode(origin.encode()).decode()
        readers |= {(store.namespace, component): namespace for component, namespace in store.readers.items()}
    for place, secrets in places.items():
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}}
        for name, data in secrets.items():
            yield {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": place}, "data": data}
    for (place, name), namespace in readers.items():
        metadata = {"name": name, "namespace": place}
        rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}
        yield {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]}
        yield {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": place, "namespace": namespace}],
        }


def fetched(client: ApiClient, item: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the values of an ExternalSecret by their keys, encoded; None if the operator leaves it alone.

    That is how the operator treats a ClusterSecretStore that it is told not to process
    (``shouldSkipClusterSecretStore`` in its ``externalsecret_controller.go``).

    Raises:
        RefusedError: A value cannot be read.
        ApiError: The API server refuses the rehearsal itself something.
    """
    spec, namespace = item["spec"], item["metadata"]["namespace"]
    operator = _Operator(client, item["apiVersion"])
    whole = mapping(spec.get("secretStoreRef"))
    if whole.get("kind") == "ClusterSecretStore" and not operator.processes_cluster_stores:
        return None
    data: dict[str, str] = {}
    for field in ("data", "dataFrom"):
        for entry in mappings(spec.get(field)):
            store = operator.store(mapping(inner(entry, "sourceRef", "storeRef")) or whole, namespace)
            data |= store.read_one(entry) if field == "data" else store.read_all(entry)
    templated = mapping(inner(spec, "target", "template", "data"))
    return dict.fromkeys(map(str, templated), _PLACEHOLDER) or data


class _Operator:
    """External Secrets as its chart sets it up; without the chart, as it is by default."""

    def __init__(self, client: ApiClient, api_version: str) -> None:
        self.client, self._api_version = client, api_version
        self.account: tuple[str, str] | None = None
        self.processes_cluster_stores = True
        for application in client.list(APPLICATIONS):
            spec = mapping(application.get("spec"))
            for source in mappings(spec.get("sources") or [spec.get("source")]):
                if source.get("chart") != "external-secrets":
                    continue
                values = mapping(inner(source, "helm", "valuesObject"))
                self.processes_cluster_stores = values.get("processClusterStore") is not False
                if inner(values, "rbac", "serviceAccountTokenCreate") is False:
                    name = str(inner(values, "serviceAccount", "name") or "external-secrets")
                    self.account = str(inner(spec, "destination", "namespace")), name

    def store(self, reference: Mapping[str, Any], namespace: str) -> "_Reader":
        """Return who reads from a store for a namespace."""
        kind, name = str(reference.get("kind") or "SecretStore"), str(reference.get("name"))
        place = {} if kind == "ClusterSecretStore" else {"namespace": namespace}
        manifest = {"apiVersion": self._api_version, "kind": kind, "metadata": {"name": name, **place}}
        found = self.client.get(manifest) if self.client.resource(self._api_version, kind) else None
        if found is None:
            raise RefusedError(f'could not get {kind} "{name}"')
        conditions = mappings(inner(found, "spec", "conditions"))
        if not place and conditions and not any(self._serves(each, namespace) for each in conditions):
            raise RefusedError(f'using cluster store "{name}" is not allowed from namespace "{namespace}"')
        provider = mapping(inner(found, "spec", "provider", "kubernetes"))
        account = mapping(inner(provider, "auth", "serviceAccount"))
        # Only a store for several namespaces may name an account of another one.
        where = str(account.get("namespace") or namespace) if not place else namespace
        remote, reads_as = str(provider.get("remoteNamespace") or "default"), str(account.get("name") or "")
        reader = _Reader(self.client, remote, where, reads_as)
        if reader.name:
            self._check_token(where, reader.name)
        return reader

    def _serves(self, condition: Mapping[str, Any], namespace: str) -> bool:
        if namespace in sequence(condition.get("namespaces")):
            return True
        if any(re.search(str(pattern), namespace) for pattern in sequence(condition.get("namespaceRegexes"))):
            return True
        live = self.client.get({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        selector = condition.get("namespaceSelector")
        return bool(selector and live and Selector(selector).matches(mapping(inner(live, "metadata", "labels"))))

    def _check_token(self, namespace: str, name: str) -> None:
        metadata = {"name": name, "namespace": namespace}
        if self.client.get({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}) is None:
            raise RefusedError(f'cannot create service account token: serviceaccounts "{name}" not found')
        wanted = {"verb": "create", "resource": "serviceaccounts", "subresource": "token"}
        if self.account and not _may(self.client, self.account, {**wanted, **metadata}):
            raise RefusedError(f'cannot create service account token: serviceaccounts "{name}" is forbidden')


class _Reader:
    """A ServiceAccount that reads Secrets of a namespace; without a name, a store of another kind."""

    def __init__(self, client: ApiClient, place: str, namespace: str, name: str) -> None:
        self._client, self._place, self._namespace, self.name = client, place, namespace, name

    def read_one(self, entry: Mapping[str, Any]) -> dict[str, str]:
        """Return the value that an entry of ``data`` names."""
        key, reference = str(entry.get("secretKey")), mapping(entry.get("remoteRef"))
        if not self.name:
            return {key: _PLACEHOLDER}
        data, wanted = self._secret(str(reference.get("key"))), reference.get("property")
        if wanted is not None and wanted not in data:
            raise RefusedError(f"property {wanted} does not exist in data of secret {reference.get('key')}")
        return {key: _PLACEHOLDER if wanted is None else data[str(wanted)]}

    def read_all(self, entry: Mapping[str, Any]) -> dict[str, str]:
        """Return the values that an entry of ``dataFrom`` brings."""
        if not self.name:
            return {}
        if extract := mapping(entry.get("extract")):
            return self._secret(str(extract.get("key")))
        if not (find := mapping(entry.get("find"))):
            return {}
        if not _may(self._client, (self._namespace, self.name), self._wanted("list", "")):
            raise RefusedError(f'secrets is forbidden in the namespace "{self._place}"')
        pattern = str(inner(find, "name", "regexp") or "")
        found = [each["metadata"] for each in self._client.list(_SECRETS)]
        names = [each["name"] for each in found if each["namespace"] == self._place]
        return dict.fromkeys((name for name in names if re.search(pattern, name)), _PLACEHOLDER)

    def _secret(self, name: str) -> dict[str, str]:
        if not _may(self._client, (self._namespace, self.name), self._wanted("get", name)):
            raise RefusedError(
                f'secrets "{name}" is forbidden: {self._namespace}/{self.name} cannot get it in "{self._place}"'
            )
        metadata = {"name": name, "namespace": self._place}
        found = self._client.get({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
        if found is None:
            raise RefusedError(f'secrets "{name}" not found')
        return {str(key): str(value) for key, value in mapping(found.get("data")).items()}

    def _wanted(self, verb: str, name: str) -> dict[str, str]:
        return {"verb": verb, "resource": "secrets", "namespace": self._place, **({"name": name} if name else {})}


def _may(client: ApiClient, account: tuple[str, str], wanted: Mapping[str, str]) -> bool:
    """Ask the API server whether a ServiceAccount, given by namespace and name, may do something.

    https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
    """
    namespace, name = account
    groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    user = f"system:serviceaccount:{namespace}:{name}"
    review = {
        "apiVersion": _REVIEWS.api_version,
        "kind": _REVIEWS.kind,
        "spec": {"user": user, "groups": groups, "resourceAttributes": dict(wanted)},
    }
    return bool(inner(client.request("POST", _REVIEWS.path(), review), "status", "allowed"))

"""Secrets: each component reads its own entry of the environment's store, as an identity that may read no other.

The bootstrap writes the entries, one Secret a component in the namespace of the store, and beside each the Role that
lets the component's reader get it. So no change in Git can widen who reads what, and no Application may deploy there.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.declare.component import Component
from constructs_lib.derive.graph import Graph
from constructs_lib.kubernetes.manifest import Manifest, manifest, protected

_RBAC = "rbac.authorization.k8s.io"


def store_manifests(component: Component, graph: Graph) -> Iterator[Manifest]:
    """Yield the store that a component reads from, and the identity that reads: both have the name of the store.

    https://external-secrets.io/latest/provider/kubernetes/
    """
    name = component.system.environment.secret_store_namespace

    def made(api_version: str, kind: str, **more: Any) -> Manifest:
        labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": component.system.name}
        return manifest(api_version, kind, name, component.namespace_name, labels, **more)

    yield made("v1", "ServiceAccount", automountServiceAccountToken=False)
    operator = graph.providers.get("external-secrets")
    namespace, _, reader = component.system.environment.cluster.external_secrets_account.partition("/")
    if operator is not None:
        namespace, reader = operator.namespace_name, operator.reads_secrets_as
    if reader:
        # The operator may ask for tokens of this account, and in this namespace of no other.
        rule = {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": [name], "verbs": ["create"]}
        account = {"kind": "ServiceAccount", "name": reader, "namespace": namespace}
        yield made(f"{_RBAC}/v1", "Role", rules=[rule])
        reference = {"apiGroup": _RBAC, "kind": "Role", "name": name}
        yield made(f"{_RBAC}/v1", "RoleBinding", roleRef=reference, subjects=[account])
    provider = {
        "remoteNamespace": name,
        "server": {
            "url": "https://kubernetes.default.svc",
            # Kubernetes puts it into every namespace.
            "caProvider": {"type": "ConfigMap", "name": "kube-root-ca.crt", "key": "ca.crt"},
        },
        "auth": {"serviceAccount": {"name": name}},
    }
    yield made("external-secrets.io/v1", "SecretStore", spec={"provider": {"kubernetes": provider}})


def external_secrets(component: Component) -> Iterator[Manifest]:
    """Yield the ExternalSecrets that make a component's Secrets: one for all values, and those with a type."""
    typed = {
        key for each in component.typed_secrets.values() for key in map(component.secret_key, each.values.values())
    }
    if own := {key: key for key in sorted(component.secrets) if key not in typed}:
        yield _external_secret(component, component.id, own)
    for name, each in sorted(component.typed_secrets.items()):
        keys = {key: component.secret_key(reference) for key, reference in sorted(each.values.items())}
        yield _external_secret(component, name, keys, type=each.type)


def _external_secret(component: Component, name: str, keys: Mapping[str, str], type: str = "") -> Manifest:
    """Return an ExternalSecret that makes a Secret, whose keys are given with those of the component's entry.

    Fields that the API server would fill in are written out, because Argo CD would show them as differences.
    https://external-secrets.io/latest/api/externalsecret/
    """
    data = [
        {
            "secretKey": key,
            "remoteRef": {
                "key": component.id,
                "property": known,
                "conversionStrategy": "Default",
                "decodingStrategy": "None",
                "metadataPolicy": "None",
            },
        }
        for key, known in keys.items()
    ]
    template = {"engineVersion": "v2", "mergePolicy": "Merge", "type": type}
    return manifest(
        "external-secrets.io/v1",
        "ExternalSecret",
        name,
        component.namespace_name,
        {"app.kubernetes.io/name": component.id, "app.kubernetes.io/part-of": component.system.name},
        # Deleting the ExternalSecret deletes its Secret, which a protected data store still needs.
        annotations=protected() if component.keeps_data else None,
        spec={
            "refreshInterval": "1h0m0s",
            "secretStoreRef": {
                "kind": "SecretStore",
                "name": component.system.environment.secret_store_namespace,
            },
            "target": {
                "name": name,
                "creationPolicy": "Owner",
                "deletionPolicy": "Retain",
                **({"template": template} if type else {}),
            },
            "data": data,
        },
    )

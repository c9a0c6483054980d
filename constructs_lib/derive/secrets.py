"""Secret values: how each component gets its own, and the list that the bootstrap fills."""

from typing import Any

from constructs_lib.declare.component import Component
from constructs_lib.declare.system import System
from constructs_lib.kubernetes.manifest import Manifest, manifest, protected


def external_secret(component: Component) -> Manifest | None:
    """Return the ExternalSecret that makes a component's Secret, or None if it has no secrets.

    Fields that the API server would fill in are written out, because Argo CD would show them as differences.
    https://external-secrets.io/latest/api/externalsecret/
    """
    if not component.secrets:
        return None
    data = [
        {
            "secretKey": key,
            "remoteRef": {
                "key": reference.component,
                "property": reference.key,
                "conversionStrategy": "Default",
                "decodingStrategy": "None",
                "metadataPolicy": "None",
            },
        }
        for key, reference in sorted(component.secrets.items())
    ]
    return manifest(
        "external-secrets.io/v1",
        "ExternalSecret",
        component.id,
        component.namespace_name,
        {"app.kubernetes.io/name": component.id, "app.kubernetes.io/part-of": component.system.name},
        # Deleting the ExternalSecret deletes its Secret, which a protected data store still needs.
        annotations=protected() if component.keeps_data else None,
        spec={
            "refreshInterval": "1h0m0s",
            "secretStoreRef": {
                "kind": "ClusterSecretStore",
                "name": component.system.environment.secret_store_namespace,
            },
            "target": {"name": component.id, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
            "data": data,
        },
    )


def secret_values(system: System) -> list[dict[str, Any]]:
    """Return every secret value of a system: which component and key of the store, who gives it, what it is for."""
    own = (
        reference
        for component in system.components
        for reference in component.secrets.values()
        if reference.component == component.id
    )
    return [
        {
            "component": reference.component,
            "key": reference.key,
            "owner": reference.secret.owner,
            "purpose": reference.secret.purpose,
        }
        for reference in sorted(own, key=lambda reference: (reference.component, reference.key))
    ]

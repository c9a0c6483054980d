"""The namespace of a component."""

from constructs_lib.declare.component import Component
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import Manifest, manifest, protected


def namespace(component: Component) -> Manifest:
    """Return the Namespace with its Pod Security level, protected if something in it holds data.

    https://kubernetes.io/docs/concepts/security/pod-security-admission/
    """
    level = component.pod_security
    version = f"v{component.system.environment.cluster.kubernetes}"
    return manifest(
        "v1",
        "Namespace",
        component.namespace_name,
        None,
        {
            "app.kubernetes.io/part-of": component.system.name,
            platform.ENFORCE: level,
            f"{platform.ENFORCE}-version": version,
            "pod-security.kubernetes.io/warn": level,
            "pod-security.kubernetes.io/warn-version": version,
        },
        annotations=protected() if component.keeps_data else None,
    )

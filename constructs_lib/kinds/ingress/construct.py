"""Hosts and paths that an Ingress controller serves."""

from collections.abc import Iterator, Mapping, Sequence

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked
from constructs_lib.declare.component import Component
from constructs_lib.declare.controller import Controller
from constructs_lib.declare.route import Route, service_of
from constructs_lib.declare.server import Endpoint
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Workload
from constructs_lib.kinds.cert_manager.tls import Tls, certificates
from constructs_lib.kubernetes.manifest import Manifest, manifest


class Ingress(Route):
    """An Ingress in the namespace of each component that it leads to.

    https://kubernetes.io/docs/concepts/services-networking/ingress/
    """

    @checked
    def __init__(
        self,
        scope: System | Component | Workload,
        id: str,
        *,
        host: str | Sequence[str],
        routes: Mapping[str, Endpoint],
        controller: Controller,
        ingress_class: str | None = None,
        tls: Tls | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Declare an Ingress.

        Args:
            scope: The system, or the component or workload whose name goes before the id.
            id: Its name.
            host: Full name of the host, such as ``shop.example.com`` or ``*.example.com``; or several.
            routes: By the beginning of a path, such as ``/`` or ``/api``, the endpoint that answers; the longest that
                fits decides (``pathType: Prefix``).
            controller: Who serves it: the chart, such as ``Traefik``, an :class:`IngressController`, any other
                workload, or an :class:`ExistingController`.
            ingress_class: Name of the IngressClass. Default: that of the controller.
            tls: Where the certificate comes from: an issuer of cert-manager, or ``supplied("…")`` for one that the
                bootstrap is given. Default: none, plain HTTP.
            annotations: Annotations for the controller.
        """
        super().__init__(scope, id, host=host, routes=routes, controller=controller)
        self.ingress_class = ingress_class or getattr(self.controller, "ingress_class", "")
        self.annotations = dict(annotations or {})
        if self.controller is not None and not self.ingress_class:
            self.report(
                'ingress_class: its controller names none; write ingress_class="…", as the IngressClass is called.'
            )
        elif ingress_class is not None and (problem := validation.dns_label(ingress_class)):
            self.report(f"ingress_class: {problem}")
        self.claim()
        self.tls = tls
        if tls is not None:
            for component in self.parts:
                certificates(self, component, self.name, self.hosts, tls)

    @property
    def served(self) -> str:
        """The class: controllers of others do not look at it."""
        return f"class {self.ingress_class}"

    def manifests(self, component: Component) -> Iterator[Manifest]:
        """Yield the Ingress of a component."""
        paths = [
            {
                "path": path,
                "pathType": "Prefix",
                "backend": {"service": {"name": service_of(endpoint), "port": {"number": endpoint.service_port}}},
            }
            for path, endpoint in self.parts[component].items()
        ]
        tls = {"tls": [{"hosts": [*self.hosts], "secretName": f"{self.name}-tls"}]} if self.tls is not None else {}
        yield manifest(
            "networking.k8s.io/v1",
            "Ingress",
            self.name,
            component.namespace_name,
            {"app.kubernetes.io/name": self.name, "app.kubernetes.io/part-of": self.system.name},
            annotations=self.annotations,
            spec={
                "ingressClassName": self.ingress_class,
                **tls,
                "rules": [{"host": host, "http": {"paths": paths}} for host in self.hosts],
            },
        )

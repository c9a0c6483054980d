"""Issuers of cert-manager: who signs certificates, and how it is shown that a host is ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked
from constructs_lib.declare.calls import explained
from constructs_lib.declare.component import Addition, Component
from constructs_lib.declare.controller import Controller, serving
from constructs_lib.declare.passage import ExistingController
from constructs_lib.declare.secret import Secret, SecretReference
from constructs_lib.declare.workload import Workload
from constructs_lib.kinds.cert_manager.construct import CertManager
from constructs_lib.kubernetes.manifest import Manifest, manifest
from constructs_lib.text import shown

#: Let's Encrypt, and its double for trying things out, whose certificates no browser trusts.
LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
LETS_ENCRYPT_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
_SERVER = re.compile(r"https://([a-z0-9.-]+)(:[0-9]+)?(/\S*)?")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
#: What cert-manager says of an issuer depends on the world: were that the health of the Application, an outage of the
#: certificate authority would block every rollout. An alert tells of it instead.
NOT_HEALTH: Mapping[str, str] = {"argocd.argoproj.io/ignore-healthcheck": "true"}


@explained
@dataclass(frozen=True)
class Http01:
    """A host is ours if we answer for it at port 80.

    Attributes:
        controller: Who serves Ingresses, or the Gateways that have the certificates, for the host.
    """

    controller: Controller


@explained
@dataclass(frozen=True)
class Dns01:
    """A host is ours if we can write into its DNS zone; the only way for ``*.example.com``.

    Attributes:
        provider: Name of the provider in cert-manager, such as ``digitalocean``.
        host: Full name of the host with the provider's API, which cert-manager calls at port 443.
        settings: Its settings as cert-manager names them; a ``supplied("…")`` becomes a reference to a Secret:
            ``{"tokenSecretRef": supplied("token for the DNS zone example.com")}``.
    """

    provider: str
    host: str
    settings: Mapping[str, Any]


@explained
@dataclass(frozen=True)
class Acme:
    """A certificate authority that speaks ACME, such as Let's Encrypt.

    Attributes:
        email: Whom it writes to.
        solver: How it is shown that a host is ours.
        server: Address of its directory. Default Let's Encrypt; ``LETS_ENCRYPT_STAGING`` for trying things out.
    """

    email: str
    solver: Http01 | Dns01
    server: str = LETS_ENCRYPT


@explained
@dataclass(frozen=True)
class SelfSigned:
    """Certificates that sign themselves and that nobody trusts, for a cluster on a laptop."""


@explained
@dataclass(frozen=True)
class ExistingIssuer:
    """An issuer that is in the cluster already, with a cert-manager that the system does not bring.

    Attributes:
        name: Its name.
        kind: ``ClusterIssuer``, or ``Issuer`` for one in the namespace of the certificate.
    """

    name: str
    kind: str = "ClusterIssuer"


class AcmeSolver(Workload):
    """The pods that cert-manager makes in a namespace to answer for a host, for a minute each."""

    transient = True
    sees_to = ("labels",)

    @property
    def selector(self) -> dict[str, str]:
        """What ``pkg/issuer/acme/http/pod.go`` of cert-manager labels them with."""
        return {"acme.cert-manager.io/http01-solver": "true"}

    def rollout_seconds(self, *, first: bool) -> int:
        """Return 0: no sync waits for them."""
        return 0


class _Issuer(Addition):
    """The base of :class:`ClusterIssuer` and :class:`Issuer`."""

    #: Arguments that were wrong and have placeholders in their place.
    replaced: frozenset[str] = frozenset()

    def __init__(self, component: Component, id: str, config: Acme | SelfSigned, manager: CertManager | None) -> None:
        self.component = component
        self.system = component.system
        self.location = self.system.diagnostics.here(self)
        self.name = id
        self.config = config
        self.manager = manager
        self.solver: Workload | ExistingController | None = None
        #: Gateways that have certificates of it, with the listener that is plain HTTP: by namespace and name.
        self.gateways: dict[tuple[str, str], str] = {}
        component.additions.append(self)
        if problem := validation.dns_label(id):
            self.report(problem)
        if isinstance(config, Acme):
            self._take(config)

    @property
    def subject(self) -> str:
        """How messages name it."""
        return f"{self.component.id}/{self.name}"

    def _take(self, acme: Acme) -> None:
        if not _EMAIL.fullmatch(acme.email):
            self.report(f'email: {shown(acme.email)} is no address; write one like "ops@example.com".')
        server = _SERVER.fullmatch(acme.server)
        if server is None:
            self.report(f'server: {shown(acme.server)} is no ACME directory; write it like "{LETS_ENCRYPT}".')
        elif self.manager:
            self.manager.calls(server[1], int((server[2] or ":443")[1:]))
        if isinstance(acme.solver, Dns01):
            if problem := validation.host_name(acme.solver.host):
                self.report(f"solver, host: {problem}")
            elif self.manager:
                self.manager.calls(acme.solver.host)
            self._settings = self._referred(acme.solver.provider, acme.solver.settings)
            return
        found = serving(acme.solver.controller, self.system)
        if isinstance(found, str):
            self.report(f"solver: {found}")
            return
        self.solver = found
        if self.manager:
            # A load balancer's address leads straight to the pods behind it, which policies see as the peer.
            pods = found
            if isinstance(pods, Workload):
                pods = ExistingController(pods.namespace_name, pods.selector)
            reason = f"to {found.subject}, to see its hosts answer"
            self.manager.controller.passes(pods, inward=False, reason=reason)

    def _referred(self, name: str, value: Any) -> Any:
        """Return settings with references to Secrets in the place of secrets."""
        if isinstance(value, Secret):
            key = self.component.secret_key(SecretReference(self.component.id, f"{self.name}-{name}", value))
            return {"name": self.component.id, "key": key}
        return (
            {key: self._referred(key, entry) for key, entry in value.items()} if isinstance(value, Mapping) else value
        )

    @property
    def by_gateway(self) -> bool:
        """Whether hosts are answered for through Gateways, because who serves them serves no Ingresses."""
        return self.solver is not None and not getattr(self.solver, "ingress_class", "")

    def manifests(self, component: Component) -> Iterator[Manifest]:
        """Yield the issuer."""
        namespace = component.namespace_name if self.kind == "Issuer" else None
        labels = {"app.kubernetes.io/name": self.name, "app.kubernetes.io/part-of": self.system.name}
        yield manifest(
            "cert-manager.io/v1", self.kind, self.name, namespace, labels, annotations=NOT_HEALTH, spec=self._spec()
        )

    def _spec(self) -> Manifest:
        if isinstance(self.config, SelfSigned):
            return {"selfSigned": {}}
        if isinstance(self.config.solver, Dns01):
            solver: Manifest = {"dns01": {self.config.solver.provider: self._settings}}
        elif self.by_gateway:
            references = [
                {
                    "group": "gateway.networking.k8s.io",
                    "kind": "Gateway",
                    "name": name,
                    "namespace": namespace,
                    "sectionName": listener,
                }
                for (namespace, name), listener in sorted(self.gateways.items())
            ]
            solver = {"http01": {"gatewayHTTPRoute": {"parentRefs": references}}}
        else:
            solver = {"http01": {"ingress": {"ingressClassName": getattr(self.solver, "ingress_class", "")}}}
        return {
            "acme": {
                "server": self.config.server,
                "email": self.config.email,
                "privateKeySecretRef": {"name": f"{self.name}-account"},
                "solvers": [solver],
            }
        }


class ClusterIssuer(_Issuer):
    """An issuer for certificates in all namespaces."""

    @checked
    def __init__(self, scope: CertManager, id: str, config: Acme | SelfSigned) -> None:
        """Declare an issuer.

        Args:
            scope: The cert-manager that it is for.
            id: Its name.
            config: ``Acme(email, solver)`` or ``SelfSigned()``.
        """
        super().__init__(scope, id, config, scope)


class Issuer(_Issuer):
    """An issuer for certificates in one namespace."""

    @checked
    def __init__(self, scope: Component | Workload, id: str, config: Acme | SelfSigned) -> None:
        """Declare an issuer.

        Args:
            scope: The component in whose namespace it is, or a workload in it.
            id: Its name.
            config: ``Acme(email, solver)`` or ``SelfSigned()``.
        """
        component = scope if isinstance(scope, Component) else scope.component
        managers = (each for each in component.system.components if isinstance(each, CertManager))
        manager = next(managers, None)
        super().__init__(component, id, config, manager)
        if manager:
            component.after(manager, reason=f"the Issuer {id} is cert-manager's")

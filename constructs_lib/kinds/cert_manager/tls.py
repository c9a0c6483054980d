"""Where the certificate of a host comes from: an issuer of cert-manager, or the bootstrap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from constructs_lib.declare import validation
from constructs_lib.declare.component import Addition, Component, TypedSecret
from constructs_lib.declare.diagnostics import Location
from constructs_lib.declare.secret import Secret, SecretReference
from constructs_lib.declare.workload import Edge, Workload
from constructs_lib.kinds.cert_manager.issuer import (
    NOT_HEALTH,
    Acme,
    AcmeSolver,
    ClusterIssuer,
    Dns01,
    ExistingIssuer,
    Issuer,
)
from constructs_lib.kubernetes.manifest import Manifest, manifest

#: An issuer, or ``supplied("…")`` for a certificate that the bootstrap is given.
Tls = ClusterIssuer | Issuer | ExistingIssuer | Secret
_SOLVER_PORT = 8089


class _Owner(Protocol):
    """A route or a Gateway."""

    location: Location

    def report(self, problem: str) -> None:
        """Report an error that concerns it."""


class Certificate(Addition):
    """A certificate of cert-manager, which makes and renews the Secret with it."""

    def __init__(
        self, component: Component, name: str, hosts: Sequence[str], issuer: tuple[str, str], location: Location
    ) -> None:
        """Note a certificate; ``issuer`` is the kind and the name of who signs it."""
        self.location = location
        self.system = component.system
        self.name = name
        self.hosts = tuple(hosts)
        self.issuer = issuer
        component.additions.append(self)

    @property
    def subject(self) -> str:
        """How messages name it."""
        return self.name

    def manifests(self, component: Component) -> Iterator[Manifest]:
        """Yield the Certificate."""
        kind, name = self.issuer
        yield manifest(
            "cert-manager.io/v1",
            "Certificate",
            self.name,
            component.namespace_name,
            {"app.kubernetes.io/name": self.name, "app.kubernetes.io/part-of": component.system.name},
            # The first one takes until somebody has made the DNS record of the address that the cluster got.
            annotations=NOT_HEALTH,
            spec={
                "secretName": self.name,
                "dnsNames": [*self.hosts],
                "issuerRef": {"group": "cert-manager.io", "kind": kind, "name": name},
                "privateKey": {"rotationPolicy": "Always"},
            },
        )


def certificates(owner: _Owner, component: Component, name: str, hosts: Sequence[str], tls: Tls) -> None:
    """Have a component get the Secret ``<name>-tls`` with a certificate for some hosts."""
    secret = f"{name}-tls"
    if isinstance(tls, Secret):
        _from_bootstrap(owner, component, secret, tls)
        return
    Certificate(component, secret, hosts, (tls.kind, tls.name), owner.location)
    if isinstance(tls, ExistingIssuer):
        problems = [validation.dns_label(tls.name)]
        if tls.kind not in ("ClusterIssuer", "Issuer"):
            problems.append(f'"{tls.kind}" is no kind of an issuer; write "ClusterIssuer" or "Issuer".')
        for problem in filter(None, problems):
            owner.report(f"tls: {problem}")
        return
    if tls.system is not component.system:
        owner.report(f"tls: the {tls.kind} {tls.name} belongs to another system.")
        return
    if isinstance(tls, Issuer) and tls.component is not component:
        owner.report(
            f"tls: the Issuer {tls.name} serves {tls.component.namespace_name}, and the certificate is in "
            f"{component.namespace_name}; declare a ClusterIssuer."
        )
        return
    if tls.manager and tls.manager is not component:
        component.after(tls.manager, reason=f"its certificate {secret} is made by {tls.manager.id}")
    if isinstance(tls.config, Acme) and not isinstance(tls.config.solver, Dns01):
        _prove_by_http(owner, component, hosts, tls)


def _from_bootstrap(owner: _Owner, component: Component, name: str, secret: Secret) -> None:
    """Have the bootstrap ask for a certificate and its key, and a Secret of the type that controllers read."""
    if secret.owner == "generated":
        owner.report('tls: generated("…") makes a password; a certificate is supplied("…"), or an issuer\'s.')
        return
    parts = {"crt": "the certificate with its chain, in PEM", "key": "the private key of the certificate, in PEM"}
    values = {}
    for part, what in parts.items():
        told = Secret(secret.owner, f"{secret.purpose}: {what}")
        values[f"tls.{part}"] = SecretReference(component.id, f"{name}.{part}", told)
        component.secret_key(values[f"tls.{part}"])
    component.typed_secrets[name] = TypedSecret("kubernetes.io/tls", values)


def _prove_by_http(owner: _Owner, component: Component, hosts: Sequence[str], issuer: ClusterIssuer | Issuer) -> None:
    """Open what proves that hosts are ours: cert-manager asks for them, and the controller asks the solver's pods."""
    for host in hosts:
        if host.startswith("*."):
            owner.report(
                f'tls: Http01 cannot prove a host with "*", such as {host}; have the issuer prove it by Dns01(…).'
            )
        elif issuer.manager and not validation.host_name(host):
            # It follows the controller where that redirects to HTTPS.
            issuer.manager.calls(host, 80)
            issuer.manager.calls(host, 443)
    if issuer.solver is None or component.workload("acme-solver") is not None:
        return
    solver = AcmeSolver(component, "acme-solver")
    solver.location = owner.location
    endpoint = solver.offer("http", _SOLVER_PORT)
    if isinstance(issuer.solver, Workload):
        issuer.solver.edges.append(Edge(issuer.solver, endpoint, False, owner.location))
    else:
        solver.passes(issuer.solver, inward=True, reason=f"from {issuer.solver.subject} to http", ports=(_SOLVER_PORT,))

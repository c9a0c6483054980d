"""Proof that certificates are signed by issuers that there are."""

from collections.abc import Iterator

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.tools import is_placeholder
from constructs_lib.kubernetes.manifest import mapping

_GROUP = "cert-manager.io"
_ANNOTATIONS = {f"{_GROUP}/issuer": "Issuer", f"{_GROUP}/cluster-issuer": "ClusterIssuer"}


def prove_issuers(model: ClusterModel) -> Iterator[Finding]:
    """Yield certificates whose issuer does not exist."""
    for item in model.kind("Certificate"):
        issuer = mapping(item.spec.get("issuerRef"))
        if item.group == _GROUP and (issuer.get("group") or _GROUP) == _GROUP:
            kind = str(issuer.get("kind") or "Issuer")
            yield from _issuer(model, item, kind, str(issuer.get("name")), "spec.issuerRef.name")
    for item in model.kind("Ingress", "Gateway"):
        # With a group of its own the issuer is that of somebody else.
        if f"{_GROUP}/issuer-group" not in item.annotations:
            for annotation, kind in _ANNOTATIONS.items():
                if name := item.annotations.get(annotation):
                    yield from _issuer(model, item, kind, name, f"metadata.annotations[{annotation}]")


def _issuer(model: ClusterModel, item: Object, kind: str, name: str, at: str) -> Iterator[Finding]:
    namespace = item.namespace if kind == "Issuer" else ""
    known = model.names(kind, namespace)
    # A tree without any of the kind relies on one that exists in the cluster.
    may_exist = not model.lacks(kind, namespace, name) if kind == "Issuer" else not known
    if name not in known and not may_exist and not is_placeholder(name) and kind in _ANNOTATIONS.values():
        every = {*known, *model.names("ClusterIssuer")}
        yield Finding.missing("issuer-missing", item, at, kind, name, every, namespace)

"""Installations of Argo CD: where one runs, and where its Applications are."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from constructs_lib.declare import validation
from constructs_lib.declare.calls import explained
from constructs_lib.declare.diagnostics import Location, here


@explained
@dataclass(frozen=True, kw_only=True, eq=False)
class ArgoCD:
    """One installation of Argo CD. Environments that are given the same object are deployed by the same one.

    Attributes:
        namespace: Namespace in which it runs, and in which its AppProjects are. Default ``argocd``.
        application_namespace: Namespace of the Applications (https://argo-cd.readthedocs.io/en/stable/operator-manual/app-any-namespace/);
            Argo CD has to be told of it (``application.namespaces``). Default: the one in which Argo CD runs.
        install: Whether the bootstrap installs it. Default: it does, unless it runs in another cluster.
        others: Root Applications of other systems that it deploys, each with a bootstrap of its own that guards its
            AppProjects, which begin with the name of the root.
    """

    namespace: str = "argocd"
    application_namespace: str = ""
    install: bool = True
    others: tuple[str, ...] = ()
    location: Location = field(default_factory=here, init=False, repr=False)

    @property
    def applications(self) -> str:
        """The namespace of the Applications."""
        return self.application_namespace or self.namespace

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that are Argo CD's, each once."""
        return tuple(dict.fromkeys((self.namespace, self.applications)))

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with it."""
        if problem := validation.dns_label(self.namespace):
            yield f"namespace: {problem}"
        if self.application_namespace and (problem := validation.dns_label(self.application_namespace)):
            yield f"application_namespace: {problem}"
        for name in self.others:
            if problem := validation.dns_label(name):
                yield f"others: {problem}"

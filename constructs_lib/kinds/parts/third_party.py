"""Software of others that Argo CD renders, as a component among the others: what charts and folders have in common."""

from collections.abc import Mapping, Sequence

from constructs_lib.declare import validation
from constructs_lib.declare.calls import explained
from constructs_lib.declare.chart import ChartPods, Kind, PodAccess
from constructs_lib.declare.component import Component, PodSecurity
from constructs_lib.declare.role import Role
from constructs_lib.declare.system import System
from constructs_lib.text import nearest


class ThirdParty(Component):
    """A component whose objects are in a repository of somebody else.

    Its namespace, network policies and secrets are plain manifests like everybody's.
    """

    role = Role.PLATFORM

    def __init__(
        self,
        scope: System,
        id: str,
        *,
        namespace: str | None,
        pod_security: PodSecurity,
        kinds: Sequence[Kind],
        cluster_kinds: Sequence[Kind],
        other_namespaces: Sequence[str],
        further_namespaces: Mapping[str, PodSecurity] | None,
        access: Sequence[PodAccess],
    ) -> None:
        """Declare what every kind of such software is declared with; its constructor says what the arguments are."""
        super().__init__(scope, id, namespace=namespace, pod_security=pod_security)
        self.kinds = tuple(kinds)
        self.cluster_kinds = tuple(cluster_kinds)
        self.other_namespaces = tuple(other_namespaces)
        self.further_namespaces = dict(further_namespaces or {})
        self.access = tuple(access)
        self._check_what_it_may()

    @explained
    def pods(self, name: str) -> ChartPods:
        """Return some of its pods, by the name of the :class:`PodAccess` that says what these may exchange.

        An error is reported if there is none.
        """
        for access in self.access:
            if access.name == name:
                return ChartPods(self.id, name, self.namespace_name, access.pods)
        self.report(f'there is no PodAccess "{name}"; {nearest(str(name), [each.name for each in self.access])}')
        return ChartPods(self.id, str(name), self.namespace_name, {})

    def _check_what_it_may(self) -> None:
        for namespace in self.other_namespaces:
            if problem := validation.dns_label(namespace):
                self.report(f"other_namespaces: {problem}")
        for namespace in self.further_namespaces:
            if problem := validation.dns_label(namespace):
                self.report(f"further_namespaces: {problem}")
            self.system.own(namespace, self)
        for access in self.access:
            for problem in access.problems():
                self.report(f"access: {problem}")
        known = [dict(access.pods) for access in self.access]
        for access in self.access:
            for labels, _ in access.to_pods:
                if dict(labels) not in known:
                    self.report(
                        f"access {access.name}: no other PodAccess has the pods {dict(labels)}, so nothing would open."
                    )
        for argument, kinds in (("kinds", self.kinds), ("cluster_kinds", self.cluster_kinds)):
            if any("*" in (kind.group, kind.kind) for kind in kinds):
                self.report(f"{argument}: name every kind; a wildcard would permit the chart anything.")

    def _check_folder(self, repository: str, path: str, revision: str | None) -> None:
        """Report what is wrong with a folder of a Git repository."""
        if problem := validation.git_url(repository):
            self.report(f"repository: {problem}")
        if problem := validation.git_folder(path):
            self.report(f"path: {problem}")
        if revision is None:
            self.report('revision: it is missing; write the commit or the tag to deploy, such as revision="v1.2.3".')
        elif problem := validation.fixed_revision(revision):
            self.report(f"revision: {problem}")

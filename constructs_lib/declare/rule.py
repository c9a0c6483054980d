"""Permissions of a program in the Kubernetes API."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from constructs_lib.declare.calls import explained
from constructs_lib.text import nearest, shown


@explained
@dataclass(frozen=True)
class Rule:
    """A permission in the Kubernetes API, within the component's own namespace.

    Attributes:
        resources: For instance ``["pods"]``.
        verbs: For instance ``["get", "watch", "list"]``.
        api_group: API group. Default: the core group.
    """

    resources: Sequence[str]
    verbs: Sequence[str]
    api_group: str = ""

    VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the rule."""
        if not self.verbs:
            yield f"rbac: a rule without verbs permits nothing; name some of {', '.join(self.VERBS)}."
        for verb in self.verbs:
            if verb not in self.VERBS:
                yield f"rbac: {shown(verb)} is no verb of the Kubernetes API; {nearest(verb, self.VERBS)}"
        if not self.resources or any("*" in resource for resource in self.resources):
            yield 'rbac: name the resources, for instance "pods"; a wildcard would permit Secrets too.'
        if "*" in self.api_group:
            yield 'rbac: name the API group, for instance "apps"; a wildcard would permit any.'

"""What operators make from custom resources, as far as names tell: none makes an object that it would not call so.

An operator calls what it makes after the custom resource, as ``events-kafka-bootstrap`` is called after the Kafka
``events``, after itself, as ``prometheus-operated`` is, or as the resource says. A name that is none of these is made
by no operator.
"""

import re
from collections.abc import Iterable
from functools import cached_property

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import texts_in

#: Groups whose objects make neither pods nor Services, ConfigMaps or Secrets that others could refer to by accident.
_QUIET_GROUPS = frozenset(
    {
        *("argoproj.io", "cert-manager.io", "external-secrets.io", "keda.sh", "monitoring.coreos.com"),
        *("cilium.io", "networking.istio.io", "projectcontour.io", "traefik.containo.us", "traefik.io"),
    }
)
#: Groups whose objects make Secrets and nothing else.
_SECRET_GROUPS = frozenset(
    {
        *("bitnami.com", "infisical.com", "isindir.github.com", "onepassword.com", "ricoberger.de"),
        *("secrets-store.csi.x-k8s.io", "secrets.doppler.com", "secrets.hashicorp.com"),
    }
)
#: Kinds of quiet groups that do make pods.
_POD_MAKERS = frozenset({"Alertmanager", "Prometheus", "PrometheusAgent", "ThanosRuler", "Workflow"})
#: Parts of groups that tell nothing of an operator.
_COMMON = frozenset({"apps", "coreos", "github", "operator", "database", "databases"})


class Maker:
    """A custom resource from which an operator makes objects that the tree does not have."""

    def __init__(self, item: Object) -> None:
        """Remember the resource."""
        self._item = item

    @property
    def makes_only_secrets(self) -> bool:
        """Whether it makes Secrets and nothing else."""
        return self._item.group in _SECRET_GROUPS

    def may_make(self, kind: str, names: Iterable[str]) -> bool:
        """Tell whether it may make an object of a kind with one of some names; of pods, the texts in their labels."""
        if self.makes_only_secrets:
            return kind == "Secret" and not {self._item.name, *self._told}.isdisjoint(names)
        if self._item.group == "monitoring.coreos.com":
            # It makes no ServiceAccounts, and labels its pods with its kind, in a word of its own.
            if kind == "Pod":
                return any(name.startswith(self._kind) for name in names)
            own = f"{self._kind}-{self._item.name}"
            return kind != "ServiceAccount" and any(
                name.startswith(own) or name == f"{self._kind}-operated" for name in names
            )
        return any(word in name for name in names for word in self._words) or not self._told.isdisjoint(names)

    @property
    def _kind(self) -> str:
        kinds = {"PrometheusAgent": "prom-agent", "ThanosRuler": "thanos-ruler"}
        return kinds.get(self._item.kind, self._item.kind.lower())

    @cached_property
    def _words(self) -> set[str]:
        """The words of which one is in the name of whatever it makes."""
        parts = (part for part in self._item.group.split(".")[:-1] if len(part) > 3 and part not in _COMMON)
        return {self._item.name, self._item.kind.lower(), *parts}

    @cached_property
    def _told(self) -> frozenset[str]:
        """The words of what it says, and its keys, which may be labels."""
        return frozenset(re.findall(r"[\w.-]+", " ".join(texts_in(self._item.manifest))))


def makes_others(item: Object) -> bool:
    """Tell whether an operator or a controller creates objects from this one that the tree does not have."""
    own = "." not in item.group or item.group.endswith(".k8s.io")
    return item.kind in _POD_MAKERS or not (own or item.group in _QUIET_GROUPS)

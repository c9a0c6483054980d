"""The settings of Argo CD itself, as far as a tree has them."""

from collections.abc import Mapping
from typing import Any

from constructs_lib.check.model import ClusterModel
from constructs_lib.kubernetes.manifest import inner, mapping

#: ``controller.sync.timeout.seconds`` in bootstrap/argocd/main.tf.
SYNC_TIMEOUT = 1800
_VALUES = {"argocd-cm": "cm", "argocd-cmd-params-cm": "params"}


def settings(model: ClusterModel, name: str) -> list[Mapping[str, Any]]:
    """Return the settings in a ConfigMap of Argo CD: from the tree, and from the values of the chart argo-cd.

    Args:
        model: The tree.
        name: Name of the ConfigMap: ``argocd-cm`` or ``argocd-cmd-params-cm``.
    """
    charts = (chart for application in model.all_applications for chart in application.charts)
    return [
        *(mapping(item.manifest.get("data")) for item in model.kind("ConfigMap") if item.name == name),
        *(
            mapping(inner(chart.helm, "valuesObject", "configs", _VALUES[name]))
            for chart in charts
            if chart.name == "argo-cd"
        ),
    ]


def sync_timeout(model: ClusterModel) -> int | None:
    """Return after how many seconds Argo CD ends a sync; None for never, and if it is not known."""
    for found in settings(model, "argocd-cmd-params-cm"):
        value = str(found.get("controller.sync.timeout.seconds", ""))
        if value.isdecimal():
            return int(value) or None
    return SYNC_TIMEOUT if model.bootstrap.installs_argocd else None

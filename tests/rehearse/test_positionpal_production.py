"""PositionPal's production, installed and changed on a real API server by a real Argo CD whose controller dies.

Then a broken change is mended. At last kube-state-metrics, Argo CD and a kubelet tell a Prometheus of a bad day.
"""

from __future__ import annotations

from contextlib import ExitStack

import bad_day
from asking import Asked
from cluster_programs import kube_state_metrics, kubelet
from processes import prometheus
from scraping import Pod, scrape_configs
from stage import PositionPalRollout, Stage, altered, broken_promises, in_order, positionpal

from constructs_lib.derive.graph import Graph
from constructs_lib.derive.manifests import component_manifests
from constructs_lib.synth.tree import Tree

#: Alerts that are true by what is done to the cluster here.
TRUE = (
    "ArgoCDApplicationNotHealthy",
    "ContainerMemoryNearLimit",
    "ContainerOutOfMemory",
    "ContainerRestarting",
    "JobFailed",
    "TargetMissing",
    "VolumeAlmostFull",
    "VolumeFilling",
    "WorkloadDegraded",
    "WorkloadUnavailable",
)
_CONTROLLER = "argocd-application-controller"


class TestProduction(PositionPalRollout):
    environment = "production"

    def updated(self, rehearsed: Stage) -> Tree:
        """Return the tree in which the pods of components in three waves restart."""
        return altered(rehearsed.trees[0], "1", "chat-service", "user-service", "gateway")[0]

    def test_update_in_three_waves_while_the_controller_dies(self, rehearsed: Stage) -> None:
        outcome = rehearsed.publish(self.updated(rehearsed), kill=True)
        assert not broken_promises(outcome)
        assert in_order(outcome) == ["chat-service", "user-service", "gateway"]

    def test_broken_and_mended(self, rehearsed: Stage) -> None:
        names = ("notification-service", "user-service", "gateway")
        fixed, faulty = altered(self.updated(rehearsed), "2", *names, broken="notification-service")
        outcome = rehearsed.publish(faulty, broken=["notification-service"])
        assert not broken_promises(outcome)
        assert [row.component for row in outcome.progress if row.is_held] == [*names]
        assert not broken_promises(rehearsed.publish(fixed, take_over=True))

    def test_what_the_cluster_tells(self, rehearsed: Stage) -> None:
        rehearsal, graph = rehearsed.rehearsal, Graph(positionpal("production"))
        namespace = graph.system.environment.argocd.namespace
        [monitoring] = (each for each in graph.system.components if each.id == "monitoring")
        manifests = component_manifests(monitoring, graph)
        ports = {"metrics": f"127.0.0.1:{rehearsal.argocd.metrics}"}
        controller = Pod(namespace, f"{_CONTROLLER}-0", ports, {"app.kubernetes.io/name": _CONTROLLER})
        monitors = [each for each in manifests if each["kind"] == "PodMonitor"]
        rules = [each["spec"] for each in manifests if each["kind"] == "PrometheusRule"]
        with ExitStack() as stack:
            configs = [each for monitor in monitors for each in scrape_configs(monitor, [controller])]
            configs += stack.enter_context(kube_state_metrics(rehearsal.kubeconfig))
            configs += stack.enter_context(kubelet(rehearsal.kubeconfig))
            server = stack.enter_context(prometheus(configs, rules))
            # What increases, and what fills, is seen after that.
            server.wait_for("count(up == 1) == 4 and on () count(kube_pod_info) and on () count(argocd_app_info)")
            server.wait_for("count(count_over_time(kube_pod_container_status_restarts_total[1m]) > 1)")
            server.wait_for("count(count_over_time(kubelet_volume_stats_used_bytes[1m]) > 1)")
            bad_day.begin(rehearsal.client)
            asked = Asked(server, graph)
            for name in TRUE:
                server.wait_for(asked.alerts[name])
            server.wait_for("kube_cronjob_status_last_successful_time")
            server.wait_for('kube_pod_status_ready{namespace="monitoring", condition="true"} == 1')
            assert asked.silent() == []
            asked.hold_to("cluster", [asked.alerts[name] for name in TRUE])

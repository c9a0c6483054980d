"""Node-exporter alone has the rights that it needs, in a namespace of its own."""

from systems import empty

from constructs_lib import ExternalSecrets, Monitoring
from constructs_lib.derive.graph import Graph
from constructs_lib.derive.manifests import component_manifests
from constructs_lib.kubernetes.platform import ENFORCE


def test_node_exporter_is_alone_with_its_rights() -> None:
    """Its namespace is privileged, closed and not kept; that of Prometheus, with its volume, is restricted and kept."""
    system = empty("laptop", nodes=1)
    ExternalSecrets(system, version="2.9.0")
    monitoring = Monitoring(system, "watch", version="88.5.3", storage="2Gi", retention_days=2)
    made = component_manifests(monitoring, Graph(system))
    spaces = {each["metadata"]["name"]: each["metadata"] for each in made if each["kind"] == "Namespace"}
    levels = {name: metadata["labels"][ENFORCE] for name, metadata in spaces.items()}
    assert levels == {"watch": "restricted", "watch-nodes": "privileged"}
    kept = {name for name, metadata in spaces.items() if "Delete=false" in str(metadata["annotations"])}
    assert kept == {"watch"}
    [closed] = [each for each in made if each["metadata"].get("namespace") == "watch-nodes"]
    assert closed["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_one_port() -> None:
    """Prometheus may call the nodes at the port at which the chart lets node-exporter listen, and not at another's."""
    system = empty("laptop", nodes=1)
    monitoring = Monitoring(system, version="88.5.3", storage="2Gi", retention_days=2)
    values = monitoring.values["prometheus-node-exporter"]
    assert values["namespaceOverride"] in monitoring.further_namespaces
    [to_nodes] = [access.to_nodes for access in monitoring.access if access.to_nodes]
    assert set(values["service"].values()) == {to_nodes[0]} != {9100}

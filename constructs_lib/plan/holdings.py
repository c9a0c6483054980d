"""What a change leaves behind of what holds data: volumes that pods had, members of a quorum, and Secrets."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import inner, mapping, mappings
from constructs_lib.kubernetes.names import image
from constructs_lib.kubernetes.workloads import pods_of

#: Kinds of volumes that hold what a pod wrote when the pod is gone, whatever node the next one is on.
_LASTING = (
    *("persistentVolumeClaim", "nfs", "iscsi", "fc", "rbd", "cephfs", "glusterfs", "awsElasticBlockStore"),
    *("azureDisk", "azureFile", "gcePersistentDisk", "vsphereVolume", "portworxVolume", "cinder"),
)
#: How fields are called that say what becomes of data when its owner goes.
_POLICY = re.compile(r"(?:delet|reclaim|retention|retain|cleanup|terminat)\w{0,60}Policy$", re.IGNORECASE)
_DELETES = re.compile(r"delete(?:Claim|Claims|PVC|PVCs|Volumes?|Data)|skipFinalSnapshot|forceDestroy", re.IGNORECASE)
_PROTECTS = re.compile(r"deletionProtection(?:Enabled)?|preventDestroy|retainData|keepData", re.IGNORECASE)
#: Ends of the names of annotations that tell a load balancer its address.
_ADDRESSES = ("loadBalancerIPs", "load-balancer-ips", "-eip-allocations", "azure-load-balancer-ipv4", "/ipv4-address")
MAKING_SECRETS = ("external-secrets.io/ExternalSecret", "bitnami.com/SealedSecret")
#: Fields of ConfigMaps and Secrets that hold values by key.
_KEYED = ("data", "binaryData", "stringData")
#: How custom resources call the number of their members.
_COUNTS = frozenset({"count", "instances", "members", "nodeCount", "numberOfInstances", "replicas", "size"})


#: Images of databases whose data another major version cannot read, and of those that cannot go back to an older one.
_OWN_FORMAT = frozenset({"pgvector", "postgis", "postgres", "postgresql", "timescaledb"})
_ONLY_FORWARD = frozenset(
    {
        *("cassandra", "clickhouse-server", "elasticsearch", "influxdb", "kafka", "mariadb", "mongo", "mongodb"),
        *("mysql", "neo4j", "opensearch", "rabbitmq", "redis", "scylla", "valkey"),
    }
)
_VERSION = re.compile(r"v?([0-9]{1,5})(?:[.]([0-9]{1,5}))?(?![0-9])")


def other_format(old: Object, new: Object) -> Iterator[tuple[str, str]]:
    """Yield the versions, before and after, of databases with a volume whose data the new one cannot read."""
    before, after = pods_of(old), pods_of(new)
    if before is None or after is None or not any(source for _, source in _mounts(new)):
        return
    images = {container.name: str(container.get("image")) for container in before.containers if container.runs}
    for container in after.containers:
        names = [image(text) for text in (images.get(container.name, ""), str(container.get("image")))]
        programs = {found.name.rpartition("/")[2] for found in names if found}
        versions = [_VERSION.match(found.tag) for found in names if found]
        if len(programs) != 1 or len(versions) != 2 or None in versions:
            continue
        was, becomes = (tuple(int(part or 0) for part in match.groups()) for match in versions if match)
        forward_only = bool(programs & _ONLY_FORWARD) and becomes < was
        if forward_only or (programs & _OWN_FORMAT and becomes[0] != was[0]):
            yield (found := [each.tag for each in names if each])[0], found[1]


def left_behind(old: Object, new: Object) -> Iterator[tuple[str, str]]:
    """Yield where pods find another volume than before, and what was there and is nowhere in the container now."""
    after = {str(path): source for path, source in _mounts(new)}
    kept = {source for source in after.values() if source}
    for path, source in _mounts(old):
        if source and source not in kept and path in after:
            yield path, source


def _mounts(item: Object) -> Iterator[tuple[str, str]]:
    """Yield where containers write, with what holds it beyond the pod, such as ``PersistentVolumeClaim data``."""
    pods = pods_of(item)
    if pods is None:
        return
    sources = {str(volume.get("name")): _source(volume) for _, volume in pods.volumes}
    for claim in mappings(item.spec.get("volumeClaimTemplates")):
        name = inner(claim, "metadata", "name")
        sources[str(name)] = f"the claim template {name}"
    for container in pods.containers:
        for mount in mappings(container.get("volumeMounts")):
            if mount.get("readOnly") is not True:
                part = f", {mount['subPath']}" if mount.get("subPath") else ""
                found = sources.get(str(mount.get("name")), "")
                yield f"{container.name}:{mount.get('mountPath')}", found and f"{found}{part}"


def _source(volume: Mapping[str, Any]) -> str:
    for kind in _LASTING:
        if isinstance(part := volume.get(kind), dict):
            named = part.get("claimName") or " ".join(str(part[key]) for key in sorted(part) if key != "readOnly")
            return f"PersistentVolumeClaim {named}" if kind == "persistentVolumeClaim" else f"{kind} {named}"
    return ""


def loses_majority(before: object, after: object) -> bool:
    """Tell whether a number of members falls so far that those who are left are none of the majority there was."""
    if isinstance(before, bool) or isinstance(after, bool) or not isinstance(before, int) or not isinstance(after, int):
        return False
    return before >= 3 and 0 < after <= before // 2


def keeps_no_more(key: object, before: object, after: object) -> bool:
    """Tell whether a field of a custom resource says from now on that data is deleted, or may be."""
    name = str(key)
    if isinstance(after, bool):
        wants = after if _DELETES.fullmatch(name) else not after if _PROTECTS.fullmatch(name) else False
        return wants and before is not after
    return bool(_POLICY.search(name)) and _says_delete(after) and not (_says_delete(before) and before == after)


def _says_delete(value: object) -> bool:
    return isinstance(value, str) and any(word in value.lower() for word in ("delete", "wipeout", "destroy"))


def chosen_addresses(service: Object) -> list[str]:
    """Return the addresses that a load balancer is told to have."""
    told = [str(service.spec.get("loadBalancerIP") or "")]
    told += [value for name, value in sorted(service.annotations.items()) if name.endswith(_ADDRESSES)]
    return [each for each in told if each]


def counts_members(key: object) -> bool:
    """Tell whether a field of a custom resource may be the number of its members."""
    return key in _COUNTS


def secret_of(item: Object) -> str:
    """Return the name of the Secret that an object makes."""
    return str(inner(item.spec, "target", "name") or inner(item.spec, "template", "metadata", "name") or item.name)


def changed_keys(old: Object, new: Object) -> set[str] | None:
    """Return the keys of a ConfigMap or Secret, or of the Secret that an object makes, that change; None for any."""
    if new.full_kind in ("ConfigMap", "Secret"):
        states = [
            {(field, key): value for field in _KEYED for key, value in mapping(item.manifest.get(field)).items()}
            for item in (old, new)
        ]
        return {key for _, key in _differing(*states)}
    if new.full_kind != MAKING_SECRETS[0] or _differing(old.spec, new.spec) != {"data"}:
        return None
    entries = ({str(entry.get("secretKey")): entry for entry in mappings(item.spec.get("data"))} for item in (old, new))
    return _differing(*entries)


def _differing(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> set[Any]:
    return {key for key in {**old, **new} if old.get(key) != new.get(key)}


def owns_its_secret(item: Object) -> bool:
    """Tell whether the Secret that an object makes is deleted with it.

    https://external-secrets.io/latest/guides/ownership-deletion-policy/, and ``OwnerReferences`` of Sealed Secrets.
    """
    if item.full_kind == "bitnami.com/SealedSecret":
        annotations = mapping(inner(item.spec, "template", "metadata", "annotations"))
        return annotations.get("sealedsecrets.bitnami.com/skip-set-owner-references") != "true"
    return item.full_kind in MAKING_SECRETS and inner(item.spec, "target", "creationPolicy") in (None, "Owner")

"""Whether what servers of data hold is also somewhere outside of the cluster, as far as a tree can tell."""

import re
from collections.abc import Iterator

from constructs_lib.check.calls import command, mounted
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.policy.data import kept_servers
from constructs_lib.kubernetes.manifest import mapping, mappings

#: Kinds of operators that save volumes or databases, by their API groups.
_SAVERS = {
    "ScheduledBackup": "postgresql.cnpg.io",
    "PerconaServerMongoDBBackup": "psmdb.percona.com",
    "CassandraBackup": "cassandra.k8ssandra.io",
    "MedusaBackupSchedule": "medusa.k8ssandra.io",
    "Backup": "k8up.io",
    "BackupConfiguration": "stash.appscode.com",
    "RecurringJob": "longhorn.io",
    "ReplicationSource": "volsync.backube",
    "SnapshotSchedule": "snapscheduler.backube",
}
#: Programs that carry data away, in commands and scripts, and images that say so.
_TOOLS = re.compile(
    r"(?<![\w-])(?:restic|rclone|borg|borgmatic|kopia|duplicity|duply|pgbackrest|barman(?:-cloud-[\w-]+)?|wal-[eg]|medusa"
    r"|s3cmd|s5cmd|aws\s+s3(?:api)?|gsutil|azcopy|mc\s+(?:cp|mirror|pipe)|tarsnap|rsync|scp|sftp)(?![\w-])"
)
#: Where to, which programs have as well that do other things there than save.
_TARGETS = re.compile(
    r"(?<![\w-])(?:s3|gs|gcs|azblob|abfss?|b2|swift|sftp|ssh)://|\.blob\.core\.windows\.net"
    r"|(?<![A-Za-z])(?:S3|BUCKET|GCS|AZURE_STORAGE)(?![A-Za-z])"
)


def saves_findings(model: ClusterModel) -> Iterator[Finding]:
    """Yield the servers of data on volumes of which nothing in the tree carries anything out, but for a laptop's."""
    if not model.has_applications or model.cluster.is_laptop or _is_saved_whole(model):
        return
    for pods, container in kept_servers(model):
        if pods.owner.is_hook or _is_saved(model, pods):
            continue
        problem = f"{container.name} keeps data on volumes, and nothing in the tree carries them out of the cluster."
        yield Finding.of("data-not-saved", pods.owner, problem, at=f"{container.path}.image")


def _is_saved_whole(model: ClusterModel) -> bool:
    """Tell whether something saves all volumes, of whatever namespace."""
    for item in model.kind("Schedule"):
        if item.group == "velero.io" and item.spec.get("paused") is not True:
            template = mapping(item.spec.get("template"))
            if template.get("includedNamespaces") in (None, ["*"]):
                return True
    return any(item.group == "longhorn.io" for item in model.kind("RecurringJob"))


def _is_saved(model: ClusterModel, store: Pods) -> bool:
    namespace = store.namespace
    for item in model.kind("Schedule"):
        included = mapping(item.spec.get("template")).get("includedNamespaces")
        if item.group == "velero.io" and isinstance(included, list) and namespace in included:
            return True
        if item.group == "k8up.io" and item.namespace == namespace:
            return True
    here = (item for kind, group in _SAVERS.items() for item in model.kind(kind) if item.group == group)
    if any(item.namespace == namespace for item in here) or _carries(model, store):
        return True
    named, claims = _named(_names(model, store)), _claims(store)
    for pods in model.pods:
        if pods is store or pods.owner.spec.get("suspend") is True or not _carries(model, pods):
            continue
        said = "\n".join(_texts(model, pods))
        if named.search(said) or claims & _claims(pods):
            return True
        # Whom it saves may stand in a Secret.
        others = (other for other, _ in kept_servers(model) if other is not store)
        is_told = any(_named(_names(model, other)).search(said) for other in others)
        if pods.namespace == namespace and pods.owner.kind == "CronJob" and not is_told:
            return True
    return False


def _named(names: set[str]) -> re.Pattern[str]:
    return re.compile("|".join(rf"(?<![\w-]){re.escape(name)}(?:-\d+)?(?![\w-])" for name in sorted(names)))


def _carries(model: ClusterModel, pods: Pods) -> bool:
    """Tell whether containers carry data away."""
    for container in pods.containers:
        # Images such as postgres-backup-s3; those that end in -local write to a volume.
        _, found, rest = str(container.get("image")).partition("@")[0].partition("backup")
        if found and "-local" not in rest:
            return True
    patterns = (_TOOLS, _TARGETS) if pods.owner.kind == "CronJob" else (_TOOLS,)
    return any(pattern.search(text) for text in _texts(model, pods) for pattern in patterns)


def _texts(model: ClusterModel, pods: Pods) -> Iterator[str]:
    """Yield what containers are, run, and are told."""
    for container in pods.containers:
        known = model.variables(pods, container)
        yield str(container.get("image")).partition("@")[0]
        yield " ".join(command(container, known))
        yield from (f"{variable.name} {variable.value}" for variable in known.values())
        yield from (str(entry.get("name")) for entry in mappings(container.get("env")))
    yield from (text for _, text in mounted(model, pods))


def _names(model: ClusterModel, store: Pods) -> set[str]:
    """Return the names by which others know a store: its own, and those of its Services."""
    services = {item.name for item in model.services.get(store.namespace, ()) if store in model.behind(item)}
    return {store.owner.name, *services}


def _claims(pods: Pods) -> set[tuple[str, str]]:
    found = (mapping(volume.get("persistentVolumeClaim")).get("claimName") for _, volume in pods.volumes)
    return {(pods.namespace, str(name)) for name in found if name}

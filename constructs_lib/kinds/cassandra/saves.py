"""What saves the nodes of a ring outside of the cluster, and what restores a ring from there.

Each node saves itself, because only in its own pod can a snapshot be asked for and read: JMX is on the loopback.
"""

from collections.abc import Mapping
from typing import Any

from constructs_lib.kinds.parts.pods import script, variables
from constructs_lib.kinds.parts.saving import Saving, Step
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.manifest import Manifest

_DATA = "/var/lib/cassandra/data"
_PASSWORD_FOLDER = "/run/secrets/cassandra"
#: Of what loads: a Java of 256 MiB.
_RESOURCES = pod.Resources("100m", "512Mi", "768Mi")


def sidecar(saving: Saving, keyspace: str) -> dict[str, Any]:
    """Return the container that saves its node whenever it is time."""
    settings = {
        "KEYSPACE": keyspace,
        "DATA": _DATA,
        "BEGIN": str(saving.bucket.minutes * 60),
        "EVERY": str(saving.bucket.every_hours * 3600),
    }
    env = [pod.field_variable("NODE", "metadata.name"), *variables(settings)]
    data = pod.mount("data", "/var/lib/cassandra", read_only=True)
    return saving.beside("save", script("cassandra", "save.sh"), env, data)


def volumes(saving: Saving) -> list[dict[str, Any]]:
    """Return the volumes of a pod with the sidecar."""
    return [saving.volume(), pod.empty_volume("tools"), pod.empty_volume("saving")]


def looking_after(saving: Saving, nodes: int) -> Manifest:
    """Return the CronJob that looks after the saves of all nodes, once they have had the time to make them."""
    every = saving.bucket.every_hours
    schedule = saving.bucket.schedule(120 if every > 3 else every * 30)
    env = {"NODES": str(nodes), "MAXIMUM_AGE": str(every * 3600)}
    return saving.looking_after(schedule, script("cassandra", "backup.sh"), env)


def restore(
    saving: Saving, settings: Mapping[str, str], passwords: dict[str, Any], role: str, keyspace: str
) -> Manifest:
    """Return the CronJob that restores, which is suspended.

    Args:
        saving: What the ring is saved by.
        settings: Host and ports of the ring.
        passwords: The volume ``password`` with the role's password.
        role: As whom it logs in.
        keyspace: What is restored.
    """
    env = {
        **settings,
        "ROLE": role,
        "PASSWORD_FILE": f"{_PASSWORD_FOLDER}/password",
        "KEYSPACE": keyspace,
        "FETCHED": "/fetched",
        "HOME": "/tmp",
        # A password may have any letters.
        "LANG": "C.UTF-8",
    }
    mounts = [pod.mount("fetched", "/fetched"), pod.mount("password", _PASSWORD_FOLDER, read_only=True)]
    command = ["/bin/bash", "-c", script("cassandra", "restore.sh")]
    read = Step(command, variables(env), mounts, _RESOURCES)
    every = {"EVERY": str(saving.bucket.every_hours * 3600)}
    return saving.restore_job(read, passwords, fetch=script("cassandra", "fetch.sh"), env=every)

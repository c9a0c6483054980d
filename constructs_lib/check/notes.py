"""What is no fault, and worth knowing: what is open or undecided for lack of knowledge."""

from collections.abc import Iterator

from constructs_lib.argocd.projects import GIVEN_KINDS
from constructs_lib.check.cilium import not_read
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.references.charts import needless
from constructs_lib.check.traffic import Traffic
from constructs_lib.kubernetes.manifest import inner
from constructs_lib.kubernetes.names import IMAGE_TAGS, image
from constructs_lib.text import listed, plural

_MOST = 6


def unseen(model: ClusterModel) -> Iterator[str]:
    """Yield what the proofs cannot look at."""
    if model.idle:
        files = f"{plural(len(model.idle), 'file')} ({listed(model.idle, _MOST)})"
        yield f"{files}: no Application in the tree deploys what is in them."
    if found := not_read(model):
        names = listed((f"{item.kind} {'/'.join(filter(None, (item.namespace, item.name)))}" for item in found), _MOST)
        yield (
            f"what {plural(len(found), 'policy', 'policies')} of kinds or with fields that are not read open or close "
            f"({names}); nothing is said to be closed to pods that they may be about."
        )


def notes(model: ClusterModel) -> Iterator[str]:
    """Yield what may be as it is."""
    unpinned: dict[str, str] = {}
    moving: dict[str, str] = {}
    for pods in model.pods:
        references = [container.get("image") for container in pods.containers]
        references += [inner(volume, "image", "reference") for _, volume in pods.volumes]
        for reference in references:
            if isinstance(reference, str) and (found := image(reference)) and not found.digest:
                asked = pods.owner.annotations.get(IMAGE_TAGS) == "any"
                if found.is_exact or asked:
                    (unpinned if found.is_exact else moving).setdefault(reference, pods.owner.name)
    if unpinned:
        named = listed((f"{reference} of {owner}" for reference, owner in sorted(unpinned.items())), _MOST)
        yield f"{plural(len(unpinned), 'image')} without a digest, so that the registry decides what runs: {named}."
    if moving:
        named = listed((f"{reference} of {owner}" for reference, owner in sorted(moving.items())), _MOST)
        yield (
            f"{plural(len(moving), 'image')} whose tags may move, as image_tags says, so that a rollback may not bring "
            f"back what ran before: {named}."
        )
    yield from needless(model, GIVEN_KINDS)
    others = sorted({"/".join(each.service) for each in model.elsewhere.values() if each.service})
    if others:
        yield (
            f"{plural(len(others), 'Service')} of somebody else, where policies have to let in what is called here, of "
            f"which nothing is known: {listed(others, _MOST)}."
        )
    wide: dict[str, None] = {}
    ports: dict[str, None] = {}
    for policy in model.once(Traffic).network.policies:
        for rule in policy.rules["Egress"]:
            if rule.peers is None and rule.ports:
                wide[f"{policy.namespace}/{policy.name}"] = None
                ports.update(dict.fromkeys(map(str, rule.ports)))
    if wide:
        yield (
            f"{plural(len(wide), 'policy', 'policies')} without addresses for the Kubernetes API or the nodes, so that "
            f"pods may call any address at port {listed(ports, _MOST)}: {listed(wide, _MOST)}."
        )

"""Proof that containers run an exact image, and say how much of the node they need."""

from collections.abc import Iterator

from constructs_lib.check.finding import Finding
from constructs_lib.check.model import Pods
from constructs_lib.kubernetes.image import image
from constructs_lib.kubernetes.manifest import inner, mapping


def image_findings(pods: Pods) -> Iterator[Finding]:
    """Yield the images of pods that may be other ones tomorrow, each once."""
    images = [(f"{container.path}.image", container.get("image")) for container in pods.containers]
    images += [(f"{at}.image.reference", inner(volume, "image", "reference")) for at, volume in pods.volumes]
    first: dict[str, str] = {}
    for at, reference in images:
        if isinstance(reference, str):
            first.setdefault(reference, at)
    for reference, at in first.items():
        found = image(reference)
        if found is not None and not found.is_exact:
            problem = f"The tag {found.tag} of {reference} moves from version to version."
            if found.tag in ("", "latest"):
                problem = f"{reference} is whatever is the latest."
            yield Finding.of("image-not-pinned", pods.owner, problem, at=at)


def resource_findings(pods: Pods) -> Iterator[Finding]:
    """Yield containers without requests, and containers whose memory is not limited."""
    unasked: list[tuple[str, str]] = []
    unlimited: list[tuple[str, str]] = []
    for container in pods.containers:
        own, at = container.get("resources"), f"{container.path}.resources"
        requests, limits = (
            {*mapping(inner(pods.spec, "resources", field)), *mapping(inner(own, field))}
            for field in ("requests", "limits")
        )
        # A resource that is limited and not requested is requested up to its limit.
        missing = [name for name in ("cpu", "memory") if name not in requests | limits]
        if missing:
            unasked.append((f"{at}.requests", f"{container.name} requests no {' and no '.join(missing)}"))
        if "memory" not in limits:
            unlimited.append((f"{at}.limits", container.name))
    if unasked:
        problem = f"{'; '.join(text for _, text in unasked)}."
        yield Finding.of("requests-missing", pods.owner, problem, at=unasked[0][0])
    if unlimited:
        problem = f"The memory of {', '.join(name for _, name in unlimited)} is not limited."
        yield Finding.of("memory-limit-missing", pods.owner, problem, at=unlimited[0][0])

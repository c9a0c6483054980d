"""Kubernetes objects as a repository holds them: read from YAML and JSON as Argo CD reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from constructs_lib.kubernetes import objects as kubernetes
from constructs_lib.kubernetes.manifest import Manifest, mapping, sequence
from constructs_lib.kubernetes.manifest_reader import Cache, decoded, may_hold

#: A file that holds this anywhere is not rendered (``skipFileRenderingMarker`` in ``repository.go`` of Argo CD).
SKIP_MARKER = "+argocd:skip-file-rendering"
SYNC_OPTIONS = "argocd.argoproj.io/sync-options"
_COMPARE_OPTIONS = "argocd.argoproj.io/compare-options"
WAVE = "argocd.argoproj.io/sync-wave"
#: A hook of Argo CD, and one of Helm, whose weight is its wave unless it has one.
HOOK = "argocd.argoproj.io/hook"
HELM_HOOK = "helm.sh/hook"
HOOK_WEIGHT = "helm.sh/hook-weight"
_HELM_PHASES = {
    "pre-install": "PreSync",
    "pre-upgrade": "PreSync",
    "post-install": "PostSync",
    "post-upgrade": "PostSync",
    "crd-install": "Sync",
}
#: The phases of a sync, in their order.
PHASES = ("PreSync", "Sync", "PostSync", "SyncFail")


@dataclass(frozen=True)
class Unreadable:
    """A file that looks like manifests and cannot be read, and what is wrong with it, in one line."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Object(kubernetes.Object):
    """One Kubernetes object in a file, as Argo CD deploys it."""

    @cached_property
    def wave(self) -> int:
        """Its sync wave; 0 if it has none, or one that is no number."""
        try:
            return int(self.annotations.get(WAVE) or self.annotations.get(HOOK_WEIGHT, "0"))
        except ValueError:
            return 0

    @cached_property
    def sync_options(self) -> Mapping[str, str]:
        """Its own sync options, such as ``Prune`` with the value ``false``."""
        return options(self.annotations.get(SYNC_OPTIONS, "").split(","))

    @cached_property
    def compare_options(self) -> Mapping[str, str]:
        """Its own options of the comparison, such as ``IgnoreExtraneous``."""
        return options(self.annotations.get(_COMPARE_OPTIONS, "").split(","))

    @cached_property
    def phases(self) -> tuple[str, ...]:
        """The phases of a sync in which it is applied, in their order; none if it is a hook for another event."""
        if not self.is_hook:
            return ("Sync",)
        declared = self.annotations.get(HOOK)
        hooks = {hook.strip() for hook in self.annotations[HELM_HOOK if declared is None else HOOK].split(",")}
        if declared is None:
            hooks = {_HELM_PHASES.get(hook, "") for hook in hooks}
        return tuple(phase for phase in PHASES if phase in hooks)

    @property
    def is_hook(self) -> bool:
        """Whether it is a hook of Argo CD's or Helm's: run in a sync, never compared and never pruned."""
        return HOOK in self.annotations or HELM_HOOK in self.annotations

    @cached_property
    def hook_delete_policies(self) -> frozenset[str]:
        """When a hook is deleted; ``BeforeHookCreation`` unless it says something else."""
        declared = self.annotations.get("argocd.argoproj.io/hook-delete-policy")
        helm = self.annotations.get("helm.sh/hook-delete-policy")
        if declared is None and helm is not None:
            # before-hook-creation is BeforeHookCreation.
            return frozenset(policy.strip().title().replace("-", "") for policy in helm.split(","))
        return frozenset(policy.strip() for policy in (declared or "BeforeHookCreation").split(","))


def options(texts: object) -> dict[str, str]:
    """Return sync options such as ``Prune=false`` by their name."""
    pairs = (str(text).strip().partition("=") for text in sequence(texts))
    return {name: value for name, _, value in pairs if name}


def parse(path: str, content: bytes, cache: Cache | None = None) -> list[Object]:
    """Return the objects of a file, in its order, each with the namespace that it names itself.

    Lists are replaced by their items. What is no Kubernetes object, or cannot be read, is left out.
    """
    manifests = (cache or Cache()).manifests(path, content)
    if isinstance(manifests, str):
        return []
    return [Object(manifest, path, own_namespace(manifest)) for manifest in manifests]


def unreadable(path: str, content: bytes, cache: Cache | None = None, *, strict: bool = True) -> Unreadable | None:
    """Return why Argo CD cannot read a file; None if it can, or takes it for something else than manifests.

    Unless it is ``strict``, a file that lacks ``apiVersion``, ``kind`` or ``metadata`` is something else: where no
    Application reads the files, there are others as well.
    """
    manifests = (cache or Cache()).manifests(path, content)
    if isinstance(manifests, str) and (
        strict or all(may_hold(content, word) for word in (b"apiVersion", b"kind", b"metadata"))
    ):
        return Unreadable(path, manifests)
    return None


def is_skipped(content: bytes) -> bool:
    """Tell whether Argo CD leaves a file out because of a marker in it."""
    return SKIP_MARKER.encode() in (decoded(content) if content[:1] in (b"\xfe", b"\xff") else content)


def own_namespace(manifest: Manifest) -> str:
    """Return the namespace that a manifest names; empty if it names none or its kind has none."""
    if manifest["kind"] in kubernetes.CLUSTER_SCOPED:
        return ""
    return str(mapping(manifest.get("metadata")).get("namespace") or "")

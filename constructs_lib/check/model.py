"""What the proofs look at: all objects of one environment, by what others refer to them by, and its cluster."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from constructs_lib.argocd.objects import Object, parse, unreadable
from constructs_lib.argocd.projects import GROUP, Project
from constructs_lib.check.bootstrap import Bootstrap, Cluster, cluster_of, version_number
from constructs_lib.check.operators import Maker, makes_others
from constructs_lib.kubernetes import platform, workloads
from constructs_lib.kubernetes.accounts import Accounts
from constructs_lib.kubernetes.elsewhere import OUTSIDE, Elsewhere, outside_of
from constructs_lib.kubernetes.manifest import mappings, sequence, texts
from constructs_lib.kubernetes.manifest_reader import Cache, may_hold
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.kubernetes.openings import declared, kept_in
from constructs_lib.kubernetes.selectors import LabelIndex, Selector
from constructs_lib.kubernetes.workloads import SCALING, Container, Scales, Variable, pods_of
from constructs_lib.repository.applications import (
    ALL_OBJECTS,
    CHART,
    Application,
    Applications,
    find_applications,
)
from constructs_lib.repository.rendering import looking
from constructs_lib.repository.snapshot import Snapshot

Key = TypeVar("Key")
Result = TypeVar("Result")
Pods = workloads.Pods[Object]

#: What programs make for themselves, and nobody else refers to.
_OF_PROGRAMS = frozenset(
    {
        *("events", "leases", "serviceaccounts/token", "localsubjectaccessreviews", "selfsubjectaccessreviews"),
        *("selfsubjectrulesreviews", "subjectaccessreviews", "tokenreviews"),
    }
)


def grouped(pairs: Iterable[tuple[Key, Result]]) -> Mapping[Key, list[Result]]:
    """Return the values of some pairs by their keys, in their order."""
    found: dict[Key, list[Result]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found


class ClusterModel:
    """All objects of an environment, indexed. Nothing in it may be changed."""

    def __init__(
        self,
        snapshot: Snapshot,
        folders: Sequence[str] = (),
        cluster: Cluster | None = None,
        cache: Cache | None = None,
        whole: ClusterModel | None = None,
        part: Application | None = None,
    ) -> None:
        """Read a tree, or a part of one.

        Args:
            snapshot: The tree.
            folders: Only Applications in these folders, and what they deploy. Default: all of them.
            cluster: The cluster. Default: what the tree's bootstrap and namespaces say of it.
            cache: Remembers what was read, for several trees that share files.
            whole: The tree, if this is a part of it. Default: this is all of it.
            part: Which part. Default: all of it.
        """
        self.snapshot = snapshot
        self.whole = whole or self
        self._answers: dict[Callable[[ClusterModel], Any], Any] = {}
        self._variables: dict[Container, Mapping[str, Variable]] = {}
        self._behind: dict[Object, list[Pods]] = {}
        self._cache = cache = cache or Cache()
        found = Applications([part], {}) if part else find_applications(snapshot, folders, cache, looking.get())
        self.all_applications: Sequence[Application] = found.all
        self.warnings: dict[str, str] = dict(found.warnings)
        self.idle = found.idle
        unread = [
            problem
            for application in found.all
            for path, content in application.files.items()
            if (problem := unreadable(path, content, cache, strict=application.item is not None))
        ]
        self.unreadable = [problem for problem in unread if not problem.path.startswith(CHART)]
        for problem in unread:
            if problem.path.startswith(CHART):
                self.warnings[problem.path] = f"{problem.path} cannot be read: {problem.reason}."
        #: Every object with the Application or group that deploys it; an object in two of them is there twice. What it
        #: keeps open for pods that are replaced is no part of it: the proofs are about what is declared.
        self.deployed: list[tuple[Application, Object]] = [
            (
                application,
                Object(declared(item.manifest), item.path, item.namespace) if kept_in(item.manifest) else item,
            )
            for application in found.all
            for path in sorted(application.files)
            for item in application.read(path, application.files[path])
        ]
        self.objects: list[Object] = [item for _, item in self.deployed]
        self.cluster = cluster or cluster_of(snapshot.files, folders, self._enforced_version(), found.all)

    @property
    def undeployed_secrets(self) -> Iterator[Object]:
        """The Secrets in files that nobody deploys, which are in the repository all the same."""
        for path in (path for known in self.all_applications for path in known.unnamed):
            if may_hold(content := self.snapshot.files[path], b"Secret"):
                yield from (item for item in parse(path, content) if item.kind == "Secret" and not item.group)

    @cached_property
    def parts(self) -> list[ClusterModel]:
        """The parts of a tree without Applications that are deployed apart, if tools read some of it; else none."""
        parts = [part for known in self.all_applications for part in known.parts]
        # Many overlays of the same base are alike.
        unlike = {(frozenset(part.files), frozenset(part.patches), bool(part.sources)): part for part in parts}
        return [ClusterModel(self.snapshot, (), self.cluster, self._cache, self, part) for part in unlike.values()]

    def is_patched(self, path: str, kind: str, name: str, field: str) -> bool:
        """Tell whether Kustomize changes a field of an object in a file wherever it is deployed."""
        having = self._having.get(path, ())
        return bool(having) and all(
            any(patch.touches(path, kind, name, field) for patch in known.patches) for known in having
        )

    @cached_property
    def _having(self) -> Mapping[str, list[Application]]:
        parts = (part for known in self.all_applications for part in known.parts or [known])
        return grouped((path, part) for part in parts for path in part.files)

    def once(self, ask: Callable[[ClusterModel], Result]) -> Result:
        """Return the result of a function of the model, which is called only once: several proofs need the same."""
        if ask not in self._answers:
            self._answers[ask] = ask(self)
        answer: Result = self._answers[ask]
        return answer

    def is_alone(self, path: str, content: bytes) -> bool:
        """Tell whether a file holds one object."""
        return len(self._cache.manifests(path, content)) == 1

    def once_of(self, content: bytes, key: object, find: Callable[[], Result]) -> Result:
        """Return what follows from the content of a file and a key alone, for all models that share the cache."""
        return self._cache.once(content, key, find)

    def may_repeat_keys(self, path: str, content: bytes) -> bool:
        """Tell whether a key may be there twice in one mapping of a file."""
        return self._cache.may_repeat_keys(path, content)

    @cached_property
    def homes(self) -> Mapping[str, Object]:
        """The Applications by the files that their charts render, which are in no tree."""
        return {
            path: application.item
            for application in self.applications
            for paths in application.looked_into.values()
            for path in paths
            if application.item
        }

    @cached_property
    def by_identity(self) -> Mapping[Identity, Object]:
        """Objects by API group, kind, namespace and name; of several alike the first."""
        return {item.identity: item for item in reversed(self.objects)}

    @cached_property
    def by_kind(self) -> Mapping[str, list[Object]]:
        """Objects by kind, whatever their group."""
        return grouped((item.kind, item) for item in self.objects)

    def kind(self, *kinds: str) -> Iterator[Object]:
        """Yield the objects of some kinds."""
        for kind in kinds:
            yield from self.by_kind.get(kind, ())

    def get(self, kind: str, namespace: str, name: str, group: str = "") -> Object | None:
        """Return an object, or None if the tree does not have it."""
        return self.by_identity.get((group, kind, namespace, name))

    def has_several(self, item: Object) -> bool:
        """Tell whether a tree that tells nothing of Applications has other objects of the same name.

        Most are variants, of which one is deployed: what one lacks another may have, so that nothing can be said of
        what is in it to those who only name it.
        """
        return not self.has_applications and self._counts[item.identity] > 1

    @cached_property
    def _counts(self) -> Counter[Identity]:
        return Counter(item.identity for item in self.objects)

    @cached_property
    def pods(self) -> list[Pods]:
        """The pods of all workloads."""
        return [pods for item in self.objects if (pods := pods_of(item)) is not None]

    @cached_property
    def pods_by_owner(self) -> Mapping[Object, Pods]:
        """The pods by the object that makes them."""
        return {pods.owner: pods for pods in self.pods}

    @cached_property
    def pods_by_namespace(self) -> Mapping[str, list[Pods]]:
        """The pods by their namespace."""
        return grouped((pods.namespace, pods) for pods in self.pods)

    @cached_property
    def services(self) -> Mapping[str, list[Object]]:
        """The Services by their namespace."""
        return grouped((item.namespace, item) for item in self.kind("Service") if not item.group)

    def selected(self, namespace: str, selector: object) -> list[Pods]:
        """Return the pods in a namespace that a label selector selects."""
        return self._pods_by_label.select(namespace, Selector(selector))

    def behind(self, service: Object) -> list[Pods]:
        """Return the pods behind a Service; none if it has no selector."""
        if service not in self._behind:
            selector = Selector.of_labels(service.spec.get("selector"))
            self._behind[service] = self._pods_by_label.select(service.namespace, selector)
        return self._behind[service]

    @cached_property
    def _pods_by_label(self) -> LabelIndex[Pods]:
        return LabelIndex(self.pods)

    @cached_property
    def elsewhere(self) -> Mapping[str | tuple[str, str], Elsewhere]:
        """Hosts and Services without an object in the tree, of which it tells: by host, and by namespace and name."""
        items = [*self.objects, *(known.item for known in self.applications if known.item)]
        found = [each for item in items if OUTSIDE in item.annotations for each in outside_of(item.manifest)]
        return {key: each for each in found for key in (each.host, each.service) if key}

    @property
    def others_namespaces(self) -> frozenset[str]:
        """Namespaces of somebody else, of which the tree tells."""
        return frozenset(each.namespace for each in self.elsewhere.values() if each.namespace)

    @cached_property
    def scales(self) -> Scales[Object]:
        """The numbers of pods of all workloads."""
        return Scales(self.kind(*SCALING))

    @cached_property
    def projects(self) -> Mapping[Object, Project]:
        """What the AppProjects permit."""
        return {item: Project(item) for item in self.kind("AppProject") if item.group == GROUP}

    @cached_property
    def accounts(self) -> Accounts[Object]:
        """The ServiceAccounts and their roles."""
        return Accounts(self.objects)

    def variables(self, pods: Pods, container: Container) -> Mapping[str, Variable]:
        """Return the variables of a container of pods whose values the tree tells, by their names."""
        if container not in self._variables:
            self._variables[container] = container.variables(lambda name: self.config_map(pods.namespace, name))
        return self._variables[container]

    def config_map(self, namespace: str, name: str) -> Mapping[str, str]:
        """Return the texts of a ConfigMap; nothing if the tree does not have it."""
        item = self.get("ConfigMap", namespace, name)
        return self.texts_of(item) if item else {}

    @staticmethod
    def texts_of(config_map: Object) -> Mapping[str, str]:
        """Return the texts of a ConfigMap by their keys."""
        return texts(config_map.manifest.get("data"))

    def names(self, kind: str, namespace: str = "") -> set[str]:
        """Return the names of the objects of a kind in a namespace, or of those of a kind that has no namespace."""
        return self._names.get((kind, namespace), set())

    @cached_property
    def _names(self) -> Mapping[tuple[str, str], set[str]]:
        found = grouped(((item.kind, item.namespace), item.name) for item in self.objects)
        return {place: set(names) for place, names in found.items()}

    @cached_property
    def bootstrap(self) -> Bootstrap:
        """What the bootstrap of this library says of the environments of the tree."""
        return Bootstrap(self.snapshot.files, self.all_applications)

    @property
    def has_applications(self) -> bool:
        """Whether Applications say what is deployed where. Without them, all objects count as deployed together."""
        return all(application.name != ALL_OBJECTS for application in self.all_applications)

    @cached_property
    def has_generated_applications(self) -> bool:
        """Whether an ApplicationSet generates Applications: their objects and namespaces are not known here."""
        return "ApplicationSet" in self.warnings

    @cached_property
    def open_namespaces(self) -> frozenset[str]:
        """Namespaces in which charts and other tools deploy objects that are not in the tree.

        An object that is missing in one of these may well exist, so no finding may say that it does not.
        """
        # What a chart brings may make further objects, such as certificates and pods.
        makers = {item.path for item in self.objects if item.path in self.homes and _may_make(item)}
        # Nor is it known what else there is in the namespaces of a part that a tool reads.
        read = {item.namespace for known, item in self.deployed if known.item is None and known.sources}
        return frozenset(read) | frozenset(
            application.namespace
            for application in self.all_applications
            if _is_rendered(application) or not makers.isdisjoint(application.files)
        )

    @cached_property
    def closed_namespaces(self) -> frozenset[str]:
        """Namespaces that hold the objects of the tree and no others.

        In all others a chart, a tool, an operator or a person may have created what the tree does not have.
        """
        made = self._own_namespaces
        return made - {
            namespace for namespace in made if any(not each.makes_only_secrets for each in self._makers[namespace])
        }

    def lacks(self, kind: str, namespace: str, *names: str) -> bool:
        """Tell whether a namespace surely has no objects of a kind with one of some names that the tree does not have.

        For pods, the names are the texts in their labels.
        """
        if not self.has_applications and not namespace:
            # All that names no namespace is taken together, and much of it may belong to other namespaces.
            return namespace in self.closed_namespaces
        return namespace in self._own_namespaces and not any(
            maker.may_make(kind, names) for maker in self._makers[namespace]
        )

    @cached_property
    def _makers(self) -> Mapping[str, list[Maker]]:
        found = grouped((item.namespace, Maker(item)) for item in self.objects if makes_others(item))
        return defaultdict(list, found)

    @cached_property
    def _own_namespaces(self) -> frozenset[str]:
        """Namespaces of which the tree tells everything but what operators make."""
        if self.has_generated_applications or any(not known.item and known.sources for known in self.all_applications):
            # Nor does anybody know all that a tool makes of a part of a tree without Applications.
            return frozenset()
        declared = self.names("Namespace")
        if not self.has_applications:
            # Objects without a namespace are all taken to be in the same one, which is called "" here.
            declared = {"", *(declared or {item.namespace for item in self.objects})}
        rendered = {item.namespace for known, item in self.deployed if _is_rendered(known)}
        made = declared | self.created_namespaces
        return frozenset(made - rendered - self.open_namespaces - platform.NAMESPACES)

    @cached_property
    def created_namespaces(self) -> frozenset[str]:
        """Namespaces that Argo CD creates, by the sync option ``CreateNamespace=true``."""
        return frozenset(known.namespace for known in self.applications if known.creates_namespace)

    def is_named_by_chart(self, name: str) -> bool:
        """Tell whether a chart may bring an object without a namespace: the chart's name or values contain its name."""
        charts = (chart for application in self.all_applications for chart in application.unseen)
        return any(name in f"{chart.name} {chart.helm}" for chart in charts)

    @cached_property
    def namespaces(self) -> Mapping[str, Mapping[str, str]]:
        """The labels of every namespace of the tree, with the one that Kubernetes adds."""
        named: dict[str, dict[str, str]] = {item.namespace: {} for item in self.objects if item.namespace}
        labelled = {item.name: item.labels for item in self.kind("Namespace")}
        found = sorted({**named, **labelled}.items())
        return {name: {**labels, platform.NAME_LABEL: name} for name, labels in found}

    @property
    def applications(self) -> Iterator[Application]:
        """The Applications, without the groups of objects that none deploys."""
        return (application for application in self.all_applications if application.item)

    def _enforced_version(self) -> str | None:
        versions = {
            str(version).removeprefix("v")
            for item in self.kind("Namespace")
            if (version := item.labels.get(f"{platform.ENFORCE}-version"))
        } - {"latest"}
        return max(versions, key=version_number, default=None)


def _is_rendered(application: Application) -> bool:
    """Tell whether a tool deploys more objects than the tree has, or deploys them under other names."""
    if application.item is None:
        # A part of a tree without Applications that a tool reads.
        return bool(application.sources)
    return bool(application.unseen or application.rendered) or any(source.tool for source in application.sources)


def _may_make(item: Object) -> bool:
    """Tell whether who has a role may make objects that the tree does not have, beside those by which pods agree."""
    return item.kind in ("Role", "ClusterRole") and any(
        not {"*", "create"}.isdisjoint(map(str, sequence(rule.get("verbs"))))
        and not _OF_PROGRAMS.issuperset(map(str, sequence(rule.get("resources"))))
        for rule in mappings(item.manifest.get("rules"))
    )

"""Whether what pods wait for before they start comes before them, and answers."""

from collections import defaultdict
from collections.abc import Iterator

from constructs_lib.argocd.objects import Object
from constructs_lib.chains import cycles
from constructs_lib.check.calls import Calls, ServiceCall
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.order.timeline import Timeline
from constructs_lib.check.storage import claims

_PROGRAMS = ("Deployment", "StatefulSet", "DaemonSet")


def prove_waits(model: ClusterModel) -> Iterator[Finding]:
    """Yield the waits that never end, and those that end later than they need to."""
    waits = _Waits(model)
    yield from waits.prove_order()
    yield from waits.prove_circles()
    yield from waits.prove_schemas()


class _Waits:
    def __init__(self, model: ClusterModel) -> None:
        self._timeline = model.once(Timeline)
        self._model = model
        first: dict[object, ServiceCall] = {}
        for call in model.once(Calls).inside:
            first.setdefault((call.source, call.service, call.is_awaited), call)
        #: The calls of pods: each Service once, and what they wait for apart.
        self._calls = list(first.values())

    def _providers(self, service: Object) -> list[Object]:
        """Return the workloads behind a Service."""
        pods = self._model.behind(service)
        return [selected.owner for selected in pods if selected.owner.kind not in ("Job", "CronJob")]

    def prove_order(self) -> Iterator[Finding]:
        """Yield the waits for what does not come earlier, or has no pods."""
        for call in self._calls:
            caller = call.source.owner
            providers = [item for item in self._providers(call.service) if item is not caller]
            if not call.is_awaited or not providers:
                continue
            first = providers[0]
            target = f"the {first.kind} {first.name} behind the Service {call.service.name}"
            if all(item.spec.get("replicas") == 0 for item in providers):
                problem = f"It waits for {target}, which has none."
                yield Finding.of("dependency-without-replicas", caller, problem, at=call.at)
            if any(self._timeline.compare(item, caller) > 0 for item in (*providers, call.service)):
                problem = f"It waits for {target}, which comes {self._timeline.where(first, caller)}."
                yield Finding.of("dependency-in-later-wave", caller, problem, at=call.at)
            elif any(self._timeline.compare(item, caller) == 0 for item in providers):
                problem = f"It waits for {target}, which does not come in an earlier wave."
                yield Finding.of("dependency-not-ordered", caller, problem, at=call.at)

    def prove_circles(self) -> Iterator[Finding]:
        """Yield the workloads that wait for each other, one finding for every circle."""
        waits: dict[Object, dict[Object, ServiceCall]] = defaultdict(dict)
        for call in self._calls:
            for provider in self._providers(call.service) if call.is_awaited else ():
                waits[call.source.owner].setdefault(provider, call)
        for circle in cycles(waits):
            call = waits[circle[0]][circle[1 % len(circle)]]
            names = " → ".join(item.name for item in (*circle, circle[0]))
            yield Finding.of(
                "waits-in-circle", call.source.owner, f"It waits, in the end, for itself: {names}.", at=call.at
            )

    def prove_schemas(self) -> Iterator[Finding]:
        """Yield the programs that use a data store, and that do not come after the Job that prepares it."""
        by_service: dict[Object, list[ServiceCall]] = defaultdict(list)
        for call in self._calls:
            by_service[call.service].append(call)
        for service, calls in by_service.items():
            stores = [item for item in self._providers(service) if any(claims(item))]
            if not stores:
                continue
            home = self._timeline.application(stores[0])
            near = dict.fromkeys(
                call.source.owner for call in calls if self._timeline.application(call.source.owner) is home
            )
            jobs = [item for item in near if item.kind == "Job" and "PostSync" not in item.phases]
            programs = [item for item in near if item.kind in _PROGRAMS and item not in stores]
            for job, program in ((job, program) for job in jobs for program in programs):
                if self._timeline.compare(job, program) >= 0:
                    uses = f"It uses the {stores[0].kind} {stores[0].name} and comes in wave {program.wave}"
                    problem = f"{uses}, not after the Job {job.name} in wave {job.wave} that prepares it."
                    yield Finding.of("schema-not-before-workload", program, problem, at="metadata.annotations")

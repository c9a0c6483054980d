"""What a microservice is beside a program that keeps running: how many pods it has, and what it promises."""

from collections.abc import Iterator
from dataclasses import dataclass

from constructs_lib.declare.autoscale import Autoscale
from constructs_lib.declare.calls import explained
from constructs_lib.kinds.parts.long_running import LongRunning

#: Boundaries of the agents' histograms in seconds (OpenTelemetry's semantic conventions for HTTP metrics, and the
#: defaults of its SDKs). How many requests are faster than any other time, the histograms cannot tell.
BOUNDARIES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


@explained
@dataclass(frozen=True)
class Objective:
    """Service level objectives over 30 days; alerts fire when their error budget is used up too fast.

    https://sre.google/workbook/alerting-on-slos/

    Attributes:
        availability: Percent of the requests that must not fail on the side of the service. Default 99.5.
        fast: Percent of the requests that must be answered within ``seconds``. Default 95.
        seconds: What is fast enough; one of the boundaries of the histograms. Default 0.5.
    """

    availability: float = 99.5
    fast: float = 95.0
    seconds: float = 0.5

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the objective."""
        for name, value in (("availability", self.availability), ("fast", self.fast)):
            # Below 94 %, 14.4 times the budget is more than all requests, so that the alert could never fire.
            if not 94 <= value <= 99.999:
                yield f"objective, {name}: {value} is out of range; 94 to 99.999 percent are allowed."
        if self.seconds not in BOUNDARIES:
            closest = min(BOUNDARIES, key=lambda boundary: abs(boundary - self.seconds))
            yield (
                f"objective, seconds: the histograms cannot tell {self.seconds:g} s apart; the nearest that they can "
                f"is {closest:g}."
            )


class MeasuredProgram(LongRunning):
    """The base of :class:`Microservice`, which says what the attributes mean."""

    replicas: int | Autoscale
    objective: Objective

    @property
    def autoscaled(self) -> bool:
        """Whether a HorizontalPodAutoscaler owns the number of replicas."""
        return isinstance(self.replicas, Autoscale)

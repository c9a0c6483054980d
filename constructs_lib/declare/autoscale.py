"""Autoscaling: a number of replicas that follows the load."""

from collections.abc import Iterator
from dataclasses import dataclass

from constructs_lib.declare.calls import explained


@explained
@dataclass(frozen=True)
class Autoscale:
    """A number of replicas that follows the load.

    Attributes:
        minimum: Replicas that always run.
        maximum: Replicas that never are exceeded.
        cpu: Average use of the requested processor, in percent, that it aims at. Default 75.
    """

    minimum: int
    maximum: int
    cpu: int = 75

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the numbers."""
        if not 1 <= self.minimum <= self.maximum:
            yield (
                f"replicas: a minimum of {self.minimum} and a maximum of {self.maximum} do not go together; "
                f"1 <= minimum <= maximum is needed."
            )
        if not 1 <= self.cpu <= 100:
            yield f"replicas: cpu={self.cpu} is no share of the request in percent; 1 to 100 is allowed."

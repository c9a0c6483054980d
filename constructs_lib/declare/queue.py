"""Queues of a message broker, as those who consume from them declare them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from constructs_lib.declare import validation
from constructs_lib.declare.calls import explained
from constructs_lib.text import shown


@explained
@dataclass(frozen=True)
class Queue:
    """A RabbitMQ queue that a program consumes from.

    Attributes:
        name: Its name. Default: none, for one that the broker names when the program declares it (``amq.gen-…``).
        exchange: The exchange to which the program binds it, and which it may declare. Default: it binds it to none.
    """

    name: str | None = None
    exchange: str | None = None

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with its names."""
        for name in (self.name, self.exchange):
            if name is not None and (problem := validation.broker_names([name])):
                yield problem


def queues_of(consumed: Sequence[str | Queue]) -> tuple[Queue, ...]:
    """Return queues, some of which are given by their names alone."""
    return tuple(each if isinstance(each, Queue) else Queue(each) for each in consumed)


def queue_problem(queues: Sequence[Queue]) -> str | None:
    """Check queues: their names, and that none is there twice."""
    for number, queue in enumerate(queues):
        if problem := next(queue.problems(), None):
            return problem
        if queue in queues[:number]:
            return f"{shown(queue.name or 'a queue that the broker names')} is there twice; name it once."
    return None

"""What a client of a broker may do there, by what it declares: https://www.rabbitmq.com/docs/access-control."""

import re
from collections.abc import Iterable, Sequence

from constructs_lib.declare.queue import Queue

#: Names that the broker gives queues, which nobody can guess.
_SERVER_NAMED = r"amq\.gen-.+"


def permissions(publishes: Sequence[str], consumes: Sequence[Queue]) -> dict[str, str]:
    """Return the names that a client may configure, write to and read from, as patterns.

    Who publishes declares the exchange and writes to it. Who consumes declares the queue and reads from it; to bind it,
    the broker asks for the right to write to the queue and to read from the exchange, which the consumer may declare,
    too, since it may be the first one there. It may not publish to it.
    """
    queues = dict.fromkeys(_SERVER_NAMED if queue.name is None else re.escape(queue.name) for queue in consumes)
    bound = dict.fromkeys(
        _SERVER_NAMED if queue.name is None else re.escape(queue.name) for queue in consumes if queue.exchange
    )
    published = dict.fromkeys(map(re.escape, publishes))
    sources = dict.fromkeys(re.escape(queue.exchange) for queue in consumes if queue.exchange)
    return {
        "configure": _pattern([*published, *sources, *queues]),
        "write": _pattern([*published, *bound]),
        "read": _pattern([*sources, *queues]),
    }


def _pattern(names: Iterable[str]) -> str:
    # The broker looks for a pattern anywhere in a name.
    return f"^({'|'.join(sorted({*names}))})$" if names else "^$"

"""What happened in a phase of a rehearsal: the objects at its beginning, and each change of one as it was watched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby
from typing import Literal

from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.rehearse.live import Live, identity_of
from constructs_lib.user_error import UserError

Verb = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True)
class Moment:
    """One change of one object.

    Attributes:
        at: When it was seen, in seconds since the phase began.
        verb: What happened to the object.
        object: The object as the API server sent it, with ``apiVersion`` and ``kind``; of a deleted one its last state.
    """

    at: float
    verb: Verb
    object: Manifest


@dataclass(frozen=True)
class Recording:
    """All that was watched in one phase.

    Attributes:
        before: All objects at its beginning: those of the trees, and Applications, Pods, ReplicaSets,
            ControllerRevisions, EndpointSlices, PersistentVolumeClaims and Events.
        moments: What happened, in the order of time.
        began: When it began.
    """

    before: tuple[Manifest, ...]
    moments: tuple[Moment, ...]
    began: datetime

    @property
    def seconds(self) -> float:
        """How long it took until the last change."""
        return self.moments[-1].at if self.moments else 0.0

    @cached_property
    def identities(self) -> frozenset[Identity]:
        """All objects that were ever there."""
        return frozenset(map(identity_of, (*self.before, *(moment.object for moment in self.moments))))

    def replay(self) -> Iterator[tuple[float, Live, list[Moment]]]:
        """Yield every time at which something changed, with all objects as they are then and what changed.

        The first is the beginning, when nothing has changed yet. The objects are the same collection all the time.
        """
        live = Live(self.before)
        yield 0.0, live, []
        for at, group in groupby(self.moments, key=lambda moment: moment.at):
            moments = list(group)
            for moment in moments:
                live.take(moment.object, deleted=moment.verb == "DELETED")
            yield at, live, moments

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps({**asdict(self), "began": self.began.isoformat()}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Recording:
        """Read it from JSON.

        Raises:
            UserError: It is no recording.
        """
        try:
            read = json.loads(text)
            moments = tuple(Moment(**moment) for moment in read["moments"])
            return cls(tuple(read["before"]), moments, datetime.fromisoformat(read["began"]))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"this is no recording of a rehearsal ({error}).") from error

"""What a person should know of a phase."""

from dataclasses import dataclass
from enum import StrEnum


class Subject(StrEnum):
    """What a finding is about; the texts are the headings of reports, in their order."""

    ORDER = "order"
    INCOMPLETE = "not complete"
    NOT_BROKEN = "not broken"
    REFUSED = "refused"
    PLAN = "not as planned"
    CLOSED = "closed call"
    INTERRUPTED = "interrupted, as announced"
    ENDING = "closed to ending pods"
    GATE = "gate opened early"
    NODE = "no node"
    WARNING = "warning"
    EVENT = "event"
    NOT_COMPARED = "not compared"


_BREAKING = {Subject.ORDER, Subject.INCOMPLETE, Subject.NOT_BROKEN, Subject.REFUSED, Subject.PLAN, Subject.CLOSED}


@dataclass(frozen=True)
class Finding:
    """Something that a person should know.

    Attributes:
        subject: What it is about.
        of: What it was found of: a component, an object, or a call as ``caller → address``.
        text: What happened, in a sentence.
        start: When it began, in seconds since the phase began; None if that does not matter.
        end: When it was over; None if it never was.
    """

    subject: Subject
    of: str
    text: str
    start: float | None = None
    end: float | None = None

    @property
    def breaks(self) -> bool:
        """Whether the promise is not kept because of it."""
        return self.subject in _BREAKING


def until(end: float | None) -> str:
    """Return when something was over, as the rest of a sentence."""
    return "until the end" if end is None else f"until {end:.1f} s"

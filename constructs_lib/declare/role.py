"""What something in a system is for."""

from enum import StrEnum


class Role(StrEnum):
    """What something is for; pictures are coloured by it, and dashboards are ordered by it."""

    PLATFORM = "platform"
    MESSAGING = "messaging"
    STORE = "store"
    SERVICE = "service"
    ENTRY = "entry"
    OUTSIDE = "outside"

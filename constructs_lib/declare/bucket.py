"""Buckets outside of the cluster, in which the data stores of an environment have their saves."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from constructs_lib.declare import validation
from constructs_lib.declare.calls import explained
from constructs_lib.declare.diagnostics import Location, here
from constructs_lib.text import shown

_EXAMPLE = 'write it like "https://fra1.digitaloceanspaces.com"'
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_EVERY = (1, 2, 3, 4, 6, 8, 12, 24)


@explained
@dataclass(frozen=True, kw_only=True)
class S3Bucket:
    """A bucket of an S3 service outside of the cluster, to which data stores send what they hold, encrypted.

    Attributes:
        endpoint: Address of the service, such as ``https://fra1.digitaloceanspaces.com``.
        bucket: Name of the bucket.
        region: Region of the service, such as ``fra1``.
        at: When saves begin, in UTC, such as ``03:17``. Default ``03:17``.
        every_hours: Hours between two saves: 24 or a part of it. Default 24.
        keep_daily: For how many days the last save of each is kept, beside those of the last two days. Default 14.
        keep_weekly: For how many weeks. Default 8.
        keep_monthly: For how many months. Default 6.
        networks: CIDR blocks in which the service is, if that is a private network. Default: it is in the internet.
    """

    endpoint: str
    bucket: str
    region: str
    at: str = "03:17"
    every_hours: int = 24
    keep_daily: int = 14
    keep_weekly: int = 8
    keep_monthly: int = 6
    networks: tuple[str, ...] = ()
    location: Location = field(default_factory=here, init=False, compare=False, repr=False)

    @property
    def host(self) -> str:
        """Name of the service's host."""
        return self._address[0]

    @property
    def port(self) -> int:
        """Its port."""
        return self._address[1]

    @property
    def _address(self) -> tuple[str, int]:
        if self._endpoint_problem():
            return "invalid.example.com", 443
        host, _, port = self.endpoint.removeprefix("https://").partition(":")
        return host, int(port or 443)

    @property
    def minutes(self) -> int:
        """Minutes after midnight, or after a later beginning, at which saves begin."""
        found = _TIME.fullmatch(self.at)
        return (int(found[1]) * 60 + int(found[2])) % (self.every_hours * 60) if found else 0

    def schedule(self, minutes: int = 0) -> str:
        """Return when saves begin, or so many minutes later, as a CronJob has it."""
        every = self.every_hours * 60
        hour, minute = divmod((self.minutes + minutes) % every, 60)
        hours = ",".join(str(each) for each in range(hour, 24, self.every_hours))
        return f"{minute} {hours if self.every_hours > 1 else '*'} * * *"

    @property
    def kept(self) -> tuple[str, ...]:
        """Which saves are kept, as options of ``restic forget``."""
        kept = {"daily": self.keep_daily, "weekly": self.keep_weekly, "monthly": self.keep_monthly}
        return ("--keep-within=2d", *(f"--keep-{name}={number}" for name, number in kept.items() if number))

    def _endpoint_problem(self) -> str | None:
        """Return what is wrong with the address, or None; what may be a password is never part of it."""
        if "@" in self.endpoint:
            return 'what stands before "@" would be a login; leave it out, the key to the bucket is a secret apart.'
        endpoint = shown(self.endpoint)
        scheme, _, rest = self.endpoint.partition("://")
        if scheme != "https":
            return f'{endpoint} does not begin with "https://"; {_EXAMPLE}.'
        address = re.split("[/?#]", rest, maxsplit=1)[0]
        if rest == f"{address}/":
            return f'{endpoint} ends with "/"; leave it out.'
        if rest != address:
            return f"{endpoint} has a path; {_EXAMPLE}: the bucket has an argument of its own."
        host, colon, port = address.partition(":")
        if address.startswith("[") or validation.is_address(host):
            return f"{endpoint} has an address in the place of a name; {_EXAMPLE}."
        if validation.host_name(host):
            return f"{endpoint} has no full host name; {_EXAMPLE}."
        if colon and not (re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
            return f"{endpoint} has no port from 1 to 65535 behind the colon; {_EXAMPLE}."
        return None

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with it."""
        if problem := self._endpoint_problem():
            yield f"endpoint: {problem}"
        for number, network in enumerate(self.networks):
            if problem := validation.opened_network(network, self.networks[:number]):
                yield f"networks: {problem}"
        if not _BUCKET.fullmatch(self.bucket):
            yield f"bucket: {shown(self.bucket)} is no name of a bucket; 3 to 63 of a-z, 0-9, . and - are needed."
        if not _REGION.fullmatch(self.region):
            yield f'region: {shown(self.region)} is no region; write it like "fra1".'
        if not _TIME.fullmatch(self.at):
            yield f'at: {shown(self.at)} is no time of day; write it like "03:17", in UTC.'
        if self.every_hours not in _EVERY:
            yield f"every_hours: {self.every_hours} does not divide a day; write one of {', '.join(map(str, _EVERY))}."
        if self.keep_daily < 1:
            yield f"keep_daily: {self.keep_daily} is no number of days; at least 1 is kept."
        for name in ("keep_weekly", "keep_monthly"):
            if getattr(self, name) < 0:
                yield f"{name}: {getattr(self, name)} is no number of saves; 0 keeps none."

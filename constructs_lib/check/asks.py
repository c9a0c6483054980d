"""What a declaration asks for by itself: an error about security that it explains is a warning, a warning is none.

The annotation is that of the object which the finding is about: it stands in the declaration beside what it asks for,
and whoever reads the object reads it as well. ``plan`` names the rights when they come all the same.
"""

from collections.abc import Iterable, Iterator

from constructs_lib.check.finding import Finding, Severity
from constructs_lib.check.model import ClusterModel

#: Followed by the code of the check; the value tells why.
ASKS = "constructs-lib/asks-for."


def with_asks(findings: Iterable[Finding], model: ClusterModel) -> Iterator[Finding]:
    """Yield findings: of those that an object asks for, with a reason, the errors as warnings and the warnings not."""
    found = [*findings]
    about = {finding.identity for finding in found if finding.check.askable}
    items = {item.identity: item for item in model.objects if item.identity in about} if about else {}
    for finding in found:
        item = items.get(finding.identity) if finding.identity and finding.check.askable else None
        is_asked = item is not None and item.annotations.get(ASKS + finding.check.code, "").strip()
        if not is_asked:
            yield finding
        elif finding.check.severity is Severity.ERROR:
            yield finding.as_warning()

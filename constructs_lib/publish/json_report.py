"""A publication as JSON, by the schema that is published with the command."""

from collections.abc import Mapping, Sequence
from typing import Any

from constructs_lib.plan.plan import Plan
from constructs_lib.plan.report import json_report
from constructs_lib.publish.publication import Publication
from constructs_lib.publish.scope import closed_by

#: Increased when an entry is removed or changes its meaning, not when one is added.
VERSION = 1


def document(
    publication: Publication, plan: Plan, joined: Mapping[str, str], made: Sequence[str] | None
) -> dict[str, Any]:
    """Return what was published, or would be.

    Args:
        publication: What is published.
        plan: What Argo CD does.
        joined: Components that go with those that were named, and why.
        made: Commits that were made and pushed. None: none were.
    """
    nothing = publication.is_empty
    ids: Sequence[str | None] = made or [None] * len(publication.commits)
    commits, first = publication.commits, made[0][:12] if made else "the commit before"
    return {
        "version": VERSION,
        "environment": publication.tree.environment,
        "promoted_from": publication.promoted_from,
        "pushed": made is not None,
        "moved": sorted(publication.moved),
        "removed": publication.removed,
        "with_it": dict(joined),
        "held_back": {name: publication.rolled_back.get(name, "") for name in publication.unpublished},
        "set_right": list(publication.repair.problems),
        "foreign": publication.foreign,
        "kept_open": 0 if nothing else publication.kept,
        "closed": closed_by(plan),
        "commits": [
            {"id": id, "message": message.replace("the commit before", first), "files": list(files)}
            for id, (message, files) in zip(ids, commits, strict=True)
        ],
        "plan": None if nothing else json_report.document(plan),
    }

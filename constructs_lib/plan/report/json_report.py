"""A plan as JSON.

The schema, version 1; what is added later is added to it, and what changes its meaning raises the version::

    version        1
    plans          of the command, each with its environment and its phase: merging, publishing, or empty if there is
                   only one of the two
    old, new       names of the two trees
    summary        how often each effect comes: create, create or adopt (what was kept when it was removed), taken over
                   as it is (by Argo CD, of what something else deployed), update in place, rolling restart, kept in the
                   cluster, delete, replacement, data loss, no effect in the cluster
    dangerous      full names of the objects whose changes a person has to agree to
    losing         those of them by whose changes something is lost or stops
    widening       those of them whose changes widen rights
    allow          names that allow them
    notes          what else is to be said of it
    warnings       what the plan does not know
    pins           [{name, path, old, new}]: Applications that read a folder from another revision
    steps          in the order of Argo CD: [{component, wave, parent, changes}]
    changes        [{action, effect, group, kind, namespace, name, file, dangerous, widens, replaced, fields,
                   reasons, pods, mend}]
    kind           File stands for what is no object: a file that no Application deploys and that is not seen through
    action         create, change or delete: what happens in the repository
    fields         [{path, old, new, secret}]; values of secrets are null
    dangerous      whether a person has to agree to the change
    widens         [{text, source}]: what it lets somebody do who could not do it before
    reasons        [{text, source}]
    pods           [{workload, least, most, per_node}]; most is null if nobody knows
"""

import json
from dataclasses import asdict
from typing import Any

from constructs_lib.plan.change import Change
from constructs_lib.plan.plan import Plan, allow_names

VERSION = 1


def dump(content: object) -> str:
    """Return JSON, its keys sorted, with a line break at the end."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    # Names of files may hold bytes that are not UTF-8.
    return text.encode(errors="backslashreplace").decode()


def document(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON holds it."""
    return {
        "version": VERSION,
        "old": plan.old,
        "new": plan.new,
        "summary": {effect.words: number for effect, number in plan.summary.items()},
        "dangerous": [change.full_name for change in plan.dangerous],
        "losing": [change.full_name for change in plan.losing],
        "widening": [change.full_name for change in plan.widening],
        "allow": allow_names(plan),
        "notes": list(plan.notes),
        "warnings": list(plan.warnings),
        "pins": [asdict(pin) for pin in plan.pins],
        "steps": [{**vars(step), "changes": [_change(change) for change in step.changes]} for step in plan.steps],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        **{name: getattr(change, name) for name in ("action", "replaced", "file")},
        "dangerous": change.needs_consent,
        "widens": [asdict(reason) for reason in change.widens],
        **dict(zip(("group", "kind", "namespace", "name"), change.identity, strict=True)),
        "effect": change.effect.words,
        "fields": [{key: getattr(field, key) for key in ("path", "old", "new", "secret")} for field in change.fields],
        "reasons": [asdict(reason) for reason in change.reasons],
        "pods": [asdict(pods) for pods in change.pods],
        "mend": change.fix,
    }

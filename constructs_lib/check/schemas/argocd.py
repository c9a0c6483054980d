"""What Argo CD does not understand in its Applications, and in its annotations of objects.

The rules are those of ``ValidatePermissions`` in Argo CD's ``util/argo/argo.go``.
"""

import re

from constructs_lib.argocd.objects import SYNC_OPTIONS, WAVE, Object
from constructs_lib.check.schemas.faults import Fault, Faults, field_tables
from constructs_lib.kubernetes.manifest import entries, inner, mapping, sequence
from constructs_lib.text import nearest, sentence


def application_faults(item: Object) -> Faults:
    """Yield what is wrong with an Application."""
    spec = item.spec
    several = sequence(spec.get("sources"))
    if "source" in spec and several:
        yield Fault("contradictory-fields", "spec.source", "It has source and sources; source is ignored.")
    if not any(spec.get(field) for field in ("source", "sources", "sourceHydrator")):
        yield Fault("missing-field", "spec.source", "It says nowhere what to deploy.")
    if not several:
        yield from _source_faults(spec.get("source"), "spec.source")
    for at, source in entries(several, "spec.sources"):
        yield from _source_faults(source, at)
    destination = mapping(spec.get("destination"))
    named = [field for field in ("server", "name") if destination.get(field)]
    if len(named) == 2:
        problem = "The cluster is named by its address and by its name."
        yield Fault("contradictory-fields", "spec.destination.name", problem)
    if not named and isinstance(spec.get("destination"), dict):
        fix = "Give server: https://kubernetes.default.svc for the cluster of Argo CD itself."
        yield Fault("missing-field", "spec.destination.server", "The destination names no cluster.", fix)
    for index, option in enumerate(sequence(inner(spec, "syncPolicy", "syncOptions"))):
        yield from _option_faults(option, f"spec.syncPolicy.syncOptions[{index}]")


def _source_faults(source: object, at: str) -> Faults:
    if not isinstance(source, dict) or not source.get("repoURL"):
        return
    is_whole = str(source["repoURL"]).startswith("oci:")
    if not is_whole and not any(source.get(field) for field in ("path", "chart", "ref")):
        fix = "Give path, chart or ref; path: . is the root of the repository."
        yield Fault("missing-field", f"{at}.path", "A source says nothing of what to take.", fix)
    if source.get("chart") and not source.get("targetRevision"):
        yield Fault("missing-field", f"{at}.targetRevision", "A chart needs a version.")


def _option_faults(option: object, at: str) -> Faults:
    if not isinstance(option, str) or not option.strip():
        return
    name, _, value = option.strip().partition("=")
    known = field_tables()["sync option"]
    if name not in known:
        fix = sentence(nearest(name, known))
        yield Fault("unknown-sync-option", at, f'There is no sync option "{name}".', fix)
    elif value not in known[name]:
        problem, fix = f'"{option}" is no sync option.', f"{name} is one of {', '.join(known[name])}."
        yield Fault("unknown-sync-option", at, problem, fix)


def annotation_faults(item: Object) -> Faults:
    """Yield what Argo CD does not understand in the annotations of an object: the wave, and sync options.

    A wave that is no whole number counts as 0, and Argo CD does not say so
    (https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/).
    """
    wave = item.annotations.get(WAVE)
    if wave is not None and not re.fullmatch(r"[+-]?[0-9]+", wave):
        problem = f'The sync wave "{wave}" is no whole number, and counts as 0.'
        yield Fault("bad-value", f"metadata.annotations.{WAVE}", problem, 'Write one, such as "1".')
    for option in item.annotations.get(SYNC_OPTIONS, "").split(","):
        yield from _option_faults(option, f"metadata.annotations.{SYNC_OPTIONS}")

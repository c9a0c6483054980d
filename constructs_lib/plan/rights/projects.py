"""What Argo CD may deploy: what AppProjects permit, and from where Applications deploy under which of them.

https://argo-cd.readthedocs.io/en/stable/user-guide/projects/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from constructs_lib.argocd.destination import HERE
from constructs_lib.argocd.globs import glob, path_match
from constructs_lib.argocd.objects import Object
from constructs_lib.argocd.projects import repository_name
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, sequence
from constructs_lib.plan.change import Reason
from constructs_lib.plan.rights.pods import managed_namespace_widening
from constructs_lib.plan.rights.tree import Case, State, Widened, widens
from constructs_lib.repository.sources import sources_of
from constructs_lib.text import listed

_EVERYTHING: Mapping[str, Any] = {
    "sourceRepos": ["*"],
    "destinations": [{"server": "*", "name": "*", "namespace": "*"}],
    "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
    "sourceNamespaces": ["*"],
}


def project_widening(case: Case) -> Widened:
    """Yield what an AppProject permits more than before, or than a component that is new needs for itself."""
    project = case.new
    if project is None:
        return
    if case.old is not None:
        yield from _reasons(_more(project.spec, case.old.spec, case))
        return
    users = [item for item in case.before.of("Application") if item.identity in _users(case.after, project)]
    # Where Applications change to it, what it permits them is told of them.
    if not users:
        yield from _reasons(_more(project.spec, _own(case), case))


def _own(case: Case) -> Mapping[str, Any]:
    """Return what any component may have: what repositories give that are used already."""
    known = case.before.of("AppProject")
    repositories = [str(each) for item in known for each in sequence(item.spec.get("sourceRepos"))]
    repositories += [address for item in case.before.of("Application") for address in _repositories(item.spec)]
    return {"sourceRepos": repositories, "namespaceResourceWhitelist": None}


def _reasons(more: Iterable[str]) -> Iterator[Reason]:
    if texts := [*more]:
        yield widens("project-permits-more", what=listed(texts, 5))


def _users(state: State, project: Object) -> set[object]:
    return {item.identity for item in state.of("Application") if str(item.spec.get("project")) == project.name}


def _more(new: Mapping[str, Any], old: Mapping[str, Any], case: Case) -> Iterator[str]:
    """Yield what a project permits more than another one, in words; the namespaces of new components do not count."""
    yield from _repositories_more(new, old)
    yield from _destinations_more(new, old, case)
    for scope, everything in (("cluster", False), ("namespace", True)):
        yield from _kinds_more(new, old, scope, case, everything=everything)
    known = [str(each) for each in sequence(old.get("sourceNamespaces"))]
    for each in map(str, sequence(new.get("sourceNamespaces"))):
        if not any(glob(pattern, each) for pattern in known):
            yield f"Applications in {each}"
    yield from _roles_more(new, old)
    keys, former = ([str(key.get("keyID")) for key in mappings(item.get("signatureKeys"))] for item in (new, old))
    if former and not keys:
        yield "commits that nobody signed"
    elif former:
        yield from (f"commits signed with {key}" for key in keys if key not in former)
    if isinstance(old.get("sourceIntegrity"), dict) and new.get("sourceIntegrity") != old["sourceIntegrity"]:
        yield "commits that are checked in another way (sourceIntegrity)"
    if isinstance(old.get("orphanedResources"), dict) and not isinstance(new.get("orphanedResources"), dict):
        yield "objects that nobody manages, without a word (orphanedResources)"
    if old.get("permitOnlyProjectScopedClusters") is True and new.get("permitOnlyProjectScopedClusters") is not True:
        yield "clusters of other projects"
    accounts, before = (mappings(item.get("destinationServiceAccounts")) for item in (new, old))
    for account in accounts if before else ():
        if account not in before:
            yield f"syncs as {account.get('defaultServiceAccount')}"
    if before and not accounts:
        yield "syncs as Argo CD itself (destinationServiceAccounts)"
    yield from _windows_more(new, old)


def _windows_more(new: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[str]:
    windows, before = (mappings(item.get("syncWindows")) for item in (new, old))
    allowed, known = ([each for each in some if each.get("kind") == "allow"] for some in (windows, before))
    closed = any(each.get("kind") == "deny" and each not in windows for each in before)
    if closed or (known and (not allowed or any(each not in known for each in allowed))):
        yield "syncs at other times (syncWindows)"


def _repositories_more(new: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[str]:
    wanted, known = ([str(each) for each in sequence(item.get("sourceRepos"))] for item in (new, old))
    patterns = [repository_name(each) for each in known if not each.startswith("!")]
    refused = {repository_name(each[1:]) for each in known if each.startswith("!")}
    for address in wanted:
        name = repository_name(address)
        if not address.startswith("!") and not any(each in ("*", name) or glob(each, name, "/") for each in patterns):
            yield f"the repository {address}" if address != "*" else "all repositories"
    for each in sorted(refused - {repository_name(address[1:]) for address in wanted if address.startswith("!")}):
        yield f"the repository {each}"


def _destinations_more(new: Mapping[str, Any], old: Mapping[str, Any], case: Case) -> Iterator[str]:
    clusters = {*HERE.values(), *_clusters(case.before)}
    wanted, known = (
        [{key: str(each.get(key) or "") for key in ("server", "name", "namespace")} for each in mappings(entries)]
        for entries in (new.get("destinations"), old.get("destinations"))
    )

    def refuses(entry: Mapping[str, str]) -> bool:
        return any(text.startswith("!") for text in entry.values())

    def has(wide: Mapping[str, str], entry: Mapping[str, str]) -> bool:
        if not _fits(wide["namespace"], entry["namespace"]):
            return False
        return any(entry[key] and _fits(wide[key], entry[key]) for key in ("server", "name"))

    for entry in wanted:
        is_own = case.is_fresh(entry["namespace"]) and clusters.issuperset(
            filter(None, (entry["server"], entry["name"]))
        )
        if not is_own and not refuses(entry) and not any(has(each, entry) for each in known if not refuses(each)):
            yield f"the namespace {entry['namespace'] or '(none)'} of {entry['server'] or entry['name']}"
    for entry in known:
        if refuses(entry) and entry not in wanted:
            yield f"what {', '.join(filter(None, entry.values()))} refused"


def _clusters(state: State) -> Iterator[str]:
    for item in state.of("Application"):
        yield from (str(inner(item.spec, "destination", key) or "") for key in ("server", "name"))


def _fits(pattern: str, text: str) -> bool:
    return pattern in ("*", text) or glob(pattern, text)


def _kinds_more(
    new: Mapping[str, Any], old: Mapping[str, Any], scope: str, case: Case, *, everything: bool
) -> Iterator[str]:
    """Yield the kinds with or without a namespace that are permitted; without a list, all of them if ``everything``."""
    white, black = f"{scope}ResourceWhitelist", f"{scope}ResourceBlacklist"
    wanted, known = (item.get(white) for item in (new, old))
    if wanted is None and everything:
        wanted = [{"group": "*", "kind": "*"}]
    if known is None and everything:
        known = [{"group": "*", "kind": "*"}]
    for entry in mappings(wanted):
        is_own = entry.get("kind") == "Namespace" and case.is_fresh(str(entry.get("name") or ""))
        if not is_own and not any(_lists(each, entry) for each in mappings(known)):
            yield f"{_kind(entry)} {'in the cluster' if scope == 'cluster' else 'in its namespaces'}"
    refused = mappings(new.get(black))
    for entry in mappings(old.get(black)):
        if not any(_lists(each, entry) for each in refused) and mappings(wanted):
            yield f"{_kind(entry)}, which it refused"


def _lists(wide: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    pairs = [(str(wide.get(key) or ""), str(entry.get(key) or "")) for key in ("group", "kind")]
    name = str(wide.get("name") or "")
    named = not name or _is_same(name, str(entry.get("name") or ""))
    return named and all(_is_same(*pair) for pair in pairs)


def _is_same(pattern: str, text: str) -> bool:
    return pattern in ("*", text) or path_match(pattern, text)


def _kind(entry: Mapping[str, Any]) -> str:
    group, kind, name = (str(entry.get(key) or "") for key in ("group", "kind", "name"))
    what = f"{group}/{kind}" if group else kind
    return f"{'all kinds' if (group, kind) == ('*', '*') else what}{f' {name}' if name else ''}"


def _roles_more(new: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[str]:
    before = {str(role.get("name")): role for role in mappings(old.get("roles"))}
    for role in mappings(new.get("roles")):
        name = str(role.get("name"))
        known = before.get(name, {})
        policies, former = (
            {" ".join(str(text).split()) for text in sequence(each.get("policies"))} for each in (role, known)
        )
        denied = any(text.rstrip().endswith("deny") for text in former - policies)
        if denied or any(not text.rstrip().endswith("deny") for text in policies - former):
            yield f"more to its role {name}"
        for field in ("groups", "jwtTokens"):
            if any(each not in sequence(known.get(field)) for each in sequence(role.get(field))):
                yield f"its role {name} to more ({field})"


# Applications.


def _repositories(spec: Mapping[str, Any]) -> list[str]:
    return [str(source.get("repoURL")) for source in sources_of(spec) if source.get("repoURL")]


def _spec(item: Object) -> Mapping[str, Any]:
    """Return the spec of an Application, or of those that an ApplicationSet makes."""
    return mapping(inner(item.spec, "template", "spec")) if item.kind == "ApplicationSet" else item.spec


def application_widening(case: Case) -> Widened:
    """Yield that an Application, or those of an ApplicationSet, deploys from elsewhere, or under a wider project."""
    if case.new is None:
        return
    new, old = _spec(case.new), _spec(case.old) if case.old else None
    known = _repositories(old) if old is not None else _used(case.before)
    names = {repository_name(address) for address in known}
    if others := [each for each in _repositories(new) if repository_name(each) not in names]:
        yield widens("another-repository", repositories=listed(dict.fromkeys(others)))
    name = str(new.get("project") or "default")
    users = {str(_spec(item).get("project") or "default") for item in case.before.of("Application", "ApplicationSet")}
    if old is None and users and name not in users and name not in _named_projects(case.before):
        if (found := _project(case.after, name)) is None:
            yield widens("unknown-project", project=name)
        elif found is _EVERYTHING:
            yield widens("wider-project", project=name, what="everything")
    if old is not None and name != (former := str(old.get("project") or "default")):
        before, after = _project(case.before, former), _project(case.after, name)
        if after is None:
            if before != _EVERYTHING:
                yield widens("unknown-project", project=name)
        elif more := [*_more(after, before, case)] if before is not None else []:
            yield widens("wider-project", project=name, what=listed(more, 5))
    yield from managed_namespace_widening(case)


def _named_projects(state: State) -> set[str]:
    return {item.name for item in state.of("AppProject")}


def _used(state: State) -> list[str]:
    items = state.of("Application", "ApplicationSet")
    return [address for item in items for address in _repositories(_spec(item))]


def _project(state: State, name: str) -> Mapping[str, Any] | None:
    found = next((item.spec for item in state.of("AppProject") if item.name == name), None)
    return _EVERYTHING if found is None and name == "default" else found

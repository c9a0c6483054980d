"""The branch that is deployed, as Argo CD sees it, and the pins that its history bears out.

A pin is right if its commit is on that branch, and holds the component's folder and Application as the pin says. A
commit of another branch, or of a fork, would be deployed just as well, because Argo CD fetches a commit by its id
(``checkoutRevision`` in ``reposerver/repository/repository.go``); but nobody reviewed it for this branch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from constructs_lib.argocd.objects import parse
from constructs_lib.kubernetes.manifest import inner
from constructs_lib.repository.applications import find_applications
from constructs_lib.repository.git import Git, GitError
from constructs_lib.repository.pins import Pins, PinsError, parse_pins, pins_file
from constructs_lib.repository.snapshot import Snapshot, is_commit
from constructs_lib.repository.sources import sources_of
from constructs_lib.text import listed, plural
from constructs_lib.user_error import UserError

#: The most commits that a message names.
_NAMED = 5


class StrayError(UserError):
    """A branch that only publications move ends in a commit that is not on the branch of the declaration."""


def published_revision(git: Git, branch: str, publication: str = "") -> tuple[str, str | None]:
    """Return the revision that is published, in a person's words, and its commit if there is one.

    That is the branch of the remote as it was last fetched or pushed, and without a remote what is checked out. The
    remote is the one to which publish pushes: what is checked out may follow another one, such as a fork.

    Args:
        git: The repository.
        branch: The branch of the declaration.
        publication: The branch that only publications move. As long as the remote has none, Argo CD follows the other
            one, or is not there yet. Default: Argo CD follows the other one.
    """
    if publication and (held := publication_at(git, branch, publication)):
        return held
    try:
        remotes = git.run("remote").splitlines()
    except GitError:
        return "nothing", None
    if not remotes:
        return "HEAD", git.commit("HEAD")
    remote = git.remote_of(branch) or remotes[0]
    return f"{remote}/{branch}", git.commit(f"refs/remotes/{remote}/{branch}")


def publication_at(git: Git, branch: str, publication: str) -> tuple[str, str] | None:
    """Return the remote's branch that only publications move, in a person's words, and its commit; None without it."""
    try:
        remotes = git.run("remote").splitlines()
    except GitError:
        return None
    remote = git.remote_of(branch) or next(iter(remotes), "")
    commit = git.commit(f"refs/remotes/{remote}/{publication}") if remote and publication else None
    return (f"{remote}/{publication}", commit) if commit else None


def refuse_strays(git: Git, held: tuple[str, str], name: str, tips: Sequence[str]) -> None:
    """Refuse a branch of publications with commits that are not on the branch of the declaration.

    Pins and what is in ``argocd/`` are borne out by that one alone: its pull requests, its tests and its people.

    Args:
        git: The repository.
        held: What people call the branch of publications, and its commit.
        name: What people call the branch of the declaration.
        tips: The commits in which that one ends.

    Raises:
        StrayError: There are some.
    """
    branch, commit = held
    strays = git.run("log", "--format=%h %s", commit, *(f"^{tip}" for tip in tips), "--").splitlines()
    if not strays:
        return
    common = git.run("merge-base", commit, tips[0]) if tips and git.succeeds("merge-base", commit, tips[0]) else ""
    remote, _, short = branch.partition("/")
    back = f"git push --force-with-lease={short}:{commit} {remote} {common or '<commit>'}:refs/heads/{short}"
    raise StrayError(
        f"{branch} has {plural(len(strays), 'commit')} that {name} (as it was last fetched) lacks, and Argo CD deploys "
        f"that: {listed(strays, _NAMED)}.\n"
        f"Only publish moves it, to commits of {name}. What is yours, merge into {name.partition('/')[2] or name}. If "
        f"nobody knows of it, see who may push there, and set the branch back: {back}"
    )


def pins_at(git: Git, revision: str, environment: str) -> Pins | None:
    """Return the pins of an environment in a commit or tree of Git; None if it has none.

    Raises:
        PinsError: They cannot be read.
    """
    file = pins_file(environment)
    content = git.files(revision, [file]).get(file)
    return None if content is None else parse_pins(content, file)


@dataclass(frozen=True)
class History:
    """The history of the branch that is deployed, as far as it is here.

    Attributes:
        git: The repository.
        name: What a person calls the branch, for instance ``origin/main``.
        tips: The commits that it ends in; none if it is not here.
    """

    git: Git
    name: str
    tips: Sequence[str]

    @classmethod
    def of(cls, git: Git, branch: str) -> History:
        """Return the history of a branch: of the remote, and of the checkout if that is on the same branch.

        What is checked out otherwise, such as a pull request, brings commits that are on the branch only once it is
        merged, if then: no pin may name them.
        """
        name, commit = published_revision(git, branch)
        tips = [commit]
        if name != "nothing" and git.run("branch", "--show-current") == branch:
            tips.append(git.commit("HEAD"))
        return cls(git, name, [*dict.fromkeys(tip for tip in tips if tip)])

    def verify(self, environment: str, pins: Pins | None) -> None:
        """Hold the pins of an environment against the history.

        Raises:
            PinsError: They are wrong, or it cannot be known here; it says what is needed.
        """
        if pins is None:
            return
        file = pins_file(environment)
        if need := self._missing():
            raise PinsError(f"{file} cannot be verified: {need}")
        problems = [*self.wrong(environment, pins).values(), *self.invented(environment, pins).values()]
        if not problems:
            return
        if self.git.run("rev-parse", "--is-shallow-repository") == "true":
            raise PinsError(
                f"{file} cannot be verified: the clone is shallow, and its commits may be older; git fetch --unshallow "
                f"(fetch-depth: 0 of actions/checkout) brings them."
            )
        fetch = f" (as it was last fetched: git fetch {self.name.partition('/')[0]})" if "/" in self.name else ""
        raise PinsError(
            "\n".join(f"{file}: {problem}" for problem in problems)
            + f"\nOnly publish moves pins. Restore the file with git checkout {self.name} -- {file}; if it is so on "
            f"{self.name}{fetch}, python app.py publish {environment} sets it right."
        )

    def _missing(self) -> str:
        if self.name == "nothing":
            return "this is no Git repository, and pins name commits of one; clone it."
        if self.tips:
            return ""
        remote, _, branch = self.name.partition("/")
        return (
            f"{self.name} is not here; git fetch {remote} {branch}:refs/remotes/{self.name} brings it."
            if branch
            else "nothing is committed yet."
        )

    def wrong(self, environment: str, pins: Pins) -> dict[str, str]:
        """Return what is wrong with pins, by component: the history does not bear them out.

        Raises:
            GitError: There is no repository.
        """
        entries = dict(sorted(pins.components.items()))
        found = self._found(
            name
            for component, pin in entries.items()
            for name in (f"{pin.revision}^{{commit}}", self.git.at(pin.revision, f"dist/{environment}/{component}"))
        )
        here = {pin.revision for pin in entries.values() if found[f"{pin.revision}^{{commit}}"] == pin.revision}
        elsewhere = self._elsewhere(here)
        files = {
            component: self.git.at(pin.revision, f"argocd/{environment}/Application-{component}.yaml")
            for component, pin in entries.items()
            if pin.revision in here
        }
        applications = self.git.contents(files.values())
        wrong: dict[str, str] = {}
        for component, pin in entries.items():
            folder = f"dist/{environment}/{component}"
            content = found[self.git.at(pin.revision, folder)]
            if pin.revision not in here:
                wrong[component] = f"{component}: there is no commit {pin.revision} here, and so none on {self.name}."
            elif pin.revision in elsewhere:
                wrong[component] = f"{component}: the commit {pin.revision} is not on {self.name}."
            elif content != pin.content:
                holds = f"holds {folder} as {content}" if content else f"has no folder {folder}"
                wrong[component] = f"{component}: the commit {pin.revision} {holds}, and the pin says {pin.content}."
            elif (namespace := _namespace(applications.get(files[component]))) != pin.namespace:
                there = f"to the namespace {namespace}" if namespace else "nowhere"
                wrong[component] = (
                    f"{component}: in the commit {pin.revision}, its Application deploys {there}, and the pin says "
                    f"{pin.namespace}."
                )
        return wrong

    def invented(self, environment: str, pins: Pins) -> dict[tuple[str, str], str]:
        """Return what is wrong with retired namespaces, by component and namespace: it never had that one."""
        retired = [(component, namespace) for component, names in pins.retired.items() for namespace in names]
        if not retired:
            return {}
        versions = self._versions(environment, "--full-history", *self.tips)
        had = {
            (component, pin.namespace)
            for _, then in versions
            for component, pin in (then.components.items() if then else ())
        }
        return {
            (component, namespace): f"{component}: the retired namespace {namespace} was never its own on {self.name}."
            for component, namespace in retired
            if (component, namespace) not in had
        }

    def held(self, folder: str, revision: str) -> bool:
        """Tell whether the branch ever held a folder as it is in some commit, which need not be on it."""
        name = self.git.at(revision, folder)
        content = self._found(iter([name]))[name]
        search = ("log", "-1", "-t", "--format=%H", f"--find-object={content}", *self.tips, "--", folder)
        return bool(content and self.git.run(*search))

    def _found(self, names: Iterator[str]) -> dict[str, str]:
        """Return the ids of objects by their names; none of those that are not here."""
        asked = [*names]
        if any("\n" in name for name in asked):
            # An Application may name anything; Git knows no such revision and no such folder.
            return dict.fromkeys(asked, "") | self._found(iter([name for name in asked if "\n" not in name]))
        said = self.git.run("cat-file", "--batch-check", input="".join(f"{name}\n" for name in asked).encode())
        lines = [line.split() for line in said.splitlines()]
        return {name: "" if line[-1] == "missing" else line[0] for name, line in zip(asked, lines, strict=True)}

    def _elsewhere(self, commits: set[str]) -> set[str]:
        """Return those of some commits that are not in the history."""
        if not commits:
            return set()
        return commits & {*self.git.run("rev-list", *sorted(commits), "--not", *self.tips).split()}

    def versions(self, environment: str) -> Iterator[tuple[str, Pins | None]]:
        """Return the commits that changed the pins of an environment, newest first, with the pins as they were then.

        They are those in which the branch ended at some time, so that a merge counts as one; what cannot be read is
        left out.
        """
        return self._versions(environment, "--first-parent", *self.tips[:1])

    def _versions(self, environment: str, *options: str) -> Iterator[tuple[str, Pins | None]]:
        file = pins_file(environment)
        commits = self.git.run("log", "--format=%H", *options, "--", file).splitlines()
        contents = self.git.contents(self.git.at(commit, file) for commit in commits)
        for commit in commits:
            content = contents.get(self.git.at(commit, file))
            with suppress(PinsError):
                yield commit, None if content is None else parse_pins(content, file)


def _namespace(content: bytes | None) -> str:
    """Return the namespace to which an Application in a file deploys; empty if there is none."""
    found = [inner(each.manifest, "spec", "destination", "namespace") for each in parse("a.yaml", content or b"")]
    return str(found[0] or "") if found else ""


def misread(snapshot: Snapshot, environment: str, pins: Pins | None) -> dict[str, str]:
    """Return which Applications of an environment read another commit than their pins say, by name, with a sentence.

    Argo CD knows the Applications alone: what they read is deployed, whatever the pins say.
    """
    wrong: dict[str, str] = {}
    for name, folder, revision in reads(snapshot, environment):
        top, _, component = folder.partition(f"/{environment}/")
        pin = pins.components.get(component) if pins and top == "dist" else None
        if top == "dist" and (pin.revision != revision if pin else is_commit(revision)):
            says = f"pins it to {pin.revision}" if pin else "does not pin it"
            where = f"argocd/{environment}: the Application {name} reads {folder} from {revision}"
            wrong[name] = f"{where}, and {pins_file(environment)} {says}."
    return wrong


def reads(snapshot: Snapshot, environment: str) -> Iterator[tuple[str, str, str]]:
    """Yield the folders that the Applications of an environment read: name of the Application, folder, and revision.

    A source that is only referred to, for files of values, may be read anywhere.
    """
    for application in find_applications(snapshot, [f"argocd/{environment}"]).all:
        for source in sources_of(application.item.spec) if application.item else ():
            if isinstance(source.get("path"), str) or source.get("ref"):
                yield application.name, application.folder_of(source), str(source.get("targetRevision") or "HEAD")

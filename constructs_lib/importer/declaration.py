"""The text of ``app.py``, and of what stands beside it."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Set
from typing import Any

from constructs_lib.importer.code import WIDTH, Call, Name, call, flat, printed
from constructs_lib.importer.common import TIMINGS, Common
from constructs_lib.importer.model import Group, Imported, Need, Program, variable_name
from constructs_lib.importer.words import ARGUMENTS, LIBRARY
from constructs_lib.kubernetes.manifest import inner
from constructs_lib.kubernetes.manifest_yaml import dump

#: The chart of External Secrets that a new declaration begins with.
EXTERNAL_SECRETS = "2.9.0"
#: The version of Kubernetes that it begins with.
KUBERNETES = "1.36"
_EXISTING = '''"""Objects that are taken over as they are."""

from pathlib import Path

import cdk8s
from constructs_lib import Component


def existing(component: Component) -> None:
    """Add those of a component: ``existing/<component>.yaml``."""
    file = Path(__file__).parent / "existing" / f"{component.id}.yaml"
    cdk8s.Include(component, "existing", url=str(file))
'''


def declaration(imported: Imported, repository: str) -> dict[str, str]:
    """Return the files of a declaration by their paths, ``app.py`` first."""
    files = {"app.py": _App(imported, repository).text(), **imported.files}
    for group in imported.groups.values():
        if group.included:
            files["existing.py"] = _EXISTING
            files[f"existing/{group.id}.yaml"] = b"---\n".join(map(dump, group.included)).decode()
    return files


class _App:
    """Prints one declaration."""

    def __init__(self, imported: Imported, repository: str) -> None:
        self.imported, self.repository = imported, repository
        self.groups = {key: each for key, each in imported.groups.items() if self._programs(each) or each.included}
        self.scopes: dict[str, Name] = {}
        self.variables = self._variables()
        self.common = Common(imported.programs)

    def _programs(self, group: Group) -> list[Program]:
        return [each for each in self.imported.programs if each.group == group.id]

    def _variables(self) -> dict[tuple[str, str], str]:
        """Return the names of the variables of programs; those of components are in the way of none."""
        found: dict[tuple[str, str], str] = {}
        for program in self.imported.programs:
            name = variable_name(program.id)
            if name in found.values():
                name = variable_name(f"{program.group}_{program.id}")
            found[program.key] = name
        return found

    def text(self) -> str:
        """Return the whole text."""
        body = [*self._body()]
        environment = self._environment()
        words = {
            word for line in (*body, *environment, *self._constants()) for word in _WORDS.findall(_without_texts(line))
        }
        lines = [f'"""{self._title()}"""', ""]
        if "Path" in words or "HERE" in words:
            lines.append("from pathlib import Path")
        if "Any" in words:
            lines.append("from typing import Any")
        if len(lines) > 2:
            lines.append("")
        lines += _imports(words)
        if any(group.included for group in self.groups.values()):
            lines += ["", "from existing import existing"]
        lines.append("")
        if sum(line.count("HERE / ") for line in body) > 1:
            lines.append("HERE = Path(__file__).parent")
        else:
            body = [line.replace("HERE / ", "Path(__file__).parent / ") for line in body]
        lines += self._constants()
        lines += [*environment, "", "", *body, "", "", 'if __name__ == "__main__":']
        lines.append(f"    main({self._function}, [{self._constant}])")
        return "\n".join(lines) + "\n"

    def _title(self) -> str:
        title = f"{self.imported.name}, as it was imported from {self.imported.source}."
        return (title if len(title) < WIDTH - 6 else f"{self.imported.name}, as it was imported.").replace("\\", "/")

    @property
    def _function(self) -> str:
        return variable_name(self.imported.name)

    @property
    def _constant(self) -> str:
        return variable_name(self.imported.environment).upper()

    def _constants(self) -> list[str]:
        lines = printed(self.common.image, "IMAGE = ") if self.common.image else []
        if self.common.timings:
            lines += [f"K8S: dict[str, Any] = {flat(dict(TIMINGS))}  # of a probe that says nothing"]
        if self.common.variables:
            lines += printed(self.common.variables, "VARIABLES: dict[str, Any] = ")
        for name, value in self.common.constants.items():
            lines += printed(value, f"{name} = ")
        return lines

    def _environment(self) -> list[str]:
        made = call(
            "Environment",
            name=self.imported.environment,
            repository=call("GitRepository", self.repository),
            cluster=call("K3d", kubernetes=KUBERNETES, nodes=1),
            image_tags="any"
            if any("has no exact version" in each for each in self.imported.notes["guessed"])
            else None,
        )
        return printed(made, f"{self._constant} = ")

    def _body(self) -> Iterator[str]:
        name = self.imported.name
        yield f"def {self._function}(environment: Environment) -> System:"
        yield f'    """Declare {name} for one environment."""'
        yield f'    system = System(environment, "{name}")'
        if self._has_secrets():
            yield f'    ExternalSecrets(system, version="{EXTERNAL_SECRETS}")'
        for group in self.groups.values():
            yield from self._component(group)
        yield from self.common.lines(self.scopes)
        declared: set[tuple[str, str]] = set()
        waiting: list[Program] = []
        shared = self._shared()
        for program in _servers_first(self.imported.programs):
            yield from self._program(program)
            declared.add(program.key)
            waiting.append(program)
            for each in [*waiting]:
                if all(need.server in declared for need in each.needs):
                    yield from self._needs(each, {id(need) for _, needs in shared for need in needs})
                    waiting.remove(each)
        yield from self._loops(shared)
        for program in self.imported.programs:
            for (kind, of), change in program.patches.items():
                yield from self._patch(program, kind, of, change)
        for group in self.groups.values():
            if group.included:
                for note in self.imported.notes["kept as YAML"]:
                    kind, _, rest = note.partition("/")
                    if any(
                        each["kind"] == kind and rest.startswith(f"{each['metadata']['name']}:")
                        for each in group.included
                    ):
                        yield from textwrap.wrap(note, WIDTH - 6, initial_indent="    # ", subsequent_indent="    # ")
                yield f"    existing({self._scope_of_included(group)})"
        yield "    return system"

    def _has_secrets(self) -> bool:
        kinds = {"Postgres", "RabbitMQ", "Valkey", "Cassandra"}
        return any(
            each.kind in kinds or "supplied(" in flat(each.arguments) or "generated(" in flat(each.arguments)
            for each in self.imported.programs
        )

    def _component(self, group: Group) -> Iterator[str]:
        programs = self._programs(group)
        is_alone = len(programs) == 1 and programs[0].id == group.id and group.pod_security == "restricted"
        if is_alone and not group.included:
            self.scopes[group.id] = Name("system")
            if group.namespace != group.id:
                programs[0].arguments = {"namespace": group.namespace, **programs[0].arguments}
            return
        name = variable_name(group.id)
        name = f"{name}_" if name in {*self.variables.values(), self._function} else name
        self.scopes[group.id] = Name(name)
        made = call(
            "Component",
            Name("system"),
            group.id,
            namespace=group.namespace if group.namespace != group.id else None,
            pod_security=group.pod_security if group.pod_security != "restricted" else None,
            prefix=False,
        )
        if programs or group.included:
            yield from printed(made, f"{name} = ", 4)

    def _scope_of_included(self, group: Group) -> str:
        return self.scopes[group.id].text

    def _program(self, program: Program) -> Iterator[str]:
        given = {name: self.common.named(value) for name, value in self.common.left(program).items()}
        if given.keys() <= {*ARGUMENTS, "namespace"}:
            given = {name: given[name] for name in ("namespace", *ARGUMENTS) if name in given}
        is_named = (
            program.needs
            or program.patches
            or any(need.server == program.key for each in self.imported.programs for need in each.needs)
        )
        before = f"{self.variables[program.key]} = " if is_named else ""
        if self.common.takes(program):
            made = Call("program", (program.id,), given)
        else:
            made = Call(program.kind, (self.scopes[program.group], program.id), given)
        yield from printed(made, before, 4)

    def _needs(self, program: Program, elsewhere: Set[int]) -> Iterator[str]:
        client = self.variables[program.key]
        for need in program.needs:
            if need.endpoint and id(need) not in elsewhere:
                yield from printed(self._need(client, need), "", 4)
        if after := [Name(self.variables[need.server]) for need in program.needs if not need.endpoint]:
            yield from printed(Call(f"{client}.after", tuple(after)), "", 4)

    def _patch(self, program: Program, kind: str, of: str, change: dict[str, Any]) -> Iterator[str]:
        """Yield a patch; what it says of the pods stands before it, where all of it is long."""
        named = {"name": of} if of != program.id else {}
        whole = Call(f"{self.variables[program.key]}.patch", (kind, change), named)
        pod = inner(change, "spec", "template", "spec")
        if pod and len(flat(whole)) > WIDTH - 4:
            yield from printed(pod, "pod: dict[str, Any] = ", 4)
            spec = {**change["spec"], "template": {**change["spec"]["template"], "spec": Name("pod")}}
            whole = Call(whole.name, (kind, {**change, "spec": spec}), named)
        yield from printed(whole, "", 4)

    def _shared(self) -> list[tuple[list[Program], list[Need]]]:
        """Return edges that several programs have alike, with the programs, where that saves lines."""
        owners: dict[str, list[tuple[Program, Need]]] = {}
        for program in self.imported.programs:
            for need in program.needs:
                if need.endpoint:
                    owners.setdefault(flat(self._need("each", need)), []).append((program, need))
        groups: dict[tuple[tuple[str, str], ...], list[list[tuple[Program, Need]]]] = {}
        for pairs in owners.values():
            groups.setdefault(tuple(program.key for program, _ in pairs), []).append(pairs)
        found = []
        for key, rows in groups.items():
            if len(key) > 1 and (len(key) - 1) * len(rows) > 2:
                found.append(([program for program, _ in rows[0]], [need for row in rows for _, need in row]))
        return found

    def _loops(self, shared: list[tuple[list[Program], list[Need]]]) -> Iterator[str]:
        for programs, needs in shared:
            names = tuple(Name(self.variables[each.key]) for each in programs)
            yield f"    for each in ({', '.join(name.text for name in names)}):"
            for text in dict.fromkeys(flat(self._need("each", need)) for need in needs):
                need = next(each for each in needs if flat(self._need("each", each)) == text)
                yield from printed(self._need("each", need), "", 8)

    def _need(self, client: str, need: Need) -> Call:
        server = Name(self.variables[need.server])
        endpoint = Call(f"{server.text}.endpoint", (need.endpoint,))
        arguments = (endpoint, *((need.variables,) if need.variables else ()))
        return Call(f"{client}.needs", arguments, {} if need.order else {"order": False})


_WORDS = re.compile(r"[A-Za-z_]\w*")


def _without_texts(line: str) -> str:
    """Return a line of code without its texts, in which names mean nothing."""
    return re.sub(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', '""', line.partition("    # ")[0])


def _imports(words: set[str]) -> list[str]:
    names = sorted({*words, "main"} & LIBRARY, key=lambda name: (name.islower(), name.lower()))
    whole = f"from constructs_lib import {', '.join(names)}"
    return (
        [whole] if len(whole) <= WIDTH else ["from constructs_lib import (", *(f"    {each}," for each in names), ")"]
    )


def _servers_first(programs: list[Program]) -> list[Program]:
    """Return programs such that those that are needed come first, else in their order."""
    found: list[Program] = []
    by_key = {each.key: each for each in programs}
    started: Counter[tuple[str, str]] = Counter()

    def visit(program: Program) -> None:
        started[program.key] += 1
        if started[program.key] > 1:
            return
        for need in program.needs:
            if need.order and need.server in by_key:
                visit(by_key[need.server])
        found.append(program)

    for each in programs:
        visit(each)
    return found

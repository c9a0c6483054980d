"""What several programs have in common: said once, as a person would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from constructs_lib.importer.code import Call, Name, call, flat, printed
from constructs_lib.importer.model import Program
from constructs_lib.kubernetes.quantity import parse_quantity

#: Programs from which on a function says what they have in common.
_SEVERAL = 4
#: What an argument means when it is left out, for those that differ from most.
_NEUTRAL: Mapping[str, Any] = {
    "annotations": {},
    "drain_seconds": 30,
    "labels": {},
    "liveness": None,
    "placement": Call("Placement"),
    "readiness": None,
    "resources": call("Resources", "100m", "256Mi", "512Mi"),
    "user": 10001,
}
_PROBES = ("readiness", "liveness", "startup")
#: What Kubernetes does with a probe that does not say how often it asks.
TIMINGS: Mapping[str, int] = {"period_seconds": 10, "timeout_seconds": 1, "failures": 3}


class Common:
    """What most of the Microservices of a component have in common.

    Attributes:
        image: The pattern of their images; empty for none.
        usual: Their arguments, by name.
        probe: The probe by which most are asked whether they are ready and alive; None if there is no such one.
        constants: Values that stand in several places, by the name that they get.
        timings: Whether a constant has the timings of Kubernetes.
        variables: Variables that several programs are told.
    """

    def __init__(self, programs: Sequence[Program]) -> None:
        """Look at all programs; one component at most has such a function, the largest."""
        self.usual: dict[str, Any] = {}
        self.probe: Call | None = None
        self.timings = self._name_timings(programs)
        self.variables = _shared_variables(programs)
        groups = Counter(each.group for each in programs if each.kind == "Microservice")
        self._group = groups.most_common(1)[0][0] if groups else ""
        self._programs = [each for each in programs if each.kind == "Microservice" and each.group == self._group]
        patterns = Counter(pattern for each in self._programs if (pattern := _pattern(each)))
        [(image, count)] = patterns.most_common(1) or [("", 0)]
        self.image = image if count > 2 else ""
        if len(self._programs) >= _SEVERAL:
            self._find_usual()
        if len(self.usual) < 2:
            self.usual, self.probe = {}, None
        self.constants = _named_constants(programs)

    def _name_timings(self, programs: Sequence[Program]) -> bool:
        """Have one constant say what Kubernetes does with probes that say nothing."""
        probes = [
            (each.arguments, name)
            for each in programs
            for name in _PROBES
            if TIMINGS.items() <= getattr(each.arguments.get(name), "named", {}).items()
        ]
        known = any("**" in getattr(each.arguments.get(name), "named", {}) for each in programs for name in _PROBES)
        if len(probes) < 2:
            return known
        for arguments, name in probes:
            probe = arguments[name]
            named = {key: each for key, each in probe.named.items() if key not in TIMINGS}
            arguments[name] = Call(probe.name, probe.arguments, {**named, "**": Name("K8S")})
        return True

    def _find_usual(self) -> None:
        many = self._programs
        if self.image:
            self.usual["image"] = Name("IMAGE.format(name)")
        selectors = [each for each in many if each.arguments.get("selector") == {"app": each.id}]
        if 2 * len(selectors) > len(many):
            self.usual["selector"] = {"app": Name("name")}
        asked = Counter(flat(each.arguments["readiness"]) for each in many if _is_asked_once(each))
        if sum(asked.values()) > 2:
            [(text, _)] = asked.most_common(1)
            self.probe = next(each.arguments["readiness"] for each in many if _is_asked_once(each) == text)
        for name, neutral in _NEUTRAL.items():
            if self.probe and name in _PROBES:
                continue
            values = Counter(flat(each.arguments.get(name, neutral)) for each in many)
            [(value, count)] = values.most_common(1)
            if value != flat(neutral) and 2 * count >= len(many):
                self.usual[name] = next(
                    each.arguments[name] for each in many if flat(each.arguments.get(name, neutral)) == value
                )

    def takes(self, program: Program) -> bool:
        """Tell whether a program is declared by the function."""
        return any(each is program for each in self._programs) and bool(self.usual)

    def left(self, program: Program) -> dict[str, Any]:
        """Return what a program is told beside what is usual."""
        given = dict(program.arguments)
        env = given.get("env", {})
        if self.variables and all(flat(env.get(name)) == flat(each) for name, each in self.variables.items()):
            rest = {name: each for name, each in env.items() if name not in self.variables}
            given["env"] = {"**": Name("VARIABLES"), **rest} if rest else Name("VARIABLES")
        if self.image and _pattern(program) == self.image:
            given["image"] = Call("IMAGE.format", (program.id,))
        if not self.takes(program):
            return given
        usual = {**self.usual, "image": Call("IMAGE.format", (program.id,)), "selector": {"app": program.id}}
        for name in self.usual:
            if name in given and flat(given[name]) == flat(usual[name]):
                del given[name]
            elif name not in given:
                given[name] = _NEUTRAL.get(name, {})
        if self.probe:
            self._ask(given, _is_asked_once(program))
        return given

    def _ask(self, given: dict[str, Any], asked: str) -> None:
        """Say by one word how a program is asked, where one probe tells both."""
        probe = given.get("readiness")
        if asked:
            del given["readiness"], given["liveness"]
            if asked != flat(self.probe):
                given["probe"] = probe
        elif "readiness" not in given and "liveness" not in given:
            given["probe"] = None
        else:
            given |= {name: None for name in ("readiness", "liveness") if name not in given}

    def lines(self, scopes: Mapping[str, Name]) -> Iterator[str]:
        """Yield the function; nothing without one."""
        if not self.usual:
            return
        taken = [each for each in self._programs if self.takes(each)]
        said = {name for each in taken for name in self.left(each)}
        usual = {name: self.named(each) for name, each in self.usual.items()}
        own = {name: each for name, each in usual.items() if name not in said}
        usual = {name: each for name, each in usual.items() if name in said}
        given = "name: str, **given: Any"
        yield ""
        if self.probe:
            kinds = {each.arguments["readiness"].name for each in taken if _is_asked_once(each)}
            given = f"{' | '.join(sorted(kinds))} | None = {flat(self.named(self.probe))}, **given: Any"
            given = f"name: str, probe: {given}"
        yield f"    def program({given}) -> Microservice:"
        yield '        """Declare a program, with what most have in common."""'
        if self.probe:
            yield '        asked = {"readiness": probe, "liveness": probe}'
            usual["**"] = Name("asked")
        if usual:
            yield from printed(usual, "usual: dict[str, Any] = ", 8)
        rest = Name("{**usual, **given}" if usual else "given")
        yield from printed(Call("Microservice", (scopes[self._group], Name("name")), {**own, "**": rest}), "return ", 8)
        yield ""

    def named(self, value: Any) -> Any:
        """Return the name of a value that stands in several places, else the value."""
        if not isinstance(value, Call):
            return value
        text = flat(value)
        return next((Name(name) for name, each in self.constants.items() if flat(each) == text), value)


def _shared_variables(programs: Sequence[Program]) -> dict[str, Any]:
    """Return the variables that most programs have in common, if that saves lines: three or more."""
    owners: dict[tuple[str, str], list[int]] = {}
    for number, program in enumerate(programs):
        for name, value in program.arguments.get("env", {}).items():
            owners.setdefault((name, flat(value)), []).append(number)
    groups: dict[tuple[int, ...], list[tuple[str, str]]] = {}
    for key, numbers in owners.items():
        groups.setdefault(tuple(numbers), []).append(key)
    fitting = {who: keys for who, keys in groups.items() if len(who) > 1 and len(keys) > 2}
    if not fitting:
        return {}
    who, keys = max(fitting.items(), key=lambda item: (len(item[0]) - 1) * len(item[1]))
    env = programs[who[0]].arguments["env"]
    return {name: env[name] for name, _ in keys}


def _is_asked_once(program: Program) -> str:
    """Return the probe that tells whether a program is ready and alive; nothing if there are two, or none."""
    ready, alive = (program.arguments.get(name) for name in ("readiness", "liveness"))
    return flat(ready) if ready is not None and alive is not None and flat(ready) == flat(alive) else ""


def _pattern(program: Program) -> str:
    image = program.arguments.get("image")
    if not isinstance(image, str) or "{" in image:
        return ""
    front, slash, rest = image.rpartition("/")
    name, mark, tag = rest.partition(":")
    return f"{front}{slash}{{}}{mark}{tag}" if name == program.id else ""


def _named_constants(programs: Sequence[Program]) -> dict[str, Call]:
    """Return what stands in several places, by the name that it gets."""
    values = [
        value
        for each in programs
        for name, value in each.arguments.items()
        if name in (*_PROBES, "resources") and isinstance(value, Call)
    ]
    counted = Counter(map(flat, values))
    many = {flat(each): each for each in values if counted[flat(each)] > 1}
    sizes = sorted((each for each in many.values() if each.name == "Resources"), key=_size)
    names = {1: ["SMALL"], 2: ["SMALL", "LARGE"], 3: ["SMALL", "MEDIUM", "LARGE"]}.get(len(sizes), [])
    found = dict(zip(names or [f"SIZE_{number + 1}" for number in range(len(sizes))], sizes, strict=True))
    for text, each in sorted(many.items(), key=lambda item: (-counted[item[0]], item[0])):
        if each.name == "Resources":
            continue
        timing, kind = _timing_name(each), each.name.upper() if each.name != "Exec" else "COMMAND"
        whole, number = f"{kind}_{timing}" if timing else kind, 2
        name = timing if timing and timing not in found else whole
        while name in found:
            name = f"{whole}_{number}"
            number += 1
        found[name] = many[text]
    return found


def _size(value: Call) -> tuple[float, float]:
    cpu, memory, *limit = value.arguments
    try:
        return float(parse_quantity((limit or [memory])[0])), float(parse_quantity(cpu))
    except ValueError:
        return 0.0, 0.0


def _timing_name(value: Call) -> str:
    """Return what a probe is called by when it asks; nothing where that is the default of Kubernetes."""
    parts = []
    if delay := value.named.get("delay_seconds"):
        parts.append(f"AFTER_{delay}S")
    if (period := value.named.get("period_seconds", 10)) != 10:
        parts.append(f"EVERY_{period}S")
    return "_".join(parts)

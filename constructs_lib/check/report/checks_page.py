"""The page of all checks, docs/checks.md, which is generated from the checks themselves."""

from collections.abc import Iterable
from pathlib import Path
from string import Template

from constructs_lib.check.asks import ASKS
from constructs_lib.check.finding import WAIVERS, Check, Severity, checks_of
from constructs_lib.check.proofs import PROOFS

#: Where the page stands in the repository.
PAGE = "docs/checks.md"
_ADDRESS = f"https://github.com/position-pal/gitops/blob/main/{PAGE}"
#: The table of judges stands between these two lines; ``bench/judges.py`` writes it.
BEGIN, END = "<!-- judges: begin -->", "<!-- judges: end -->"


def url(check: Check) -> str:
    """Return the address of the section of a check."""
    return f"{_ADDRESS}#{check.code}"


def render(judges: str = "") -> str:
    """Return the page, with what stands between the two marks."""
    rows = [f"| [{it.name}](#{it.name}) | {it.title} | {len(it.checks)} |\n" for it in PROOFS]
    template = Path(__file__).with_suffix(".md").read_text(encoding="utf-8")
    return Template(template).substitute(
        proofs="".join(rows),
        sections="".join(f"## {proof.name}\n\n{proof.title}\n\n{_sections(proof.checks)}" for proof in PROOFS),
        waivers=_sections(checks_of(WAIVERS)),
        judges=f"{BEGIN}\n{judges}{END}",
    )


def judges_of(page: str) -> str:
    """Return what stands between the two marks of a page; nothing if it has no marks."""
    _, begin, rest = page.partition(f"{BEGIN}\n")
    judges, end, _ = rest.partition(END)
    return judges if begin and end else ""


def _sections(checks: Iterable[Check]) -> str:
    return "".join(
        f"### {check.code}\n\n**{check.severity.value.capitalize()}**: {check.title.removesuffix('.')}.\n\n"
        f"- If it is left: {check.why}\n- To fix it: {check.fix}\n{_ask(check)}{_last(check)}{_source(check.source)}\n"
        for check in checks
    )


def _ask(check: Check) -> str:
    then = "a warning" if check.severity is Severity.ERROR else "no finding"
    text = f"- To ask for it: annotate the object with `{ASKS}{check.code}` and the reason; then it is {then}.\n"
    return text if check.askable else ""


def _last(check: Check) -> str:
    return "- A waiver of it needs no last day: what is missing may come from elsewhere.\n" if check.lasting else ""


def _source(text: str) -> str:
    words = (f"<{word}>" if word.startswith("https://") else word for word in text.split(" "))
    return f"- Source: {' '.join(words)}\n" if text else ""

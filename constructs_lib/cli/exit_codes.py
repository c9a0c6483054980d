"""How commands end, for whoever calls them from a script."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of all commands."""

    DONE = 0
    REFUSED = 1
    WRONG_USAGE = 2
    NOT_JUDGED = 3
    #: EX_SOFTWARE of sysexits.h.
    INTERNAL_FAULT = 70
    #: As shells have it for SIGINT.
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """What it tells."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "What was asked for is done, or there is nothing to do.",
    ExitCode.REFUSED: "The declaration has mistakes, or something does not hold, is refused or could not be done.",
    ExitCode.WRONG_USAGE: "Wrong usage: an option, an environment or a file that there is not, or no app to run.",
    ExitCode.NOT_JUDGED: "`check` and `plan` could look at nothing: charts alone, or a revision that Git cannot read.",
    ExitCode.INTERNAL_FAULT: "A fault of the library, with its traceback.",
    ExitCode.INTERRUPTED: "Ctrl-C.",
}

#: What makes each command exit with 1, beside mistakes in the declaration.
REFUSALS = {
    "synth": "files of others in the folders of the generator; with `--check`, files that are not up to date.",
    "plan": "with `--strict`, a change that is dangerous or widens rights, and that no `--allow` names.",
    "check": "an error; with `--strict`, a warning; with `--can`, that the one cannot reach the other.",
    "publish": "a change that is dangerous or widens rights, and that no `--allow` names; an error that `check` finds; "
    "Git, or the remote, that does not take the commits.",
    "promote": "as of publish; an environment that is not healthy with what it runs, or is not known to be.",
    "rehearse": "what did not happen in order, as planned, or at all; a program that is needed and not there.",
    "graph": "with `--docs --check`, files that are not up to date.",
    "observe": "with `--docs --check`, files that are not up to date.",
    "why": "",
}

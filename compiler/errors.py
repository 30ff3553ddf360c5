"""What can go wrong with a user's input, in one form for every command.

A problem says where it is, what is wrong and what would be right; an `InputError` carries every
problem of a run at once. The command line prints them and exits with 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

# A run over a broken 40 MB dump may find a problem in every line: this many are reported in full.
MAX_REPORTED = 100

# Where the name of the argument belongs in a message or a hint. No value has this character there:
# values are quoted by `shorten`, which escapes it.
ARGUMENT = "\N{OBJECT REPLACEMENT CHARACTER}"

Spelling = Callable[[str], str]
"""Takes an argument of the library, as Python callers write it, to the name that a reader knows."""


def as_in_python(argument: str) -> str:
    """Spell an argument for callers of the library: as it is."""
    return argument


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the input.

    `line` and `column` count from 1 and are None where the problem has no place in the text (an
    argument, a file that is missing). `subject` is the object that it is about (`Service
    default/web`), `field` the path inside it (`spec.ports[0].port`); either may be empty.

    `argument` is the argument of the library that the value came from, or that would help (`node`,
    `kube_version`): Python callers read that name, users of the command the option's. It is printed
    where the message or the hint has `ARGUMENT`, and otherwise as the place, in front.
    """

    file: str
    message: str
    hint: str = ""
    line: int | None = None
    column: int | None = None
    subject: str = ""
    field: str = ""
    argument: str = ""

    @classmethod
    def of_argument(cls, argument: str, message: str, hint: str = "") -> Problem:
        """Make a problem with an argument's value, which is in no file."""
        return cls("", message, hint, argument=argument)

    def text(self, spelling: Spelling = as_in_python) -> str:
        """Return `file:line:column: object: field: what is wrong; what would be right`."""
        name = spelling(self.argument) if self.argument else ""
        message, hint = self.message, self.hint
        if name:
            message, hint = (part.replace(ARGUMENT, name) for part in (message, hint))
        is_named = (message, hint) != (self.message, self.hint)
        parts = [self._place() or ("" if is_named else name), self.subject, self.field, message]
        text = ": ".join(part for part in parts if part)
        return f"{text}; {hint}" if hint else text

    def _place(self) -> str:
        place = self.file if self.file.isprintable() else ascii(self.file)
        if self.line is not None:
            place += f":{self.line}"
            if self.column is not None:
                place += f":{self.column}"
        return place

    def __str__(self) -> str:
        return self.text()


class InputError(Exception):
    """The input can't be used; `problems` has all that is wrong with it, in reading order.

    `warnings` are what would have been reported had it been usable.
    """

    def __init__(
        self, problems: Problem | Iterable[Problem], warnings: Iterable[Problem] = ()
    ) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.warnings = tuple(warnings)
        super().__init__(*self.problems)

    def text(self, spelling: Spelling = as_in_python) -> str:
        """Return one line per problem; past `MAX_REPORTED` of them, how many more there are."""
        lines = [problem.text(spelling) for problem in self.problems[:MAX_REPORTED]]
        if len(self.problems) > MAX_REPORTED:
            lines.append(f"... and {len(self.problems) - MAX_REPORTED} more problems")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text()

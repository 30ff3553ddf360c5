"""What can go wrong with a user's input, in one form for every command.

A problem says where it is, what is wrong and what would be right; an `InputError` carries every
problem of a run at once. The command line prints them and exits with 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# A run over a broken 40 MB dump may find a problem in every line: this many are told in full.
MAX_REPORTED = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the input.

    `line` and `column` count from 1 and are None where the problem has no place in the text (an
    option of the command line, a file that is missing). `subject` is the object that it is about
    (`Service default/web`), `field` the path inside it (`spec.ports[0].port`); either may be empty.
    """

    file: str
    message: str
    hint: str = ""
    line: int | None = None
    column: int | None = None
    subject: str = ""
    field: str = ""

    def __str__(self) -> str:
        """`file:line:column: object: field: what is wrong; what would be right`."""
        place = self.file if self.file.isprintable() else ascii(self.file)
        if self.line is not None:
            place += f":{self.line}"
            if self.column is not None:
                place += f":{self.column}"
        parts = [place, self.subject, self.field, self.message]
        text = ": ".join(part for part in parts if part)
        return f"{text}; {self.hint}" if self.hint else text


class InputError(Exception):
    """The input can't be used; `problems` says all that is wrong with it, in reading order.

    `warnings` are what would have been worth a word had it been usable.
    """

    def __init__(
        self, problems: Problem | Iterable[Problem], warnings: Iterable[Problem] = ()
    ) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.warnings = tuple(warnings)
        super().__init__(*self.problems)

    def __str__(self) -> str:
        """One line a problem; past `MAX_TOLD` of them, how many more there are."""
        lines = [str(problem) for problem in self.problems[:MAX_REPORTED]]
        if len(self.problems) > MAX_REPORTED:
            lines.append(f"... and {len(self.problems) - MAX_REPORTED} more problems")
        return "\n".join(lines)

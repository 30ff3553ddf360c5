"""The help of commands: examples, the command's own options, then the shared ones by topic.

click's own formatter draws the page. For a command of thirty options cloup takes 40 ms longer and
rich-click 90 ms, where click needs 60 ms with the interpreter's start.

A command opts in with `@click.command("diff", cls=Command, examples=[...])`; its options are
declared with `option(...)`, which takes a `section`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import click
from click.formatting import measure_table

F = TypeVar("F", bound=Callable[..., Any])

# Help is as wide as a classic terminal; wider lines are tiring to read.
MAX_WIDTH = 80
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": MAX_WIDTH}
# Options longer than this have their text on the next line.
_COLUMN, _NARROW_COLUMN, _NARROW = 26, 20, 70
_GAP = 2


# Stands for a hyphen inside a word while lines are broken.
_UNBROKEN = "\N{NON-BREAKING HYPHEN}"
_INNER_HYPHEN = re.compile(r"(?<=\w)-(?=\w)")


class Formatter(click.HelpFormatter):
    """click's formatter, but names such as `--cluster-cidr` are not broken at their hyphens."""

    def write(self, string: str) -> None:
        """Write a text that is in lines already."""
        super().write(string.replace(_UNBROKEN, "-"))

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        super().write_text(_INNER_HYPHEN.sub(_UNBROKEN, text))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write terms and their descriptions, in two columns."""
        kept = [(term, _INNER_HYPHEN.sub(_UNBROKEN, text)) for term, text in rows]
        super().write_dl(kept, col_max, col_spacing)


class Context(click.Context):
    """The context of commands whose help this module prints."""

    formatter_class = Formatter


class Section(StrEnum):
    """Topics of options, in the order of the help."""

    OWN = "Options"
    FLEET = "Many nodes"
    INPUT = "What to compile"
    NODE = "The node"
    SETTINGS = "kube-proxy's settings"
    OUTPUT = "Output"


class Option(click.Option):
    """An option that belongs to a section of the help."""

    def __init__(self, *args: Any, section: Section = Section.OWN, **kwargs: Any) -> None:
        self.section = section
        super().__init__(*args, **kwargs)


def option(
    *declarations: str, section: Section = Section.OWN, **attributes: Any
) -> Callable[[F], F]:
    """Declare an option, as `click.option` does, in a section of the help."""
    return click.option(*declarations, cls=Option, section=section, **attributes)


class WithExamples(click.Command):
    """A command or group with examples, given as shell commands."""

    context_class = Context

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        self.examples = tuple(examples)
        super().__init__(*args, **kwargs)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the description and the examples below it."""
        super().format_help_text(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(_shell_command(example, formatter))


class Command(WithExamples):
    """A command with examples, and options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by section; `--help` is last."""
        sections: dict[Section, list[tuple[str, str]]] = {section: [] for section in Section}
        last: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None or not isinstance(parameter, click.Option):
                continue
            if parameter is self.get_help_option(ctx):
                last.append(record)
            else:
                section = getattr(parameter, "section", Section.OWN)
                sections[section].append(record)
        shown = {section: rows for section, rows in sections.items() if rows}
        if last:
            shown.setdefault(next(reversed(shown), Section.OWN), []).extend(last)
        _write_sections(shown, formatter)


def _write_sections(
    sections: dict[Section, list[tuple[str, str]]], formatter: click.HelpFormatter
) -> None:
    """Write every section with its texts in the same column."""
    limit = _NARROW_COLUMN if formatter.width < _NARROW else _COLUMN
    widths = {section: min(measure_table(rows)[0], limit) for section, rows in sections.items()}
    for section, rows in sections.items():
        gap = _GAP + max(widths.values()) - widths[section]
        with formatter.section(section):
            formatter.write_dl(rows, col_max=limit, col_spacing=gap)


def _shell_command(command: str, formatter: click.HelpFormatter) -> str:
    """Wrap a shell command so that it can still be pasted: with a backslash at each line's end.

    One that does not fit is broken after its pipes first.
    """
    indent = " " * formatter.current_indent
    if len(indent + command) <= formatter.width:
        return f"{indent}{command}\n"
    limit = formatter.width - len(" \\")
    lines = [indent]
    for word in command.split(" "):
        full = len(lines[-1]) + len(word) >= limit and lines[-1].strip()
        if full or lines[-1].endswith(" |"):
            lines.append(indent + "    ")
        lines[-1] += word if lines[-1].isspace() else f" {word}"
    return " \\\n".join(lines) + "\n"

"""The documentation of a rule, which is the docstring of its class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import cleandoc

from compiler.analysis.lint.rule import LintRule

SECTIONS = ("What goes wrong", "Why", "Bad example", "Good example", "References")
"""The sections of every rule's docstring, in this order."""

KINDS = ("yaml", "rules", "arguments")
"""What examples are made of: manifests, dumps of nodes, and options of the command."""

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ISSUE = re.compile(r"\b([\w.-]+/[\w.-]+)#(\d+)\b")


@dataclass(frozen=True)
class Documentation:
    """A rule's documentation: its first sentence, and the text of each section."""

    title: str
    sections: Mapping[str, str]

    @property
    def symptom(self) -> str:
        """The first paragraph of what goes wrong, in one line."""
        return " ".join(self.sections["What goes wrong"].partition("\n\n")[0].split())

    def blocks(self, section: str) -> list[tuple[str, str]]:
        """Return the fenced blocks of a section: kind and text of each."""
        return [(kind, text) for kind, text in _BLOCK.findall(self.sections[section])]


def documentation(rule: type[LintRule]) -> Documentation:
    """Read a rule's docstring. Raises ValueError where it is not in the form of all rules."""
    title, *parts = _HEADING.split(cleandoc(rule.__doc__ or ""))
    names, texts = parts[::2], [text.strip() for text in parts[1::2]]
    if tuple(names) != SECTIONS or not title.strip() or not all(texts):
        message = f"{rule.__name__}: the sections of its docstring must be {', '.join(SECTIONS)}"
        raise ValueError(message)
    found = Documentation(" ".join(title.split()), dict(zip(names, texts, strict=True)))
    for section in ("Bad example", "Good example"):
        kinds = {kind for kind, _ in found.blocks(section)}
        if not kinds or not kinds <= set(KINDS):
            message = f"{rule.__name__}: blocks of its examples must be {', '.join(KINDS)}"
            raise ValueError(message)
    return found


def page(rule: type[LintRule]) -> str:
    """Return a rule's page of the documentation, in Markdown."""
    found = documentation(rule)
    parts = [
        f"# {rule.id} `{rule.name}`",
        found.title,
        f"Severity: {rule.severity}. On the command line: `proxyrules lint --explain {rule.id}`.",
    ]
    for name, text in found.sections.items():
        linked = _linked(text) if name == "References" else text
        parts += [f"## {name}", linked]
    return "\n\n".join(parts) + "\n"


def _linked(text: str) -> str:
    """Turn `owner/repository#1` into a link."""
    return _ISSUE.sub(r"[\1#\2](https://github.com/\1/issues/\2)", text)

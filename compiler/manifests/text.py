"""The text of a source: its encoding, its format, and the objects' outline for the YAML reader."""

from __future__ import annotations

import re
from dataclasses import replace

from compiler.manifests.schema import KINDS
from compiler.manifests.unused import is_noted
from compiler.yaml import fast
from compiler.yaml.plain import SyntaxProblem

BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"

# Where a JSON text shows itself: a brace, and then a quoted key or nothing.
HEAD = 4096
_JSON_START = re.compile(rb"\s*\{\s*(?:[\"}]|\Z)")

_FROM_KUBECTL = "use the output of kubectl get -o yaml or -o json"
_OTHER_FORMATS = (
    (
        re.compile(rb"\s*+(?:NAMESPACE ++)?NAME(?: {2,}[A-Z][-A-Z0-9()/]*+)+ *+\r?\n"),
        "this is kubectl's table output, which leaves fields out",
        _FROM_KUBECTL,
    ),
    (
        re.compile(
            rb"(?:\s*+#[^\n]*+\n)*\s*+"
            rb"(?:\*(?:nat|filter|mangle|raw|security)[ \r]*+\n|(?:-[AINP]|:) ?[A-Z][-A-Z0-9_]++ )"
        ),
        "these are iptables rules, not manifests",
        f"to compile, {_FROM_KUBECTL}; to compare rules, use diff or verify",
    ),
    (
        re.compile(rb"(?:\s*+#[^\n]*+\n)*\s*+table (?:ip6?|inet) \S++ \{"),
        "this is an nftables ruleset, not manifests",
        _FROM_KUBECTL,
    ),
)

# Kinds that are read whole. Those of another group with the same name are sorted out afterwards.
_READ = frozenset(name.encode() for kind in KINDS for name in (kind, f"{kind}List")) | {b"List"}


def _is_read(kind: bytes) -> bool:
    """Whether an object of a kind is read beyond it: to be compiled, or to be warned about."""
    return kind in _READ or is_noted(kind.decode())


OUTLINE = fast.Outline(
    type_key=b"kind",
    head_keys=(b"apiVersion", b"kind"),
    is_read=_is_read,
    list_key=b"items",
    list_type=b"List",
)
"""Objects of other kinds are skipped: they are not read beyond their apiVersion and kind."""

WHOLE = replace(OUTLINE, is_read=lambda _: True)
"""Objects of every kind are read, as the control plane's work needs them."""


def decode(text: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark. Raises `SyntaxProblem`."""
    try:
        return text.decode().removeprefix(BOM)
    except UnicodeDecodeError as error:
        before = text[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        message = f"not UTF-8: the byte 0x{text[error.start]:02x}"
        raise SyntaxProblem(message, "save the file as UTF-8", line, column) from error


def is_json(text: str | bytes) -> bool:
    """Whether a text is JSON: `{a: 1}` is YAML, and so are JSON documents with `---` between."""
    return begins_as_json(text) and not _has_marker(text)


def begins_as_json(text: str | bytes) -> bool:
    """Whether a text is JSON up to its first key."""
    head = text[:HEAD].encode() if isinstance(text, str) else text[:HEAD]
    return _JSON_START.match(head) is not None


def group_of(version: object) -> str:
    """Return the API group of an apiVersion; the core group is empty."""
    return str(version).rpartition("/")[0]


def other_format(text: bytes) -> tuple[str, str] | None:
    """Return message and hint where a text is in a format that people mistake for manifests."""
    for pattern, message, hint in _OTHER_FORMATS:
        if pattern.match(text):
            return message, hint
    return None


def _has_marker(text: str | bytes) -> bool:
    # No JSON has such a line: its strings can't hold line breaks.
    return "\n---" in text if isinstance(text, str) else b"\n---" in text

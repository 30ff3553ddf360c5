"""What checking one dump gave: small, and the same after a trip through JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from compiler.analysis.findings import KINDS, Finding

# Findings that a result has in full; a dump of another cluster has thousands.
MAX_FINDINGS = 100

_STALE_ENDPOINTS = ("unknown-endpoint", "missing-endpoint")
_STALE_SERVICES = ("unknown-service", "missing-service")
_STALE = frozenset((*_STALE_ENDPOINTS, *_STALE_SERVICES))
_FOREIGN = frozenset(("foreign-rule",))


class State(StrEnum):
    """What a dump shows of its node, the worst first."""

    UNREADABLE = "unreadable"
    UNKNOWN = "unknown node"
    NO_KUBE_PROXY = "no kube-proxy"
    DRIFTED = "drifted"
    FOREIGN = "foreign rules"
    STALE = "stale"
    CLEAN = "clean"
    NOT_CHECKED = "not checked"


class DumpResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of one dump.

    `digest` is that of its stored bytes, empty where they could not be read. `problem` is why it
    was not checked, with a `hint` and, if the text is at fault, a `line`. `is_dump` is false for a
    file that turned out to be none, `unknown` is true where the manifests have no such node, and
    `left_out` where the dump has only rules of the other IP family.
    `findings` are the first `MAX_FINDINGS`, `counts` has all of them by kind. `rules` and `chains`
    of the expected ones were compared, `generated` is when the dump says that it was made, in the
    node's own time.
    """

    node: str
    name: str
    digest: str = ""
    problem: str = ""
    hint: str = ""
    line: int = 0
    is_dump: bool = True
    unknown: bool = False
    left_out: bool = False
    findings: tuple[Finding, ...] = ()
    counts: dict[str, int] = {}
    rules: int = 0
    chains: int = 0
    generated: datetime | None = None

    @property
    def state(self) -> State:
        """What the dump shows, in one word."""
        kinds = {kind for kind in self.counts if KINDS[kind][0] == "error"}
        if self.left_out:
            return State.NOT_CHECKED
        if self.problem:
            return State.UNKNOWN if self.unknown else State.UNREADABLE
        if "no-kube-proxy" in kinds:
            return State.NO_KUBE_PROXY
        if kinds - _STALE - _FOREIGN:
            return State.DRIFTED
        if kinds & _FOREIGN:
            return State.FOREIGN
        return State.STALE if kinds else State.CLEAN

    def count(self, kinds: Sequence[str]) -> int:
        """Return how many findings of these kinds there are."""
        return sum(self.counts.get(kind, 0) for kind in kinds)

    @property
    def stale_endpoints(self) -> int:
        """How many endpoints only one of the dump and the manifests has."""
        return self.count(_STALE_ENDPOINTS)

    @property
    def stale_services(self) -> int:
        """How many service ports only one of the dump and the manifests has."""
        return self.count(_STALE_SERVICES)

    @property
    def errors(self) -> int:
        """How many findings are errors, those of a stale dump left out."""
        return sum(
            count
            for kind, count in self.counts.items()
            if KINDS[kind][0] == "error" and kind not in _STALE
        )

    @property
    def not_listed(self) -> int:
        """How many findings are counted only."""
        return sum(self.counts.values()) - len(self.findings)


def of_findings(
    node: str,
    name: str,
    digest: str,
    findings: Sequence[Finding],
    sizes: tuple[int, int],
    generated: datetime | None,
) -> DumpResult:
    """Make the result of a dump that was checked; `sizes` are the rules and chains compared."""
    return DumpResult(
        node,
        name,
        digest,
        findings=tuple(map(_printable, findings[:MAX_FINDINGS])),
        counts=dict(Counter(finding.kind for finding in findings)),
        rules=sizes[0],
        chains=sizes[1],
        generated=generated,
    )


def _printable(finding: Finding) -> Finding:
    """Return a finding whose texts can be written as UTF-8: comments may hold any bytes."""
    texts = (finding.message, finding.chain, finding.service, finding.expected, finding.found)
    if all(map(_is_utf8, texts)):
        return finding
    message, chain, service, expected, found = map(_escaped, texts)
    return Finding(
        finding.kind, message, finding.table, chain, service, expected, found, finding.line
    )


def _is_utf8(text: str) -> bool:
    return text.isascii() or _escaped(text) == text


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()

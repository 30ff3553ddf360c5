"""Rules that a dump shows in part: written by a newer iptables than the one that dumped them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from compiler.analysis.findings import Finding, rules_in_words
from compiler.analysis.rule_diff import changed_fields, fields
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import Ruleset

_UNSUPPORTED = "[unsupported revision]"


def old_dump_findings(found: Ruleset, changed: Sequence[tuple[Rule, Rule]]) -> Iterator[Finding]:
    """Say that the dump, not the node, is the likely fault.

    So where iptables itself marks what it can't read, and where an option vanished from several
    rules (`changed`: expected and found) and no rule of the same chains shows it.
    """
    program = f"iptables {found.version}" if found.version else "the iptables"
    advice = (
        f"{program} that made this dump is likely older than the one that wrote the rules:"
        " dump them with the iptables that kube-proxy uses"
    )
    marked = [unknown for unknown in found.unknown if _UNSUPPORTED in unknown.words]
    if marked:
        words = ", ".join(dict.fromkeys(unknown.words for unknown in marked))
        yield Finding("old-dump", f"{words}: {advice}", line=marked[0].line)
        return
    vanished: Counter[str] = Counter()
    for before, after in changed:
        lost = [(name, new) for name, _, new in changed_fields(before, after) if name[:1] == "-"]
        if lost and all(new is None for _, new in lost):
            vanished.update(name for name, _ in lost)
    still = {name for _, after in changed for name in fields(after)}
    for name, count in vanished.items():
        if count > 1 and name not in still:
            yield Finding("old-dump", f"{rules_in_words(count)} of the dump lack {name}: {advice}")

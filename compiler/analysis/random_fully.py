"""`--random-fully`, which kube-proxy leaves out where the node's iptables does not know it."""

from __future__ import annotations

from msgspec.structs import replace

from compiler.analysis.rule_diff import changed_fields, diff_chain
from compiler.netfilter.chain import Chain
from compiler.netfilter.content import Content
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.table import replacing

_OPTION = "--random-fully"
# pkg/util/iptables, randomFullyMinVersion
_FIRST_VERSION = (1, 6, 2)
# The only chain whose rules kube-proxy writes with the option (syncProxyRules).
_TABLE, _CHAIN = "nat", "KUBE-POSTROUTING"


def why_left_out(before: Rule, after: Rule, version: str) -> str:
    """Say why `after` lacks the option, if that is all that differs and `version` explains it.

    `version` is the iptables that printed `after`; one that is not known explains nothing.
    """
    numbers = tuple(int(part) for part in version.split(".") if part.isdigit())
    if not numbers or numbers >= _FIRST_VERSION:
        return ""
    if changed_fields(before, after) != [(_OPTION, "", None)]:
        return ""
    return f"iptables {version} does not know it, so kube-proxy leaves it out"


def without_left_out(old: Ruleset, new: Ruleset) -> tuple[Ruleset, Ruleset, tuple[str, ...]]:
    """Remove the option from one side where the other side's iptables does not know it.

    Returns both sides and what was removed.
    """
    new, of_old = _like(new, old, "OLD")
    old, of_new = _like(old, new, "NEW")
    return old, new, (*of_old, *of_new)


def _like(ruleset: Ruleset, lacking: Ruleset, name: str) -> tuple[Ruleset, tuple[str, ...]]:
    """Write rules as `lacking`, named `name`, has them where its iptables explains the change."""
    chain, there = ruleset.chain(_TABLE, _CHAIN), lacking.chain(_TABLE, _CHAIN)
    if chain is None or there is None or not chain.content.mentions(_OPTION):
        return ruleset, ()
    texts: dict[str, str] = {}
    words: list[str] = []
    for before, after in diff_chain(chain.rules, there.rules).changed:
        if why := why_left_out(before, after, lacking.version):
            texts[before.text] = after.text
            words.append(f"{_CHAIN} of {name}: {_OPTION} is missing: {why}")
    if not words:
        return ruleset, ()
    table = replacing(ruleset.table(_TABLE), {_CHAIN: _rewritten(chain, texts)})
    return replace(ruleset, tables={**ruleset.tables, _TABLE: table}), tuple(words)


def _rewritten(chain: Chain, texts: dict[str, str]) -> Chain:
    """Return a chain with other text for some of its rules."""
    written = [texts.get(text, text) for text in chain.texts()]
    return Chain(
        chain.name,
        Content(chain.content.shapes, texts=written),
        policy=chain.policy,
        line=chain.line,
        numbers=chain.numbers,
    )

"""How two versions of one chain differ: rules missing, extra, duplicate, changed or moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from compiler.netfilter.chain_diff import longest_rising
from compiler.netfilter.matches.inert import Accounting, Comment
from compiler.netfilter.rule import Rule
from compiler.netfilter.target import Jump

# More pairs than this are not weighed one against the other: a chain that is so different was
# not edited, it is another one.
_MAX_PAIRS = 40_000


# What traffic a rule takes, None for rules that take any.
OrderKey = Callable[[Rule], Hashable | None]


@dataclass(frozen=True, slots=True)
class ChainDiff:
    """What it takes to get from the expected rules of a chain to those found.

    `changed` pairs an expected rule with the one found in its place; `moved` are rules found that
    are at another place among those that both have.
    """

    missing: tuple[Rule, ...] = ()
    extra: tuple[Rule, ...] = ()
    duplicate: tuple[Rule, ...] = ()
    changed: tuple[tuple[Rule, Rule], ...] = ()
    moved: tuple[Rule, ...] = ()


def uncounted(rule: Rule) -> str:
    """Return a rule's text without nfacct, which counts packets and does nothing to them."""
    if "-m nfacct" not in rule.text:
        return rule.text
    matches = [str(match) for match in rule.matches if not isinstance(match, Accounting)]
    return " ".join([*rule.header.words(), *matches, *([str(rule.target)] if rule.target else [])])


def diff_chain(
    expected: Sequence[Rule],
    found: Sequence[Rule],
    order_key: OrderKey | None = None,
) -> ChainDiff:
    """Compare the rules of a chain.

    `order_key` says which rules may change places: rules with different keys take different
    traffic, so that only their order against rules with the same key, or without one (None),
    matters. Without it every rule's place matters.
    """
    kept, missing = _part(expected, found)
    common, beyond = _part(found, expected)
    known = {uncounted(rule) for rule in expected}
    extra = [rule for rule in beyond if uncounted(rule) not in known]
    changed = _pair(missing, extra)
    paired = {id(rule) for pair in changed for rule in pair}
    return ChainDiff(
        tuple(rule for rule in missing if id(rule) not in paired),
        tuple(rule for rule in extra if id(rule) not in paired),
        tuple(rule for rule in beyond if uncounted(rule) in known),
        tuple(changed),
        tuple(_moved(kept, common, order_key)),
    )


def _part(rules: Sequence[Rule], others: Sequence[Rule]) -> tuple[list[Rule], list[Rule]]:
    """Part rules into those that the others have, as often as they do, and those beyond."""
    left = Counter(uncounted(rule) for rule in others)
    kept: list[Rule] = []
    beyond: list[Rule] = []
    for rule in rules:
        text = uncounted(rule)
        (kept if left[text] > 0 else beyond).append(rule)
        left[text] -= 1
    return kept, beyond


def _moved(expected: list[Rule], found: list[Rule], order_key: OrderKey | None) -> list[Rule]:
    """Return the fewest rules whose moving puts the found ones in the expected order."""
    if order_key:
        expected, found = _in_order(expected, order_key), _in_order(found, order_key)
    places: dict[str, list[int]] = {}
    for place, rule in enumerate(expected):
        places.setdefault(uncounted(rule), []).append(place)
    for several in places.values():
        several.reverse()
    wanted = [places[uncounted(rule)].pop() for rule in found]
    if all(place == index for index, place in enumerate(wanted)):
        return []
    staying = set(longest_rising(wanted))
    return [rule for index, rule in enumerate(found) if index not in staying]


def _in_order(rules: list[Rule], order_key: OrderKey) -> list[Rule]:
    """Sort each run of rules that have a key by it; equal keys keep their order."""
    done: list[Rule] = []
    run: list[tuple[Hashable, Rule]] = []
    for rule in rules:
        key = order_key(rule)
        if key is None:
            done += [entry[1] for entry in sorted(run, key=lambda entry: repr(entry[0]))]
            done.append(rule)
            run = []
        else:
            run.append((key, rule))
    return done + [entry[1] for entry in sorted(run, key=lambda entry: repr(entry[0]))]


def _pair(missing: list[Rule], extra: list[Rule]) -> list[tuple[Rule, Rule]]:
    """Pair rules that look like one rule before and after a change of a field or two."""
    if not missing or not extra or len(missing) * len(extra) > _MAX_PAIRS:
        return []
    wanted = [fields(rule) for rule in missing]
    had = [fields(rule) for rule in extra]
    scored = []
    for one, first in enumerate(wanted):
        for other, second in enumerate(had):
            names = first.keys() | second.keys()
            differing = [name for name in names if first.get(name) != second.get(name)]
            # a comment says what a rule is for: with another one it is another rule
            if "comment" in differing and len(differing) > 1:
                continue
            if len(differing) <= 2 and 2 * len(differing) <= len(names):
                scored.append((len(differing), abs(one - other), one, other))
    scored.sort()
    pairs: dict[int, int] = {}
    for *_, one, other in scored:
        if one not in pairs and other not in pairs.values():
            pairs[one] = other
    return [(missing[one], extra[other]) for one, other in sorted(pairs.items())]


def fields(rule: Rule) -> dict[str, str]:
    """Return a rule's fields by the name that a user knows them by (`--dport`, `-s`, `-j`)."""
    header = rule.header
    asked = (
        ("-s", header.source and header.source.text),
        ("-d", header.destination and header.destination.text),
        ("-i", header.in_interface and header.in_interface.text),
        ("-o", header.out_interface and header.out_interface.text),
        ("-p", header.protocol and ("! " * header.protocol.negated + header.protocol.name)),
        ("-f", header.fragment),
    )
    found = {name: value for name, value in asked if value}
    if comments := [match.text for match in rule.matches if isinstance(match, Comment)]:
        found["comment"] = " ".join(comments)
    for match in rule.asking:
        for option in match.words or ("",):
            _add_field(found, option, f"-m {match.name}")
    if rule.target is not None:
        going = isinstance(rule.target, Jump) and rule.target.goto
        found["-g" if going else "-j"] = rule.target.name
        for option in rule.target.words:
            _add_field(found, option, "-j")
    return found


def _add_field(found: dict[str, str], option: str, unnamed: str) -> None:
    """Add an option as printed (`! --dport 80`)."""
    if option.startswith("["):
        # [unsupported revision]
        found[option] = ""
        return
    negated = option.startswith("! ")
    name, _, value = option.removeprefix("! ").partition(" ")
    found[name or unnamed] = f"! {value}" if negated else value


def changed_fields(expected: Rule, found: Rule) -> list[tuple[str, str | None, str | None]]:
    """Return name, expected and found value of each field that differs; None where it is missing.

    An option without a value (`--random-fully`) has an empty one.
    """
    before, after = fields(expected), fields(found)
    return [
        (name, before.get(name), after.get(name))
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]

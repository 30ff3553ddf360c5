"""One rule's line, compared with the rules of a ruleset."""

from __future__ import annotations

from contextlib import suppress

from compiler.errors import InputError
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.ruleset import Ruleset


def same_rules(ruleset: Ruleset, chain: str, line: str) -> bool:
    """Say whether a chain of any table has the rule of a line (`-A CHAIN …`).

    Counters do not matter, nor how the line is written. A line that can't be read is no rule.
    """
    for table, chains in ruleset.tables.items():
        found = chains.get(chain)
        if found is None:
            continue
        text = line[line.index("-A") if "-A" in line else 0 :]
        with suppress(InputError):
            read = parse_rules(
                f"*{table}\n:{chain} - [0:0]\n{text}\nCOMMIT\n", family=ruleset.family
            )
            wanted = {rule.effect for rule in read.rules(table, chain)}
            if any(rule.effect in wanted for rule in found.rules):
                return True
    return False

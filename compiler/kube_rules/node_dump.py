"""The rules of a node, of what its dump has of one IP family: one dump, or one of each backend."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from compiler.family import Family
from compiler.kube_rules.chains import holds_kube_proxy_rules, table_hint
from compiler.netfilter.dumps import Dump
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.ruleset import Ruleset


def read_node_dump(
    dumps: Sequence[Dump], name: str, family: Family | None, *, like: Ruleset | None = None
) -> tuple[int, list[Ruleset]]:
    """Parse the dumps of one file, and return which is meant (its place), and all of them.

    Where both backends were dumped into one file, the one with kube-proxy's rules is meant. `like`
    is a ruleset that most chains are expected to equal (`parse_rules`). Raises `InputError`.
    """
    rulesets = [
        _with_backend(
            parse_rules(
                dump.text, name, family=family or dump.family, like=like, table_hint=table_hint
            ),
            dump,
        )
        for dump in dumps
    ]
    best = max(range(len(rulesets)), key=lambda place: holds_kube_proxy_rules(rulesets[place]))
    return best, rulesets


def _with_backend(ruleset: Ruleset, dump: Dump) -> Ruleset:
    """Give a ruleset the backend of its dump where its own header does not name one."""
    if dump.backend is None or ruleset.backend == dump.backend:
        return ruleset
    return structs.replace(ruleset, backend=dump.backend)

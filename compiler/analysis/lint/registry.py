"""All rules, by id."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from inspect import isabstract

from compiler.analysis.lint import rules
from compiler.analysis.lint.rule import LintRule

GROUPS: Mapping[str, str] = {
    "PR0": "Suppressions",
    "PR1": "Affinity",
    "PR2": "Policies",
    "PR3": "Exposure",
    "PR4": "Endpoints",
    "PR5": "Configuration",
    "PR6": "Rules and dumps",
    "PR7": "Versions",
}
"""The groups of rules, by the beginning of their ids."""


@cache
def all_rules() -> Mapping[str, type[LintRule]]:
    """Return every rule by its id, in the order of the ids.

    They are the subclasses of `LintRule` in the modules of `compiler.analysis.lint.rules`.
    """
    found: dict[str, type[LintRule]] = {}
    for module in sorted(one.name for one in pkgutil.iter_modules(rules.__path__)):
        loaded = importlib.import_module(f"{rules.__name__}.{module}")
        for value in vars(loaded).values():
            if (
                isinstance(value, type)
                and issubclass(value, LintRule)
                and value.__module__ == loaded.__name__
                and not isabstract(value)
            ):
                if value.id in found:
                    message = f"{value.__name__} and {found[value.id].__name__} are both {value.id}"
                    raise ValueError(message)
                found[value.id] = value
    return dict(sorted(found.items()))


def group_of(rule_id: str) -> str:
    """Return the name of the group of a rule."""
    return GROUPS[rule_id[:3]]

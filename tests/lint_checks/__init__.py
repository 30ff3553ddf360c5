"""Independent checks of what the rules of `lint` report, by the id of the rule.

A check takes a generated cluster and returns the subjects of the findings that the rule must give
for it (`Service default/web`), worked out from the plain objects. It shares no code with the rule:
neither the plan nor the compiler. Modules here are found by themselves; register a check with
`@check("PR101")`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from tests.generated_clusters import Cluster

Check = Callable[[Cluster], set[str]]
_CHECKS: dict[str, Check] = {}


def check(rule_id: str) -> Callable[[Check], Check]:
    """Register the independent check of a rule."""

    def register(function: Check) -> Check:
        assert rule_id not in _CHECKS, f"two checks of {rule_id}"
        _CHECKS[rule_id] = function
        return function

    return register


def checks() -> dict[str, Check]:
    """Return every check by the id of its rule."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return _CHECKS

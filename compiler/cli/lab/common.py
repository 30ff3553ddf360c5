"""What the lab's commands share: which lab, its members and Services, tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import click

from compiler.family import Family
from compiler.lab.errors import LabUsageError
from compiler.lab.layout import NODE, Member, Role, Target
from compiler.lab.lifecycle import require_root
from compiler.lab.run_directory import DEFAULT_NAME, State, netns_name, read_state
from compiler.lab.services import resolve_service

NAME_VARIABLE = "PROXYRULES_LAB"

F = TypeVar("F", bound=Callable[..., Any])


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on alone
    """A length of time (`2`, `500ms`, `1m30s`) in seconds, `least` and a week at most."""

    name = "duration"
    most = 7 * 86400.0

    def __init__(self, least: float = 0) -> None:
        self.least = least

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a duration; fails as click's own types do."""
        from compiler.analysis.sticky.duration import seconds_of
        from compiler.analysis.sticky.errors import StickyError

        if isinstance(value, float):
            return value
        try:
            seconds = seconds_of(value)
        except StickyError as error:
            self.fail(f"{error}; {error.hint}", param, ctx)
        if not self.least <= seconds <= self.most:
            self.fail(f'"{value}" must be between {self.least:g}s and 168h', param, ctx)
        return seconds


def plot_option(help_: str) -> Callable[[F], F]:
    """Add `--plot`."""
    return click.option(
        "--plot", metavar="FILE", type=click.Path(), help=f"{help_} (.svg, .png or .pdf)."
    )


def name_option(command: F) -> F:
    """Add `--name`."""
    return click.option(
        "--name",
        envvar=NAME_VARIABLE,
        default=DEFAULT_NAME,
        show_default=True,
        metavar="LAB",
        help=f"The lab's name; the environment variable {NAME_VARIABLE} sets it, too.",
    )(command)


def the_lab(name: str) -> State:
    """Return a lab that is up. Raises LabError where it is not, or without root."""
    require_root()
    return read_state(name)


def node_namespace(state: State) -> str:
    """Return the namespace of the lab's node."""
    return netns_name(state.name, NODE)


def find_member(state: State, name: str | None) -> Member:
    """Find a member by name; without one, the first Pod that serves nothing, or the node.

    Raises LabUsageError where there is none of this name, with the names that there are.
    """
    members = state.layout.members
    if name is None:
        serving = {listener.member for listener in state.layout.listeners}
        pods = [one for one in members if one.role in {Role.LOCAL_POD, Role.FAR_POD}]
        return next((one for one in pods if one.name not in serving), members[0])
    found = state.layout.member(name)
    if found is None:
        known = ", ".join(sorted(member.name for member in members))
        raise LabUsageError(f'no member "{name}" in the lab; its members are: {known}')
    return found


def find_clients(state: State, pattern: str | None) -> list[Member]:
    """Find the members that a pattern such as `client-*` names; see `find_member` without one."""
    found = [one for one in state.layout.members if pattern and fnmatchcase(one.name, pattern)]
    return found or [find_member(state, pattern)]


def find_targets(state: State, service: str | None) -> list[Target]:
    """Find all service ports of `[NAMESPACE/]NAME`, or of every Service without one.

    Raises LabUsageError where the lab has none of it (see `resolve_service`).
    """
    targets = list(state.layout.targets)
    if service is None:
        return targets
    name = resolve_service(state.layout, service)
    return [target for target in targets if target.service == name]


def family_names(families: Iterable[Family]) -> str:
    """Name the IP families of a lab: `IPv4 and IPv6`."""
    return " and ".join(family.api_name for family in families)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Line columns up."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines)

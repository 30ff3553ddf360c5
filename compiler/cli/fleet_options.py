"""The options of commands that work on all nodes: what the fleet is, and who does the work."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from compiler.cli.help import Section, option

if TYPE_CHECKING:
    from compiler.fleet.scheduler import Scheduler

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class FleetOptions:
    """What the command line says about a fleet and who checks it."""

    fleet: str | None = None
    resume: str | None = None
    jobs: int | None = None
    scheduler: str | None = None

    @property
    def is_given(self) -> bool:
        """Whether any of them is."""
        return any(one is not None for one in (self.fleet, self.resume, self.jobs, self.scheduler))


def fleet_options(command: F) -> F:
    """Give a command `--fleet` and what belongs to it, as one argument `fleet`."""

    @functools.wraps(command)
    def with_fleet(*args: Any, **kwargs: Any) -> Any:
        names = ("fleet", "resume", "jobs", "scheduler")
        fleet = FleetOptions(**{name: kwargs.pop(name) for name in names})
        return command(*args, fleet=fleet, **kwargs)

    decorated: Any = scheduler_options(with_fleet)
    for one in reversed(_OPTIONS):
        decorated = one(decorated)
    result: F = decorated
    return result


_OPTIONS = (
    option(
        "--fleet",
        metavar="DUMPS",
        section=Section.FLEET,
        help="Check the dumps of many nodes: a folder or tar archive with files such as "
        "NODE.save or NODE/iptables-save.txt, or its URL.",
    ),
    option(
        "--resume",
        metavar="FILE",
        type=click.Path(dir_okay=False),
        section=Section.FLEET,
        help="Keep results in this file, and take those that it has.",
    ),
)


def scheduler_options(command: F) -> F:
    """Give a command `--jobs` and `--scheduler`."""
    jobs = option(
        "--jobs",
        metavar="N",
        type=click.IntRange(1),
        section=Section.FLEET,
        help="How many processes work; as many as cores by default.",
    )
    scheduler = option(
        "--scheduler",
        metavar="ADDRESS",
        section=Section.FLEET,
        help="The Dask cluster that does the work instead, such as tcp://host:8786.",
    )
    decorated: F = jobs(scheduler(command))
    return decorated


def make_scheduler(jobs: int | None, address: str | None) -> Scheduler:
    """Return who does the work: a Dask cluster, or as many processes as wanted or as cores."""
    from compiler.fleet.scheduler import dask, processes

    return processes(jobs) if address is None else dask(address)

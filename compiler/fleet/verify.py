"""All dumps of a fleet against the manifests of its cluster."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING

import msgspec

from compiler.compilation import Inputs, read_inputs
from compiler.errors import InputError, Problem
from compiler.fleet.dumps import Dump, Fleet, open_fleet
from compiler.fleet.names import EXPECTED
from compiler.fleet.report import FleetReport, make_report
from compiler.fleet.results import DumpResult
from compiler.fleet.scheduler import Lost, Scheduler, processes, run
from compiler.fleet.state import State
from compiler.manifests.source import Source
from compiler.proxy.service_port import count_service_ports

if TYPE_CHECKING:
    from compiler.fleet.expected import Expected

Progress = Callable[[int, int | None], object]
"""Takes what was done since it was last called, and of how much; None where that is not known."""


def verify_fleet(  # noqa: PLR0913  # all but the first two by name
    manifests: Sequence[str | os.PathLike[str] | Source] | os.PathLike[str] | Inputs,
    dumps: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | Source | None = None,
    flags: Mapping[str, object] | None = None,
    kube_version: str | None = None,
    ip_family: str | None = None,
    nfacct: bool = False,
    random_fully: bool = True,
    scheduler: Scheduler | None = None,
    resume: str | None = None,
    progress: Progress | None = None,
) -> FleetReport:
    """Check the dumps of many nodes against the rules that their manifests give.

    - `manifests`, `config`, `flags`, `kube_version`, `ip_family`, `nfacct` and `random_fully` are
      those of `compile_rules`; or `manifests` are `Inputs` that were read before, and
      `ip_family` is what was asked for then.
    - `dumps` is a folder, a tar archive, one dump, or a URL that fsspec knows (`s3://…`). Dumps and
      archives may be compressed with gzip or zstd. A dump's name has its node's:
      `NODE.save`, `NODE.rules`, `NODE.txt`, `NODE/iptables-save.txt`.
    - `scheduler`: who does the work (`processes()`, `dask("tcp://…")`); by default this process.
    - `resume`: a file that keeps results. The next call with it takes those whose dump, manifests
      and options are the same.
    - `progress`: called after every dump.

    What can't be read, has no node or can't be checked is in the report, and nothing of it stops
    the rest. Raises `InputError` where the manifests can't be used, there is no dump at all, or
    none that can be checked; `SchedulerError` where the scheduler can't work.
    """
    from compiler.fleet.expected import Expected

    if not isinstance(manifests, Inputs):
        manifests = read_inputs(
            manifests, config=config, flags=flags, kube_version=kube_version, ip_family=ip_family
        )
    expected = Expected(manifests, nfacct=nfacct, random_fully=random_fully)
    fleet = open_fleet(os.fspath(dumps), frozenset(expected.nodes))
    with ExitStack() as stack:
        state = None
        if resume is not None:
            state = stack.enter_context(State(resume, _digest(expected)))
        checks = _results(expected, fleet, scheduler or processes(1), state, progress)
        results = list(checks)
    others = 0
    if not ip_family:
        others = count_service_ports(manifests.manifests.services, manifests.family.other)
    return _report(expected, fleet, results, others)


def _report(
    expected: Expected, fleet: Fleet, results: Sequence[DumpResult], other_family: int
) -> FleetReport:
    """Make the report. Raises `InputError` where nothing could be checked."""
    report = make_report(
        fleet.name,
        expected.family,
        results,
        nodes=expected.nodes,
        problems=fleet.problems,
        others=fleet.others,
        other_family_service_ports=other_family,
        more_notes=expected.notes,
    )
    if not report.results:
        message = "no dumps found" + (f" among {report.others} files" if report.others else "")
        raise InputError([*report.problems, Problem(fleet.name, message, EXPECTED)])
    if not report.checked:
        raise InputError([*report.problems, *report.notes])
    return report


def _results(
    expected: Expected,
    fleet: Fleet,
    scheduler: Scheduler,
    state: State | None,
    progress: Progress | None,
) -> Iterator[DumpResult]:
    """Check every dump, and keep the results."""
    from compiler.fleet.check import check_dump

    under_way: list[Dump] = []
    known = state.known if state else {}

    def items() -> Iterator[Dump]:
        for dump in fleet.dumps():
            before = known.get(dump.name)
            item = replace(dump, known=before.digest) if before else dump
            under_way.append(replace(item, data=None))
            yield item

    for place, result in enumerate(run(check_dump, expected, items(), scheduler)):
        dump = under_way[place]
        done = _final(dump, result, known)
        if state and done is not known.get(dump.name):
            state.add(done)
        if progress:
            progress(dump.weight, fleet.total)
        yield done


def _final(dump: Dump, result: DumpResult | Lost, known: Mapping[str, DumpResult]) -> DumpResult:
    if isinstance(result, Lost):
        hint = "a dump that needs more memory than there is?"
        return DumpResult(dump.node, dump.name, problem=f"checking it {result}", hint=hint)
    before = known.get(dump.name)
    if before is not None and before.digest == result.digest and before.node == result.node:
        return before
    return result


def _digest(expected: Expected) -> str:
    """Return what results depend on besides the dump, in few letters."""
    inputs = expected.inputs
    objects = inputs.manifests
    config = {
        name: getattr(inputs.config, name)
        for name in inputs.config.__dataclass_fields__
        if name not in ("tell", "warnings")
    }
    parts = (
        metadata.version("proxyrules"),
        str(inputs.family.value),
        str(inputs.release),
        repr(sorted(config.items(), key=str)),
        repr((expected.nfacct, expected.random_fully)),
    )
    digest = hashlib.sha256("\0".join(parts).encode())
    for some in (objects.services, objects.endpoint_slices, objects.nodes):
        digest.update(msgspec.json.encode(some))
    return digest.hexdigest()

"""The dumps of many nodes: every fault on its node and no other, whoever does the work."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import weakref

import pytest

from compiler.analysis.findings import KINDS
from compiler.analysis.verify import verify_rules
from compiler.fleet.report import FleetReport
from compiler.fleet.results import State
from compiler.fleet.scheduler import dask, processes
from compiler.fleet.verify import verify_fleet
from compiler.netfilter.parse import parse_rules
from tests.benchmarks.generate import Shape
from tests.dask_cluster import local_cluster
from tests.fleets import FLAGS, Fleet, expected_of, make_fleet

NODES, FAULTY = 40, 20


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    shape = Shape(services=30, endpoints=4, node_ports=0.6, zone_hints=0.3, on_nodes=NODES)
    return make_fleet(tmp_path_factory.mktemp("fleet"), shape, FAULTY)


def errors(report: FleetReport) -> dict[str, set[str]]:
    """Return the kinds of errors of every node that has any."""
    found: dict[str, set[str]] = {}
    for result in report.results:
        kinds = {kind for kind in result.counts if KINDS[kind][0] == "error"}
        if kinds:
            found[result.node] = kinds
    return found


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_every_fault_is_reported_on_its_node_and_no_other(fleet: Fleet, jobs: int) -> None:
    report = verify_fleet([fleet.manifests], fleet.dumps, flags=FLAGS, scheduler=processes(jobs))
    assert len(fleet.faults) == FAULTY
    assert errors(report) == {node: {kind} for node, kind in fleet.faults.items()}
    assert [result.node for result in report.checked] == sorted(fleet.nodes)
    assert report.states[State.CLEAN] == NODES - FAULTY
    assert (report.problems, report.without_dump, report.notes) == ((), (), ())
    # grouped: the nodes of each finding are those that have its fault
    for one in report.findings:
        assert {fleet.faults[node] for node in one.nodes} == {one.finding.kind}


@pytest.fixture(scope="module")
def alone(fleet: Fleet) -> FleetReport:
    return verify_fleet([fleet.manifests], fleet.dumps, flags=FLAGS)


def test_a_dask_worker_is_killed_in_the_middle(fleet: Fleet, alone: FleetReport) -> None:
    results = 0

    with local_cluster(workers=2) as cluster:

        def progress(done: int, total: int | None) -> None:
            nonlocal results
            results += done
            if results == 1:
                os.kill(cluster.workers[0].pid, signal.SIGKILL)
                cluster.workers[0].wait(20)

        report = verify_fleet(
            [fleet.manifests],
            fleet.dumps,
            flags=FLAGS,
            scheduler=dask(cluster.address),
            progress=progress,
        )
        assert cluster.workers[0].returncode == -signal.SIGKILL
        assert cluster.workers[1].poll() is None
    assert results == NODES
    assert report == alone


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_the_report_is_the_same_whatever_the_number(
    fleet: Fleet, alone: FleetReport, jobs: int
) -> None:
    taken = list[int]()
    report = verify_fleet(
        [fleet.manifests],
        fleet.dumps,
        flags=FLAGS,
        scheduler=processes(jobs),
        progress=lambda done, _: taken.append(done),
    )
    assert report == alone
    assert taken == [1] * NODES


# A process of its own, without threads: it is forked, so that its workers have the change.
DEADLY = """
import os, signal, sys
from compiler.fleet.dumps import Dump
from compiler.fleet.scheduler import processes
from compiler.fleet.verify import verify_fleet
from tests.fleets import FLAGS

manifests, dumps, deadly = sys.argv[1:]
parent, read = os.getpid(), Dump.read

def kill(dump):
    if dump.node == deadly and os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(dump)

Dump.read = kill
report = verify_fleet([manifests], dumps, flags=FLAGS, scheduler=processes(2))
print(*report.problems, sep="\\n")
print(*(f"{one.name}: {one.state}" for one in report.results if one.node != deadly), sep="\\n")
"""


def test_a_dump_that_kills_its_worker_is_named_and_does_not_stop_the_rest(
    fleet: Fleet, alone: FleetReport
) -> None:
    deadly = fleet.nodes[7]
    done = subprocess.run(
        [sys.executable, "-c", DEADLY, fleet.manifests, fleet.dumps, deadly],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    hint = "a dump that needs more memory than there is?"
    lines = [f"{deadly}.save: checking it killed its worker 3 times; {hint}"]
    lines += [f"{one.name}: {one.state}" for one in alone.results if one.node != deadly]
    assert (done.stdout.splitlines(), done.stderr) == (lines, "")


def test_rules_that_are_no_longer_needed_are_freed_at_once(fleet: Fleet) -> None:
    """Commands pause the garbage collector: a cycle would keep every dump until the end."""
    expected = expected_of(fleet.manifests)
    node = next(iter(fleet.faults))
    text = (fleet.dumps / f"{node}.save").read_text()
    gc.disable()
    try:
        wanted = expected.ruleset(node)
        found = parse_rules(text, like=wanted)
        assert verify_rules(wanted, found)
        tables = [weakref.ref(table) for held in (wanted, found) for table in held.tables.values()]
        assert len(tables) == 4
        del wanted, found
        assert expected.all_nodes is not None
        assert len(expected.all_nodes.groups) > 10
        for group in expected.all_nodes.groups:
            expected.ruleset(group.nodes[0])
        assert [table() for table in tables] == [None] * 4
    finally:
        gc.enable()

"""The dumps of many nodes: every fault on its node and no other, whoever does the work."""

from __future__ import annotations

import os
import signal

import pytest

from compiler.analysis.findings import KINDS
from compiler.fleet.report import FleetReport
from compiler.fleet.results import State
from compiler.fleet.scheduler import dask, processes
from compiler.fleet.verify import verify_fleet
from tests.benchmarks.generate import Shape
from tests.dask_cluster import local_cluster
from tests.fleets import FLAGS, Fleet, make_fleet

NODES, FAULTY = 40, 20


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    shape = Shape(services=30, endpoints=4, node_ports=0.2, on_nodes=NODES)
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

"""An interrupted check of a fleet goes on where it was, and takes nothing that no longer holds."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.errors import InputError
from compiler.fleet import check
from compiler.fleet.check import check_dump
from compiler.fleet.dumps import Dump
from compiler.fleet.expected import Expected
from compiler.fleet.report import FleetReport
from compiler.fleet.results import DumpResult, State
from compiler.fleet.verify import verify_fleet
from tests.benchmarks.generate import Shape
from tests.fleets import ARGUMENTS, FLAGS, Fleet, make_fleet
from tests.processes import wait_until

FAULTS = 2


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return make_fleet(tmp_path, Shape(services=12, endpoints=2, on_nodes=6), FAULTS)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the dumps that were compared with rules."""
    names = []

    def noted(expected: Expected, dump: Dump) -> DumpResult:
        result = check_dump(expected, dump)
        if not dump.known or result.rules or result.problem:
            names.append(dump.name)
        return result

    monkeypatch.setattr(check, "check_dump", noted)
    return names


def run(fleet: Fleet, state: Path, **options: object) -> FleetReport:
    arguments: dict[str, object] = {"flags": FLAGS, **options}
    return verify_fleet([fleet.manifests], fleet.dumps, resume=str(state), **arguments)  # type: ignore[arg-type]


def test_an_interrupted_run_goes_on(fleet: Fleet, tmp_path: Path, checked: list[str]) -> None:
    state = tmp_path / "state"

    def interrupt(done: int, total: int | None) -> None:
        if len(checked) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(fleet, state, progress=interrupt)
    # as if the machine had been switched off while a result was written
    with state.open("ab") as file:
        file.write(b'{"node":"ip')
    names = sorted(path.name for path in fleet.dumps.iterdir())
    assert checked == names[:4]
    report = run(fleet, state)
    assert checked == names
    assert report == verify_fleet([fleet.manifests], fleet.dumps, flags=FLAGS)
    assert report.states == {State.DRIFTED: FAULTS, State.CLEAN: 6 - FAULTS}
    del checked[:]
    assert run(fleet, state) == report
    assert checked == []


def test_a_dump_that_changed_is_checked_again(
    fleet: Fleet, tmp_path: Path, checked: list[str]
) -> None:
    state = tmp_path / "state"
    clean = next(node for node in fleet.nodes if node not in fleet.faults)
    before = run(fleet, state)
    del checked[:]
    path = fleet.dumps / f"{clean}.save"
    path.write_text(path.read_text().replace(":8080", ":8082", 1))
    (fleet.dumps / "broken.save").write_text("")
    report = run(fleet, state)
    assert checked == ["broken.save", path.name]
    assert report.states[State.CLEAN] == before.states[State.CLEAN] - 1
    # the newest result of a dump counts
    del checked[:]
    assert run(fleet, state) == report
    assert checked == []


def test_other_manifests_or_options_make_all_results_void(
    fleet: Fleet, tmp_path: Path, checked: list[str]
) -> None:
    state = tmp_path / "state"
    run(fleet, state)
    text = fleet.manifests.read_text()
    changes: list[dict[str, object]] = [
        {"kube_version": "1.33"},
        {"random_fully": False},
        {"flags": {**FLAGS, "masquerade_all": True}},
        {"flags": FLAGS},
    ]
    for options in changes:
        del checked[:]
        run(fleet, state, **options)
        assert len(checked) == 6
    fleet.manifests.write_text(text.replace('"port":80,', '"port":81,', 1))
    del checked[:]
    report = run(fleet, state)
    assert len(checked) == 6
    assert report.states[State.CLEAN] == 0
    # what has no part in the rules changes nothing
    fleet.manifests.write_text(json.dumps(json.loads(fleet.manifests.read_text()), indent=1))
    del checked[:]
    assert run(fleet, state) == report
    assert checked == []


def test_a_dump_that_could_not_be_read_is_read_again(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, failing = tmp_path / "state", True
    read = Dump.read

    def failed(dump: Dump) -> bytes:
        if failing:
            raise OSError("the network is down")
        return read(dump)

    monkeypatch.setattr(Dump, "read", failed)
    with pytest.raises(InputError, match="can't be read: the network is down"):
        run(fleet, state)
    failing = False
    assert run(fleet, state).states[State.UNREADABLE] == 0


def test_a_file_that_is_no_state_is_left_alone(fleet: Fleet, tmp_path: Path) -> None:
    state = tmp_path / "state"
    for content in ("hello\n", '{"state": "of mind", "valid_for": "ever"}\n', "\n"):
        state.write_text(content)
        with pytest.raises(InputError, match="not a state file of verify --fleet"):
            run(fleet, state)
        assert state.read_text() == content
    with pytest.raises(InputError, match="can't be used: no such file or directory"):
        run(fleet, tmp_path / "nowhere" / "state")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_ends_with_130_and_what_was_found_is_kept(tmp_path: Path, jobs: str) -> None:
    fleet = make_fleet(tmp_path, Shape(services=12, endpoints=2, on_nodes=60), FAULTS)
    for number in range(8):
        shutil.copytree(fleet.dumps, fleet.dumps / f"again-{number}")
    state = tmp_path / "state"
    command = ["verify", fleet.manifests, *ARGUMENTS, "--fleet", fleet.dumps, "--resume", state]
    with subprocess.Popen(
        [sys.executable, "-m", "compiler", *map(str, command), "--jobs", jobs],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        wait_until(lambda: state.exists() and state.read_bytes().count(b"\n") > 20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err.strip()) == (130, b"", b"Aborted.")
    assert 20 < state.read_bytes().count(b"\n") < 540

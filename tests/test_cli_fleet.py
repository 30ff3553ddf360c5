"""`proxyrules verify --fleet` as its users see it."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.benchmarks.generate import Shape
from tests.fleets import ARGUMENTS, EXAMPLE_DUMPS, Fleet, example_files, make_fleet
from tests.run import Runner


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    shape = Shape(services=12, endpoints=2, node_ports=0.2, on_nodes=12)
    fleet = make_fleet(tmp_path_factory.mktemp("fleet"), shape, faults=6)
    first, second, third = [node for node in fleet.nodes if node not in fleet.faults][:3]
    jump = [line for line in (fleet.dumps / f"{first}.save").read_text().splitlines()
            if line.startswith("-A PREROUTING")]  # fmt: skip
    for node in (first, second):
        path = fleet.dumps / f"{node}.save"
        path.write_text(path.read_text().replace(f"{jump[0]}\n", ""))
    (fleet.dumps / f"{third}.save").unlink()
    (fleet.dumps / "<stranger>.save").write_text("*nat\nCOMMIT\n")
    (fleet.dumps / "README").write_text("hello")
    return fleet


@pytest.fixture
def fleet(made: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str | Path]:
    """The arguments of a check, in the folder of the fleet."""
    shutil.copytree(made.manifests.parent, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return ["verify", "cluster.json", *ARGUMENTS, "--fleet", "dumps", "--jobs", "1"]


@pytest.mark.parametrize(
    ("format_", "ending"), [("text", "txt"), ("json", "json"), ("junit", "xml"), ("html", "html")]
)
def test_formats(
    proxyrules: Runner,
    golden: SnapshotAssertion,
    fleet: list[str | Path],
    format_: str,
    ending: str,
) -> None:
    result = proxyrules(*fleet, "--format", format_)
    assert (result.code, result.err) == (1, "")
    assert result.out == golden(name=f"fleet.{ending}")
    if format_ == "json":
        value = json.loads(result.out)
        assert value["ok"] is False
        assert len(value["nodes"]) == 13
    if format_ == "junit":
        suite = ET.fromstring(result.out)[0]
        assert int(suite.attrib["tests"]) == len(suite.findall("testcase")) == 13
        assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure")) == 8
        assert int(suite.attrib["errors"]) == len(suite.findall("testcase/error")) == 2
    if format_ == "html":
        assert_is_well_formed(result.out)
        assert "<stranger>" not in result.out
        assert "http://" not in result.out
        assert "src=" not in result.out


def assert_is_well_formed(page: str) -> None:
    open_: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "br"):
                open_.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_.pop() == tag

    Reader().feed(page)
    assert open_ == []


def test_all_is_well(proxyrules: Runner, tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, Shape(services=4, endpoints=2), faults=0)
    result = proxyrules("verify", fleet.manifests, *ARGUMENTS, "--fleet", fleet.dumps)
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith("\n3 dumps: 3 clean; 123 rules checked.\n")


def test_verbose_lists_everything(proxyrules: Runner, tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, Shape(services=4, endpoints=2, on_nodes=40), faults=40)
    for node in fleet.nodes[:35]:
        (fleet.dumps / f"{node}.save").unlink()
    words = ("verify", fleet.manifests, *ARGUMENTS, "--fleet", fleet.dumps)
    short, long = proxyrules(*words), proxyrules(*words, "-v")
    assert short.out.count("no dump") == 1
    assert "no dump: 35 nodes: " in short.out
    assert long.out.count("no dump") == 35
    assert "(-v" not in long.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--live"], "--fleet can't be combined with --against or --live"),
        (["--against", "x"], "--fleet can't be combined with --against or --live"),
        (["--node", "x"], "--node is for one node, --fleet is for all"),
        (["--node-address", "10.0.0.1"], "--node-address is for one node, --fleet is for all"),
        (["--scheduler", "tcp://x:1"], "--jobs and --scheduler can't be combined"),
        (["--format", "github"], "--format github is not possible with --fleet: use junit or json"),
    ],
)
def test_usage(proxyrules: Runner, fleet: list[str | Path], words: list[str], message: str) -> None:
    result = proxyrules(*fleet, *words)
    assert (result.code, result.out) == (2, "")
    assert result.err.endswith(f"Error: {message}\n")


def test_usage_without_a_fleet(proxyrules: Runner, fleet: list[str | Path]) -> None:
    result = proxyrules("verify", "cluster.json", "--jobs", "2")
    assert result.code == 2
    assert result.err.endswith("Error: --resume, --jobs and --scheduler are for --fleet\n")
    result = proxyrules("verify", "cluster.json", "--live", "--format", "html")
    assert result.code == 2
    assert result.err.endswith("Error: --format html is for --fleet\n")


def test_nothing_to_check(proxyrules: Runner, fleet: list[str | Path]) -> None:
    shutil.rmtree("dumps")
    Path("dumps").mkdir()
    Path("dumps", "old.save").write_text("")
    result = proxyrules(*fleet, "-o", "report")
    assert (result.code, result.out) == (2, "")
    assert result.err == "old.save: an empty file; run iptables-save as root on the node\n"
    assert not Path("report").exists()


def test_a_scheduler_that_is_not_there(
    proxyrules: Runner, fleet: list[str | Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compiler.fleet.dask_cluster.CONNECT_TIMEOUT", 0.5)
    result = proxyrules(*fleet[:-2], "--scheduler", "tcp://127.0.0.1:9")
    assert (result.code, result.out) == (3, "")
    assert result.err == (
        "tcp://127.0.0.1:9: no Dask scheduler answers within 0.5 s; "
        "use an address like tcp://host:8786\n"
    )


def test_the_example_of_the_documentation_is_as_it_is_made() -> None:
    files = {
        str(path.relative_to(EXAMPLE_DUMPS)): path.read_text()
        for path in EXAMPLE_DUMPS.rglob("*")
        if path.is_file()
    }
    assert files == example_files()

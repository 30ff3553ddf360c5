"""Dumps as they are found: folders, archives, storage; and all that can be wrong with them."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
import zstandard

from compiler.compilation import read_inputs
from compiler.errors import InputError, Problem
from compiler.fleet.dumps import open_fleet
from compiler.fleet.expected import Expected
from compiler.fleet.names import Named, named
from compiler.fleet.report import FleetReport
from compiler.fleet.results import State
from compiler.fleet.scheduler import Scheduler, processes
from compiler.fleet.streams import decompress
from compiler.fleet.verify import verify_fleet
from tests.benchmarks.generate import Shape, node_name
from tests.cases import FIXTURES, Case, node_text
from tests.fleets import FLAGS, Fleet, make_fleet

KNOWN = ("worker-1", "worker-2.example.com")
ONE, TWO, THREE = (node_name(index) for index in range(3))
COMPRESS = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress}


@pytest.mark.parametrize(
    ("path", "node"),
    [
        ("worker-1.save", "worker-1"),
        ("worker-1.rules", "worker-1"),
        ("worker-1.txt", "worker-1"),
        ("worker-1", "worker-1"),
        ("worker-2.example.com", "worker-2.example.com"),
        ("worker-2.example.com.save.gz", "worker-2.example.com"),
        ("worker-1.txt.zst", "worker-1"),
        ("worker-1/iptables-save.txt", "worker-1"),
        ("worker-1/iptables-save", "worker-1"),
        ("must-gather/nodes/worker-1/network/iptables-nft-save.gz", "worker-1"),
        ("worker-3/iptables-save.txt", "worker-3"),
        ("worker-1-iptables-save.txt", "worker-1"),
        ("worker-1.iptables-save", "worker-1"),
        ("iptables-save-worker-1.txt", "worker-1"),
        ("worker-1/nat.save", "worker-1"),
        ("worker-9.save", "worker-9"),
        ("iptables-save.txt", ""),
    ],
)
def test_the_name_of_a_dump_has_its_node(path: str, node: str) -> None:
    assert named(path, KNOWN) == Named(node, is_ipv6=False, sure=True)


@pytest.mark.parametrize(
    "path", ["worker-1.ip6tables-save", "worker-1/ip6tables-save.txt", "ip6tables-save-worker-1"]
)
def test_the_name_of_a_dump_has_its_family(path: str) -> None:
    assert named(path, KNOWN) == Named("worker-1", is_ipv6=True, sure=True)


@pytest.mark.parametrize(
    "path",
    ["README.md", "events.yaml", "worker-1.log", ".worker-1.save.swp", "._worker-1.save",
     "__MACOSX/worker-1.save", ".git/worker-1.save", "worker-1/journal.json"],
)  # fmt: skip
def test_other_files_are_no_dumps(path: str) -> None:
    assert named(path, KNOWN) is None


def test_a_text_of_another_name_may_be_a_dump() -> None:
    assert named("notes.txt", KNOWN) == Named("notes", is_ipv6=False, sure=False)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    shape = Shape(services=8, endpoints=2, node_ports=0.5)
    return make_fleet(tmp_path_factory.mktemp("fleet"), shape, faults=0)


@pytest.fixture
def folder(fleet: Fleet, tmp_path: Path) -> Path:
    """The folder of dumps, to be spoiled."""
    return Path(shutil.copytree(fleet.dumps, tmp_path / "dumps"))


@pytest.fixture(params=[1, 2])
def scheduler(request: pytest.FixtureRequest) -> Scheduler:
    return processes(request.param)


def check(fleet: Fleet, dumps: Path | str, scheduler: Scheduler | None = None) -> FleetReport:
    return verify_fleet([fleet.manifests], dumps, flags=FLAGS, scheduler=scheduler)


def texts(problems: tuple[Problem, ...]) -> list[str]:
    return [str(problem) for problem in problems]


def states(report: FleetReport) -> dict[str, State]:
    return {result.name: result.state for result in report.results}


def archive(folder: Path, path: Path, kind: str) -> Path:
    """Put the folder's files in an archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, f"./gathered/{file.name}")
    raw = buffer.getvalue()
    path.write_bytes(COMPRESS[kind](raw) if kind else raw)
    return path


@pytest.mark.parametrize("kind", ["", "gz", "zst"])
def test_archives_give_what_their_folder_gives(
    fleet: Fleet, folder: Path, tmp_path: Path, kind: str, scheduler: Scheduler
) -> None:
    file = folder / f"{ONE}.save"
    file.write_text(file.read_text().replace(":8080", ":8081", 1))
    packed = folder / f"{TWO}.save"
    (folder / f"{TWO}.save.gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.unlink()
    made = archive(folder, tmp_path / f"dumps.tar{kind and '.'}{kind}", kind)
    report = check(fleet, made, scheduler)
    plain = check(fleet, folder)
    assert [(one.node, one.counts, one.rules) for one in report.results] == [
        (one.node, one.counts, one.rules) for one in plain.results
    ]
    assert states(report)[f"gathered/{ONE}.save"] is State.DRIFTED
    assert (report.problems, report.notes) == ((), ())


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_one_compressed_dump(fleet: Fleet, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"{ONE}.save.{kind}"
    path.write_bytes(COMPRESS[kind]((fleet.dumps / f"{ONE}.save").read_bytes()))
    report = check(fleet, path)
    assert states(report) == {path.name: State.CLEAN}
    assert report.without_dump == (TWO, THREE)
    assert report.failed


@pytest.fixture
def storage(fleet: Fleet) -> Iterator[str]:
    files = fsspec.filesystem("memory")
    for path in fleet.dumps.iterdir():
        files.pipe_file(f"/bucket/dumps/{path.name}", path.read_bytes())
    yield "memory://bucket/dumps"
    files.rm("/bucket", recursive=True)


def test_dumps_in_shared_storage(fleet: Fleet, storage: str) -> None:
    report = check(fleet, storage)
    assert states(report) == {f"{node}.save": State.CLEAN for node in fleet.nodes}
    assert not report.failed


def test_a_url_of_a_file_system(fleet: Fleet, folder: Path, tmp_path: Path) -> None:
    assert not check(fleet, f"file://{folder}", processes(2)).failed
    packed = archive(folder, tmp_path / "dumps.tar.gz", "gz")
    assert not check(fleet, f"file://{packed}").failed


def test_urls_that_lead_nowhere(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read: no such file or directory"):
        check(fleet, f"file://{tmp_path}/nothing")
    with pytest.raises(InputError, match="Protocol not known: carrier"):
        check(fleet, "carrier://pigeon")


def test_storage_that_fails_in_its_own_way(
    fleet: Fleet, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such errors need not be of the system: credentials that have expired, say."""
    files = fsspec.filesystem("memory")
    opened = type(files).open

    def fail(self: object, path: str, *words: object, **options: object) -> object:
        if ONE in path:
            raise RuntimeError("the token has expired")
        return opened(self, path, *words, **options)

    monkeypatch.setattr(type(files), "open", fail)
    report = check(fleet, storage)
    assert texts(report.problems) == [f"{ONE}.save: can't be read: the token has expired"]
    assert report.states == {State.UNREADABLE: 1, State.CLEAN: 2}
    monkeypatch.setattr(type(files), "isdir", fail)
    with pytest.raises(InputError, match="can't be read: "):
        check(fleet, f"{storage}/{ONE}")


def test_broken_dumps_are_named_and_do_not_stop_the_rest(
    fleet: Fleet, folder: Path, scheduler: Scheduler
) -> None:
    whole = (folder / f"{ONE}.save").read_bytes()
    nat = whole.index(b"*nat")
    broken = {
        f"{ONE}-iptables-save.txt.gz": gzip.compress(whole)[:-50],
        f"{ONE}-iptables-save.txt.zst": COMPRESS["zst"](whole)[:-50],
        f"{ONE}.iptables-save": b"",
        f"{ONE}.rules": bytes(range(256)) * 8,
        f"{ONE}.txt": b"Chain INPUT (policy ACCEPT)\ntarget prot\n",
        f"{ONE}/iptables-save.txt": whole[: nat + 2000],
        f"{ONE}/ip6tables-save.txt": b"hello\n",
    }
    for name, content in broken.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / f"{TWO}.rules").write_bytes(b"\x1f\x8bnot gzip")
    report = check(fleet, folder, scheduler)
    line = whole[: nat + 2000].count(b"\n") + 1
    assert texts(report.problems) == [
        f"{ONE}-iptables-save.txt.gz: it ends early: the file is cut off; copy it again",
        f"{ONE}-iptables-save.txt.zst: it ends early: the file is cut off; copy it again",
        f"{ONE}.iptables-save: an empty file; run iptables-save as root on the node",
        f"{ONE}.rules: a binary file, not iptables rules; use the output of iptables-save",
        f"{ONE}.txt: this is the output of iptables -L, which leaves out parts of rules; "
        "use iptables-save or iptables -S",
        f"{ONE}/ip6tables-save.txt: not iptables rules; use the output of iptables-save",
        *[text for text in texts(report.problems) if "has no COMMIT" in text],
        f"{TWO}.rules: not gzip data: unknown compression method; copy it again",
    ]
    assert f"{ONE}/iptables-save.txt:{line}: table nat has no COMMIT" in texts(report.problems)[6]
    assert [one.node for one in report.checked] == [ONE, TWO, THREE]
    assert report.states == {State.UNREADABLE: 8, State.CLEAN: 3}
    assert report.failed


def test_files_that_can_not_be_read_are_named(fleet: Fleet, folder: Path) -> None:
    os.mkfifo(folder / f"{ONE}.rules")
    (folder / f"{TWO}.rules").symlink_to("nowhere")
    archive(fleet.dumps, folder / "more.tar", "")
    report = check(fleet, folder)
    assert texts(report.problems) == [
        f"{ONE}.rules: not a regular file",
        f"{TWO}.rules: a symbolic link to nothing",
        "more.tar: an archive inside a folder or archive is not read; "
        "give it by itself, or unpack it",
    ]
    assert report.states == {State.CLEAN: 3}
    assert report.failed


def test_nodes_with_two_dumps_none_and_unknown_ones(fleet: Fleet, folder: Path) -> None:
    (folder / f"{ONE}.txt").write_bytes((folder / f"{ONE}.save").read_bytes())
    (folder / f"{TWO}.save").rename(folder / "ip-172-16-0-11.save")
    (folder / "stranger.save").write_bytes((folder / f"{THREE}.save").read_bytes())
    (folder / "dumped.txt").write_bytes((folder / f"{THREE}.save").read_bytes())
    (folder / "notes.txt").write_text("no dump at all\n")
    report = check(fleet, folder)
    assert texts(report.problems) == [
        'dumped.txt: no Node "dumped" in the manifests',
        f'ip-172-16-0-11.save: no Node "ip-172-16-0-11" in the manifests; did you mean {TWO}?',
        'stranger.save: no Node "stranger" in the manifests',
    ]
    assert report.without_dump == (TWO,)
    assert texts(report.notes) == [
        f"Node {ONE}: the node has 2 dumps, all of which count: {ONE}.save, {ONE}.txt; "
        "leave only the newest one"
    ]
    assert report.states == {State.UNKNOWN: 3, State.CLEAN: 3}
    assert report.others == 1


def test_clocks_apart_are_named(fleet: Fleet, folder: Path) -> None:
    file = folder / f"{TWO}.save"
    file.write_text(file.read_text().replace("Dec  1 10:", "Nov 28 10:", 1))
    report = check(fleet, folder)
    assert texts(report.notes) == [
        f"{TWO}.save: made 2026-11-28 10:00, 3 days before the middle dump; "
        "it may show another state of the cluster; or the node's clock or zone differs"
    ]
    assert not report.failed


def test_dumps_of_the_other_family_are_counted(fleet: Fleet, folder: Path) -> None:
    six = "# Generated by ip6tables-save v1.8.9 on Tue\n*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"
    (folder / f"{ONE}.ip6tables-save").write_text(six)
    report = check(fleet, folder)
    assert not report.failed
    assert states(report)[f"{ONE}.ip6tables-save"] is State.NOT_CHECKED
    assert texts(report.notes) == [
        "1 dump has only IPv6 rules, which were not checked; ip_family ipv6 checks them"
    ]
    (folder / f"{ONE}.save").unlink()
    assert check(fleet, folder).without_dump == (ONE,)


def test_service_ports_of_the_other_family_are_counted(tmp_path: Path) -> None:
    case = Case(FIXTURES / "dual-stack-ipv4")
    inputs = read_inputs([case.manifest], config=case.config)
    (tmp_path / "worker-1.save").write_text(node_text(Expected(inputs).text("worker-1")))
    report = verify_fleet([case.manifest], tmp_path, config=case.config)
    (note,) = texts(report.notes)
    assert note.startswith("the manifests have ")
    assert note.endswith(" of IPv6, which were not checked; ip_family ipv6 checks them")
    report = verify_fleet([case.manifest], tmp_path, config=case.config, ip_family="ipv4")
    assert report.notes == ()


def member(name: str, content: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, content


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_archive_with_paths_and_links_that_lead_out(
    fleet: Fleet, tmp_path: Path, mode: str
) -> None:
    content = (fleet.dumps / f"{ONE}.save").read_bytes()
    path, secret = tmp_path / "dumps.tar", tmp_path / f"{TWO}.save"
    secret.write_bytes((fleet.dumps / f"{TWO}.save").read_bytes())
    members = [
        member(f"/etc/{ONE}.save", content),
        member(f"../{ONE}.save", content),
        member(f"a/../../{ONE}.save", content),
        member(f"{TWO}.save", type=tarfile.SYMTYPE, linkname=str(secret)),
        member(f"{TWO}.rules", type=tarfile.LNKTYPE, linkname=f"{ONE}.save"),
        member(f"{TWO}.txt", type=tarfile.FIFOTYPE),
        member("README", b"hello"),
        member(f"./{THREE}.save", (fleet.dumps / f"{THREE}.save").read_bytes()),
    ]
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    before = sorted(tmp_path.rglob("*"))
    report = check(fleet, path)
    leads_out = "a path that leads out of the archive is not read; make the archive again"
    link = "a link in an archive is not read; put the file itself in"
    assert texts(report.problems) == [
        f"/etc/{ONE}.save: {leads_out}",
        f"../{ONE}.save: {leads_out}",
        f"a/../../{ONE}.save: {leads_out}",
        f"{TWO}.save: {link}",
        f"{TWO}.rules: {link}",
        f"{TWO}.txt: not a regular file; make the archive again",
    ]
    assert states(report) == {f"{THREE}.save": State.CLEAN}
    assert report.without_dump == (ONE, TWO)
    assert report.others == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_an_archive_that_is_cut_off(
    fleet: Fleet, folder: Path, tmp_path: Path, kind: str, scheduler: Scheduler
) -> None:
    noise = folder / f"{THREE}.save"
    noise.write_bytes(os.urandom(1 << 20))  # so that the others are before the cut
    path = archive(folder, tmp_path / "cut", kind)
    path.write_bytes(path.read_bytes()[: -(1 << 19)])
    report = check(fleet, path, scheduler)
    assert states(report) == {f"gathered/{node}.save": State.CLEAN for node in (ONE, TWO)}
    assert report.without_dump == (THREE,)
    (text,) = texts(report.problems)
    assert text.startswith(f"{path}: the archive can't be read further: ")
    assert report.failed


def test_where_nothing_can_be_checked_nothing_is_well(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"can't be read: no such file or directory"):
        check(fleet, tmp_path / "nothing")
    with pytest.raises(InputError, match="an empty path; name a folder"):
        check(fleet, "")
    with pytest.raises(InputError, match="/dev/null: not a regular file"):
        check(fleet, "/dev/null")
    with pytest.raises(InputError, match=r"no dumps found; expected NODE.save, NODE.rules"):
        check(fleet, tmp_path)
    (tmp_path / "README.md").write_text("hello")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="no dumps found among 2 files"):
        check(fleet, tmp_path)
    with pytest.raises(InputError, match="neither an archive nor a dump"):
        check(fleet, tmp_path / "README.md")
    (tmp_path / f"{ONE}.save").write_text("")
    (tmp_path / "other.save").write_text("*nat\nCOMMIT\n")
    with pytest.raises(InputError) as caught:
        check(fleet, tmp_path)
    assert texts(caught.value.problems) == [
        f"{ONE}.save: an empty file; run iptables-save as root on the node",
        'other.save: no Node "other" in the manifests',
    ]


def test_the_name_in_a_configuration_of_one_node_is_ignored(fleet: Fleet) -> None:
    flags = {**FLAGS, "hostname_override": ONE}
    report = verify_fleet([fleet.manifests], fleet.dumps, flags=flags)
    assert {one.state for one in report.results} == {State.CLEAN}
    words = f'hostname override "{ONE}" is ignored: each node has its own name'
    assert [note.message for note in report.notes] == [words]


def test_without_nodes_a_configuration_of_one_node_is_rejected(
    fleet: Fleet, tmp_path: Path
) -> None:
    text = fleet.manifests.read_text().replace('"kind":"Node"', '"kind":"Other"')
    manifests = tmp_path / "cluster.json"
    manifests.write_text(text)
    flags = {**FLAGS, "hostname_override": ONE}
    with pytest.raises(InputError, match="is one node's name"):
        verify_fleet([manifests], fleet.dumps, flags=flags)


def test_without_nodes_in_the_manifests_every_name_is_taken(fleet: Fleet, tmp_path: Path) -> None:
    text = fleet.manifests.read_text().replace('"kind":"Node"', '"kind":"Other"')
    manifests = tmp_path / "cluster.json"
    manifests.write_text(text)
    report = verify_fleet([manifests], fleet.dumps, flags=FLAGS)
    assert {one.state for one in report.results} == {State.CLEAN}


@pytest.mark.parametrize("compress", COMPRESS.values())
def test_several_streams_in_a_row_are_one(compress: object) -> None:
    assert callable(compress)
    assert decompress(compress(b"one ") + compress(b"two")) == b"one two"


def test_what_has_no_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compiler.fleet.streams.MAX_DUMP", 5 << 20)
    for compress in COMPRESS.values():
        with pytest.raises(OSError, match="larger than 5 MiB"):
            decompress(compress(bytes(64 << 20)))


def test_the_weights_of_dumps_come_to_the_total(fleet: Fleet, folder: Path, tmp_path: Path) -> None:
    for place in (folder, archive(folder, tmp_path / "a.tar", ""),
                  archive(folder, tmp_path / "a.tar.gz", "gz")):  # fmt: skip
        opened = open_fleet(str(place), fleet.nodes)
        weights = [dump.weight for dump in opened.dumps()]
        assert len(weights) == 3
        assert opened.total is not None
        assert 0.5 * opened.total < sum(weights) <= opened.total

"""What --fleet and its folders meet that is odd, or made to do harm."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from pathlib import Path

import pytest

from compiler.errors import InputError
from compiler.fleet.all_nodes import compile_all_nodes
from compiler.fleet.dumps import open_fleet
from compiler.fleet.names import Named, named
from compiler.fleet.nodes_folder import INDEX, write_nodes
from compiler.fleet.state import State
from tests.cases import FIXTURES
from tests.run import Runner

CASE = FIXTURES / "local-policy-on-five-nodes"
FIVE = CASE / "input.yaml"
GOOD = FIXTURES / "fleet" / "worker-1.save"


@pytest.mark.parametrize(
    "name", ["new\nline.save", "new\nline-iptables-save", "iptables-save-new\nline.txt"]
)
def test_names_with_newlines_are_those_of_dumps(name: str) -> None:
    assert named(name, ()) == Named("new\nline", is_ipv6=False, sure=True)


def test_a_name_with_a_newline_is_reported(proxyrules: Runner, tmp_path: Path) -> None:
    (tmp_path / "worker-1.save").write_bytes(GOOD.read_bytes())
    (tmp_path / "worker\n2.save").write_bytes(GOOD.read_bytes())
    config = str(CASE / "kube-proxy.yaml")
    result = proxyrules("verify", str(FIVE), "-c", config, "--fleet", str(tmp_path))
    assert 'no Node "worker\\n2" in the manifests' in result.out


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_header_without_end_is_not_read(tmp_path: Path, kind: bytes, *, compressed: bool) -> None:
    header = tarfile.TarInfo("long")
    header.type, header.size = kind, 2 << 20
    data = header.tobuf(tarfile.GNU_FORMAT) + bytes(header.size)
    place = tmp_path / "dumps"
    place.write_bytes(gzip.compress(data) if compressed else data)
    fleet = open_fleet(str(place), ())
    assert list(fleet.dumps()) == []
    words = "the archive can't be read further: a member's header is larger than 1024 KiB"
    assert [problem.message for problem in fleet.problems] == [words]


def test_too_large_a_dump_is_not_copied_again(
    proxyrules: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compiler.fleet.streams.MAX_DUMP", 1 << 20)
    (tmp_path / "worker-1.save.gz").write_bytes(gzip.compress(bytes(2 << 20)))
    result = proxyrules("verify", str(FIVE), "--fleet", str(tmp_path), "--jobs", "1")
    assert result.code == 2
    assert result.err == "worker-1.save.gz: larger than 1 MiB\n"


def test_a_state_file_that_is_no_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="pipe: not a regular file; name a new file"):
        State(str(pipe), "anything")
    assert pipe.is_fifo()


def test_a_device_is_not_replaced_by_a_state_file(tmp_path: Path) -> None:
    device = tmp_path / "null"
    device.symlink_to("/dev/null")
    with pytest.raises(InputError, match="not a regular file"):
        State(str(device), "anything")
    assert device.is_symlink()


def test_a_folder_inside_a_folder_is_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    write_nodes(compile_all_nodes(FIVE), folder)
    index = json.loads((folder / INDEX).read_text())
    index["files"]["notes"] = {}
    (folder / INDEX).write_text(json.dumps(index))
    (folder / "notes").mkdir()
    (folder / "notes" / "mine").write_text("")
    with pytest.raises(InputError, match='does not list: "notes"'):
        write_nodes(compile_all_nodes(FIVE), folder)
    assert (folder / "notes" / "mine").exists()


def test_an_empty_path_is_not_the_current_folder(
    proxyrules: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = proxyrules("compile", str(FIVE), "--all-nodes", "-o", "")
    assert (result.code, result.err) == (2, "'': an empty path; name a folder\n")
    assert list(tmp_path.iterdir()) == []

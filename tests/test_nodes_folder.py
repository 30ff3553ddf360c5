"""`compile --all-nodes`: the folder, its index, and what is rejected."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compiler.fleet import nodes_folder
from compiler.fleet.all_nodes import compile_all_nodes
from compiler.fleet.nodes_folder import write_nodes
from compiler.fleet.scheduler import Lost, Scheduler, SchedulerError
from tests.cases import FIXTURES
from tests.dask_cluster import local_cluster
from tests.run import Runner

# worker-2 and worker-4 have no endpoint, and so the same rules.
FIVE = FIXTURES / "local-policy-on-five-nodes" / "input.yaml"
DISTINCT = ["worker-1.rules", "worker-2.rules", "worker-3.rules", "worker-5.rules"]
NODES = [f"worker-{number}" for number in range(1, 6)]


def alone(proxyrules: Runner, node: str, *options: str) -> str:
    """Return a node's text as `compile --node` prints it."""
    return proxyrules("compile", FIVE, "--node", node, *options).out


def names(folder: Path) -> list[str]:
    """Return what is in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def test_a_file_for_each_distinct_text(tmp_path: Path, proxyrules: Runner) -> None:
    result = proxyrules("compile", FIVE, "--all-nodes", "-o", tmp_path / "rules")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert names(tmp_path / "rules") == ["nodes.json", *DISTINCT]
    assert names(tmp_path) == ["rules"]
    index = json.loads((tmp_path / "rules" / "nodes.json").read_text())
    assert list(index["nodes"]) == NODES
    for node, entry in index["nodes"].items():
        data = (tmp_path / "rules" / entry["file"]).read_bytes()
        assert data.decode() == alone(proxyrules, node)
        assert index["files"][entry["file"]]["bytes"] == len(data)
        assert node in index["files"][entry["file"]]["nodes"]
    assert index["files"]["worker-2.rules"]["nodes"] == ["worker-2", "worker-4"]
    del index["nodes"], index["files"]
    assert index == {
        "format": "proxyrules nodes 1",
        "kubeVersion": "1.37",
        "ipFamily": "ipv4",
        "standalone": False,
        "servicePorts": 1,
    }


def test_one_file_per_node(tmp_path: Path, proxyrules: Runner) -> None:
    folder = tmp_path / "rules"
    options = ("--kube-version", "1.31", "--standalone")
    arguments = ("--all-nodes", "--one-file-per-node", *options, "-o", folder)
    assert proxyrules("compile", FIVE, *arguments).code == 0
    assert names(folder) == ["nodes.json", *(f"{node}.rules" for node in NODES)]
    for node in NODES:
        assert (folder / f"{node}.rules").read_text() == alone(proxyrules, node, *options)
    assert (folder / "worker-2.rules").samefile(folder / "worker-4.rules")
    index = json.loads((folder / "nodes.json").read_text())
    assert index["nodes"]["worker-4"]["file"] == "worker-4.rules"
    assert list(index["files"]) == DISTINCT


def test_copies_where_links_are_impossible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(target))

    monkeypatch.setattr(Path, "hardlink_to", fail)
    write_nodes(compile_all_nodes(FIVE), tmp_path / "rules", one_file_per_node=True)
    two, four = (tmp_path / "rules" / f"worker-{number}.rules" for number in (2, 4))
    assert two.read_bytes() == four.read_bytes()
    assert not two.samefile(four)


def test_a_folder_of_ours_is_replaced(tmp_path: Path, proxyrules: Runner) -> None:
    folder = tmp_path / "rules"
    assert proxyrules("compile", FIVE, "--all-nodes", "--one-file-per-node", "-o", folder).code == 0
    folder.chmod(0o750)
    (tmp_path / "link").symlink_to(folder)
    assert proxyrules("compile", FIVE, "--all-nodes", "-o", tmp_path / "link").code == 0
    assert (tmp_path / "link").is_symlink()
    assert names(folder) == ["nodes.json", *DISTINCT]
    assert names(tmp_path) == ["link", "rules"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750


def test_mode_of_a_new_folder(tmp_path: Path, proxyrules: Runner) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()  # an empty one is as good as none
    assert proxyrules("compile", FIVE, "--all-nodes", "-o", folder).code == 0
    folder = tmp_path / "other"
    assert proxyrules("compile", FIVE, "--all-nodes", "-o", folder).code == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~os.umask(os.umask(0o022))


def test_other_files_are_kept(tmp_path: Path, proxyrules: Runner) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "z.txt").write_text("mine")
    result = proxyrules("compile", FIVE, "--all-nodes", "-o", tmp_path)
    assert (result.code, result.err) == (
        2,
        f'{tmp_path}: has files that nodes.json does not list: "notes.txt" and 1 more; choose a new '
        "folder, or one that compile --all-nodes wrote\n",
    )
    assert names(tmp_path) == ["notes.txt", "z.txt"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "other"}', '{"format": 1, "files": 1}']
)
def test_an_index_that_is_not_ours(tmp_path: Path, proxyrules: Runner, text: str) -> None:
    (tmp_path / "nodes.json").write_text(text)
    result = proxyrules("compile", FIVE, "--all-nodes", "-o", tmp_path)
    assert result.code == 2
    assert "does not list" in result.err
    assert (tmp_path / "nodes.json").read_text() == text


def test_nothing_is_left_of_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_nodes(compile_all_nodes(FIVE, kube_version="1.30"), tmp_path / "rules")
    before = {path.name: path.read_bytes() for path in (tmp_path / "rules").iterdir()}

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for name in ("_index", "_replace"):
        with monkeypatch.context() as patched:
            patched.setattr(nodes_folder, name, fail)
            with pytest.raises(KeyboardInterrupt):
                write_nodes(compile_all_nodes(FIVE), tmp_path / "rules")
    real = Path.rename

    def fail_once(self: Path, target: Path) -> Path:
        if target == tmp_path / "rules" and self.name != "old":
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", fail_once)
    with pytest.raises(OSError, match="No space"):
        write_nodes(compile_all_nodes(FIVE), tmp_path / "rules")
    assert names(tmp_path) == ["rules"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "rules").iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--all-nodes",), "Error: --all-nodes writes a folder; give one with -o DIR"),
        (("--all-nodes", "-o", "-"), "Error: --all-nodes writes a folder; give one with -o DIR"),
        (("--one-file-per-node",), "Error: --one-file-per-node needs --all-nodes"),
        (
            ("--all-nodes", "-o", "out", "--node", "worker-1"),
            "Error: --node can't be combined with --all-nodes",
        ),
        (
            ("--all-nodes", "-o", "out", "--node-address", "192.0.2.1"),
            "Error: --node-address can't be combined with --all-nodes",
        ),
        (
            ("--all-nodes", "-o", "out", "--cleanup"),
            "Error: --cleanup can't be combined with --all-nodes",
        ),
        (
            ("--all-nodes", "-o", "out", "--jobs", "2", "--scheduler", "tcp://127.0.0.1:1"),
            "Error: --jobs and --scheduler can't be combined",
        ),
        (
            ("--all-nodes", "-o", "no/out"),
            "no/out: can't be written: no such file or directory; choose a folder in an existing "
            "folder",
        ),
    ],
)
def test_usage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    proxyrules: Runner,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = proxyrules("compile", FIVE, *arguments)
    assert (result.code, result.err.splitlines()[-1]) == (2, message)
    assert names(tmp_path) == []


def test_hostname_override_is_ignored(tmp_path: Path, proxyrules: Runner) -> None:
    """It is of the Pod of one node, which a configuration may be taken from."""
    options = ("--hostname-override", "worker-1", "--all-nodes", "-o", tmp_path / "rules")
    result = proxyrules("compile", FIVE, *options)
    assert (result.code, result.err) == (
        0,
        'warning: --hostname-override: "worker-1" is ignored: each node has its own name\n',
    )
    assert (tmp_path / "rules" / "worker-2.rules").read_text() == alone(proxyrules, "worker-2")


_KILLED = """
import os, signal, sys
from pathlib import Path
from compiler.fleet.all_nodes import compile_all_nodes
from compiler.fleet.nodes_folder import write_nodes

rename, left = Path.rename, [None, None]

def renaming(self, target):
    left.pop() if left else os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)

Path.rename = renaming
for _ in "twice":
    write_nodes(compile_all_nodes([sys.argv[1]]), sys.argv[2])
"""


def test_what_a_killed_run_left_is_named(tmp_path: Path, proxyrules: Runner) -> None:
    """Between the two renames there is no folder, and nobody looks for hidden ones."""
    folder = tmp_path / "rules"
    killed = subprocess.run([sys.executable, "-c", _KILLED, FIVE, folder], check=False)
    assert killed.returncode == -signal.SIGKILL
    replaced, unfinished = names(tmp_path)
    assert replaced.startswith(".rules.replaced-")
    assert unfinished.startswith(".rules.unfinished-")
    assert names(tmp_path / replaced / "old") == ["nodes.json", *DISTINCT]
    (tmp_path / ".rules.original").mkdir()
    result = proxyrules("compile", FIVE, "--all-nodes", "-o", folder)
    words = "left by a run that was killed, or has not ended yet; remove it if no other run writes"
    assert result.code == 0
    assert result.err.splitlines() == [
        f"{tmp_path / name}: {words} {folder}" for name in (replaced, unfinished)
    ]
    assert names(folder) == ["nodes.json", *DISTINCT]


def test_a_file_in_place_of_the_folder(tmp_path: Path, proxyrules: Runner) -> None:
    file = tmp_path / "rules"
    file.write_text("mine")
    result = proxyrules("compile", FIVE, "--all-nodes", "-o", file)
    assert (result.code, result.err) == (2, f"{file}: is not a folder; choose a new one\n")
    assert file.read_text() == "mine"


def test_a_folder_that_is_read(tmp_path: Path, proxyrules: Runner) -> None:
    (tmp_path / "input.yaml").write_text(FIVE.read_text())
    result = proxyrules("compile", tmp_path, "--all-nodes", "-o", tmp_path / "rules")
    assert (result.code, result.err) == (
        2,
        f"{tmp_path}/rules: is in {tmp_path}, whose files are read; choose another folder\n",
    )


def test_no_nodes(tmp_path: Path, proxyrules: Runner) -> None:
    text = FIVE.read_text().split("---\n")
    (tmp_path / "input.yaml").write_text(
        "---\n".join(part for part in text if "kind: Node\n" not in part)
    )
    result = proxyrules("compile", tmp_path / "input.yaml", "--all-nodes", "-o", tmp_path / "rules")
    assert (result.code, result.err) == (
        2,
        "--all-nodes: there are no Nodes in the manifests; add the output of kubectl get nodes -o "
        "yaml\n",
    )


def test_problems_of_several_nodes_are_reported_at_once(tmp_path: Path, proxyrules: Runner) -> None:
    text = FIVE.read_text()
    for number in (2, 4):
        text = text.replace(f"name: worker-{number}\n", f"name: Worker_{number}\n")
    (tmp_path / "input.yaml").write_text(text)
    result = proxyrules("compile", tmp_path / "input.yaml", "--all-nodes", "-o", tmp_path / "rules")
    assert result.code == 2
    assert [line.partition(";")[0].partition("Node ")[2] for line in result.err.splitlines()] == [
        f'Worker_{number}: metadata.name: invalid name "Worker_{number}"' for number in (2, 4)
    ]


def test_workloads(tmp_path: Path, proxyrules: Runner) -> None:
    """Plain Nodes, and what the control plane adds, are those of `compile --node`."""
    options = ("--from-workloads", "--nodes", "3", "-q")
    shop = FIXTURES.parent / "examples" / "shop"
    result = proxyrules("compile", shop, *options, "--all-nodes", "-o", tmp_path / "rules")
    assert result.code == 0, result.err
    index = json.loads((tmp_path / "rules" / "nodes.json").read_text())
    assert len(index["nodes"]) == 3
    for node, entry in index["nodes"].items():
        text = proxyrules("compile", shop, *options, "--node", node).out
        assert (tmp_path / "rules" / entry["file"]).read_text() == text


def test_summary(tmp_path: Path, proxyrules: Runner) -> None:
    result = proxyrules("compile", FIVE, "--all-nodes", "-v", "-o", tmp_path / "rules")
    size = sum((tmp_path / "rules" / name).stat().st_size for name in DISTINCT)
    assert result.err == f"5 nodes; 4 distinct texts of {size:,} bytes; 1 IPv4 service port\n"


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_equal_whoever_writes(tmp_path: Path, proxyrules: Runner) -> None:
    write_nodes(compile_all_nodes(FIVE), tmp_path / "here")
    with local_cluster(workers=2) as cluster:
        for name, options in (
            ("one", ("--jobs", "1")),
            ("three", ("--jobs", "3")),
            ("dask", ("--scheduler", cluster.address)),
        ):
            folder = tmp_path / name
            result = proxyrules("compile", FIVE, "--all-nodes", *options, "-o", folder)
            assert (result.code, result.err) == (0, "")
            assert contents(folder) == contents(tmp_path / "here")


def test_a_scheduler_that_is_not_there(tmp_path: Path, proxyrules: Runner) -> None:
    options = ("--scheduler", "tcp://127.0.0.1:1", "-o", tmp_path / "rules")
    result = proxyrules("compile", FIVE, "--all-nodes", *options)
    assert result.code == 3
    assert result.err.startswith("tcp://127.0.0.1:1: ")
    assert names(tmp_path) == []


class _Elsewhere:
    """Workers that write to a disk of their own."""

    def results(self, task: Any, context: Any, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            done = task(context, item)
            Path(context.folder, done.name).unlink()
            yield done


class _Dying:
    """Workers that die."""

    def results(self, task: Any, context: Any, items: Iterable[Any]) -> Iterator[Any]:
        for _ in items:
            yield Lost(3)


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (
            _Elsewhere(),
            "worker-1.rules: was written by a worker, and is not here; choose a folder that all "
            "workers share, at the same path",
        ),
        (_Dying(), "the rules of worker-1: were not written: killed its worker 3 times"),
    ],
)
def test_texts_that_workers_did_not_write(
    tmp_path: Path, scheduler: Scheduler, message: str
) -> None:
    with pytest.raises(SchedulerError) as raised:
        write_nodes(compile_all_nodes(FIVE), tmp_path / "rules", scheduler=scheduler)
    assert str(raised.value).endswith(message)
    assert names(tmp_path) == []

"""Settings of one node: every command that is about all nodes reports and ignores them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from compiler.family import Family
from compiler.proxy.configuration import read_config
from compiler.proxy.own_settings import for_each_node
from tests.cases import FIXTURES
from tests.run import Runner

BOUND = FIXTURES / "bind-address-is-the-node-ip"
MESSAGES = [
    '"worker-1" is ignored: each node has its own name',
    "172.30.0.9 is ignored: each node has its own address",
]
NOTES = [
    f"config.yaml:6:19: KubeProxyConfiguration: hostnameOverride: {MESSAGES[0]}",
    f"config.yaml:5:14: KubeProxyConfiguration: bindAddress: {MESSAGES[1]}",
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two nodes with the configuration of one of them: its address is in the source ranges."""
    shutil.copy(BOUND / "input.yaml", tmp_path)
    text = (BOUND / "kube-proxy.yaml").read_text()
    (tmp_path / "config.yaml").write_text(f"{text}hostnameOverride: worker-1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def of_a_node(proxyrules: Runner, node: str, *options: str) -> str:
    """Compile a node with a configuration that has nothing of one node."""
    text = Path("config.yaml").read_text()
    Path("shared.yaml").write_text(text[: text.index("bindAddress")])
    return proxyrules("compile", "input.yaml", "-c", "shared.yaml", "--node", node, *options).out


def test_compile_and_verify_of_a_fleet(folder: Path, proxyrules: Runner) -> None:
    options = ("--all-nodes", "--one-file-per-node", "--standalone", "-o", "rules")
    result = proxyrules("compile", "input.yaml", "-c", "config.yaml", *options)
    assert result.err.splitlines() == [f"warning: {note}" for note in NOTES]
    for node in ("worker-1", "worker-2"):
        written = (folder / "rules" / f"{node}.rules").read_text()
        assert written == of_a_node(proxyrules, node, "--standalone")
    fleet = ("--fleet", "rules", "--format", "json")
    result = proxyrules("verify", "input.yaml", "-c", "config.yaml", *fleet)
    assert result.code == 0, result.out
    assert [one["message"] for one in json.loads(result.out)["notes"]] == MESSAGES


def test_diff(proxyrules: Runner) -> None:
    result = proxyrules("diff", "input.yaml", "input.yaml", "-c", "config.yaml", "--all-nodes")
    assert (result.code, result.out) == (0, "No change for traffic on 2 nodes.\n")
    assert result.err.splitlines() == [f"warning: {note}" for note in NOTES]


@pytest.mark.parametrize("nodes", ["all", "one of each kind", "[worker-2, worker-1]"])
def test_snapshots(folder: Path, proxyrules: Runner, nodes: str) -> None:
    (folder / "proxyrules.yaml").write_text(
        "snapshots:\n- name: shop\n  manifests: [input.yaml]\n  config: config.yaml\n"
        f"  nodes: {nodes}\n"
    )
    result = proxyrules("snapshot", "update")
    assert result.err.splitlines() == [f"warning: {note}" for note in NOTES]
    files = sorted((folder / "rules").glob("*.rules"))
    assert files
    for file in files:
        assert file.read_text() == of_a_node(proxyrules, file.name.split(".")[1])


def test_a_single_node_keeps_its_address(folder: Path, proxyrules: Runner) -> None:
    first, _, rest = (folder / "input.yaml").read_text().split("---\n", 2)
    (folder / "one.yaml").write_text(f"{first}---\n{rest}")
    options = ("-c", "config.yaml", "--all-nodes", "-o", "rules")
    result = proxyrules("compile", "one.yaml", *options)
    assert result.err.splitlines() == [f"warning: {NOTES[0]}"]
    alone = proxyrules("compile", "one.yaml", "-c", "config.yaml", "--node", "worker-1")
    assert (folder / "rules" / "worker-1.rules").read_text() == alone.out


@pytest.mark.parametrize(
    ("address", "family", "ignored"),
    [
        ("0.0.0.0", Family.IPV4, False),
        ("::", Family.IPV6, False),
        ("127.0.0.1", Family.IPV4, False),
        ("::1", Family.IPV6, False),
        ("10.0.0.1", Family.IPV4, True),
        ("10.0.0.1", Family.IPV6, False),
        ("fd00::1", Family.IPV6, True),
    ],
)
def test_addresses(address: str, family: Family, *, ignored: bool) -> None:
    """An address that every node has, or that decides nothing of the family, stays."""
    config, warnings = for_each_node(read_config(None, {"bind_address": address}), family)
    assert (config.bind_address, len(warnings)) == ((None, 1) if ignored else (address, 0))

"""What `proxyrules collect` runs on nodes: on a real kernel, with the rights of its container.

The rights are those of the manifest: two capabilities (one with `--backend nft`), no way to get
others, a read-only root. Only the runtime's seccomp profile is not there.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from compiler.api import Collection
from compiler.family import IPV4, IPV6
from compiler.netfilter.backend import Backend
from tests.cases import FIXTURES, Case
from tests.kernel.namespace import Namespace
from tests.kernel.node import Node
from tests.proxy_metrics import CASE as METRICS_CASE
from tests.proxy_metrics import FOLDER
from tests.run import Runner

pytestmark = pytest.mark.kernel("setpriv", "unshare", "nft", "curl")

CASE = Case(FIXTURES / "loadbalancer-source-ranges")
CASE6 = Case(FIXTURES / "dual-stack-ipv6")
WARNING = "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n"
WARNING6 = WARNING.replace("iptables", "ip6tables")
CAPABILITIES = {"auto": "+net_admin,+net_raw", "nft": "+net_admin", "legacy": "+net_admin,+net_raw"}


def run_script(
    namespace: Namespace, choice: str, what: str, folder: Path, capabilities: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the script of a node as its container does."""
    script = folder / "node.sh"
    script.write_text(Collection(backend=choice).node_script)
    kept = f"-all,{CAPABILITIES[choice] if capabilities is None else capabilities}".rstrip(",")
    confined = (
        "mount --make-rprivate / && mount -o bind,remount,ro / && mount -t tmpfs -o ro none /run &&"
        f" exec setpriv --bounding-set={kept} --inh-caps={kept} --no-new-privs"
        f" sh {script} {what}"
    )
    return namespace.run(["unshare", "--mount", "sh", "-c", confined], check=False)


def state(namespace: Namespace) -> str:
    """Return all that the kernel has, of both backends, without counters."""
    script = (
        "nft list ruleset; cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null;"
        "true"
    )
    return namespace.run(["sh", "-c", script]).stdout


@pytest.mark.parametrize("backend", [Backend.NFT, Backend.LEGACY])
def test_rules_are_collected_and_nothing_changes(
    namespace: Namespace, proxyrules: Runner, tmp_path: Path, backend: str
) -> None:
    Node(namespace, backend, IPV4).load(CASE.expected)
    Node(namespace, backend, IPV6).load(CASE6.expected)
    before = state(namespace)
    done = run_script(namespace, "auto", "rules", tmp_path)
    # iptables-nft-save warns of what is read next.
    warnings = "" if backend == Backend.NFT else WARNING + WARNING6
    assert (done.returncode, done.stderr) == (0, warnings)
    # Reading made no table: iptables-legacy-save would, if one were named to it.
    assert state(namespace) == before
    dump = tmp_path / "worker-1.save"
    dump.write_text(done.stdout)
    for case, family in ((CASE, "ipv4"), (CASE6, "ipv6")):
        result = proxyrules("verify", *case.arguments, "--ip-family", family, "--against", dump)
        assert result.code == 0, (result.out, result.err)
        assert "The node has the rules that its manifests give" in result.out
    stale = dump.read_text().replace("--to-destination", "--to-destination 10.99.0.1:1 #", 1)
    dump.write_text(stale)
    assert proxyrules("verify", *CASE.arguments, "--against", dump).code != 0


@pytest.mark.parametrize("choice", ["auto", "nft"])
def test_an_nft_node_needs_net_admin_alone(
    namespace: Namespace, proxyrules: Runner, tmp_path: Path, choice: str
) -> None:
    Node(namespace, Backend.NFT, IPV4).load(CASE.expected)
    done = run_script(namespace, choice, "rules", tmp_path, "+net_admin")
    assert (done.returncode, done.stderr) == (0, "")
    dump = tmp_path / "worker-1.save"
    dump.write_text(done.stdout)
    assert proxyrules("verify", *CASE.arguments, "--against", dump).code == 0
    # Without it nothing is read, and that is a failure rather than an empty dump.
    done = run_script(namespace, choice, "rules", tmp_path, "")
    assert done.returncode == 1
    assert done.stderr.endswith("proxyrules: iptables-nft-save failed\n")


def test_legacy_tables_need_net_raw(namespace: Namespace, tmp_path: Path) -> None:
    Node(namespace, Backend.LEGACY, IPV4).load(CASE.expected)
    done = run_script(namespace, "auto", "rules", tmp_path, "+net_admin")
    assert done.returncode == 1
    assert done.stderr.endswith("proxyrules: iptables-legacy-save failed\n")
    # Without legacy tables being read, the dump says that there are some.
    done = run_script(namespace, "nft", "rules", tmp_path)
    assert done.returncode == 0
    assert WARNING in done.stdout
    assert "KUBE-SERVICES" not in done.stdout
    done = run_script(namespace, "legacy", "rules", tmp_path)
    assert done.returncode == 0
    assert "KUBE-SERVICES" in done.stdout


def test_a_node_without_legacy_tables(namespace: Namespace, tmp_path: Path) -> None:
    done = run_script(namespace, "legacy", "rules", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "proxyrules: this node has no legacy tables\n"
    before = state(namespace)
    assert run_script(namespace, "auto", "rules", tmp_path).returncode == 0
    assert state(namespace) == before


@contextmanager
def serving(namespace: Namespace, text: str, folder: Path) -> Iterator[None]:
    """Serve a text at kube-proxy's address inside the namespace."""
    (folder / "metrics").write_text(text)
    command = [
        *("ip", "netns", "exec", namespace.name, sys.executable, "-u", "-m", "http.server"),
        *("10249", "--bind", "127.0.0.1", "--directory", str(folder)),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    ) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline().startswith("Serving HTTP")
            yield
        finally:
            server.terminate()


def test_metrics_are_collected(namespace: Namespace, proxyrules: Runner, tmp_path: Path) -> None:
    done = run_script(namespace, "auto", "metrics", tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("proxyrules: kube-proxy does not answer at 127.0.0.1:10249\n")
    _, _, text = (FOLDER / "worker-1.metrics").read_text().partition("\n")
    served = tmp_path / "served"
    served.mkdir()
    with serving(namespace, text, served):
        done = run_script(namespace, "auto", "metrics", tmp_path, "")
    assert (done.returncode, done.stderr) == (0, "")
    comment, _, rest = done.stdout.partition("\n")
    assert comment.startswith("# proxyrules: collected at ")
    assert rest == text
    collected = tmp_path / "worker-1.metrics"
    collected.write_text(done.stdout)
    result = proxyrules(
        "verify", METRICS_CASE / "input.yaml", "-c", METRICS_CASE / "kube-proxy.yaml",
        "--metrics", collected, "--node", "worker-1",
    )  # fmt: skip
    # The numbers are as predicted, and the text is old by now.
    assert result.code == 1
    assert "kube-proxy syncs every hour" in result.out
    assert "rule count" not in result.out

"""The jumps from the built-in chains: inserted as kube-proxy does it, and removed again."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from compiler.kernel import CheckError, Verdict, check
from tests.cases import FIXTURES, Case
from tests.kernel.box import BACKENDS
from tests.kernel.namespace import Namespace, fresh_namespace
from tests.run import Runner

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("backend", BACKENDS)]

# The table in shared/kube-proxy-semantics.md, section 7, from kubernetes
# `pkg/proxy/iptables/proxier.go` (`iptablesJumpChains`, `iptablesKubeletJumpChains`).
NEW = ("-m", "conntrack", "--ctstate", "NEW")
PORTALS = "kubernetes externally-visible service portals"
JUMPS: list[tuple[str, str, Sequence[str], str, str]] = [
    ("filter", "INPUT", NEW, "KUBE-EXTERNAL-SERVICES", PORTALS),
    ("filter", "FORWARD", NEW, "KUBE-EXTERNAL-SERVICES", PORTALS),
    ("filter", "INPUT", (), "KUBE-NODEPORTS", "kubernetes health check service ports"),
    ("filter", "FORWARD", NEW, "KUBE-SERVICES", "kubernetes service portals"),
    ("filter", "OUTPUT", NEW, "KUBE-SERVICES", "kubernetes service portals"),
    ("filter", "FORWARD", (), "KUBE-FORWARD", "kubernetes forwarding rules"),
    ("filter", "INPUT", NEW, "KUBE-PROXY-FIREWALL", "kubernetes load balancer firewall"),
    ("filter", "OUTPUT", NEW, "KUBE-PROXY-FIREWALL", "kubernetes load balancer firewall"),
    ("filter", "FORWARD", NEW, "KUBE-PROXY-FIREWALL", "kubernetes load balancer firewall"),
    ("nat", "OUTPUT", (), "KUBE-SERVICES", "kubernetes service portals"),
    ("nat", "PREROUTING", (), "KUBE-SERVICES", "kubernetes service portals"),
    ("nat", "POSTROUTING", (), "KUBE-POSTROUTING", "kubernetes postrouting rules"),
]  # fmt: skip
KUBELET_JUMPS = [("filter", chain, (), "KUBE-FIREWALL", "") for chain in ("INPUT", "OUTPUT")]

FOREIGN = """\
*filter
:MINE - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A FORWARD -j MINE
-A MINE -m comment --comment "not yours" -j RETURN
COMMIT
*nat
:MINE - [0:0]
-A POSTROUTING -j MINE
-A MINE -p udp -j RETURN
COMMIT
"""

# With and without KUBE-FIREWALL, in both families, with every kind of chain.
CASES = [
    "nodeport-local",
    "nodeport-localhost-off",
    "dual-stack-ipv6",
    "loadbalancer-source-ranges",
]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(FIXTURES / request.param)


def iptables(case: Case, backend: str, suffix: str = "") -> str:
    stem = "ip6tables" if case.family == "ipv6" else "iptables"
    return f"{stem}-{backend}{suffix}"


def saved(namespace: Namespace, case: Case, backend: str) -> list[str]:
    """What the kernel holds, without counters and remarks, empty tables left out."""
    text = namespace.run([iptables(case, backend, "-save")]).stdout
    lines = [re.sub(r"\[\d+:\d+\]", "[0:0]", line) for line in text.splitlines()]
    return [line for line in lines if not line.startswith("#")]


def compiled(proxyrules: Runner, case: Case, *options: str) -> str:
    result = proxyrules("compile", *case.arguments, *options)
    assert result.code == 0, result.err
    return result.out


def test_jumps_are_where_kube_proxy_would_have_inserted_them(
    proxyrules: Runner, case: Case, backend: str, namespace: Namespace
) -> None:
    plain = compiled(proxyrules, case)
    jumps = [*JUMPS, *(KUBELET_JUMPS if ":KUBE-FIREWALL " in plain else [])]
    with fresh_namespace() as node:
        node.run([iptables(case, backend, "-restore"), "--noflush"], text=plain)
        for table, chain, match, target, comment in jumps:
            words = ["-m", "comment", "--comment", comment] if comment else []
            command = [iptables(case, backend), "-w", "-t", table, "-I", chain]
            node.run([*command, *match, *words, "-j", target])
        as_kube_proxy = saved(node, case, backend)
    text = compiled(proxyrules, case, "--standalone")
    namespace.run([iptables(case, backend, "-restore")], text=text)
    assert saved(namespace, case, backend) == as_kube_proxy
    assert len([line for line in as_kube_proxy if re.match(r"-A [A-Z]+ .*KUBE", line)]) >= len(
        jumps
    )


def test_loading_again_changes_nothing(
    proxyrules: Runner, case: Case, backend: str, namespace: Namespace
) -> None:
    text = compiled(proxyrules, case, "--standalone")
    namespace.run([iptables(case, backend, "-restore")], text=text)
    once = saved(namespace, case, backend)
    namespace.run([iptables(case, backend, "-restore")], text=text)
    assert saved(namespace, case, backend) == once


def test_noflush_and_cleanup_leave_foreign_rules_alone(
    proxyrules: Runner, case: Case, backend: str, namespace: Namespace
) -> None:
    restore = [iptables(case, backend, "-restore"), "--noflush"]
    namespace.run(restore, text=FOREIGN)
    before = saved(namespace, case, backend)
    namespace.run(restore, text=compiled(proxyrules, case, "--standalone"))
    during = saved(namespace, case, backend)
    assert {line for line in before if line.startswith("-A")} < set(during)
    # kube-proxy inserts at the top, so its jumps come before what was there.
    inputs = [line for line in during if line.startswith("-A INPUT")]
    assert inputs[-1] == "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"
    namespace.run(restore, text=compiled(proxyrules, case, "--cleanup"))
    assert saved(namespace, case, backend) == before


def test_cleanup_without_the_rules_fails_and_changes_nothing(
    proxyrules: Runner, case: Case, backend: str, namespace: Namespace
) -> None:
    restore = [iptables(case, backend, "-restore"), "--noflush"]
    namespace.run(restore, text=FOREIGN)
    before = saved(namespace, case, backend)
    cleanup = compiled(proxyrules, case, "--cleanup")
    done = namespace.run(restore, text=cleanup, check=False)
    assert done.returncode != 0
    assert saved(namespace, case, backend) == before
    named = re.search(r"line:? (\d+)", done.stderr)
    assert named
    assert cleanup.splitlines()[int(named[1]) - 1].startswith(("-D ", "COMMIT"))


def test_plain_text_alone_has_no_jump(proxyrules: Runner, case: Case, backend: str) -> None:
    """The reason for --standalone, and a guard that compile's text stays kube-proxy's."""
    built_in = re.compile(r"^-[AI] (INPUT|OUTPUT|FORWARD|PREROUTING|POSTROUTING) ", re.MULTILINE)
    assert not built_in.search(compiled(proxyrules, case))
    assert built_in.search(compiled(proxyrules, case, "--standalone"))


def test_check_names_rule_and_service(
    proxyrules: Runner, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An `iptables-restore`, first in PATH, that puts a wrong probability into the text."""
    case = Case(FIXTURES / "nodeport-local")
    shim = tmp_path / "iptables-restore"
    text = f'exec iptables-{backend}-restore "$@"'
    shim.write_text(f"#!/bin/sh\nsed 's/--probability 0.5000000000/--probability 7/' | {text}\n")
    shim.chmod(0o755)
    good = proxyrules("compile", *case.arguments, "--check")
    assert good.code == 0, good.err
    assert "checked: loaded by iptables-restore in a network namespace of its own" in good.err
    assert good.out == case.expected
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path), prepend=":")
        bad = proxyrules("compile", *case.arguments, "--check")
    assert bad.code == 1
    assert bad.out == ""
    number = next(
        place
        for place, line in enumerate(case.expected.splitlines(), start=1)
        if "--probability 0.5000000000" in line
    )
    assert f"line {number}, of default/web:http: statistic: bad value" in bad.err
    assert case.expected.splitlines()[number - 1] in bad.err


@pytest.mark.kernel("nfacct")
def test_check_without_root_or_without_namespaces(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(FIXTURES / "nodeport-nfacct")
    command = f"iptables-{backend}-restore"
    with monkeypatch.context() as patched:
        # A user is root in a namespace of their own, where the machine lets them make one.
        patched.setattr("os.geteuid", lambda: 1000)
        if subprocess.run(["unshare", "--user", "--net", "true"], check=False).returncode == 0:
            assert check(case.expected, command) == Verdict(
                f"loaded by {command} in a network namespace of its own"
            )
        # Where it doesn't, no check is possible.
        (tmp_path / command).symlink_to(str(shutil.which(command)))
        patched.setenv("PATH", str(tmp_path))
        with pytest.raises(CheckError, match="needs root, or user namespaces"):
            check(case.expected, command)
    # Root without namespaces has it parsed; `--test` touches nothing.
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check(case.expected, command) == Verdict(f"parsed by {command} --test")
    message = check(case.expected.replace("--dport 80", "--dport 80000"), command)
    assert message.rejection
    assert "80000" in message.rejection.reason

"""From arguments to rulesets: what a file is taken for, and in which family sides are compared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases import FIXTURES, GOLDEN
from tests.run import Runner, run_process

RULES = GOLDEN / "seed-affinity-none.rules"
HEAD = "I0413 17:26:42.526157       5 proxier.go:938] "
QUOTED = HEAD + "Restoring iptables rules: *nat"


def service(name: str, ip: str, **metadata: object) -> dict[str, object]:
    spec = {"clusterIP": ip, "ports": [{"port": 80}]}
    metadata = {"name": name, **metadata}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def manifest(*services: dict[str, object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(services)})


BLOCK = f"""\
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations:
    seen: |
      {QUOTED}
      :KUBE-SERVICES - [0:0]
spec:
  clusterIP: 10.0.0.1
  ports: [{{port: 80}}]
"""
ANNOTATED = service("web", "10.0.0.1", annotations={"seen": QUOTED})


@pytest.mark.parametrize(
    "text",
    [
        BLOCK,
        f"---\n# {QUOTED}\n{BLOCK}",
        json.dumps(ANNOTATED),
        json.dumps(ANNOTATED, indent=2),
        manifest(ANNOTATED),
        json.dumps({"metadata": ANNOTATED["metadata"], **ANNOTATED}),
    ],
    ids=["yaml", "comment", "json", "indented", "list", "metadata first"],
)
def test_a_manifest_that_quotes_a_log_is_a_manifest(
    text: str, proxyrules: Runner, tmp_path: Path
) -> None:
    quoting, plain = tmp_path / "quoting", tmp_path / "plain"
    quoting.write_text(text)
    plain.write_text(manifest(service("web", "10.0.0.1")))
    result = proxyrules("diff", quoting, plain)
    assert (result.code, result.err) == (0, "")


def test_a_log_that_is_cut_off_is_a_log(proxyrules: Runner, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"{HEAD}Syncing iptables rules\n{HEAD}Restoring iptables rules:\n")
    result = proxyrules("diff", log, RULES)
    assert (result.code, result.err) == (
        2, f"{log}: this kube-proxy log has no IPv4 restore input; kube-proxy writes it with -v=9\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Chain INPUT (policy ACCEPT)\ntarget     prot opt source     destination\n",
            (
                "this is the output of iptables -L, which leaves out parts of rules; "
                "use iptables-save or iptables -S"
            ),
        ),
        (
            "Chain KUBE-SERVICES (2 references)\n pkts bytes target\n",
            (
                "this is the output of iptables -L, which leaves out parts of rules; "
                "use iptables-save or iptables -S"
            ),
        ),
        (
            "table ip nat {\n\tchain PREROUTING {\n",
            "this is the output of nft list ruleset; use iptables-nft-save",
        ),
    ],
)
@pytest.mark.parametrize("command", ["diff", "verify"])
def test_listings_that_can_not_be_read(
    text: str, message: str, command: str, proxyrules: Runner, tmp_path: Path
) -> None:
    listing = tmp_path / "listing"
    listing.write_text(text)
    option = ["--against"] if command == "verify" else []
    result = proxyrules(command, RULES, *option, listing)
    assert (result.code, result.out, result.err) == (2, "", f"{listing}:1: {message}\n")


def test_rules_among_manifests(proxyrules: Runner, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    dump.write_text(RULES.read_text())
    result = proxyrules("verify", FIXTURES, RULES, "--against", dump)
    assert (result.code, result.err) == (
        2,
        (
            f"{RULES}: rules can't be combined with other paths; "
            "give one file of rules, or only manifests\n"
        ),
    )


@pytest.mark.parametrize(
    "words",
    [
        ["diff", "-", "-"],
        ["delta", "-", "-"],
        ["verify", "-", "--against", "-"],
        ["verify", "-", str(RULES), "-", "--against", str(RULES)],
        ["diff", "-", str(RULES), "--config", "-"],
    ],
)
def test_standard_input_can_be_read_once(words: list[str]) -> None:
    done = run_process(*words, stdin=RULES.read_bytes())
    assert (done.returncode, done.stdout, done.stderr) == (
        2, b"", b"<stdin>: named twice; give - only once\n",
    )  # fmt: skip


def test_the_configuration_may_be_a_pipe(tmp_path: Path) -> None:
    """It is read once, though both sides are compiled with it."""
    case = FIXTURES / "masquerade-all-bit-15"
    line = (
        f"{sys.executable} -m compiler diff {case}/input.yaml {GOLDEN}/{case.name}.rules"
        f" --node worker-1 --config <(cat {case}/kube-proxy.yaml)"
    )
    done = subprocess.run(["bash", "-c", line], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    config = (case / "kube-proxy.yaml").read_bytes()
    done = run_process("diff", case / "input.yaml", case / "input.yaml", "-c", "-", stdin=config)
    assert (done.returncode, done.stderr) == (0, b"")


FOUR, SIX = manifest(service("web", "10.0.0.1")), manifest(service("web", "fd00::1"))
EMPTY = manifest()


@pytest.mark.parametrize(
    ("old", "new", "added"),
    [(EMPTY, SIX, "+"), (SIX, EMPTY, "-"), (EMPTY, FOUR, "+"), (FOUR, EMPTY, "-")],
    ids=["none to IPv6", "IPv6 to none", "none to IPv4", "IPv4 to none"],
)
def test_nothing_is_compared_in_the_family_that_has_something(
    old: str, new: str, added: str, proxyrules: Runner, tmp_path: Path
) -> None:
    """An empty side has no family: by itself it would be IPv4, and IPv6 not looked at."""
    before, after = tmp_path / "old.json", tmp_path / "new.json"
    before.write_text(old)
    after.write_text(new)
    result = proxyrules("diff", before, after)
    assert (result.code, result.err) == (1, "")
    assert result.out.startswith(f"{added} default/web")


def test_the_other_family_is_reported_as_left_out(proxyrules: Runner, tmp_path: Path) -> None:
    both = tmp_path / "both.json"
    both.write_text(manifest(service("web", "10.0.0.1"), service("six", "fd00::1")))
    result = proxyrules("diff", both, both)
    left_out = f"{both}: 1 IPv6 service port left out; --ip-family ipv6 reads them\n"
    assert (result.code, result.err) == (0, left_out * 2)
    assert proxyrules("diff", both, both, "--ip-family", "ipv4").err == ""


def test_live_takes_ip_family_or_reads_ipv4(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from compiler.cli.options import CompileOptions
    from compiler.cli.rules_input import load_sides, open_live

    for name, ip in (("iptables", "10.0.0.1"), ("ip6tables", "fd00::1")):
        program = tmp_path / f"{name}-save"
        program.write_text(f"#!/bin/sh\necho '*nat\n-A OUTPUT -d {ip} -j RETURN\nCOMMIT'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (rules,) = load_sides([open_live()], CompileOptions())
    assert (rules.name, rules.ruleset.family) == ("iptables-save", "ipv4")
    (rules,) = load_sides([open_live()], CompileOptions(ip_family="ipv6"))
    assert (rules.name, rules.ruleset.family) == ("ip6tables-save", "ipv6")

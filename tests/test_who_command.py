"""The arguments of `proxyrules who`: what can be asked, in which order, and bad input."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.analysis.asked import read_asked
from compiler.errors import InputError
from tests.cases import FIXTURES, GOLDEN
from tests.run import Runner, run_process

LOCAL = str(FIXTURES / "nodeport-local" / "input.yaml")
SEP = "KUBE-SEP-EYUPMQWYQVDBMV26"


@pytest.mark.parametrize(
    ("text", "kind", "name", "address", "port", "protocol"),
    [
        (SEP, "chain", SEP, "", "", ""),
        (f" {SEP}\n", "chain", SEP, "", "", ""),
        ("PREROUTING", "chain", "PREROUTING", "", "", ""),
        (f":{SEP} - [0:0]", "chain", SEP, "", "", ""),
        (f"-N {SEP}", "chain", SEP, "", "", ""),
        ("EYUPMQWYQVDBMV26", "hash", "EYUPMQWYQVDBMV26", "", "", ""),
        ("-A KUBE-SERVICES -j X", "rule", "KUBE-SERVICES", "", "", ""),
        ("[1:60] -A KUBE-SERVICES -j X", "rule", "KUBE-SERVICES", "", "", ""),
        ("-I KUBE-SERVICES 1 -j X", "rule", "KUBE-SERVICES", "", "", ""),
        ("iptables -t nat -A KUBE-SERVICES -j X", "rule", "KUBE-SERVICES", "", "", ""),
        ("10.0.0.1", "address", "", "10.0.0.1", "", ""),
        ("10.0.0.1/udp", "address", "", "10.0.0.1", "", "udp"),
        ("10.0.0.1:80", "address", "", "10.0.0.1", "80", ""),
        ("10.0.0.1:80/TCP", "address", "", "10.0.0.1", "80", "tcp"),
        ("FD00:0::1", "address", "", "fd00::1", "", ""),
        ("[fd00::1]", "address", "", "fd00::1", "", ""),
        ("[fd00::1]:53/udp", "address", "", "fd00::1", "53", "udp"),
        ("30080", "port", "", "", "30080", ""),
        ("53/udp", "port", "", "", "53", "udp"),
        ("default/web", "service", "default/web", "", "", ""),
        ("default/web:http", "service", "default/web", "", "http", ""),
        ("default/web:80/tcp", "service", "default/web", "", "80", "tcp"),
        ("what is KUBE-SVC-X", "text", "", "", "", ""),
    ],
)
def test_what_can_be_asked(
    text: str, kind: str, name: str, address: str, port: str, protocol: str
) -> None:
    asked = read_asked(text)
    assert (asked.kind, asked.name, asked.address, asked.port, asked.protocol) == (
        kind, name, address, port, protocol,
    )  # fmt: skip


FORMS = (
    "ask for a chain (KUBE-SVC-...), its hash, a rule (-A ...), an address, ADDRESS:PORT, a port "
    "or NAMESPACE/SERVICE[:PORT]"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("70000", '"70000" is not a port; must be between 1 and 65535'),
        ("0", '"0" is not a port; must be between 1 and 65535'),
        ("10.0.0.1:99999", '"99999" is not a port; must be between 1 and 65535'),
        ("10.0.0.300", f'"10.0.0.300" is not an IP address; {FORMS}'),
        ("10.0.0.0/8", '"10.0.0.0/8" is a network; ask for one address of it'),
        ("web", '"web" names no namespace; if it is a Service, ask for NAMESPACE/web'),
        ("web:http", '"web:http" names no namespace; if it is a Service, ask for NAMESPACE/web:http'),
        (
            "kube-sep-eyupmqwyqvdbmv26",
            '"kube-sep-eyupmqwyqvdbmv26" is not a chain name; names of kube-proxy\'s chains are in '
            "upper case",
        ),
        ("a/b/c", f'"a/b/c" is nothing that can be asked for; {FORMS}'),
        ("", f'"" is nothing that can be asked for; {FORMS}'),
        ("?", f'"?" is nothing that can be asked for; {FORMS}'),
    ],
)  # fmt: skip
def test_bad_questions(text: str, message: str, proxyrules: Runner) -> None:
    with pytest.raises(InputError) as failed:
        read_asked(text)
    assert str(failed.value) == message
    result = proxyrules("who", text, LOCAL)
    assert (result.code, result.out, result.err) == (2, "", f"{message}\n")


@pytest.mark.parametrize(
    ("arguments", "code", "err"),
    [
        ([], 2, "give WHAT is asked: a chain, a rule, an address, a port or -"),
        ([LOCAL, SEP], 2, "this is a path; what is asked comes first, then manifests or rules"),
        (["nothing.yaml"], 2, "nothing.yaml: this is a path; what is asked comes first"),
        ([SEP, "missing.yaml"], 2, "missing.yaml: can't be read: no such file or directory"),
        (["-", "-"], 2, "<stdin>: named twice; give - only once"),
        (["--annotate", "missing.log", LOCAL], 2, "missing.log: can't be read"),
        (["--annotate", "/", LOCAL], 2, "/: can't be read: is a directory"),
        (["-", LOCAL, "--format", "json"], 2, "--format is for questions"),
        ([SEP, LOCAL, GOLDEN / "nodeport-local.rules"], 2, "rules can't be combined"),
        ([SEP, LOCAL, "--nodes", "x"], 2, "Invalid value for '--nodes'"),
        ([SEP, LOCAL, "--node", "other"], 2, '--node: no Node "other" in the manifests'),
        ([SEP, LOCAL, "-o", LOCAL], 2, "is also an input"),
    ],
)
def test_bad_arguments(
    arguments: list[str | Path], code: int, err: str, proxyrules: Runner
) -> None:
    result = proxyrules("who", *arguments)
    assert (result.code, result.out) == (code, "")
    assert err in result.err


def test_a_service_that_is_also_a_path(
    proxyrules: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "default" / "web").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert proxyrules("who", "default/web", LOCAL, "--node", "worker-1").code == 0
    assert "this is a path" in proxyrules("who", "default/", LOCAL).err


def test_exit_codes(proxyrules: Runner) -> None:
    assert proxyrules("who", SEP, LOCAL, "--node", "worker-1").code == 0
    unknown = proxyrules("who", "KUBE-SEP-AAAAAAAAAAAAAAAA", LOCAL, "--node", "worker-1")
    assert unknown.code == 1
    assert unknown.out == (
        "KUBE-SEP-AAAAAAAAAAAAAAAA: the chain of one endpoint: not found in 1 Service and 1 "
        f"EndpointSlice in {LOCAL}\n"
    )


def test_a_rule_is_no_option(proxyrules: Runner) -> None:
    rule = "-A KUBE-EXT-CDGGSHYLG3RE2FKL -j KUBE-SVL-CDGGSHYLG3RE2FKL"
    result = proxyrules("who", rule, LOCAL, "--node", "worker-1")
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "a rule of KUBE-EXT-CDGGSHYLG3RE2FKL: sends connections to external addresses of "
        "default/web:http to endpoints on this node\n"
        f"  because of {LOCAL}:44: Service default/web: spec.externalTrafficPolicy: Local\n"
    )


def test_without_a_node_names_are_found_all_the_same(proxyrules: Runner) -> None:
    """Which chains the node has depends on it here, and is not said."""
    result = proxyrules("who", SEP, LOCAL)
    assert result.code == 0
    assert result.out.startswith(f"{SEP}: endpoint 10.10.1.2:8080 of default/web:http\n")
    assert result.err.startswith("which chains a node has is not known: --node is required: ")


def test_rules_from_standard_input() -> None:
    dump = (GOLDEN / "nodeport-local.rules").read_bytes()
    done = run_process("who", SEP, "-", stdin=dump)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == f"{SEP}: endpoint 10.10.1.2:8080 of default/web:http\n".encode()


def test_a_port_of_many_services(proxyrules: Runner, tmp_path: Path) -> None:
    manifests = tmp_path / "many.yaml"
    manifests.write_text(
        "---\n".join(
            f"apiVersion: v1\nkind: Service\nmetadata: {{name: s{n}}}\n"
            f"spec: {{clusterIP: 10.1.0.{n}, ports: [{{port: 80}}]}}\n"
            for n in range(1, 31)
        )
    )
    short = proxyrules("who", "80", manifests)
    assert short.code == 0
    assert short.out.count("80: the cluster IP of default/s") == 20
    assert short.out.endswith("... and 10 more; -v shows all\n")
    assert proxyrules("who", "80", manifests, "-v").out.count("80: the cluster IP of") == 30

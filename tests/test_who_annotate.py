"""The annotator: lines of real tools' output (tests/samples) with what the names in them mean."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.analysis.annotate import Annotator
from compiler.analysis.names import names_of
from compiler.analysis.rule_names import names_in
from compiler.api import compile_rules
from compiler.netfilter.parse import parse_rules
from tests.cases import FIXTURES, ROOT, Case, case_id
from tests.run import Runner, run_process
from tests.test_who import SMALL

CASE = Case(FIXTURES / "nodeport-cluster")
SAMPLES = ROOT / "tests" / "samples"
INPUT: list[str | Path] = ["who", "-", CASE.manifest, "--node", "worker-1"]
WEB = "default/web:http"
# As kube-proxy 1.30 logs (pkg/proxy/servicechangetracker.go, iptables/proxier.go).
LOG = (
    'I1125 03:00:00.000000       1 servicechangetracker.go:210] "Adding new service port" '
    'portName="default/web:http" servicePort="10.200.1.10:80/TCP"\n'
)


def annotated(text: str) -> list[str]:
    names = names_of(compile_rules([CASE.manifest], node="worker-1").manifests)
    return "".join(Annotator(names).annotate(text.splitlines(keepends=True))).splitlines()


def comment(line: str) -> str:
    """Return the comment on one line, however it is added."""
    text = "".join(annotated(f"{line}\n"))
    return text.partition("# ")[2].removesuffix(line)


def test_samples_are_there() -> None:
    assert len(list(SAMPLES.iterdir())) == 8


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.iterdir()))
def test_lines_stay_as_they_are(name: str) -> None:
    """Each line is followed by its comment, or has one line of comment above; none is lost."""
    text = (SAMPLES / name).read_text()
    lines = iter(annotated(text))
    commented = 0
    for line in text.splitlines():
        found = next(lines)
        if found != line and not found.startswith(f"{line}  # "):
            assert found.startswith("# ")
            found = next(lines)
            assert found == line
            commented += 1
        else:
            commented += found != line
    assert not list(lines)
    assert commented >= (2 if name == "conntrack.txt" else 20)


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*save*")))
def test_restore_text_stays_the_same_rules(name: str) -> None:
    text = (SAMPLES / name).read_text()
    assert parse_rules("\n".join(annotated(text)) + "\n") == parse_rules(text)


@pytest.mark.parametrize("case", SMALL, ids=case_id)
def test_every_rule_of_a_golden_has_a_comment(case: Case) -> None:
    """From the text alone, and one line each."""
    lines = case.expected.splitlines(keepends=True)
    annotator = Annotator(names_in(case.expected))
    for line in lines:
        said = annotator.comment(line)
        if line.startswith(("-A ", ":KUBE")):
            assert said, line
        assert "\n" not in said
        assert "{" not in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            ":KUBE-SVC-CDGGSHYLG3RE2FKL - [0:0]",
            f"KUBE-SVC-CDGGSHYLG3RE2FKL: distributes connections to {WEB} among its endpoints on "
            "any node",
        ),
        (
            "Chain KUBE-SEP-EYUPMQWYQVDBMV26 (1 references)",
            f"KUBE-SEP-EYUPMQWYQVDBMV26: endpoint 10.10.1.2:8080 of {WEB}",
        ),
        (
            "[7:420] -A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-EXT-CDGGSHYLG3RE2FKL",
            f"takes connections to node port 30080 of {WEB}",
        ),
        (
            "\t\tmeta l4proto tcp counter packets 1 bytes 60 dnat to 10.10.1.2:8080",
            f"10.10.1.2: endpoint 10.10.1.2:8080 of {WEB}",
        ),
        ("0 0 ACCEPT tcp -- * * 0.0.0.0/0 0.0.0.0/0 tcp dpt:30080", f"node port 30080 of {WEB}"),
        (
            "-A MINE -d 10.200.1.10/32 -p tcp -j ACCEPT",
            f"10.200.1.10: cluster IP of {WEB}",
        ),
        ("-A MINE -s 10.200.0.0/16 -j ACCEPT", ""),
        (LOG.strip(), f"10.200.1.10: cluster IP of {WEB}"),
        ("KUBE-SEP-AAAAAAAAAAAAAAAA was here", ""),
        ("version 1.2.3.4.5, 300.1.1.1, 10.200.1.10.example", ""),
        ("at 12:34:56 it was", ""),
        ("listening on [fd00:18::2]:80", "fd00:18::2: Node worker-1"),
        ("tcp6 fd00:18::2 up", "fd00:18::2: Node worker-1"),
        (
            "tcp 6 86399 ESTABLISHED src=10.10.2.2 dst=10.200.1.10 sport=40000 dport=80 "
            "src=10.10.1.2 dst=10.10.2.2 sport=8080 dport=40000 [ASSURED] mark=0 use=1",
            f"from endpoint 10.10.2.2:8080 of {WEB}, to cluster IP of {WEB}, translated to endpoint "
            f"10.10.1.2:8080 of {WEB}",
        ),
        (
            "    [NEW] tcp      6 120 SYN_SENT src=9.9.9.9 dst=172.18.0.2 sport=1 dport=30080 "
            "[UNREPLIED] src=10.10.1.2 dst=172.18.0.2 sport=8080 dport=9",
            f"to node port 30080 of {WEB}, translated to endpoint 10.10.1.2:8080 of {WEB}, "
            "source translated to 172.18.0.2",
        ),
        # another machine's port, which no rule translates
        ("tcp 6 1 SYN_SENT src=9.9.9.9 dst=8.8.8.8 sport=1 dport=30080 src=8.8.8.8 dst=9.9.9.9 sport=30080 dport=1", ""),
        ("-A MINE -d 8.8.8.8/32 -p tcp -m tcp --dport 30080 -j ACCEPT", ""),
        ("-A MINE -p udp -m udp --dport 30080 -j ACCEPT", ""),
        (
            # another protocol than the Service's: the address is known, this port of it is not
            "udp 17 src=9.9.9.9 dst=10.200.1.10 sport=1 dport=80 src=10.200.1.10 dst=9.9.9.9 "
            "sport=80 dport=1",
            "",
        ),
        ("icmp 1 29 src=10.10.1.2 dst=9.9.9.9 type=8 code=0 id=1", f"10.10.1.2: endpoint 10.10.1.2:8080 of {WEB}"),
    ],
)  # fmt: skip
def test_comments(line: str, said: str) -> None:
    assert comment(line) == said


def test_rules_without_comments_read_quickly_or_not() -> None:
    """Both ways through a rule of an endpoint's chain come to the same comment."""
    text = (SAMPLES / "iptables-save-nft.txt").read_text()
    chain = "-A KUBE-SEP-EYUPMQWYQVDBMV26"
    lines = [
        f"{chain} -s 10.10.1.2/32 -j KUBE-MARK-MASQ",
        f"{chain} -p tcp -m tcp -j DNAT --to-destination 10.10.1.2:8080",
        f"{chain} -p tcp -m recent --set --name x -m tcp -j DNAT --to-destination 10.10.1.2:8080",
        f"{chain} -s 10.10.1.20/32 -j KUBE-MARK-MASQ",
        f"{chain} -p tcp -m tcp -j DNAT --to-destination 110.10.1.2:8080",
    ]
    annotator = Annotator(names_in(text))
    for line in lines:
        # counters in front take the other way
        slow = annotator.comment(f"[0:0] {line}\n")
        assert slow
        assert annotator.comment(f"{line}\n") == slow


def test_a_json_log_stays_one_value_per_line() -> None:
    line = '{"ts":1,"msg":"x KUBE-SEP-EYUPMQWYQVDBMV26"}'
    assert annotated(f"{line}\n") == [
        f"# KUBE-SEP-EYUPMQWYQVDBMV26: endpoint 10.10.1.2:8080 of {WEB}",
        line,
    ]


def test_a_line_with_many_names() -> None:
    chains = sorted(set(re.findall(r"KUBE-S[A-Z]{2}-[A-Z0-9]{16}", CASE.expected)))
    assert len(chains) > 3
    assert comment(" ".join(chains)).endswith(f"; and {len(chains) - 3} more")


def test_bytes_and_line_ends_pass_through(proxyrules: Runner) -> None:
    text = b"\xff\xfe KUBE-MARK-MASQ\r\n\x00\x85 \xe2\x80\xa8\nlast 10.10.1.2"
    done = run_process(*INPUT, stdin=text)
    assert done.returncode == 0
    assert done.stdout == (
        b"\xff\xfe KUBE-MARK-MASQ  # KUBE-MARK-MASQ: for the whole node: marks packets for "
        b"masquerading\r\n\x00\x85 \xe2\x80\xa8\nlast 10.10.1.2  # 10.10.1.2: endpoint "
        b"10.10.1.2:8080 of default/web:http"
    )


def test_a_stream_is_written_as_it_is_read() -> None:
    command = [sys.executable, "-m", "compiler", *map(str, INPUT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(3):
            process.stdin.write(b"%d to 10.200.1.10:80\n" % number)
            process.stdin.flush()
            # would wait for ever if the line were kept
            assert process.stdout.readline().startswith(b"%d to 10.200.1.10:80  # " % number)
        process.stdin.close()
        assert process.wait(timeout=20) == 0


def test_a_reader_that_is_gone() -> None:
    command = f"{sys.executable} -m compiler {' '.join(map(str, INPUT))} | head -1"
    text = CASE.expected * 200
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        input=text,
        capture_output=True,
        encoding="utf-8",
        env=os.environ,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "*filter\n", "")


def test_a_dump_alone(proxyrules: Runner, tmp_path: Path) -> None:
    """Without manifests, its own rules name what they are about; another dump does as well."""
    dump = tmp_path / "node.save"
    dump.write_text(CASE.expected)
    alone = proxyrules("who", "--annotate", dump)
    assert (alone.code, alone.err) == (0, "")
    assert (
        "# translates the destination to endpoint 10.10.1.2:8080 of default/web:http\n" in alone.out
    )
    by_rules = proxyrules("who", "--annotate", SAMPLES / "conntrack.txt", dump)
    assert by_rules.out.count("translated to endpoint 10.10.") == 2


def test_places(proxyrules: Runner) -> None:
    result = proxyrules(
        *INPUT[:1], "--annotate", SAMPLES / "iptables-save-nft.txt", *INPUT[2:], "-v"
    )
    assert (result.code, result.err) == (0, "")
    assert f"# takes connections to node port 30080 of {WEB} ({CASE.manifest}:43)\n" in result.out


def test_to_a_file(proxyrules: Runner, tmp_path: Path) -> None:
    output = tmp_path / "out.txt"
    source = SAMPLES / "conntrack.txt"
    assert proxyrules("who", "--annotate", source, CASE.manifest, "-o", output).code == 0
    assert output.read_text().count("  # from Node worker-1, to ") == 2

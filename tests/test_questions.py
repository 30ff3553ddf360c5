from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from compiler import questions
from compiler.api import compile_rules
from compiler.errors import InputError
from compiler.manifests.source import Source
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.host import Host
from compiler.netfilter.ruleset import Ruleset
from tests.cases import GOLDEN

FIXTURE = GOLDEN.parent / "fixtures" / "seed-affinity-none" / "input.yaml"
NONE = GOLDEN / "seed-affinity-none.rules"
CLIENT_IP = GOLDEN / "seed-affinity-clientip.rules"


def compiled() -> Ruleset:
    return questions.read_rules(compile_rules(FIXTURE, flags={"cluster_cidr": "10.10.0.0/16"}))


def test_the_package_offers_them() -> None:
    import compiler
    from compiler import api

    assert compiler.diff is api.diff is questions.diff
    assert all(hasattr(api, name) for name in api.__all__)
    assert all(hasattr(compiler, name) for name in compiler.__all__)


def test_every_kind_of_side_is_the_same_rules() -> None:
    sides = [
        compiled(),
        questions.read_rules(NONE),
        questions.read_rules(str(NONE)),
        questions.read_rules(Source("memory", NONE.read_bytes())),
    ]
    assert all(side == sides[0] for side in sides)


def test_diff() -> None:
    assert questions.diff(compiled(), NONE).same
    found = questions.diff(compiled(), CLIENT_IP)
    (port,) = found.ports
    assert [(one.what, one.before, one.after) for one in port.changes] == [
        ("session affinity", None, "ClientIP, 10800 s")
    ]


def test_verify() -> None:
    faults = [one for one in questions.verify(NONE, CLIENT_IP) if one.severity == "error"]
    assert {one.service for one in faults} == {"default/svc-clusterip:svc-webport"}
    assert [one for one in questions.verify(NONE, NONE) if one.severity == "error"] == []


def test_delta() -> None:
    assert questions.delta(NONE, NONE).text == ""
    assert "-m recent" in questions.delta(NONE, CLIENT_IP).text


def test_evaluate() -> None:
    packet = Packet(source="10.10.0.6", destination="10.200.1.201", destination_port=9000)
    outcomes = questions.evaluate(NONE, packet, host=Host(frozenset(("172.18.0.5",))))
    assert {one.destination for one in outcomes} == {"10.10.1.2:80", "10.10.2.2:80", "10.10.3.3:80"}
    assert sum(one.share for one in outcomes) == Fraction(1)


def test_bad_rules(tmp_path: Path) -> None:
    path = tmp_path / "bad.rules"
    path.write_text("*nat\n-A X -p tcp --dport 80x\nCOMMIT\n")
    with pytest.raises(InputError, match=r'bad\.rules:2:21: invalid value "80x" for --dport'):
        questions.read_rules(path)

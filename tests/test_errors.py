"""One problem, two readers: Python callers read arguments' names, users of the command options'."""

from __future__ import annotations

from compiler.cli.messages import option_name, warning_lines
from compiler.errors import ARGUMENT, InputError, Problem
from compiler.manifests.convert import shorten


def test_an_argument_is_the_place_where_the_text_does_not_name_it() -> None:
    problem = Problem.of_argument("node", "node name is empty")
    assert str(problem) == "node: node name is empty"
    assert problem.text(option_name) == "--node: node name is empty"


def test_an_argument_in_the_message_begins_the_sentence() -> None:
    problem = Problem.of_argument("kube_version", f"{ARGUMENT} is required", "nodes: a, b")
    assert str(problem) == "kube_version is required; nodes: a, b"
    assert problem.text(option_name) == "--kube-version is required; nodes: a, b"


def test_an_argument_in_the_hint_leaves_the_place_to_the_file() -> None:
    problem = Problem(
        "k.yaml", "mode is ipvs", f"use {ARGUMENT} iptables", 3, 7, argument="proxy_mode"
    )
    assert str(problem) == "k.yaml:3:7: mode is ipvs; use proxy_mode iptables"
    assert problem.text(option_name) == "k.yaml:3:7: mode is ipvs; use --proxy-mode iptables"


def test_what_a_user_wrote_is_no_argument() -> None:
    problem = Problem.of_argument("cluster_cidr", f"{shorten(ARGUMENT)} is no CIDR")
    assert problem.text(option_name) == r'--cluster-cidr: "\ufffc" is no CIDR'


def test_the_whole_error_is_spelled_alike() -> None:
    error = InputError([Problem.of_argument("ip_family", "unknown"), Problem("m", "empty")])
    assert str(error) == "ip_family: unknown\nm: empty"
    assert error.text(option_name) == "--ip-family: unknown\nm: empty"


def test_arguments_with_other_names_on_the_command_line() -> None:
    assert option_name("node_addresses") == "--node-address"
    assert option_name("complete_manifests()") == "--from-workloads"


def test_many_warnings_are_counted() -> None:
    lines = list(warning_lines([Problem("m", str(number)) for number in range(103)]))
    assert lines[0] == "warning: m: 0"
    assert lines[99:] == ["warning: m: 99", "... and 3 more warnings"]

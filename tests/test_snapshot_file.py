"""`proxyrules.yaml`: what is in it, what is wrong with it, and its JSON schema."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import InputError
from compiler.family import IPV6
from compiler.manifests.source import Source
from compiler.snapshots.command import CommandError, run, words_of
from compiler.snapshots.file import read_file
from compiler.snapshots.schema import FILE, SCHEMA, check
from compiler.snapshots.tree import Tree, literal_folder
from tests.cases import ROOT
from tests.processes import is_running, wait_until
from tests.repository import Repository
from tests.run import Runner

VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def problems(text: str) -> list[str]:
    try:
        found = read_file(Source(FILE, text.encode()))
    except InputError as error:
        return [str(problem) for problem in error.problems]
    return [str(problem) for problem in found.problems]


def test_the_schema_of_the_docs() -> None:
    """Written by `json.dumps(SCHEMA, indent=2, ensure_ascii=False)`."""
    text = (ROOT / "docs" / "proxyrules.schema.json").read_text()
    assert text == json.dumps(SCHEMA, indent=2, ensure_ascii=False) + "\n"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_field() -> None:
    text = """\
snapshots:
  - name: shop
    manifests: [apps/*.yaml, apps/**/*.json]
    command: helm template shop 'charts/my shop'
    config: cluster/kube-proxy.yaml
    nodes: [worker-1, worker-2]
    families: [ipv6]
    kubeVersion: "1.34"
    fromWorkloads: true
    makeNodes: 3
    cluster: [cluster/live.yaml]
directory: some/rules/
"""
    found = read_file(Source(FILE, text.encode()))
    (one,) = found.definitions
    assert found.directory == "some/rules"
    assert one.command == ("helm", "template", "shop", "charts/my shop")
    assert (one.name, one.config) == ("shop", "cluster/kube-proxy.yaml")
    assert (one.nodes, one.families) == (("worker-1", "worker-2"), (IPV6,))
    assert (one.kube_version, one.from_workloads, one.make_nodes) == ("1.34", True, 3)
    assert str(one.problem(("nodes", 1), "wrong", "do it")) == (
        "proxyrules.yaml:6:23: snapshot shop: nodes[1]: wrong; do it"
    )
    assert one.problem((), "wrong").line == 2
    assert one.problem(("missing",), "wrong").line == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["proxyrules.yaml: no snapshots in it; proxyrules snapshot init writes an example"]),
        ("[]", ["proxyrules.yaml:1:1: expected a mapping, found a list"]),
        ("a: [", ["proxyrules.yaml:1:5: not YAML: expected the node content, but found '<stream end>' (while parsing a flow node)"]),
        ("directory: x", ["proxyrules.yaml:1:1: snapshots is missing"]),
        ("snapshots: []", ["proxyrules.yaml:1:12: snapshots: the list is empty"]),
        ("snapshots: [3]", ["proxyrules.yaml:1:13: snapshots[0]: expected a mapping, found the number 3"]),
        ("snapshots:\n- {name: a, manifests: [x]}\n---\nb: 1\n", ["proxyrules.yaml:4:1: a second document; write one"]),
        ("snapshots: [{name: a}]", ["proxyrules.yaml:1:13: snapshots[0]: manifests or command is missing"]),
        ("snapshots: [{manifests: [x]}]", ["proxyrules.yaml:1:13: snapshots[0]: name is missing"]),
        ("snapshots: [{name: a, manifests: x}]", ["proxyrules.yaml:1:34: snapshots[0].manifests: expected a list, found the string \"x\"; write [x]"]),
        ("snapshots: [{name: a, manifests: [x], config: }]", ["proxyrules.yaml:1:46: snapshots[0].config: expected a string, found null; give it a value, or remove the field"]),
    ],
)  # fmt: skip
def test_what_is_no_file_of_snapshots(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


def test_all_problems_at_once_with_their_places() -> None:
    text = """\
snapshots:
  - name: shop
    manifest: [apps/*.yaml]
    nodes: [worker-1, ../x]
    kubeVersion: 1.34
  - name: shop
    manifests: [a.yaml, /etc/x.yaml, ../up, a.yaml]
    families: [ipv5]
    fromWorkload: yes
  - name: Bad Name
    command: helm template | yq
  - name: later
    command: helm 'template
    kubeVersion: "1.99"
    nodes: one of each
    fromWorkloads: maybe
  - name: some
    manifests: [x]
    makeNodes: 0
    cluster: [nodes.yaml]
  - name: more
    name: more
    manifests: ['a\\b']
directory: ../rules
dir: x
"""
    assert problems(text) == [
        "proxyrules.yaml:2:5: snapshots[0]: manifests or command is missing",
        "proxyrules.yaml:3:5: snapshots[0].manifest: unknown field; did you mean manifests?",
        'proxyrules.yaml:4:23: snapshots[0].nodes[1]: "../x" is not the name of a node; use lower-case letters, digits, -, .',
        'proxyrules.yaml:5:18: snapshots[0].kubeVersion: expected a string, found the number 1.34; quote it: "1.34"',
        'proxyrules.yaml:6:11: snapshots[1].name: the name "shop" is taken (first at line 2); names must be unique',
        'proxyrules.yaml:7:25: snapshots[1].manifests[1]: "/etc/x.yaml" is outside the folder of proxyrules.yaml; use a path below it',
        'proxyrules.yaml:7:38: snapshots[1].manifests[2]: "../up" has `..`, which may lead outside the folder of proxyrules.yaml; use a path below it',
        'proxyrules.yaml:7:45: snapshots[1].manifests[3]: "a.yaml" is in the list twice',
        'proxyrules.yaml:8:16: snapshots[1].families[0]: "ipv5" is not one of ipv4, ipv6; did you mean ipv6?',
        "proxyrules.yaml:9:5: snapshots[1].fromWorkload: unknown field; did you mean fromWorkloads?",
        'proxyrules.yaml:10:11: snapshots[2].name: "Bad Name" can\'t begin the name of a file; use lower-case letters, digits, -, _ and . inside',
        "proxyrules.yaml:11:14: snapshots[2].command: \"|\" is for a shell, and none runs the command; quote it, or write [sh, -c, '...']",
        "proxyrules.yaml:13:14: snapshots[3].command: can't be cut into words: no closing quotation",
        'proxyrules.yaml:14:18: snapshots[3].kubeVersion: "1.99" is not a supported Kubernetes version; use 1.30 to 1.37',
        'proxyrules.yaml:15:12: snapshots[3].nodes: "one of each" is not one of all, one of each kind; did you mean one of each kind?',
        'proxyrules.yaml:16:20: snapshots[3].fromWorkloads: expected true or false, found the string "maybe"',
        "proxyrules.yaml:19:5: snapshots[4].makeNodes: has no effect; add fromWorkloads: true",
        "proxyrules.yaml:19:16: snapshots[4].makeNodes: 0 is out of range; must be between 1 and 5000",
        "proxyrules.yaml:20:5: snapshots[4].cluster: has no effect; add fromWorkloads: true",
        "proxyrules.yaml:22:5: snapshots[5].name: duplicate key; a key can appear only once",
        'proxyrules.yaml:23:17: snapshots[5].manifests[0]: "a\\\\b" is not a path; separate folders by /',
        'proxyrules.yaml:24:12: directory: "../rules" has `..`, which may lead outside the folder of proxyrules.yaml; use a path below it',
        "proxyrules.yaml:25:1: dir: unknown field; one of snapshots, directory, lint",
    ]  # fmt: skip


@pytest.mark.parametrize("directory", [".", "./", ".git", ".git/rules"])
def test_folders_that_are_no_place_for_files(directory: str) -> None:
    text = f"snapshots: [{{name: a, manifests: [x]}}]\ndirectory: {directory}\n"
    (problem,) = problems(text)
    assert problem.endswith("can't hold the files; use a folder of its own, such as rules")


# The schema, and the check with it, against the reference implementation.

WORDS = st.sampled_from(
    ["a", "shop", "", "x y", "all", "one of each kind", "ipv4", "ipv6", "1.34", "v1.30.2", "1.9",
     "A", "a.", "worker-1\n", "1.34\n", "1.34.1-gke.5", "a" * 101, "\N{KELVIN SIGN}"]
)  # fmt: skip
VALUES: st.SearchStrategy[object] = st.one_of(
    WORDS,
    st.lists(WORDS, max_size=3),
    st.booleans(),
    st.sampled_from([0, 1, 1.0, 1.5, 5000, 5001, -1, None, {}, [], [1], [None]]),
)
FIELDS = st.sampled_from([*SCHEMA["properties"]["snapshots"]["items"]["properties"], "other"])
ITEMS = st.one_of(
    VALUES,
    st.dictionaries(FIELDS, VALUES, max_size=4).map(
        lambda some: {"name": "a", "manifests": ["x"], **some}
    ),
    st.dictionaries(FIELDS, VALUES, max_size=6),
)
TEXTS = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {"snapshots": st.lists(ITEMS, max_size=2)},
        optional={"directory": VALUES, "other": VALUES},
    ),
)


@given(TEXTS)
def test_the_check_agrees_with_the_schema(value: object) -> None:
    found: list[tuple[Any, ...]] = []
    valid = check(value, SCHEMA, lambda *words: found.append(words))
    assert valid is VALIDATOR.is_valid(value), found
    assert valid is not bool(found)


def test_editors_accept_what_is_documented() -> None:
    """Every keyword of the schema is one that the check knows."""

    def keywords(schema: Any) -> set[str]:
        if isinstance(schema, list):
            return {word for one in schema for word in keywords(one)}
        if not isinstance(schema, dict):
            return set()
        names = {"properties", "dependentSchemas"} & set(schema)
        inner = [one for name in names for one in schema[name].values()]
        inner += [schema[name] for name in ("items", "oneOf", "anyOf") if name in schema]
        return set(schema) | {word for one in inner for word in keywords(one)}

    assert keywords(SCHEMA) == {
        *("$schema", "title", "description", "type", "required", "additionalProperties"),
        *("properties", "items", "oneOf", "anyOf", "dependentSchemas", "minItems", "uniqueItems"),
        *("minLength", "maxLength", "minimum", "maximum", "pattern", "enum", "const"),
    }


# Patterns.


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    for path in (
        *("a.yaml", "b.yml", "c.json", "d.txt", ".hidden.yaml", "apps/a.yaml", "apps/b.yaml"),
        *("apps/shop/a.yaml", "apps/shop/deep/b.yaml", "apps/.git/c.yaml", "apps/[x].yaml"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    return Tree(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.yaml", "a.yaml"),
        ("./a.yaml", "a.yaml"),
        ("*.yaml", "a.yaml"),
        ("*.y*ml", "a.yaml b.yml"),
        (".*.yaml", ".hidden.yaml"),
        ("apps/*.yaml", "apps/[x].yaml apps/a.yaml apps/b.yaml"),
        ("apps/[ab].yaml", "apps/a.yaml apps/b.yaml"),
        ("apps/[[]x].yaml", "apps/[x].yaml"),
        ("apps/?.yaml", "apps/a.yaml apps/b.yaml"),
        ("apps/*/*.yaml", "apps/shop/a.yaml"),
        ("**/b.yaml", "apps/b.yaml apps/shop/deep/b.yaml"),
        ("apps/**/a.yaml", "apps/a.yaml apps/shop/a.yaml"),
        ("apps/**", "apps/[x].yaml apps/a.yaml apps/b.yaml apps/shop/a.yaml apps/shop/deep/b.yaml"),
        ("apps", "apps/.git/c.yaml apps/[x].yaml apps/a.yaml apps/b.yaml apps/shop/a.yaml apps/shop/deep/b.yaml"),
        ("apps/shop/", "apps/shop/a.yaml apps/shop/deep/b.yaml"),
        ("apps/nothing", ""),
        ("nothing/*.yaml", ""),
        ("a.yaml/*", ""),
    ],
)  # fmt: skip
def test_patterns(pattern: str, expected: str, tree: Tree) -> None:
    assert tree.matching(pattern) == expected.split()


SEGMENTS = st.sampled_from(["a", "b", ".c", "ab", "*", "?", "[ab]", "**", "*b", "a*"])


@given(st.lists(SEGMENTS, min_size=1, max_size=4).filter(lambda some: "**" not in some[-1:]))
def test_patterns_as_python_reads_them(
    tmp_path_factory: pytest.TempPathFactory, segments: list[str]
) -> None:
    from glob import glob  # pathlib's has other rules for hidden files

    root = tmp_path_factory.getbasetemp() / "patterns"
    if not root.exists():
        for path in ("a", "b/a", "b/ab", "b/.c", ".c/a", "ab/b/a", "ab/ab/ab", "a*/b"):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("x")
    pattern = "/".join(segments)
    if not any(char in pattern for char in "*?["):
        return  # a folder is meant as a whole
    expected = [
        one
        for one in glob(pattern, root_dir=root, recursive=True)  # noqa: PTH207
        if (root / one).is_file()
    ]
    assert Tree(root).matching(pattern) == sorted(set(expected))


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [("a/b/*.yaml", "a/b"), ("a/b.yaml", "a/b.yaml"), ("**/x", ""), ("./a/?/x", "a")],
)
def test_nothing_outside_the_literal_folder_can_match(pattern: str, folder: str) -> None:
    assert literal_folder(pattern) == folder


def test_links_lead_nowhere_else(shop: Repository, tmp_path: Path, proxyrules: Runner) -> None:
    """A pull request could name any file of the machine that reads it."""
    (tmp_path / "secret.yaml").write_text("secret: 42\n")
    (shop.root / "apps/shop/link.yaml").symlink_to(tmp_path / "secret.yaml")
    (shop.root / "rules").symlink_to(tmp_path)
    result = proxyrules("snapshot", "update")
    assert (result.code, result.out) == (2, "")
    assert result.err.splitlines() == [
        "rules: a symbolic link that leads outside the folder of proxyrules.yaml; use a copy of the file",
        "apps/shop/link.yaml: a symbolic link that leads outside the folder of proxyrules.yaml; use a copy of the file",
    ]  # fmt: skip
    assert "42" not in result.err


# Commands.


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("helm template shop", ["helm", "template", "shop"]),
        ("a 'b | c' \"d e\" f\\ g", ["a", "b | c", "d e", "f g"]),
        ("a x=1 --set b.c=d,e={f}", ["a", "x=1", "--set", "b.c=d,e={f}"]),
        ("a b#c d~e", ["a", "b#c", "d~e"]),
        ("sh -c 'a | b > $c'", ["sh", "-c", "a | b > $c"]),
        (("a", "$b | c"), ["a", "$b | c"]),
        ("a \\$b '*'", ["a", "$b", "*"]),
    ],
)
def test_words_of_a_command(command: str | tuple[str, ...], words: list[str]) -> None:
    assert list(words_of(command)) == words


@pytest.mark.parametrize(
    ("command", "operator"),
    [("a | b", "|"), ("a > b", ">"), ("a; b", ";"), ("a && b", "&"), ("a $X", "$"), ("a `b`", "`"),
     ('a "$X"', "$"), ("a *.yaml", "*"), ("a ~/b", "~"), ("a # b", "#"), ("a\nb", "\\n"),
     ("a (b)", "("), ("a [b]", "[")],
)  # fmt: skip
def test_what_only_a_shell_can_do(command: str, operator: str) -> None:
    with pytest.raises(CommandError) as raised:
        words_of(command)
    assert raised.value.message == f'"{operator}" is for a shell, and none runs the command'


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-program"], '"no-such-program" is not installed'),
        (["sh", "-c", "echo no >&2; echo chart >&2; exit 3"], '"sh" ended with exit code 3: chart'),
        (["sh", "-c", "kill -9 $$"], '"sh" was ended by SIGKILL'),
        (["true"], '"true" printed nothing'),
        (["/"], '"/" can\'t be run: permission denied'),
        (["sleep", "60"], '"sleep" did not end within 0.2 s'),
    ],
)
def test_commands_that_fail(words: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError) as raised:
        run(tuple(words), tmp_path, timeout=0.2 if words[0] == "sleep" else 20)
    assert raised.value.message == message


def test_a_command_that_does_not_end_takes_its_children_along(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {pid}; wait"
    with pytest.raises(CommandError):
        run(("sh", "-c", script), tmp_path, timeout=1)
    wait_until(lambda: not is_running(int(pid.read_text())))


def test_a_command_reads_nothing(tmp_path: Path) -> None:
    assert run(("sh", "-c", "cat; pwd"), tmp_path).decode() == f"{os.path.realpath(tmp_path)}\n"

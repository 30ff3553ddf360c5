"""The manners of `proxyrules lint`: selection, settings, baselines, fixes, formats, exit codes."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest

from compiler.analysis.lint.selection import selected
from compiler.cli.lint_docs import pages
from tests.cases import FIXTURES, ROOT
from tests.lint_cases import RULES
from tests.run import Runner, run_process
from tests.test_readme import FRESH_CLONE

# A copy of the schema that GitHub's documentation of code scanning names.
SARIF_SCHEMA = ROOT / "tests" / "schemas" / "sarif-2.1.0.json"
PR101 = FIXTURES / "lint" / "pr101" / "input.yaml"
PR002 = FIXTURES / "lint" / "pr002" / "input.yaml"
SELECT = ("--select", "PR101")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, as the root of a repository, and the current one."""
    (tmp_path / ".git").mkdir()
    shutil.copy(PR101, tmp_path / "input.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Exit codes and selection.


@pytest.mark.parametrize(
    ("level", "code"),
    [("info", 1), ("warning", 1), ("error", 0), ("never", 0), (None, 1)],
)
def test_exit_code(level: str | None, code: int, proxyrules: Runner, folder: Path) -> None:
    arguments = ["--fail-level", level] if level else []
    result = proxyrules("lint", "input.yaml", *SELECT, *arguments)
    assert (result.code, result.err) == (code, "")
    assert "PR101" in result.out


@pytest.mark.parametrize(
    ("select", "ignore", "runs"),
    [
        ([], [], True),
        (["PR101"], [], True),
        (["PR1"], [], True),
        (["PR0"], [], False),
        (["affinity-per-port"], ["PR1"], True),
        ([], ["PR101"], False),
        ([], ["affinity-per-port"], False),
        ([], ["PR1"], False),
        (["PR101"], ["PR1"], True),
        (["PR1"], ["PR101"], False),
        (["PR101"], ["PR101"], False),
        (["ALL"], ["PR"], False),
        (["PR1"], ["ALL"], True),
        (["pr101"], ["all"], True),
    ],
)
def test_selection(select: list[str], ignore: list[str], runs: bool) -> None:
    assert ("PR101" in {rule.id for rule in selected(select, ignore)}) is runs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--select", "PR9999"), '--select: no rule "PR9999"; use an id such as PR101'),
        (("--ignore", "affinity-per-ports"), "did you mean affinity-per-port?"),
        (("--select", ""), '--select: no rule ""'),
        (("--explain", "PR1"), "--explain: PR1 is more than one rule; give the whole id"),
        (("--explain", "nothing"), '--explain: no rule "nothing"'),
        (("--upgrade-to", "2.0"), "--upgrade-to: Kubernetes 2.0 is not supported"),
        (("--clients", "0"), "Invalid value for '--clients'"),
        (("--baseline", "none.json"), "none.json: can't be read"),
        (("--baseline", "a", "--write-baseline", "b"), "can't be combined"),
        (("--fix", "--format", "json"), "are for --format text"),
        (("--node", "nobody"), ""),
    ],
)
def test_bad_usage(
    arguments: tuple[str, ...], message: str, proxyrules: Runner, folder: Path
) -> None:
    if arguments[0] == "--node":
        (folder / "input.yaml").write_text(
            "apiVersion: v1\nkind: Node\nmetadata: {name: worker-1}\n"
        )
        message = '--node: no Node "nobody" in the manifests; nodes: worker-1'
    result = proxyrules("lint", "input.yaml", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_no_arguments(proxyrules: Runner, folder: Path) -> None:
    result = proxyrules("lint")
    assert (result.code, result.out) == (2, "")
    assert "Missing argument 'MANIFEST... [RULES...]'" in result.err


def test_all_problems_at_once(proxyrules: Runner, folder: Path) -> None:
    result = proxyrules("lint", "none.yaml", "other.yaml")
    assert (result.code, result.out) == (2, "")
    assert [line.partition(":")[0] for line in result.err.splitlines()] == [
        "none.yaml",
        "other.yaml",
    ]


# Settings in files.


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("proxyrules.yaml", "lint:\n  select: [PR101]\n", 1),
        ("proxyrules.yaml", "lint:\n  select: [PR101]\n  fail-level: error\n", 0),
        ("proxyrules.yaml", "lint:\n  ignore: [ALL]\n", 0),
        ("proxyrules.yaml", "# nothing yet\n", None),
        ("pyproject.toml", '[tool.proxyrules.lint]\nselect = ["PR101"]\n', 1),
        ("pyproject.toml", '[tool.proxyrules.lint]\nignore = ["PR"]\n', 0),
        ("pyproject.toml", "[tool.other]\nignore = 1\n", None),
    ],
)
def test_settings(name: str, text: str, code: int | None, proxyrules: Runner, folder: Path) -> None:
    below = folder / "below"
    below.mkdir()
    plain = proxyrules("lint", "input.yaml")
    (folder / name).write_text(text)
    result = proxyrules("lint", "input.yaml")
    assert result.err == ""
    assert result.code == (plain.code if code is None else code)
    os.chdir(below)
    assert proxyrules("lint", "../input.yaml").code == result.code


def test_options_override_settings(proxyrules: Runner, folder: Path) -> None:
    (folder / "proxyrules.yaml").write_text("lint: {ignore: [PR101], fail-level: error}\n")
    (folder / "pyproject.toml").write_text("[tool.proxyrules.lint]\nfail-level = 'never'\n")
    assert proxyrules("lint", "input.yaml").code == 0
    assert proxyrules("lint", "input.yaml", *SELECT, "--ignore", "PR0").code == 0
    overridden = proxyrules("lint", "input.yaml", *SELECT, "--ignore", "PR0", "--fail-level=info")
    assert overridden.code == 1


@pytest.mark.parametrize(
    ("name", "text", "messages"),
    [
        (
            "proxyrules.yaml",
            "lint:\n  select: [PR101, PR998]\n  fail-level: bad\n  selct: []\n  baseline: []\n",
            [
                (
                    'proxyrules.yaml:4:3: lint.selct: unknown key "selct"; keys: select, ignore, '
                    "fail-level, baseline"
                ),
                (
                    'proxyrules.yaml:2:19: lint.select[1]: no rule "PR998"; use an id such as PR101, '
                    "or its beginning"
                ),
                (
                    'proxyrules.yaml:3:3: lint.fail-level: unsupported value "bad"; supported values: '
                    "error, warning, info, never"
                ),
                "proxyrules.yaml:5:3: lint.baseline: expected a path, found a list",
            ],
        ),
        (
            "proxyrules.yaml",
            "lints: {}\n",
            ['proxyrules.yaml:1:1: unknown key "lints"; keys: snapshots, directory, lint'],
        ),
        (
            "proxyrules.yaml",
            "lint: {select: []}\n",
            ["proxyrules.yaml:1:8: lint.select: an empty list selects no rule; leave it out"],
        ),
        ("proxyrules.yaml", "lint: [\n", ["proxyrules.yaml:2:1: "]),
        ("proxyrules.yaml", "[a]\n", ["proxyrules.yaml:1:1: expected a mapping, found a list"]),
        (
            "pyproject.toml",
            (
                '[project]\nselect = 1\n\n[tool.proxyrules.lint]\nselect = [\n  "PR101",\n  "PR998",\n]'
                '\nfail-level = "bad"\n'
            ),
            [
                (
                    'pyproject.toml:7:3: tool.proxyrules.lint.select[1]: no rule "PR998"; use an id '
                    "such as PR101, or its beginning"
                ),
                'pyproject.toml:9:1: tool.proxyrules.lint.fail-level: unsupported value "bad"',
            ],
        ),
        (
            "pyproject.toml",
            "[tool.proxyrules.lint]\nignore = 'PR101'\n",
            ["pyproject.toml:2:1: tool.proxyrules.lint.ignore: expected a list, found the string"],
        ),
        ("pyproject.toml", "[tool\n", ["pyproject.toml:1:6: not TOML: expected ']'"]),
    ],
)
def test_bad_settings(
    name: str, text: str, messages: list[str], proxyrules: Runner, folder: Path
) -> None:
    (folder / name).write_text(text)
    result = proxyrules("lint", "input.yaml")
    assert (result.code, result.out) == (2, "")
    lines = result.err.splitlines()
    assert len(lines) == len(messages), result.err
    for line, message in zip(lines, messages, strict=True):
        assert line.startswith(message)


# Annotations and baselines.


def test_the_file_has_snapshots_too(proxyrules: Runner, folder: Path) -> None:
    snapshots = "snapshots: [{name: web, manifests: [input.yaml], nodes: [worker-1]}]\n"
    (folder / "proxyrules.yaml").write_text(f"lint: {{ignore: [PR101]}}\n{snapshots}")
    assert proxyrules("lint", "input.yaml", "--fail-level", "warning").code == 0
    assert proxyrules("snapshot", "update").code == 0
    assert proxyrules("snapshot", "check").code == 0


def test_annotation(proxyrules: Runner, folder: Path) -> None:
    text = (folder / "input.yaml").read_text()
    ignoring = text.replace(
        "{name: web, namespace: shop}",
        "{name: web, namespace: shop, annotations: {proxyrules.dev/ignore: 'PR101: known'}}",
    )
    (folder / "input.yaml").write_text(ignoring)
    result = proxyrules("lint", "input.yaml", "--select", "PR101,PR0")
    assert result.code == 0
    assert "1 ignored by annotations" in result.out


def test_baseline(proxyrules: Runner, folder: Path) -> None:
    written = proxyrules("lint", "input.yaml", *SELECT, "--write-baseline", "known.json")
    assert (written.code, written.out) == (0, "")
    assert written.err == "1 finding written to known.json\n"
    known = proxyrules("lint", "input.yaml", *SELECT, "--baseline", "known.json")
    assert known.code == 0
    assert "1 known by the baseline" in known.out
    # Lines move, another Service comes.
    moved = "# first line\n" + PR101.read_text().replace("name: one-port", "name: web2")
    more = moved.replace(
        "        - {name: http, port: 80}\n  - apiVersion: discovery.k8s.io/v1\n    kind: "
        "EndpointSlice\n    metadata:\n      name: web2-1",
        "        - {name: http, port: 80}\n        - {name: more, port: 81}\n  - apiVersion: "
        "discovery.k8s.io/v1\n    kind: EndpointSlice\n    metadata:\n      name: web2-1",
    ).replace(
        "web2}\n    addressType: IPv4\n    ports:\n",
        "web2}\n    addressType: IPv4\n    ports:\n      - {name: more, port: 81}\n",
    )
    (folder / "input.yaml").write_text(more)
    new = proxyrules("lint", "input.yaml", *SELECT, "--baseline", "known.json")
    assert new.code == 1
    assert new.out.count("PR101") == 1
    assert "Service shop/web2" in new.out
    (folder / "input.yaml").write_text(more.replace("ClientIP", "None"))
    gone = proxyrules("lint", "input.yaml", *SELECT, "--baseline", "known.json")
    assert gone.code == 0
    assert "1 of the baseline no longer found" in gone.out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "known.json: not JSON; write it with --write-baseline"),
        ('{"version": 2, "findings": []}', "version 2 of a baseline is not supported"),
        ('{"version": 1}', 'object missing required field "findings"'),
        ('{"version": 1, "findings": [{"rule": 1}]}', "known.json: findings[0].rule: expected"),
    ],
)
def test_bad_baseline(text: str, message: str, proxyrules: Runner, folder: Path) -> None:
    (folder / "known.json").write_text(text)
    result = proxyrules("lint", "input.yaml", "--baseline", "known.json")
    assert (result.code, result.out) == (2, "")
    assert message in result.err


# Fixes.


def test_fix_keeps_all_else(proxyrules: Runner, folder: Path) -> None:
    shutil.copy(PR002, folder / "input.yaml")
    select = ("--select", "PR002,PR101", "--ignore", "PR101")
    before = (folder / "input.yaml").read_text()
    shown = proxyrules("lint", "input.yaml", "--select", "PR002,PR101", "--diff")
    assert (folder / "input.yaml").read_text() == before
    fixed = proxyrules("lint", "input.yaml", "--select", "PR002,PR101", "--fix")
    assert fixed.err == "1 finding corrected\n"
    after = (folder / "input.yaml").read_text()
    removed = [line for line in before.splitlines() if line not in after.splitlines()]
    assert removed == ["    # Of the time when it had affinity."]
    assert len(before.splitlines()) - len(after.splitlines()) == 3
    diff = fixed.out.partition("input.yaml:")[0]
    assert shown.out.startswith(diff)
    assert diff.count("\n-    ") == 2
    again = proxyrules("lint", "input.yaml", *select, "--fix")
    assert (folder / "input.yaml").read_text() == after
    assert again.err == "0 findings corrected\n"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("kind: Service", "kind:   Service"), "its layout would change"),
        (lambda text: "\n" + text, "its layout would change"),
    ],
)
def test_fix_of_an_unusual_layout(
    change: object, reason: str, proxyrules: Runner, folder: Path
) -> None:
    assert callable(change)
    text = change(PR002.read_text())
    (folder / "input.yaml").write_text(text)
    result = proxyrules("lint", "input.yaml", "--select", "PR002,PR101", "--fix")
    assert (folder / "input.yaml").read_text() == text
    assert f"input.yaml: not corrected: {reason}" in result.err
    assert result.code == 1


def test_fix_of_json_and_stdin(proxyrules: Runner, folder: Path) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a", "annotations": {"proxyrules.dev/ignore": "PR101: no"}},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]},
    }
    owner = {"kubernetes.io/service-name": "a"}
    empty = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "a-1", "labels": owner},
        "addressType": "IPv4",
    }
    (folder / "a.json").write_text(json.dumps(service) + json.dumps(empty))
    result = proxyrules("lint", "a.json", "--select", "PR002,PR101", "--fix")
    assert "a.json: not corrected: JSON is not changed" in result.err
    done = run_process(
        "lint", "-", "--select", "PR002,PR101", "--fix", stdin=PR002.read_bytes(), cwd=folder
    )
    assert b"<stdin>: not corrected: give a file" in done.stderr
    assert not (folder / "<stdin>").exists()


def test_fix_of_a_compressed_file(proxyrules: Runner, folder: Path) -> None:
    packed = gzip.compress(PR002.read_bytes())
    (folder / "input.yaml.gz").write_bytes(packed)
    result = proxyrules("lint", "input.yaml.gz", "--select", "PR002,PR101", "--fix")
    assert "input.yaml.gz: not corrected: it is compressed" in result.err
    assert (folder / "input.yaml.gz").read_bytes() == packed


# Inputs.


def test_rules_alone_and_a_log(proxyrules: Runner, folder: Path) -> None:
    text = proxyrules("compile", FIXTURES / "nodeport-cluster" / "input.yaml", "-q").out
    if not text:
        pytest.fail("the fixture compiles")
    (folder / "node.save").write_text(text)
    log = "".join(f"  {line}\n" for line in text.splitlines())
    (folder / "kube-proxy.log").write_text(
        'I0101 00:00:00.000000 1 proxier.go:1 "Restoring iptables" rules=<\n' + log + " >\n"
    )
    for name in ("node.save", "kube-proxy.log"):
        result = proxyrules("lint", name, "--format", "json")
        assert result.code in {0, 1}, result.err
        assert json.loads(result.out)["checked"]["dumps"] == 1
    both = proxyrules("lint", "input.yaml", "node.save", *SELECT)
    assert "1 rule checked 4 Services, 0 Nodes, 1 dump." in both.out


def test_settings_that_the_release_does_not_know(proxyrules: Runner, folder: Path) -> None:
    options = ("--nodeport-addresses", "primary", "--kube-version", "1.30")
    result = proxyrules("lint", "input.yaml", *options)
    assert (result.code, result.out) == (2, "")
    compiled = proxyrules("compile", "input.yaml", "--node", "worker-1", *options)
    assert result.err == compiled.err.splitlines(keepends=True)[0]


@pytest.mark.parametrize("one_line", [True, False])
def test_places_in_a_large_json_text(one_line: bool, proxyrules: Runner, folder: Path) -> None:
    """Items of a large List are looked at one by one; the places are those of a whole reading."""
    names = [f"web-{number}" for number in range(900)]
    items: list[dict[str, object]] = []
    for number, name in enumerate(names):
        metadata = {"name": name, "annotations": {"owner": "Zoë " * 250}}
        ports = [{"name": one, "port": port} for one, port in (("a", 80), ("b", 81))]
        spec = {
            "clusterIP": f"10.96.{number // 250}.{number % 250 + 1}",
            "sessionAffinity": "ClientIP",
            "ports": ports,
        }
        items.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    labels = {"kubernetes.io/service-name": names[700]}
    endpoints = [{"addresses": [f"10.244.{node}.2"], "nodeName": f"w-{node}"} for node in (1, 2)]
    items.append(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "slice", "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}],
            "endpoints": endpoints,
        }
    )
    value = {"apiVersion": "v1", "kind": "List", "items": items}
    text = json.dumps(value, indent=None if one_line else 4, ensure_ascii=False)
    (folder / "big.json").write_text(text)
    assert len(text) > 1 << 20
    result = proxyrules("lint", "big.json", *SELECT, "--format", "json")
    (found,) = json.loads(result.out)["findings"]
    line = text.split("\n")[found["line"] - 1]
    assert line[found["column"] - 1 :].startswith('"ClientIP"')
    offset = sum(len(one) + 1 for one in text.split("\n")[: found["line"] - 1]) + found["column"]
    assert text.rindex('"name": "web-', 0, offset) == text.index('"name": "web-700"')


# Formats.


@pytest.mark.parametrize("case", sorted((FIXTURES / "lint").iterdir()), ids=lambda path: path.name)
def test_sarif_is_valid(case: Path, proxyrules: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.lint_cases import LintFixture

    monkeypatch.chdir(case)
    result = proxyrules("lint", *LintFixture(case).arguments, "--format", "sarif")
    schema = json.loads(SARIF_SCHEMA.read_text())
    log = json.loads(result.out)
    jsonschema.Draft4Validator(schema).validate(log)
    (run,) = log["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [rule.id for rule in RULES]
    for one in run["results"]:
        assert run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == one["ruleId"]


def test_json(proxyrules: Runner, folder: Path) -> None:
    result = proxyrules("lint", "input.yaml", *SELECT, "--format", "json")
    value = json.loads(result.out)
    (found,) = value["findings"]
    assert not value["ok"]
    assert value["checked"]["services"] == 4
    assert (found["rule"], found["object"]) == ("PR101", "Service shop/web")
    assert (found["file"], found["line"], found["column"]) == ("input.yaml", 11, 24)
    level = proxyrules("lint", "input.yaml", *SELECT, "--format", "json", "--fail-level", "error")
    assert json.loads(level.out)["ok"]


def test_github(proxyrules: Runner, folder: Path) -> None:
    result = proxyrules("lint", "input.yaml", *SELECT, "--format", "github")
    first, *_ = result.out.splitlines()
    assert first.startswith(
        "::warning title=PR101 affinity-per-port,file=input.yaml,line=11,col=24,endColumn=32::"
    )


def test_junit(proxyrules: Runner, folder: Path) -> None:
    result = proxyrules("lint", "input.yaml", "--select", "PR101,PR001", "--format", "junit")
    suites = ET.fromstring(result.out)
    assert suites.attrib["tests"] == "2"
    assert suites.attrib["failures"] == "1"
    failing = [case.attrib["name"] for case in suites.iter("testcase") if len(case)]
    assert failing == ["PR101 affinity-per-port"]
    low = proxyrules("lint", "input.yaml", *SELECT, "--format", "junit", "--fail-level", "error")
    assert ET.fromstring(low.out).attrib["failures"] == "0"
    assert "shop/web" in low.out


def test_gitlab(proxyrules: Runner, folder: Path) -> None:
    shutil.copy(PR101, folder / "copy.yaml")
    text = (folder / "copy.yaml").read_text().replace("shop", "mall").replace("10.96.", "10.97.")
    (folder / "copy.yaml").write_text(text)
    result = proxyrules("lint", "input.yaml", "copy.yaml", *SELECT, "--format", "gitlab")
    issues = json.loads(result.out)
    assert len(issues) == 2
    assert len({issue["fingerprint"] for issue in issues}) == 2
    for issue in issues:
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["location"]["lines"] == {"begin": 11}


@pytest.mark.parametrize("format_", ["text", "json", "github", "junit", "sarif", "gitlab"])
def test_nothing_found(format_: str, proxyrules: Runner) -> None:
    shop = ROOT / "examples" / "well-made"
    result = proxyrules(
        "lint", shop / "manifests", "--config", shop / "kube-proxy.yaml", "--format", format_
    )
    assert result.code == 0
    assert "not checked" in result.out or format_ in {"json", "junit", "gitlab"}
    assert ("not checked" in result.err) is (format_ == "gitlab")
    if format_ == "text":
        # There is a configuration, and no dump of a node.
        assert result.out == (
            "not checked: PR102 (needs the number of clients); PR503, PR601 to PR604 (need dumps of "
            "nodes); PR701, PR702 (need a newer release)\n"
            f"No findings; {len(RULES) - 8} rules checked 3 Services, 3 Nodes.\n"
        )


@pytest.mark.parametrize(
    "manifests",
    [("gitops", "rendered/staging.yaml"), ("gitops", "rendered/prod.yaml"), ("first", "deploy")],
)
def test_nothing_found_in_what_is_in_git(manifests: tuple[str, str], proxyrules: Runner) -> None:
    example = ROOT / "examples" / manifests[0]
    paths = [example / manifests[1], example / "cluster" / "nodes.yaml"]
    config = example / "cluster" / "kube-proxy.yaml"
    result = proxyrules("lint", *paths, "--from-workloads", "--config", config)
    assert result.code == 0
    assert result.out.splitlines()[-1].startswith("No findings; 27 rules checked ")


def test_statistics_and_list(proxyrules: Runner, folder: Path) -> None:
    result = proxyrules("lint", "input.yaml", *SELECT, "--statistics")
    assert result.out == (
        "1  PR101  warning  affinity-per-port\n1 warning; 1 rule checked 4 Services, 0 Nodes.\n"
    )
    listed = proxyrules("lint", "--list").out
    for rule in RULES:
        assert f"  {rule.id}  {rule.severity:<7}  {rule.name}" in listed
    assert proxyrules("lint", "--list", *SELECT).out.count("\n") == 2


def test_explain_is_the_page(proxyrules: Runner, folder: Path) -> None:
    for rule in RULES:
        assert proxyrules("lint", "--explain", rule.id).out == pages()[f"{rule.id}.md"]
    assert proxyrules("lint", "--explain", "affinity-per-port").out == pages()["PR101.md"]


# As a process.


def test_stdin_colour_and_a_closed_pipe(folder: Path) -> None:
    text = PR101.read_bytes()
    done = run_process("lint", "-", *SELECT, stdin=text, cwd=folder)
    assert done.returncode == 1
    assert done.stdout.startswith(b"<stdin>:11:24: warning PR101: Service shop/web: ")
    assert b"\x1b" not in done.stdout
    read, write = os.pipe()
    os.close(read)
    closed = subprocess.run(
        [sys.executable, "-m", "compiler", "lint", "input.yaml", *SELECT],
        stdout=write, stderr=subprocess.PIPE, timeout=60, check=False,
    )  # fmt: skip
    os.close(write)
    assert closed.stderr == b""
    assert closed.returncode in {0, 1}


def test_full_disk(folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "compiler", "lint", "input.yaml", *SELECT],
            stdout=full, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 3
    assert b"no space left" in done.stderr


def test_output_file(proxyrules: Runner, folder: Path) -> None:
    result = proxyrules("lint", "input.yaml", *SELECT, "-o", "found.sarif", "--format", "sarif")
    assert (result.code, result.out) == (1, "")
    assert json.loads((folder / "found.sarif").read_text())["version"] == "2.1.0"
    assert proxyrules("lint", "input.yaml", *SELECT, "-o", "input.yaml").code == 2


# Documents.


def test_pages_are_current() -> None:
    """`python -m compiler.cli.lint_docs docs/lint` writes them."""
    written = {path.name: path.read_text() for path in (ROOT / "docs" / "lint").glob("*.md")}
    assert written == pages()


@pytest.mark.skipif(not os.environ.get(FRESH_CLONE), reason=f"downloads packages; {FRESH_CLONE}=1")
def test_pre_commit(tmp_path: Path) -> None:
    """The hook of this checkout's last commit, as pre-commit installs and runs it."""

    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    shutil.copy(PR101, tmp_path / "input.yaml")
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    (tmp_path / ".pre-commit-config.yaml").write_text(
        f"repos:\n- repo: {ROOT}\n  rev: {head}\n  hooks:\n  - id: proxyrules-lint\n"
        f"    args: [input.yaml, --select, PR101]\n"
    )
    git("add", "-A")
    environment = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "cache")}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--all-files"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "input.yaml:11:24: warning PR101: Service shop/web:" in done.stdout

"""`verify --metrics`: the nodes whose own numbers are not those that manifests predict."""

from __future__ import annotations

import gzip
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from compiler.api import verify_metrics
from compiler.manifests.source import Source
from compiler.node_metrics.report import KINDS, MetricsReport, State
from compiler.node_metrics.sync import duration
from compiler.node_metrics.text import read_text
from tests.cases import ALL_CASES, Case, case_id
from tests.options_of import options_of
from tests.proxy_metrics import CASE, FOLDER, NOW, Served, counted, served_by
from tests.run import Runner, run_process

GIVEN = (str(CASE / "input.yaml"), "--config", str(CASE / "kube-proxy.yaml"))
COLLECTED = f"# proxyrules: collected at {NOW:.0f}\n"
WORKERS = tuple(f"worker-{number}" for number in range(1, 6))


@pytest.fixture(scope="session")
def served() -> dict[str, Served]:
    return {name: served_by(name) for name in WORKERS}


@pytest.fixture
def folder(tmp_path: Path, served: dict[str, Served]) -> Path:
    """The metrics of five nodes that are up to date."""
    for name, one in served.items():
        (tmp_path / f"{name}.metrics").write_text(COLLECTED + one.text())
    return tmp_path


def compared(metrics: Path | Source, **options: object) -> MetricsReport:
    return verify_metrics([GIVEN[0]], metrics, config=GIVEN[2], **options)  # type: ignore[arg-type]


def findings(report: MetricsReport, node: str) -> list[tuple[str, int, str]]:
    (found,) = (one for one in report.nodes if one.node == node)
    return [(one.kind, one.line, one.message) for one in found.findings]


def line_of(path: Path, start: str) -> int:
    lines = path.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.startswith(start))


def edit(path: Path, old: str, new: str) -> int:
    """Replace a line that starts so; return its number."""
    number = line_of(path, old)
    lines = path.read_text().splitlines(keepends=True)
    lines[number - 1] = new
    path.write_text("".join(lines))
    return number


RULES = "kubeproxy_sync_proxy_rules_iptables_total"
NAT = f'{RULES}{{ip_family="IPv4",table="nat"}}'
FILTER = f'{RULES}{{ip_family="IPv4",table="filter"}}'
LAST_NAME = "kubeproxy_sync_proxy_rules_last_timestamp_seconds"
LAST = f'{LAST_NAME}{{ip_family="IPv4"}}'


def test_nodes_that_are_up_to_date(proxyrules: Runner, folder: Path) -> None:
    result = proxyrules("verify", *GIVEN, "--metrics", folder)
    assert (result.code, result.err) == (0, "")
    assert "5 nodes: 5 as predicted.\n" in result.out
    # Numbers are no proof, and no run ends without saying so.
    assert result.out.endswith("rules themselves.\n")
    assert "Equal numbers do not prove equal rules" in result.out


@pytest.mark.parametrize("case", ALL_CASES, ids=case_id)
def test_every_case_is_as_predicted_and_stale_with_a_rule_less(case: Case) -> None:
    """The numbers of kube-proxy's text as metrics, with those of one rule more and one less."""
    manifests, options = options_of(case.arguments)
    inputs = options.read(manifests).inputs
    names = [node.metadata.name for node in inputs.manifests.nodes if node.metadata]
    override = inputs.config.hostname_override
    node = options.node or override or (names[0] if names else "any")
    filter_, nat = counted(case.expected)
    name = case.ip_family.api_name
    for found, state in ((nat, State.AS_PREDICTED), (nat - 1, State.STALE)):
        served = Served({name: (filter_, found)}, version=f"v{options.kube_version}.0").text()
        lines = [line for line in served.splitlines() if "no_local_endpoints" not in line]
        report = verify_metrics(
            inputs.manifests,
            Source("node", (COLLECTED + "\n".join(lines) + "\n").encode()),
            node=node,
            config=options.config,
            flags=options.flags,
            ip_family=case.family,
            nfacct=options.nfacct,
            node_addresses=options.node_addresses,
        )
        assert [one.state for one in report.nodes] == [state]


def test_a_rule_less_is_stale(proxyrules: Runner, folder: Path) -> None:
    path = folder / "worker-3.metrics"
    line = edit(path, NAT, f"{NAT} 26\n")
    result = proxyrules("verify", *GIVEN, "--metrics", folder)
    assert result.code == 1
    message = f"rule count: {path}:{line}: IPv4: nat has 26 rules, predicted 27 (1 fewer)\n"
    assert message in result.out
    assert "5 nodes: 4 as predicted, 1 stale.\n" in result.out


@pytest.mark.parametrize(
    ("format_", "ending"),
    [("text", "txt"), ("json", "json"), ("github", "github"), ("junit", "xml")],
)
def test_formats(
    proxyrules: Runner, golden: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch,
    format_: str, ending: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(FOLDER.parent.parent)
    metrics = FOLDER.relative_to(Path.cwd())
    result = proxyrules("verify", *GIVEN, "--metrics", metrics, "--format", format_)
    assert (result.code, result.err) == (1, "")
    assert result.out == golden(name=f"verify-metrics.{ending}")
    if format_ == "json":
        assert json.loads(result.out)["ok"] is False
    if format_ == "junit":
        suite = ET.fromstring(result.out)[0]
        cases = suite.findall("testcase")
        assert (suite.get("tests"), suite.get("failures")) == ("5", "3")
        assert len(cases) == 5
        assert sum(case.find("failure") is not None for case in cases) == 3


def test_one_node_from_standard_input(served: dict[str, Served]) -> None:
    text = served["worker-2"].text().encode()
    done = run_process("verify", *GIVEN, "--metrics", "-", "--node", "worker-2", stdin=text)
    assert done.returncode == 0, done.stderr
    assert b"1 node: 1 as predicted." in done.stdout
    # The same numbers are those of no node with an endpoint.
    done = run_process("verify", *GIVEN, "--metrics", "-", "--node", "worker-1", stdin=text)
    assert done.returncode == 1
    line = text.decode().splitlines().index(f"{FILTER} 6") + 1
    assert f"<stdin>:{line}: IPv4: filter has 6 rules, predicted 4 (2 more)" in done.stdout.decode()


def test_a_text_that_names_no_node(proxyrules: Runner, folder: Path) -> None:
    path = folder / "worker-1.metrics"
    result = proxyrules("verify", *GIVEN, "--metrics", path)
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f"{path}: the metrics name no node, so --node is required; "
        "nodes: worker-1, worker-2, worker-3, worker-4, worker-5\n"
    )


def api_answer(served: dict[str, Served], label: str, values: dict[str, str]) -> dict[str, object]:
    series = []
    for node, one in served.items():
        for line in one.text().splitlines():
            if not line.startswith(("kubeproxy_sync", "kubernetes_build")):
                continue
            name, _, value = line.rpartition(" ")
            bare, _, labels = name.rstrip("}").partition("{")
            pairs = (part.partition("=") for part in labels.split(",") if part)
            metric = {key: quoted.strip('"') for key, _, quoted in pairs}
            metric |= {"__name__": bare, "job": "kube-proxy", label: values[node]}
            series.append({"metric": metric, "value": [NOW, value]})
    return {"status": "success", "data": {"resultType": "vector", "result": series}}


ADDRESSES = {name: f"172.18.0.{place}" for place, name in enumerate(WORKERS, 2)}


@pytest.mark.parametrize(
    ("label", "values", "options"),
    [
        ("node", {name: name for name in WORKERS}, ()),
        ("instance", {name: f"{ADDRESSES[name]}:10249" for name in WORKERS}, ()),
        ("instance", {name: f"{name}:10249" for name in WORKERS}, ()),
        ("host", {name: name for name in WORKERS}, ("--node-label", "host")),
    ],
)
def test_an_answer_of_prometheus(
    proxyrules: Runner,
    tmp_path: Path,
    served: dict[str, Served],
    label: str,
    values: dict[str, str],
    options: tuple[str, ...],
) -> None:
    path = tmp_path / "answer.json"
    # Samples may be five minutes older than the query: no alarm for what was busy at that time.
    busy = replace(served["worker-4"], synced=NOW - 400, queued=NOW - 355)
    stale = replace(served["worker-5"], synced=NOW - 4000, queued=NOW - 4001)
    path.write_text(
        json.dumps(api_answer({**served, "worker-4": busy, "worker-5": stale}, label, values))
    )
    result = proxyrules("verify", *GIVEN, "--metrics", path, *options)
    assert result.code == 1
    assert "5 nodes: 4 as predicted, 1 stale.\n" in result.out
    found = "sync overdue: {}: IPv4: the last sync was 66m ago; kube-proxy syncs every hour"
    assert found.format(path) in result.out


def test_a_text_of_many_nodes_and_its_times(tmp_path: Path, served: dict[str, Served]) -> None:
    """Prometheus' `/federate`: labels are added, and times in milliseconds."""
    lines = [
        line.replace("}", f',instance="{ADDRESSES[name]}:10249"}}') + f" {NOW * 1000:.0f}"
        for name, one in served.items()
        for line in one.text().splitlines()
        if line.startswith("kubeproxy_sync") and "{" in line
    ]
    path = tmp_path / "federate.txt"
    path.write_text("\n".join(lines) + "\n")
    report = compared(path, kube_version="1.34")
    assert [one.state for one in report.nodes] == [State.AS_PREDICTED] * 5
    assert [one.synced for one in report.nodes] == [12.5] * 5
    path.write_text(lines[0].replace("instance", "pod") + "\n" + "\n".join(lines[1:]) + "\n")
    (problem,) = compared(path, kube_version="1.34").findings
    assert (problem.kind, problem.line) == ("unreadable", 1)
    assert problem.message.endswith("has no label that names a node")


def test_kube_proxy_before_1_33_has_one_number_for_both_families(
    folder: Path, served: dict[str, Served]
) -> None:
    """The family that synced last wins: either's numbers are as predicted, a mixture is not."""
    ours = served["worker-2"].rules
    other = dict(reversed(list(ours.items())))
    mixed = {"IPv4": (ours["IPv4"][0], ours["IPv6"][1])}
    for rules, state in ((ours, "as predicted"), (other, "as predicted"), (mixed, "stale")):
        last = dict([list(rules.items())[-1]])
        local = {"IPv4": served["worker-2"].no_local["IPv4"]}
        old = Served(last, local, version="v1.32.4", labelled=False)
        if "IPv6" in last:
            old.no_local = {}
        (folder / "worker-2.metrics").write_text(COLLECTED + old.text())
        report = compared(folder)
        (found,) = (one for one in report.nodes if one.node == "worker-2")
        assert (found.state, report.mixed) == (state, 1), rules
    assert findings(report, "worker-2")[0][2] == (
        "filter has 6 rules and nat has 5: no IP family has both"
    )


def test_nfacct_counters_are_seen(folder: Path) -> None:
    path = folder / "worker-1.metrics"
    text = path.read_text().replace(f"{NAT} 26", f"{NAT} 27")
    path.write_text(text)
    (finding,) = findings(compared(folder), "worker-1")
    assert finding[2] == (
        "IPv4: nat has 27 rules, predicted 26 (1 more); as many as with nfacct counters"
    )
    path.write_text(text + "kubeproxy_iptables_localhost_nodeports_accepted_packets_total 0\n")
    assert findings(compared(folder), "worker-1") == []


def test_nodes_of_another_release(folder: Path) -> None:
    path = folder / "worker-1.metrics"
    path.write_text(path.read_text().replace("v1.34.2", "v1.29.8"))
    assert findings(compared(folder), "worker-1") == [
        ("other-release", 0, "Kubernetes 1.29.8 is not supported; compared as 1.37")
    ]
    report = compared(folder, kube_version="1.36")
    assert findings(report, "worker-2") == [
        ("other-release", 0, "kube-proxy is v1.34.2, but the numbers are those of 1.36")
    ]


def test_syncs_that_wait(folder: Path, served: dict[str, Served]) -> None:
    def found(**changes: object) -> list[tuple[str, str]]:
        one = replace(served["worker-1"], **changes)  # type: ignore[arg-type]
        one.rules = {"IPv4": one.rules["IPv4"]}
        (folder / "worker-1.metrics").write_text(COLLECTED + one.text())
        some = findings(compared(folder, ip_family="ipv4"), "worker-1")
        return [(kind, message) for kind, _, message in some]

    assert found(queued=NOW - 59) == found(synced=NOW - 3659, queued=NOW - 3660) == []
    assert found(synced=NOW - 100, queued=NOW - 61) == [
        ("sync-overdue", "IPv4: a sync has been waiting for 61s, the last was 100s ago")
    ]
    assert found(synced=NOW - 3661, queued=NOW - 9999) == [
        ("sync-overdue", "IPv4: the last sync was 61m ago; kube-proxy syncs every hour")
    ]
    assert found(synced=0, queued=NOW - 1) == [
        ("sync-overdue", "IPv4: rules were never synced since kube-proxy started")
    ]
    path = folder / "worker-1.metrics"
    lines = [line for line in path.read_text().splitlines() if not line.startswith(LAST)]
    path.write_text("\n".join(lines) + "\n")
    (finding,) = findings(compared(folder, ip_family="ipv4"), "worker-1")
    assert finding == ("missing-metric", 0, f"no {LAST_NAME}: when rules were synced is not known")
    other = LAST.replace("IPv4", "IPv6")
    path.write_text("\n".join([*lines, f"{other} {NOW - 9999}"]) + "\n")
    # Of both families the other one's is there, which is looked at only where it is asked for.
    assert findings(compared(folder, ip_family="ipv4"), "worker-1") == [finding]
    found_of_both = [message for _, _, message in findings(compared(folder), "worker-1")]
    assert "IPv4: rules were never synced since kube-proxy started" in found_of_both
    assert "IPv6: the last sync was 166m ago; kube-proxy syncs every hour" in found_of_both
    assert found(synced=NOW + 120) == [
        ("clock", "IPv4: the node's clock is at least 2m ahead of the metrics' time")
    ]
    assert found(failures=1) == [
        ("restore-failures", "IPv4: iptables-restore failed once since kube-proxy started")
    ]
    assert found(pending=4) == [("pending-changes", "4 endpoint changes are not synced yet")]


def test_without_a_time_the_newest_is_taken(folder: Path, served: dict[str, Served]) -> None:
    for name, one in served.items():
        (folder / f"{name}.metrics").write_text(one.text())
    assert [one.kind for one in compared(folder).findings] == ["no-time"]
    assert not compared(folder).failed
    old = replace(served["worker-4"], synced=NOW - 9000, queued=NOW - 8000)
    (folder / "worker-4.metrics").write_text(old.text())
    assert findings(compared(folder), "worker-4")[0][0] == "sync-overdue"


NO_TEXT = (
    'not Prometheus text: "<html>" (and 2 more lines); '
    "give what kube-proxy serves at /metrics, port 10249"
)
BROKEN = [
    ("NaN\n", "not-a-number", f"{RULES}{{table=\"nat\",ip_family=\"IPv4\"}} is nan"),
    ("+Inf\n", "not-a-number", f"{RULES}{{table=\"nat\",ip_family=\"IPv4\"}} is inf"),
    ("-1\n", "not-a-number", f"{RULES}{{table=\"nat\",ip_family=\"IPv4\"}} is -1"),
    ("many\n", "unreadable", "not Prometheus text: "),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kind", "message"), BROKEN)
def test_values_that_are_none(folder: Path, value: str, kind: str, message: str) -> None:
    path = folder / "worker-1.metrics"
    line = edit(path, NAT, f"{NAT} {value}")
    found = findings(compared(folder), "worker-1")
    # The metric is then missing as well: nothing is compared in silence.
    assert [one[0] for one in found] == ["missing-metric", kind]
    assert found[1][1] == line
    assert found[1][2].startswith(message)
    assert compared(folder).states == {State.AS_PREDICTED: 4, State.SUSPECT: 1}


def test_a_series_that_is_there_twice(folder: Path) -> None:
    path = folder / "worker-1.metrics"
    first = edit(path, NAT, f"{NAT} 26\n{NAT} 26\n")
    assert findings(compared(folder), "worker-1") == []
    edit(path, NAT, f"{NAT} 26\n{NAT} 25\n")
    name = f'{RULES}{{table="nat",ip_family="IPv4"}}'
    assert findings(compared(folder), "worker-1") == [
        ("duplicate", first + 1, f"{name} is there twice: 25 here, 26 in line {first}")
    ]


def test_texts_that_are_cut_off_or_none(folder: Path) -> None:
    path = folder / "worker-1.metrics"
    text = path.read_text()
    cut = text.index(f"{NAT} 26") + len(f"{NAT} 2")
    path.write_text(text[:cut])
    found = findings(compared(folder), "worker-1")
    lines = text[:cut].count("\n") + 1
    assert found[-1][:2] == ("unreadable", lines)
    assert found[-1][2].startswith("the text ends in the middle of a line")
    assert ("missing-metric", 0, f'no {RULES}{{table="nat",ip_family="IPv4"}}') in found

    path.write_text("<html>\n<body>404 page not found</body>\n</html>\n")
    assert findings(compared(folder), "worker-1") == [
        ("missing-metric", 0, f"no {RULES}"),
        ("unreadable", 1, NO_TEXT),
    ]
    path.write_text("")
    assert findings(compared(folder), "worker-1") == [("missing-metric", 0, f"no {RULES}")]
    assert compared(folder).states[State.NOT_COMPARED] == 1


def test_files_of_a_folder(proxyrules: Runner, folder: Path) -> None:
    """Unknown nodes, a node twice, nodes without metrics, compressed and foreign files."""
    text = (folder / "worker-1.metrics").read_text()
    (folder / "worker-1.txt").write_text(text)
    (folder / "worker-9.prom").write_text(text)
    (folder / "worker-2.metrics").unlink()
    (folder / "worker-3.prom.gz").write_bytes(
        gzip.compress((folder / "worker-3.metrics").read_bytes())
    )
    (folder / "worker-3.metrics").unlink()
    (folder / "worker-4.metrics.gz").write_bytes(gzip.compress(text.encode())[:-20])
    (folder / "worker-4.metrics").unlink()
    (folder / "worker-5.save").write_text("*nat\nCOMMIT\n")
    (folder / "notes.md").write_text("?")
    report = compared(folder)
    assert {one.node: one.state for one in report.nodes} == {
        "worker-1": State.SUSPECT,
        "worker-2": State.NOT_COMPARED,
        "worker-3": State.AS_PREDICTED,
        "worker-4": State.NOT_COMPARED,
        "worker-5": State.AS_PREDICTED,
        "worker-9": State.NOT_COMPARED,
    }
    first = folder / "worker-1.metrics"
    message = f"metrics of the same node are in {first}; not read; remove one of the files"
    assert findings(report, "worker-1") == [("unreadable", 0, message)]
    assert findings(report, "worker-2") == [("no-metrics", 0, "no metrics of this node")]
    assert findings(report, "worker-9")[0][0] == "unknown-node"
    assert "gzip data that can't be decompressed" in findings(report, "worker-4")[-1][2]
    assert report.not_read == (str(folder / "notes.md"),)
    result = proxyrules("verify", *GIVEN, "--metrics", folder)
    assert result.code == 1
    assert "6 nodes: 2 as predicted, 1 suspect, 3 not compared.\n" in result.out
    assert "names are no node's metrics" in result.out


def test_names_with_newlines_are_on_one_line(proxyrules: Runner, tmp_path: Path) -> None:
    (tmp_path / "odd\nname.metrics").write_text("")
    result = proxyrules("verify", *GIVEN, "--metrics", tmp_path)
    assert result.code == 2
    assert "Node odd\\x0aname: no Node of this name in the manifests\n" in result.err


def test_nothing_that_can_be_compared(proxyrules: Runner, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    result = proxyrules("verify", *GIVEN, "--metrics", empty)
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f"{empty}: no metrics in this folder; name files NODE.prom, NODE.metrics, NODE.txt\n"
    )
    (empty / "worker-1.prom").write_text("go_goroutines 61\n")
    result = proxyrules("verify", *GIVEN, "--metrics", empty, "--node", "worker-1")
    assert (result.code, result.out) == (2, "")
    assert result.err == f"{empty / 'worker-1.prom'}: Node worker-1: no {RULES}\n"
    result = proxyrules("verify", *GIVEN, "--metrics", "")
    assert (result.code, result.err) == (2, "'': an empty path; name a folder or a file\n")
    result = proxyrules("verify", *GIVEN, "--metrics", tmp_path / "missing")
    assert result.code == 2
    assert "can't be read: no such file or directory" in result.err
    result = proxyrules("verify", *GIVEN, "--metrics", empty, "--node", "worker-7")
    assert result.code == 2
    assert '--node: no Node "worker-7"' in result.err or "worker-7" in result.err


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b'{"status": "error", "error": "timed out"}', "Prometheus answered error: timed out"),
        (
            b'{"status": "success", "data": {"resultType": "matrix", "result": []}}',
            'resultType is "matrix"; use an instant query, whose resultType is "vector"',
        ),
        (b'{"status": ', "not an answer of Prometheus' API: Input data was truncated; "),
        (b'[{"metric": {}}]', "not an answer of Prometheus' API: "),
        (
            b'{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}}]}}',
            "data.result[0]: not a sample: Object missing required field `value`",
        ),
    ],
)
def test_answers_that_are_none(
    proxyrules: Runner, tmp_path: Path, answer: bytes, message: str
) -> None:
    path = tmp_path / "answer.json"
    path.write_bytes(answer)
    result = proxyrules("verify", *GIVEN, "--metrics", path)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"{path}: {message}")


def test_manifests_that_lack_what_numbers_depend_on(
    proxyrules: Runner, tmp_path: Path, served: dict[str, Served]
) -> None:
    """Node ports on some addresses alone: how many the node has, only its Node object says."""
    text = (CASE / "input.yaml").read_text()
    manifest = tmp_path / "without-nodes.yaml"
    manifest.write_text(text[text.index("apiVersion: v1\nkind: Service") :])
    path = tmp_path / "worker-1.prom"
    path.write_text(served["worker-1"].text())
    whole = proxyrules("verify", manifest, *GIVEN[1:], "--metrics", tmp_path)
    assert whole.code == 0
    note = "no nodes: the manifests have no Nodes, so nodes without metrics can't be named\n"
    assert note in whole.out
    given = ("verify", manifest, *GIVEN[1:], "--node", "worker-1", "--metrics", path)
    alone = proxyrules(*given)
    assert alone.code == 0
    assert note not in alone.out
    assert "no time: nothing says when the metrics were read" in alone.out
    result = proxyrules(*given, "--nodeport-addresses", "172.18.0.0/16")
    assert (result.code, result.out) == (2, "")
    assert "Node worker-1 is not in the manifests" in result.err
    assert result.err.count("\n") == 1


@given(
    name=st.sampled_from([RULES, "other"]),
    labels=st.text(alphabet='{}=",\\ abn1#', max_size=30),
    value=st.text(alphabet="0123456789.eE+-NaInf #", max_size=12),
    end=st.sampled_from(["\n", "", "\r\n"]),
)
def test_no_line_is_passed_over(name: str, labels: str, value: str, end: str) -> None:
    """Whatever it has, a line of a wanted metric gives a sample or a problem, never neither."""
    scrape = read_text(Source("node", f"{name}{{{labels}}} {value}{end}".encode()))
    assert len(scrape.problems) <= 1
    if name == RULES:
        assert scrape.samples or scrape.problems
        assert all(sample.name == RULES for sample in scrape.samples)
    else:
        assert scrape.samples == []


def test_another_mode(folder: Path) -> None:
    path = folder / "worker-1.metrics"
    path.write_text('kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family="IPv4"} 0\n')
    assert findings(compared(folder), "worker-1") == [
        ("other-mode", 0, "kube-proxy is in nftables mode, not in iptables mode")
    ]


def test_a_difference_that_most_nodes_have(
    proxyrules: Runner, folder: Path, served: dict[str, Served]
) -> None:
    for name, one in served.items():
        filter_, nat = one.rules["IPv4"]
        rules = {**one.rules, "IPv4": (filter_, nat + (7 if name != "worker-4" else 2))}
        (folder / f"{name}.metrics").write_text(COLLECTED + replace(one, rules=rules).text())
    result = proxyrules("verify", *GIVEN, "--metrics", folder)
    assert result.code == 1
    words = " ".join(result.out.split())
    assert (
        "4 of 5 nodes differ alike: the manifests or kube-proxy's configuration may not be those "
        "of this cluster. 5 nodes: 5 stale." in words
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--metrics", "x", "--live"), "--live and --metrics can't be combined"),
        (("--against", "x", "--metrics", "x"), "--against and --metrics can't be combined"),
        (("--live", "--node-label", "x"), "--node-label needs --metrics"),
        (("--metrics", "x", "--node-address", "10.0.0.1"), "--node-address is for one node"),
    ],
)
def test_usage(proxyrules: Runner, arguments: tuple[str, ...], message: str) -> None:
    result = proxyrules("verify", *GIVEN, *arguments)
    assert result.code == 2
    assert message in result.err


def test_many_nodes_are_not_all_shown(proxyrules: Runner, tmp_path: Path) -> None:
    """Of thousands only those that are not as predicted, unless all are asked for."""
    nodes = [{"kind": "Node", "apiVersion": "v1", "metadata": {"name": f"n{i}"}} for i in range(30)]
    manifest = tmp_path / "nodes.json"
    manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    text = Served({"IPv4": (4, 5), "IPv6": (3, 5)}).text()
    for node in range(30):
        (metrics / f"n{node}.prom").write_text(text if node else text.replace(" 5\n", " 6\n"))
    short = proxyrules("verify", manifest, "--metrics", metrics)
    assert "29 nodes as predicted not shown (-v shows them).\n" in short.out
    assert "\nn0 " in short.out
    assert "\nn1 " not in short.out
    full = proxyrules("verify", manifest, "--metrics", metrics, "-v")
    assert "\nn29 " in full.out
    assert "not shown" not in full.out
    assert short.code == full.code == 1


def test_every_kind_has_a_severity() -> None:
    assert set(KINDS.values()) == {"error", "warning", "information"}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0s"), (119, "119s"), (125, "2m5s"), (600, "10m"), (10800, "3h"), (200000, "2d")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words

"""docs/schemas: every JSON output is as its schema says, and the schemas say nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.cases import FIXTURES, GOLDEN, ROOT
from tests.documents import DOCS
from tests.lint_cases import FIXTURE_CASES, LINT_FIXTURES, LintFixture
from tests.repository import make_repository
from tests.run import Runner

SCHEMAS = DOCS / "schemas"
NAMES = sorted(path.name.removesuffix(".schema.json") for path in SCHEMAS.iterdir())
NODE = ("--node", "worker-1", "--cluster-cidr", "10.10.0.0/16")
FIVE = "fixtures/local-policy-on-five-nodes/input.yaml"
CONFIG = ("-c", "fixtures/local-policy-on-five-nodes/kube-proxy.yaml")
NONE, CLIENTIP = "golden/seed-affinity-none.rules", "golden/seed-affinity-clientip.rules"
DUMPS = "fixtures/dumps"
JSON = ("--format", "json")


def path_of(case: LintFixture, word: str) -> str:
    """Return an argument, with the folder where it is a file of the case."""
    return str(case.folder / word) if (case.folder / word).is_file() else word


COMMANDS: dict[str, list[tuple[str, ...]]] = {
    "diff": [
        ("diff", NONE, NONE),
        ("diff", NONE, CLIENTIP),
        ("diff", "golden/nodeport-local.rules", "golden/masquerade-all-bit-15.rules"),
        ("diff", f"{DUMPS}/every-third-request-fails.save", "golden/nodeport-cluster.rules"),
        ("diff", FIVE, "golden/no-endpoints.rules", *NODE),
    ],
    "verify": [
        ("verify", "fixtures/seed-affinity-none/input.yaml", "--against", CLIENTIP),
        ("verify", FIVE, *NODE, "--against", "golden/local-policy-on-five-nodes.rules"),
        (
            *("verify", "fixtures/nodeport-local/input.yaml", *NODE, "--against"),
            f"{DUMPS}/every-third-request-fails.save",
        ),
    ],
    "verify-fleet": [
        ("verify", FIVE, *CONFIG, "--jobs", "1", "--fleet", "fixtures/fleet"),
        ("verify", FIVE, *CONFIG, "--jobs", "1", "--fleet", "fixtures/fleet/worker-1.save"),
    ],
    "verify-metrics": [
        ("verify", FIVE, *CONFIG, "--metrics", "fixtures/metrics"),
        (
            *("verify", FIVE, *CONFIG, "--node", "worker-2"),
            *("--metrics", "fixtures/metrics/worker-2.metrics"),
        ),
        ("verify", FIVE, "--metrics", "fixtures/metrics"),
    ],
    "diff-all-nodes": [
        ("diff", "--all-nodes", FIVE, "fixtures/nodeport-local/input.yaml", *CONFIG),
        ("diff", "--all-nodes", FIVE, FIVE, "--from-version", "1.30", "--to-version", "1.37"),
    ],
    "trace": [
        ("trace", NONE, "--to", "svc-clusterip"),
        ("trace", NONE, "--from", "10.10.2.2", "--to", "svc-clusterip", "--expect", "10.10.1.2:80"),
        ("trace", f"{DUMPS}/every-third-request-fails.save", "--from", "pod", "--to", "web"),
        (
            *("trace", f"{DUMPS}/pods-cannot-reach-the-api.save", "--from", "10.42.0.64"),
            *("--to", "10.43.0.1:443", "--node-address", "192.168.50.11"),
        ),
        (
            *("trace", CLIENTIP, "--from", "10.10.0.6", "--to", "svc-clusterip"),
            *("--recent", "10.10.0.6=10.10.2.2:80,5"),
        ),
        ("trace", FIVE, *NODE, "--from", "outside", "--to", "shop/web", "--via", "node-port"),
    ],
    "trace-file": [
        (
            "trace",
            f"fixtures/{path.stem}/input.yaml",
            *NODE,
            "--file",
            f"fixtures/flows/{path.name}",
        )
        for path in sorted((FIXTURES / "flows").glob("*local*.yaml"))
    ],
    "matrix": [
        ("matrix", FIVE, "--cluster-cidr", "10.10.0.0/16"),
        ("matrix", "golden/loadbalancer-source-ranges.rules"),
        ("matrix", "golden/no-endpoints.rules"),
        ("matrix", f"{DUMPS}/every-third-request-fails.save"),
    ],
    "diff-matrix": [
        ("diff", "--matrix", FIVE, FIVE, "--cluster-cidr", "10.10.0.0/16"),
        (
            *("diff", "--matrix", "fixtures/nodeport-local/input.yaml"),
            *("fixtures/nodeport-local-without-local-endpoints/input.yaml", *NODE),
        ),
        ("diff", "--matrix", NONE, CLIENTIP),
    ],
    "who": [
        ("who", "KUBE-SEP-TBW2IYJKUCAC7GB3", "fixtures/seed-affinity-none/input.yaml"),
        ("who", "30080", "fixtures/nodeport-local/input.yaml", *NODE),
        ("who", "10.200.1.10:80", "fixtures/nodeport-local/input.yaml", *NODE),
        ("who", "default/web", "fixtures/nodeport-local/input.yaml", *NODE),
        ("who", "-A KUBE-EXT-CDGGSHYLG3RE2FKL -j KUBE-SVL-CDGGSHYLG3RE2FKL", FIVE, *NODE),
        ("who", "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000", FIVE, *NODE),
        ("who", "192.0.2.99", NONE),
    ],
    "sticky": [
        ("sticky", "fixtures/sticky-shop/input.yaml", *NODE, "--clients", "330", "--for", "3m"),
        (
            *("sticky", "fixtures/sticky-shop/input.yaml", *NODE, "--clients", "90", "--for", "9m"),
            *("--at", "3m=rollout", "--at", "5m=affinity=None", "--at", "7m=reboot"),
            *("--expect", "lost=0", "--expect", "moved<1"),
        ),
        (
            *("sticky", "fixtures/sticky-shop/input.yaml", *NODE, "--clients", "9", "--for", "5m"),
            *("--compare", "timeout=none,30"),
        ),
    ],
    "lint": [("lint", *(path_of(one, word) for word in one.arguments)) for one in FIXTURE_CASES],
}


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def schema_of(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    return loaded


def problems(name: str, value: object) -> list[str]:
    """Return what a schema has against a value."""
    found = Draft202012Validator(schema_of(name)).iter_errors(value)
    return [f"{'.'.join(map(str, one.absolute_path))}: {one.message}" for one in found]


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Give every part of a schema that describes an object."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for value in schema.values():
            yield from objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects(value)


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_strict_and_described(name: str) -> None:
    schema = schema_of(name)
    Draft202012Validator.check_schema(schema)
    assert schema["title"]
    for one in objects(schema):
        assert one["additionalProperties"] is not True
        assert one.get("required", []) == list(one.get("properties", {}))
        for field, value in one.get("properties", {}).items():
            assert value.get("description"), field


def outputs(name: str, proxyrules: Runner) -> list[Any]:
    """Run the commands of a schema, and return what they print."""
    values = []
    for arguments in COMMANDS[name]:
        result = proxyrules(*arguments, *JSON)
        assert result.code in (0, 1), (arguments, result.err)
        values.append(json.loads(result.out))
    return values


@pytest.mark.parametrize("name", COMMANDS)
def test_outputs(name: str, proxyrules: Runner) -> None:
    values = outputs(name, proxyrules)
    assert [problems(name, value) for value in values] == [[]] * len(values)
    # Both answers are among them, so that the lists are not all empty.
    assert len({json.dumps(value) for value in values}) > 1


@pytest.mark.parametrize("name", COMMANDS)
def test_a_field_more_or_less_is_found(name: str, proxyrules: Runner) -> None:
    result = proxyrules(*COMMANDS[name][0], *JSON)
    value = json.loads(result.out)
    first = next(iter(value))
    assert problems(name, value | {"more": 1})
    assert problems(name, {key: one for key, one in value.items() if key != first})
    assert problems(name, value | {first: {"no": "such value"}})


def test_a_baseline(tmp_path: Path, proxyrules: Runner) -> None:
    path = tmp_path / "baseline.json"
    proxyrules("lint", LINT_FIXTURES / "pr101" / "input.yaml", "--write-baseline", path)
    value = json.loads(path.read_text())
    assert value["findings"]
    assert problems("lint-baseline", value) == []
    assert problems("lint-baseline", value | {"version": 2})


@pytest.mark.parametrize("options", [(), ("--one-file-per-node", "--standalone")])
def test_the_index_of_all_nodes(
    options: tuple[str, ...], tmp_path: Path, proxyrules: Runner
) -> None:
    folder = tmp_path / "rules"
    assert proxyrules("compile", FIVE, "--all-nodes", *options, "-o", folder).code == 0
    value = json.loads((folder / "nodes.json").read_text())
    assert problems("nodes", value) == []
    assert problems("nodes", value | {"more": 1})
    for field in value:
        assert problems("nodes", {key: one for key, one in value.items() if key != field})
    value["nodes"]["worker-1"]["file"] = "../worker-1.rules"
    assert problems("nodes", value)


def test_review_and_snapshots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    shop = ROOT / "examples" / "shop"
    files = {
        str(path.relative_to(shop)): path.read_text() for path in shop.rglob("*") if path.is_file()
    }
    files["proxyrules.yaml"] = (
        "snapshots:\n  - name: shop\n    manifests: [apps/shop, cluster/nodes.yaml]\n"
    )
    repository = make_repository(tmp_path / "shop", monkeypatch, files)
    monkeypatch.chdir(repository.root)
    listed = json.loads(proxyrules("snapshot", "list", *JSON).out)
    assert {file["state"] for file in listed["files"]} == {"missing"}
    proxyrules("snapshot", "update")
    web = repository.root / "apps" / "shop" / "web.yaml"
    changed = "type: NodePort\n  externalTrafficPolicy: Local\n  sessionAffinity: ClientIP"
    web.write_text(web.read_text().replace("type: NodePort", changed))
    checked = json.loads(proxyrules("snapshot", "check", *JSON).out)
    assert checked["changes"]["servicePorts"]
    reviews = [
        json.loads(proxyrules("review", *one, *JSON).out) for one in (["main"], ["main"] * 2)
    ]
    assert [review["same"] for review in reviews] == [False, True]
    assert reviews[0]["newFindings"]
    assert [problems("snapshot", value) for value in (listed, checked)] == [[], []]
    assert [problems("review", value) for value in reviews] == [[], []]


def test_every_schema_is_described_and_held_to_outputs() -> None:
    page = (DOCS / "reference" / "formats.md").read_text()
    for name in NAMES:
        assert f"(../schemas/{name}.schema.json)" in page
    assert {*COMMANDS, "lint-baseline", "nodes", "review", "snapshot"} == set(NAMES)


def test_goldens_of_json_are_as_their_schemas_say() -> None:
    names = {
        "diff.json": "diff",
        "diff-matrix.json": "diff-matrix",
        "fleet.json": "verify-fleet",
        "matrix.json": "matrix",
    }
    for file, name in names.items():
        assert problems(name, json.loads((GOLDEN / file).read_text())) == [], file

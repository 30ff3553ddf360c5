"""Everything that the commands do, as typed functions: without printing, exit codes or state.

`compile_rules` makes the rules of one node from manifests, `compile_all_nodes` those of every node
(`write_nodes` writes them), `diff_all_nodes` compares those. `complete_manifests` adds to
hand-written ones what the control plane would. `diff`, `verify`, `delta`, `evaluate`, `trace`,
`graph`, `matrix`, `matrix_diff` and `who` answer questions about rules, compiled or read from a
file, and `explore` makes the document of all answers. `sticky` plays session affinity. `lint` finds
what is legal and will surprise in production. `snapshots` and `review` are about the rules that a
repository keeps. `verify_fleet` checks the dumps of many nodes; `processes` and `dask` are who may
do such work. `rule_counts` and `verify_metrics` are about kube-proxy's own metrics; `Collection`
has what collects both.
"""

from __future__ import annotations

from compiler.analysis.node_view import Column
from compiler.analysis.packet_request import PacketRequest, RequestError
from compiler.analysis.sticky.errors import StickyError
from compiler.analysis.sticky.load import Load, addresses_in
from compiler.analysis.sticky.play import Settings
from compiler.collection.writing import Collection
from compiler.compilation import Compilation, compile_rules, complete_manifests
from compiler.exploring import explore
from compiler.fleet.all_nodes import AllNodes, compile_all_nodes
from compiler.fleet.nodes_folder import NodeFile, write_nodes
from compiler.fleet.report import FleetReport
from compiler.fleet.scheduler import dask, processes
from compiler.fleet.verify import verify_fleet
from compiler.metric_questions import rule_counts, verify_metrics
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.host import Host
from compiler.netfilter.outcome import Outcome
from compiler.netfilter.ruleset import Ruleset
from compiler.questions import (
    delta,
    diff,
    evaluate,
    graph,
    lint,
    matrix,
    matrix_diff,
    read_columns,
    read_rules,
    review,
    snapshots,
    sticky,
    trace,
    verify,
    who,
)
from compiler.snapshots.nodes_diff import NodesDiff, diff_all_nodes

__all__ = [
    "AllNodes",
    "Collection",
    "Column",
    "Compilation",
    "FleetReport",
    "Host",
    "Load",
    "NodeFile",
    "NodesDiff",
    "Outcome",
    "Packet",
    "PacketRequest",
    "RequestError",
    "Ruleset",
    "Settings",
    "StickyError",
    "addresses_in",
    "compile_all_nodes",
    "compile_rules",
    "complete_manifests",
    "dask",
    "delta",
    "diff",
    "diff_all_nodes",
    "evaluate",
    "explore",
    "graph",
    "lint",
    "matrix",
    "matrix_diff",
    "processes",
    "read_columns",
    "read_rules",
    "review",
    "rule_counts",
    "snapshots",
    "sticky",
    "trace",
    "verify",
    "verify_fleet",
    "verify_metrics",
    "who",
    "write_nodes",
]

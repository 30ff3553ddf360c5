"""What changes for traffic on all nodes from one state of a cluster to another.

Most nodes change alike, and most service ports not at all. Both sides are compiled in full, which
says which service ports differ on any node. Only they, and those whose packets may meet their
rules, are then compared, once for each pair of texts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from compiler.cluster import Cluster
from compiler.compilation import read_inputs
from compiler.errors import Problem
from compiler.fleet.all_nodes import AllNodes, EqualNodes, compile_inputs_for_all
from compiler.kube_rules.service_port import Key
from compiler.manifests.source import Source
from compiler.snapshots.changes import Changes, TextDiff, Where, compare_texts, merge


@dataclass(frozen=True)
class NodesDiff:
    """The difference of two clusters' rules.

    `changes` is that of the nodes that are on both sides, which are `compared`; `added` and
    `removed` are nodes that only the new or the old side has, whose rules were not compared.
    `differing` are the nodes whose rules differ in any byte, `pairs` counts the different pairs of
    texts that were compared. `warnings` are those of both sides.
    `other_family_service_ports` is how many service ports OLD and NEW have in the other IP family,
    which were not compared.
    """

    changes: Changes
    compared: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    differing: tuple[str, ...]
    pairs: int
    warnings: tuple[Problem, ...]
    other_family_service_ports: tuple[int, int]

    @property
    def same(self) -> bool:
        """Whether no packet is treated differently on any node, and the nodes are the same."""
        return self.changes.same and not (self.added or self.removed)


def diff_all_nodes(
    old: Sequence[str | os.PathLike[str] | Source] | os.PathLike[str],
    new: Sequence[str | os.PathLike[str] | Source] | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | Source | None = None,
    flags: Mapping[str, object] | None = None,
    kube_versions: tuple[str | None, str | None] = (None, None),
    ip_family: str | None = None,
) -> NodesDiff:
    """Say what changes for traffic on all nodes between two sets of manifests.

    `kube_versions` are those of both sides, the other arguments are `compile_rules`' own. Without
    `ip_family` both sides are compared in that of `old`. Raises `InputError`.
    """
    versions = kube_versions
    before = read_inputs(
        old, config=config, flags=flags, kube_version=versions[0], ip_family=ip_family
    )
    family = before.family.value
    after = read_inputs(new, config=config, flags=flags, kube_version=versions[1], ip_family=family)
    return diff_nodes(Cluster(before), Cluster(after))


def diff_nodes(old: Cluster, new: Cluster) -> NodesDiff:
    """Compare the rules of all nodes of one family. Raises `InputError`.

    Nodes are matched by name. `node_addresses` of the clusters are not used.
    """
    before, after = _all(old), _all(new)
    warnings = tuple(dict.fromkeys(before.warnings + after.warnings))
    others = before.other_family_service_ports, after.other_family_service_ports
    # in their order; each is sorted anew where it is asked for
    was, now = dict.fromkeys(before.nodes), dict.fromkeys(after.nodes)
    removed = tuple(node for node in was if node not in now)
    added = tuple(node for node in now if node not in was)
    common = tuple(node for node in was if node in now)
    differing, keys = _differing(before, after, common)
    if keys is not None and differing:
        before, after = _reduced(old, new, keys)
    family = old.inputs.family
    found: list[tuple[Where, TextDiff]] = []
    known: dict[tuple[int, int], TextDiff] = {}
    for node in differing:
        pair = before.group(node), after.group(node)
        key = id(pair[0]), id(pair[1])
        if key not in known:
            known[key] = compare_texts(pair[0].text, pair[1].text, node, family)
        found.append((Where("", family, (node,)), known[key]))
    compared = [Where("", family, common)] if common else []
    changes = merge(found, compared, 1)
    return NodesDiff(
        changes, common, added, removed, tuple(differing), len(known), warnings, others
    )


def _all(cluster: Cluster) -> AllNodes:
    return compile_inputs_for_all(
        cluster.inputs, nfacct=cluster.nfacct, random_fully=cluster.random_fully
    )


def _differing(
    before: AllNodes, after: AllNodes, nodes: Iterable[str]
) -> tuple[list[str], set[Key] | None]:
    """Find the nodes whose rules differ, and the service ports whose rules do on any of them.

    None for the service ports where more than theirs differs: then all must be compared.
    """
    known: dict[tuple[int, int], set[Key] | None] = {}
    differing: list[str] = []
    keys: set[Key] | None = set()
    for node in nodes:
        pair = before.group(node), after.group(node)
        place = id(pair[0]), id(pair[1])
        if place not in known:
            known[place] = _differing_ports(pair[0], before.keys, pair[1], after.keys)
        found = known[place]
        if found is None or found:
            differing.append(node)
        keys = None if keys is None or found is None else keys | found
    return differing, keys


def _differing_ports(
    old: EqualNodes, old_keys: tuple[Key, ...], new: EqualNodes, new_keys: tuple[Key, ...]
) -> set[Key] | None:
    if not old.has_the_frame_of(new):
        # equal texts can be made of other parts: where only one side's nodes have own Pod networks
        return None if old.text != new.text else set()
    was = dict(zip(old_keys, old.parts, strict=True))
    now = dict(zip(new_keys, new.parts, strict=True))
    return {key for key in was.keys() | now.keys() if was.get(key) != now.get(key)}


def _reduced(old: Cluster, new: Cluster, keys: set[Key]) -> tuple[AllNodes, AllNodes]:
    """Compile the service ports that differ, and those that meet them on either side.

    A packet is asked of the rules of its own address and port, and, once it is translated, of those
    of its endpoint's. So what differs is noticed by packets to the differing service ports, and by
    those to service ports whose endpoints are at an address of them; the rules of no other service
    port than these, and of those at the same addresses, decide about such packets.
    """
    sides = old, new
    keys = keys.union(*(side.sending_to(keys) for side in sides))
    while True:
        some = tuple(side.only(key for key in side.keys if key in keys) for side in sides)
        kept = {key for side in some for key in side.keys}
        if kept == keys:
            return _all(some[0]), _all(some[1])
        keys = kept

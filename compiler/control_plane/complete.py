"""What the control plane adds to hand-written manifests: Pods, addresses, EndpointSlices.

A Service with a selector and the workloads whose Pods it selects are all that a person writes. In a
cluster the controllers then make the Pods, the scheduler places them, the network gives them
addresses, the API server gives the Service its cluster IPs and node ports, and the EndpointSlice
controller writes the slices that kube-proxy reads. `complete` does the same to plain objects; what
is given is kept.

Sources: kubernetes `staging/src/k8s.io/endpointslice/{reconciler,utils}.go` and `trafficdist`; see
also the modules of the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from typing import Any

import msgspec
from ruamel.yaml import YAML

from compiler.control_plane.cluster_facts import with_facts
from compiler.control_plane.endpoint_slices import (
    SERVICE_NAME,
    node_zones,
    service_problems,
    slices_for,
)
from compiler.control_plane.families import families_seen
from compiler.control_plane.mirroring import Mirroring, endpoints_problems
from compiler.control_plane.objects import PlainObject, kind_of, map_at, text_at
from compiler.control_plane.placement import Placement, networks_by_family, notes_of_pods
from compiler.control_plane.plain_nodes import plain_nodes
from compiler.control_plane.pods import Pod, read_pods
from compiler.control_plane.selection import PodIndex, SelectionWarnings
from compiler.control_plane.service_addresses import Service, ServiceAddresses
from compiler.control_plane.workload_checks import AUTOSCALER, VERSIONS, check_workloads, misnamed
from compiler.control_plane.workloads import Expanded, with_pods
from compiler.errors import InputError, Problem
from compiler.family import Family
from compiler.manifests.reader import Manifests, read_manifests
from compiler.manifests.source import Source
from compiler.yaml.plain import Path

SOURCE_NAME = "<control plane>"

# The kinds that rules don't depend on any more.
_DONE = frozenset({"Pod", "Endpoints", AUTOSCALER, *VERSIONS})


@dataclass(frozen=True)
class Completed:
    """The objects as a cluster would show them, and a note for what was added to each.

    `assumed` are the notes that say more than what an object got. `warnings` are about the
    manifests as they were written, and `written` are the first of the objects as these have them.
    """

    objects: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    warnings: tuple[Problem, ...] = ()
    assumed: tuple[str, ...] = ()
    written: tuple[PlainObject, ...] = ()

    @property
    def source(self) -> Source:
        """The objects as a List, to be read like any other manifests.

        Pods, and what they and EndpointSlices were made from, are done with.
        """
        return self._source(found for found in self.objects if kind_of(found) not in _DONE)

    @property
    def pods(self) -> Source:
        """The Pods as a List."""
        return self._source(found for found in self.objects if kind_of(found) == "Pod")

    @property
    def manifests(self) -> Manifests:
        """The objects, read. Warnings are those of the manifests as they were written."""
        source = self.source
        read = read_manifests([source])
        warnings = self.warnings_with(read.warnings)
        texts = (source, self.pods)
        places = dict(self._places())
        return replace(
            read,
            warnings=warnings,
            notes=self.notes,
            assumed=self.assumed,
            written=places,
            texts=texts,
        )

    def _places(self) -> Iterator[tuple[Path, Callable[[Path], Problem]]]:
        """Find where each item of `source` was written."""
        kept = (found for found in self.written if found.kind not in _DONE)
        for index, found in enumerate(kept):
            yield ("items", index), partial(found.problem, message="")

    @staticmethod
    def _source(items: Iterable[dict[str, Any]]) -> Source:
        whole = {"apiVersion": "v1", "kind": "List", "items": list(items)}
        return Source(SOURCE_NAME, msgspec.json.encode(whole))

    def warnings_with(self, later: Iterable[Problem]) -> tuple[Problem, ...]:
        """Return the warnings, with those of compiling `source` but for what it repeats."""
        return self.warnings + tuple(one for one in later if one.file != SOURCE_NAME)

    @property
    def yaml(self) -> str:
        """The objects as YAML documents, keys in the order in which they were written."""
        writer = YAML(typ="safe", pure=True)
        writer.default_flow_style = False
        writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
        text = StringIO()
        writer.dump_all(self.objects, text)
        return text.getvalue()


@dataclass(frozen=True)
class Prepared:
    """Objects to be completed; `others` are the cluster's Services that are not among them."""

    objects: tuple[PlainObject, ...]
    others: tuple[PlainObject, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()


def prepare(
    objects: Sequence[PlainObject], cluster: Sequence[PlainObject] = (), *, nodes: int = 0
) -> Prepared:
    """Mix in facts of a real cluster, and make plain Nodes where there are no others.

    Raises InputError with what is wrong with the objects, and where they contradict the cluster.
    """
    if problems := check(objects):
        raise InputError(problems)
    facts = with_facts(objects, cluster)
    notes = [*facts.notes]
    made: tuple[PlainObject, ...] = ()
    own = sum(found.kind == "Node" for found in facts.objects)
    if nodes and own:
        notes.append(f"no Nodes are made, since there are {own} already")
    elif nodes:
        made = tuple(plain_nodes(nodes))
        last = made[-1].name
        notes.append(f"Node{' ' if nodes == 1 else f's {made[0].name} to '}{last} made")
    return Prepared((*facts.objects, *made), facts.others, tuple(notes), facts.warnings)


def complete(
    prepared: Prepared, pod_networks: Iterable[str] = (), *, workloads: bool = True
) -> Completed:
    """Add what the control plane would have added.

    `pod_networks` is kube-proxy's clusterCIDR, one network per family: Pods get their addresses
    there unless their Node has podCIDRs. Raises InputError where addresses or node ports run out.
    """
    objects = prepared.objects
    expanded = with_pods(objects) if workloads else Expanded(objects)
    networks = networks_by_family(pod_networks)
    done = _ControlPlane(expanded.objects, networks, prepared.others).run()
    assumed = (*prepared.notes, *expanded.notes)
    warnings = [*prepared.warnings, *misnamed(objects), *expanded.warnings, *done.warnings]
    return Completed(
        done.objects,
        (*assumed, *done.notes),
        tuple(in_reading_order(warnings, objects)),
        assumed,
        expanded.objects,
    )


def check(objects: Sequence[PlainObject]) -> list[Problem]:
    """Find what is wrong with Pods, workloads, and what of Services the rules don't depend on.

    The problems are in reading order. The rest of the Services is for `reader` to check; `complete`
    expects that it has.
    """
    _, problems = read_pods(objects)
    problems += check_workloads(objects)
    for found in objects:
        if found.kind == "Service":
            problems += service_problems(found)
        elif found.kind == "Endpoints":
            problems += endpoints_problems(found)
    return in_reading_order(problems, objects)


def in_reading_order(problems: Iterable[Problem], objects: Sequence[PlainObject]) -> list[Problem]:
    """Sort problems by their places, each once."""
    order = {name: number for number, name in enumerate(dict.fromkeys(one.file for one in objects))}
    places = [
        ((order.get(one.file, -1), one.line or 0, one.column or 0), number, one)
        for number, one in enumerate(dict.fromkeys(problems))
    ]
    return [one for *_, one in sorted(places, key=lambda place: place[:2])]


class _ControlPlane:
    def __init__(
        self,
        objects: Sequence[PlainObject],
        networks: Mapping[Family, str],
        others: Sequence[PlainObject],
    ) -> None:
        self.originals = objects
        self.others = others
        self.objects = [_copy(found.value) for found in objects]
        self.nodes = {found.name: found.value for found in objects if found.kind == "Node"}
        self.families = tuple(networks) or families_seen(objects, others)
        self.placement = Placement(self.objects, self.nodes, self.families, networks)
        self.notes: list[str] = []
        self.warnings: list[Problem] = []

    def run(self) -> Completed:
        before, _ = read_pods(self.originals)
        pods = self.placement.place(before)
        services = [
            (original, value)
            for original, value in zip(self.originals, self.objects, strict=True)
            if original.kind == "Service"
        ]
        addresses = ServiceAddresses(services, self.families, self.others)
        addresses.give()
        if problems := [*self.placement.problems, *addresses.problems]:
            raise InputError(in_reading_order(problems, self.originals))
        self.notes += notes_of_pods(before, pods)
        self.notes += [note for one, _ in services for note in addresses.notes_of(one)]
        slices = self._make_slices(services, pods)
        mirroring = Mirroring(self.originals)
        slices += mirroring.slices()
        return Completed(
            (*self.objects, *slices),
            (*self.notes, *mirroring.notes),
            (*self.placement.warnings, *self.warnings, *mirroring.warnings),
        )

    def _make_slices(
        self, services: Sequence[Service], pods: Sequence[Pod]
    ) -> list[dict[str, Any]]:
        """Write the slices of every Service that has a selector and none yet."""
        served = {
            (found.namespace, text_at(found.value, "metadata", "labels", SERVICE_NAME))
            for found in self.originals
            if found.kind == "EndpointSlice"
        }
        index = PodIndex(pods)
        warnings = SelectionWarnings(self.originals, index)
        zones = node_zones(self.nodes)
        made: list[dict[str, Any]] = []
        for original, value in services:
            selector = map_at(value, "spec", "selector")
            if not selector or text_at(value, "spec", "type") == "ExternalName":
                continue
            if (original.namespace, original.name) in served:
                continue
            chosen = index.selected(original.namespace, selector)
            self.warnings += warnings.of(original, chosen)
            slices = slices_for(original, value, chosen, zones)
            made += slices
            for one in slices:
                count = len(one["endpoints"])
                self.notes.append(
                    f"EndpointSlice {original.namespace}/{one['metadata']['name']} "
                    f"lists {count} endpoint{'' if count == 1 else 's'} of {original.subject}"
                )
        return made


def _copy(value: object) -> Any:
    """Copy a plain value, so that what was read stays as it was; null is as good as absent."""
    if isinstance(value, dict):
        return {name: _copy(child) for name, child in value.items() if child is not None}
    if isinstance(value, list):
        return [_copy(child) for child in value]
    return value

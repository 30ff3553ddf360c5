"""The compiler as a function; `compiler.api` offers it to callers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self, TypeVar

from compiler.errors import InputError, Problem
from compiler.family import IPV4, IPV6, Family
from compiler.manifests.address import family_of
from compiler.manifests.convert import shorten
from compiler.manifests.reader import Manifests, Progress, read_manifests
from compiler.manifests.schema import Service
from compiler.manifests.source import STDIN, Source, read_source, read_sources
from compiler.manifests.validate import is_proxied
from compiler.proxy.configuration import ProxyConfig, read_config
from compiler.proxy.iptables_plan import IptablesPlan, project
from compiler.proxy.plan import Plan, Planned
from compiler.proxy.planner import make_plan
from compiler.proxy.release import NEWEST, Change, Release, parse_version, since
from compiler.proxy.service_port import has_cluster_ip

if TYPE_CHECKING:
    from compiler.control_plane.complete import Completed

T = TypeVar("T")


@dataclass(frozen=True)
class Compilation:
    """What a compile gave: the decisions, the text, and what to report to a user.

    `plan` has the decisions, `iptables` the same with chains, as the templates see it.
    `other_family_service_ports` counts what the manifests have in the other family, and
    `warnings` are about the configuration, the feature gates and the manifests, in this order.
    """

    plan: Plan
    iptables: IptablesPlan
    manifests: Manifests
    config: ProxyConfig
    other_family_service_ports: int
    warnings: tuple[Problem, ...]

    @classmethod
    def of(
        cls, planned: Planned, iptables: IptablesPlan, manifests: Manifests, config: ProxyConfig
    ) -> Self:
        """Put together what the steps of a compile gave."""
        return cls(
            planned.plan,
            iptables,
            manifests,
            config,
            planned.other_family_service_ports,
            config.warnings + planned.warnings + manifests.warnings,
        )

    @cached_property
    def text(self) -> str:
        """The text for `iptables-restore`, as kube-proxy would write it."""
        return "".join(self.chunks())

    def chunks(self) -> Iterator[str]:
        """Write the same text in chunks, so that a large one is never in memory as a whole."""
        from compiler.render import render_chunks

        return render_chunks(self.iptables)

    @cached_property
    def standalone(self) -> str:
        """The text with the jumps that kube-proxy maintains separately (semantics, section 7)."""
        from compiler.render import render_standalone

        return render_standalone(self.iptables)

    @cached_property
    def cleanup(self) -> str:
        """The text that removes what `standalone` installs, and nothing else."""
        from compiler.render import render_cleanup

        return render_cleanup(self.iptables)


def compile_rules(  # noqa: PLR0913  # all but the first by name
    manifests: Sequence[str | os.PathLike[str] | Source] | os.PathLike[str] | Manifests,
    *,
    config: str | os.PathLike[str] | Source | None = None,
    flags: Mapping[str, object] | None = None,
    node: str | None = None,
    kube_version: str | None = None,
    ip_family: str | None = None,
    nfacct: bool = False,
    random_fully: bool = True,
    node_addresses: Sequence[str] = (),
    progress: Progress | None = None,
    check_fields: bool = False,
    workers: int = 1,
) -> Compilation:
    """Compile manifests into the rules that kube-proxy would write on one node.

    Nothing is written or printed, and nothing is kept between calls; standard input is read only
    where `-` says so. The text is rendered when the result's `text` or `chunks()` is asked for.

    - `manifests`: paths of files and folders, `-` for standard input, or texts in memory
      (`Source`), with Services, EndpointSlices and Nodes in YAML or JSON. Other kinds are skipped
      and counted (`Compilation.manifests.skipped_kinds`). Or objects that were read before.
    - `config`: a KubeProxyConfiguration, or kubeadm's ConfigMap that contains one.
    - `flags`: kube-proxy's flags by name (`cluster_cidr`, `masquerade_all`, …); they override
      `config`. None leaves a flag out.
    - `node`: the node's name; it overrides `hostnameOverride`. May be left out where there is one
      Node only, and where the rules are the same on all.
    - `kube_version`: the Kubernetes release, such as `1.34`; by default the newest supported.
    - `ip_family`: `ipv4` or `ipv6`; by default IPv4, or IPv6 where all Services are IPv6 only.
    - `nfacct`: whether the node's kernel has nfacct counters (kube-proxy uses them since 1.31).
    - `random_fully`: whether the node's iptables knows `--random-fully` (1.6.2 and later).
    - `node_addresses`: further IP addresses of the node, beside those of its Node object; node
      ports may be limited to them (`nodePortAddresses`).
    - `progress`: called with the number of bytes read since its last call.
    - `check_fields`: whether JSON over 1 MiB is searched for misspelt fields and duplicate keys,
      as everything else is; it takes ten times as long to read.
    - `workers`: with 2, this process may be forked to read a large YAML text; it never is
      otherwise.

    Raises `InputError` with every problem of the input, each with its place, and `TypeError` for a
    name in `flags` that kube-proxy doesn't have, or a value of another type.
    """
    inputs = read_inputs(
        manifests,
        config=config,
        flags=flags,
        node=node,
        kube_version=kube_version,
        ip_family=ip_family,
        node_addresses=node_addresses,
        progress=progress,
        check_fields=check_fields,
        workers=workers,
    )
    return compile_inputs(
        inputs, node, node_addresses=node_addresses, nfacct=nfacct, random_fully=random_fully
    )


@dataclass(frozen=True)
class Inputs:
    """What every node's rules are made from, read once."""

    manifests: Manifests
    config: ProxyConfig
    family: Family
    release: Release


def read_inputs(  # noqa: PLR0913  # all but the first by name
    manifests: Sequence[str | os.PathLike[str] | Source] | os.PathLike[str] | Manifests,
    *,
    config: str | os.PathLike[str] | Source | None = None,
    flags: Mapping[str, object] | None = None,
    node: str | None = None,
    kube_version: str | None = None,
    ip_family: str | None = None,
    node_addresses: Sequence[str] = (),
    progress: Progress | None = None,
    check_fields: bool = False,
    workers: int = 1,
) -> Inputs:
    """Read and check all that `compile_rules` takes. Raises `InputError` with every problem."""
    if isinstance(manifests, str | os.PathLike):
        manifests = [manifests]
    _check_names(() if isinstance(manifests, Manifests) else manifests, config, node)
    collected = _Collected()
    release = collected.run(lambda: read_release(kube_version))
    collected.run(lambda: _check_addresses(node_addresses))
    wanted = collected.run(lambda: _family(ip_family))
    settings = collected.run(lambda: read_config(open_config(config), flags or {}))
    objects = collected.run(
        lambda: _read(manifests, progress, check_all=check_fields, workers=workers)
    )
    if release is None or settings is None or objects is None or collected.problems:
        raise InputError(collected.problems, collected.warnings)
    return Inputs(objects, settings, wanted or default_family(objects.services), release)


def compile_inputs(
    inputs: Inputs,
    node: str | None,
    *,
    node_addresses: Sequence[str] = (),
    nfacct: bool = False,
    random_fully: bool = True,
) -> Compilation:
    """Compile what was read for one node; the arguments are `compile_rules`' own.

    Raises `InputError` with every problem.
    """
    objects, settings, family, release = (
        inputs.manifests,
        inputs.config,
        inputs.family,
        inputs.release,
    )
    collected = _Collected()
    collected.problems += check_nfacct(release, wanted=nfacct)
    planned = collected.run(
        lambda: make_plan(
            objects, settings, family, release, node=node, node_addresses=node_addresses
        )
    )
    if planned is None or collected.problems:
        raise InputError(collected.problems, collected.warnings)
    iptables = project(planned.plan, nfacct=nfacct, random_fully=random_fully)
    return Compilation.of(planned, iptables, objects, settings)


def complete_manifests(
    manifests: Sequence[str | os.PathLike[str] | Source],
    *,
    config: str | os.PathLike[str] | Source | None = None,
    flags: Mapping[str, object] | None = None,
    workloads: bool = True,
    nodes: int = 0,
    cluster: Sequence[str | os.PathLike[str] | Source] = (),
) -> Completed:
    """Add to hand-written manifests what the control plane would have added.

    Deployments and other workloads get their Pods (unless `workloads` is false), Pods and Services
    get addresses where they have none, Services with a selector get their EndpointSlices, and
    Endpoints without a selector are mirrored. `config` and `flags` are `compile_rules`' own; of
    them the clusterCIDR is used. `nodes` plain Nodes are made where there are no others. `cluster`
    has facts of a real cluster: its Nodes replace those of the manifests, and its Services' cluster
    IPs and node ports are those of the manifests' Services of the same name. The result's
    `manifests` is what `compile_rules` then takes. Raises `InputError` with every problem of the
    input.
    """
    from compiler.control_plane.complete import check, complete, prepare
    from compiler.control_plane.objects import plain_objects

    collected = _Collected()
    settings = collected.run(lambda: read_config(open_config(config), flags or {}))
    collected.run(lambda: _check_count(nodes))
    sources = collected.run(lambda: open_sources(manifests)) or []
    facts = collected.run(lambda: open_sources(cluster)) or []
    read = [
        collected.run(
            lambda texts=texts: read_manifests(  # type: ignore[misc]
                texts, every_kind=True, without_cluster_ips=True, check_all=True
            )
        )
        for texts in (sources, facts)
        if texts is sources or texts
    ]
    plain = collected.run(lambda: plain_objects(sources)) or []
    real = collected.run(lambda: plain_objects(facts)) or []
    if settings is None or collected.problems:
        # Both readings report what is no YAML at all.
        problems = dict.fromkeys([*collected.problems, *check(plain)])
        order = {source.name: place for place, source in enumerate([*sources, *facts])}
        raise InputError(
            sorted(problems, key=lambda p: (order.get(p.file, -1), p.line or 0, p.column or 0)),
            collected.warnings,
        )
    prepared = prepare(plain, real, nodes=nodes)
    completed = complete(prepared, settings.cluster_cidrs.values(), workloads=workloads)
    warnings = [*(one for found in read if found for one in found.warnings), *completed.warnings]
    return replace(completed, warnings=tuple(warnings))


def default_family(services: Sequence[Service]) -> Family:
    """Return IPv6 where every proxied Service is IPv6 only, else IPv4."""
    proxied = [service.spec for service in services if service.spec and is_proxied(service)]
    only_ipv6 = proxied and all(
        has_cluster_ip(spec, IPV6) and not has_cluster_ip(spec, IPV4) for spec in proxied
    )
    return IPV6 if only_ipv6 else IPV4


class _Collected:
    """Runs the parts of a compile, so that the problems of all of them are reported at once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def run(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except InputError as error:
            self.problems.extend(error.problems)
            self.warnings.extend(error.warnings)
            return None


def read_release(version: str | None, argument: str = "kube_version") -> Release:
    """Return the release that an argument names, the newest for None. Raises `InputError`."""
    if version is None:
        return Release(NEWEST)
    try:
        return parse_version(version)
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        raise InputError(Problem.of_argument(argument, message, hint)) from error


def _family(ip_family: str | None) -> Family | None:
    if ip_family is None:
        return None
    try:
        return Family(ip_family)
    except ValueError as error:
        message = f"{shorten(ip_family)} is not an IP family"
        raise InputError(Problem.of_argument("ip_family", message, "use ipv4 or ipv6")) from error


def _check_names(
    manifests: Sequence[str | os.PathLike[str] | Source],
    config: str | os.PathLike[str] | Source | None,
    node: str | None,
) -> None:
    """Reject an empty node name (an unset variable), and standard input named twice."""
    problems = []
    if node is not None and not node.strip():
        problems.append(
            Problem.of_argument("node", "node name is empty", "pass a name, or leave it out")
        )
    if config == STDIN and STDIN in manifests:
        message = "standard input is already read for the manifests"
        problems.append(Problem.of_argument("config", message, "use a file"))
    if problems:
        raise InputError(problems)


def check_nfacct(release: Release, *, wanted: bool) -> list[Problem]:
    """Find a release that has no nfacct counters, where they are wanted."""
    if not wanted or release.has(Change.NFACCT):
        return []
    message = f"kube-proxy {release} does not use nfacct"
    hint = f"use Kubernetes {since(Change.NFACCT)} or later"
    return [Problem.of_argument("nfacct", message, hint)]


def _check_count(nodes: int) -> None:
    from compiler.control_plane.plain_nodes import MAX_NODES

    if not 0 <= nodes <= MAX_NODES:
        message = f"{nodes} Nodes can't be made"
        raise InputError(Problem.of_argument("nodes", message, f"use 1 to {MAX_NODES}"))


def _check_addresses(addresses: Sequence[str]) -> None:
    problems = [
        Problem.of_argument(
            "node_addresses", f"{shorten(address)} is not an IP address", "use one like 192.168.0.2"
        )
        for address in addresses
        if family_of(address) is None
    ]
    if problems:
        raise InputError(problems)


def open_config(config: str | os.PathLike[str] | Source | None) -> Source | None:
    """Read the file of a configuration, unless it was read. Raises `InputError`."""
    if config is None or isinstance(config, Source):
        return config
    return _stdin() if os.fspath(config) == STDIN else read_source(config)


def open_sources(manifests: Sequence[str | os.PathLike[str] | Source]) -> list[Source]:
    """Read files and folders, `-` for standard input; texts in memory come first.

    Raises `InputError` with every path that can't be read.
    """
    given = [item for item in manifests if isinstance(item, Source)]
    paths = [item for item in manifests if not isinstance(item, Source)]
    return given + read_sources(paths, lambda: _stdin().text)


def _read(
    manifests: Sequence[str | os.PathLike[str] | Source] | Manifests,
    progress: Progress | None,
    *,
    check_all: bool,
    workers: int,
) -> Manifests:
    if isinstance(manifests, Manifests):
        return manifests
    return read_manifests(open_sources(manifests), progress, check_all=check_all, workers=workers)


def _stdin() -> Source:
    if sys.stdin is None:
        raise InputError(
            Problem("<stdin>", "standard input is closed", "redirect a file to it, or use a pipe")
        )
    return Source("<stdin>", sys.stdin.buffer.read())

"""`proxyrules lab up` and `lab apply`: from manifests to a lab, and to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import click

from compiler.analysis.delta import delta_rules
from compiler.api import Compilation
from compiler.cli.lab.common import name_option, the_lab
from compiler.cli.messages import warning_lines
from compiler.cli.options import CompileOptions, compile_options, manifests_argument
from compiler.cli.output import say
from compiler.control_plane.complete import Completed
from compiler.family import Family
from compiler.lab import lifecycle
from compiler.lab.errors import LabError
from compiler.lab.layout import Layout
from compiler.lab.loading import jumps, reload_text
from compiler.lab.run_directory import State, check_name
from compiler.lab.topology import Clients, NodeFacts, layout_of
from compiler.manifests.address import family_of
from compiler.manifests.source import STDIN, Source, read_source
from compiler.netfilter.backend import Backend
from compiler.netfilter.parse import parse_rules
from compiler.proxy.node import choose_node, local_node, node_name


@click.command()
@manifests_argument
@compile_options
@click.option(
    "--backend",
    type=click.Choice([backend.value for backend in Backend]),
    default=Backend.NFT.value,
    show_default=True,
    help="Which iptables takes the rules.",
)
@click.option(
    "--clients",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="How many Pods to add on the node that serve nothing: client-1, client-2, ...",
)
@click.option(
    "--outside",
    metavar="IP",
    multiple=True,
    help="A further client outside the cluster, beside outside-1; may be repeated.",
)
@name_option
def up(
    manifests: tuple[str, ...],
    options: CompileOptions,
    backend: str,
    clients: int,
    outside: tuple[str, ...],
    name: str,
) -> None:
    """Make a lab: a node with the rules of MANIFEST, a namespace an endpoint, and clients.

    Where Services have a selector and no EndpointSlices, addresses and slices are made from the
    Pods as the control plane would. Without --ip-family both families are used that Services have.
    """
    check_name(name)
    lifecycle.require_rights()
    for address in outside:
        if family_of(address) is None:
            raise click.BadParameter(f"not an IP address: {address}", param_hint="--outside")
    state = _compiled(name, backend, manifests, options, Clients(clients, outside))
    lifecycle.up(state)
    _say_what_is_there(state, "is up")


@click.command()
@manifests_argument
@compile_options
@name_option
def apply(manifests: tuple[str, ...], options: CompileOptions, name: str) -> None:
    """Change a lab to MANIFEST and load the difference.

    Options that are not given are those of `lab up`. Connections and affinity of endpoints that
    stay are kept.
    """
    old = the_lab(name)
    kept = old.made_with
    clients = Clients(kept["clients"], tuple(kept["outside"]))
    new = _compiled(name, old.backend, manifests, _merged(kept["options"], options), clients)
    if set(new.texts) != set(old.texts):
        raise LabError("the IP families differ; `lab down` and `lab up` make it anew")
    loads = {
        family: _difference(old.texts[family], text, family) for family, text in new.texts.items()
    }
    lifecycle.change(old, new, loads)
    _say_what_is_there(new, "has changed")


def _difference(old: str, new: str, family: str) -> str:
    """Return the text for `--noflush` that takes the kernel from one standalone text to another.

    Only the chains that differ; but where the jumps from the built-in chains differ too, which a
    delta leaves alone, all of it.
    """
    if jumps(old) != jumps(new):
        return reload_text(old, new)
    before, after = (parse_rules(text, family=Family(family)) for text in (old, new))
    return delta_rules(before, after, source=new.split("\n")).text


def _compiled(
    name: str,
    backend: str,
    manifests: Sequence[str],
    options: CompileOptions,
    clients: Clients,
) -> State:
    """Compile manifests for every family in use, and work out the lab that they need."""
    if options.config is not None and not isinstance(options.config, Source):
        if options.config == STDIN:
            raise click.UsageError("--config is read more than once here: name a file")
        options = replace(options, config=read_source(options.config))
    completed = options.complete(manifests)
    for note in completed.notes:
        say(f"control plane: {note}")
    compilations = _by_family(completed, options)
    warnings = dict.fromkeys(one for each in compilations.values() for one in each.warnings)
    for line in warning_lines(list(warnings)):
        say(line)
    layout = layout_of(
        completed.objects,
        {family: one.plan for family, one in compilations.items()},
        _node_facts(compilations, options),
        clients,
    )
    made_with = {
        "options": asdict(options) | {"config": _kept(options.config)},
        "clients": clients.pods,
        "outside": clients.outside,
    }
    texts = {str(family): one.standalone for family, one in compilations.items()}
    return State(name=name, backend=backend, layout=layout, texts=texts, made_with=made_with)


def _by_family(completed: Completed, options: CompileOptions) -> dict[Family, Compilation]:
    """Compile for `--ip-family`, else for each family that has service ports."""
    if options.ip_family is not None:
        return {Family(options.ip_family): options.compile_completed(completed)}
    compiled = {
        family: replace(options, ip_family=str(family)).compile_completed(completed)
        for family in Family
    }
    return {family: one for family, one in compiled.items() if one.plan.service_ports} or {
        Family.IPV4: compiled[Family.IPV4]
    }


def _node_facts(compilations: dict[Family, Compilation], options: CompileOptions) -> NodeFacts:
    """Find the node's name and its addresses of the families in use, kube-proxy's node IP first."""
    any_of = next(iter(compilations.values()))
    nodes, config = any_of.manifests.nodes, any_of.config
    name = choose_node(nodes, options.node, config)
    node = next((one for one in nodes if node_name(one) == name), None)
    addresses: list[str] = []
    for family in compilations:
        local = local_node(name, node, config, family, options.node_addresses)
        addresses += [one for one in (local.ip, *local.addresses) if one != family.loopback]
    return NodeFacts(name, tuple(dict.fromkeys(addresses)))


def _kept(config: str | Source | None) -> dict[str, str] | None:
    """Keep the configuration's text: its file may be another by the next change."""
    if not isinstance(config, Source):
        return None
    return {"name": config.name, "text": config.text.decode()}


def _merged(kept: dict[str, Any], given: CompileOptions) -> CompileOptions:
    """Put the options that are given over those that the lab was made with."""
    config = kept["config"]
    flags = {name: value for name, value in given.flags.items() if value is not None}
    return CompileOptions(
        config=given.config or (config and Source(config["name"], config["text"].encode())),
        node=given.node or kept["node"],
        kube_version=given.kube_version or kept["kube_version"],
        ip_family=given.ip_family or kept["ip_family"],
        nfacct=given.nfacct or kept["nfacct"],
        random_fully=given.random_fully and kept["random_fully"],
        node_addresses=given.node_addresses or tuple(kept["node_addresses"]),
        flags=kept["flags"] | flags,
    )


def _say_what_is_there(state: State, what: str) -> None:
    layout: Layout = state.layout
    endpoints = len({listener.member for listener in layout.listeners})
    services = len({target.service for target in layout.targets})
    click.echo(
        f"lab {state.name} {what}: {services} Service{'' if services == 1 else 's'}, "
        f"{endpoints} pod{'' if endpoints == 1 else 's'} behind them, "
        f"iptables-{state.backend}, {' and '.join(layout.families)}"
    )

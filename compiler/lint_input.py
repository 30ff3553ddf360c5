"""The input of `lint`, read: manifests, configuration and the releases to compare."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

from compiler.analysis.lint.context import Context, LintInput
from compiler.analysis.lint.dump import NodeDump
from compiler.compilation import (
    Inputs,
    complete_manifests,
    open_config,
    open_sources,
    read_inputs,
    read_release,
)
from compiler.errors import ARGUMENT, InputError, Problem
from compiler.family import Family
from compiler.manifests.reader import Manifests
from compiler.manifests.source import Source
from compiler.proxy.node import check_node_port_addresses, choose_node
from compiler.proxy.release import Release


class LintOptions(TypedDict, total=False):
    """The options of `lint`."""

    config: str | os.PathLike[str] | Source | None
    flags: Mapping[str, object] | None
    node: str | None
    kube_version: str | None
    ip_family: str | None
    nfacct: bool
    random_fully: bool
    node_addresses: Sequence[str]
    check_fields: bool
    workers: int
    from_workloads: bool
    nodes: int
    cluster: Sequence[str | os.PathLike[str] | Source]
    clients: int | None
    upgrade_to: str | None


def lint_context(
    manifests: Sequence[str | os.PathLike[str] | Source] | str | os.PathLike[str],
    dumps: Sequence[NodeDump] = (),
    **options: Unpack[LintOptions],
) -> Context:
    """Read the input of `lint`. Raises `InputError`."""
    node, newer = options.get("node"), options.get("upgrade_to")
    settings = open_config(options.get("config"))
    sources = open_sources([manifests] if isinstance(manifests, str | os.PathLike) else manifests)
    inputs = _read_inputs(_completed(sources, settings, options), settings, options)
    choose_node(inputs.manifests.nodes, node, inputs.config)  # raises where there is no such node
    upgrade_to = None if newer is None else _newer_release(newer, inputs.release)
    return Context(
        LintInput(
            tuple(sources),
            inputs.manifests,
            inputs.config,
            has_config=settings is not None or _is_set(options.get("flags")),
            config_source=settings,
            release=inputs.release,
            families=(inputs.family,) if options.get("ip_family") else tuple(Family),
            node=node,
            node_addresses=tuple(options.get("node_addresses", ())),
            nfacct=options.get("nfacct", False),
            random_fully=options.get("random_fully", True),
            dumps=tuple(dumps),
            clients=options.get("clients"),
            upgrade_to=upgrade_to,
        )
    )


def _completed(
    sources: Sequence[Source], settings: Source | None, options: LintOptions
) -> Sequence[Source] | Manifests:
    """Add what the control plane would, if that is wanted."""
    if not options.get("from_workloads", False):
        return sources
    return complete_manifests(
        sources,
        config=settings,
        flags=options.get("flags"),
        nodes=options.get("nodes", 0),
        cluster=options.get("cluster", ()),
    ).manifests


def _read_inputs(
    sources: Sequence[Source] | Manifests, settings: Source | None, options: LintOptions
) -> Inputs:
    inputs = read_inputs(
        sources,
        config=settings,
        flags=options.get("flags"),
        node=options.get("node"),
        kube_version=options.get("kube_version"),
        ip_family=options.get("ip_family"),
        node_addresses=options.get("node_addresses", ()),
        check_fields=options.get("check_fields", False),
        workers=options.get("workers", 1),
    )
    if problems := check_node_port_addresses(inputs.config, inputs.release):
        raise InputError(problems)
    return inputs


def _newer_release(version: str, release: Release) -> Release:
    """Read the release to compare with. Raises `InputError` where it is not newer."""
    newer = read_release(version, "upgrade_to")
    if newer.version <= release.version:
        message = f"Kubernetes {newer} is not newer than the cluster's {release}"
        hint = f"give the version that the cluster has with {ARGUMENT}"
        raise InputError(Problem("", message, hint, argument="kube_version"))
    return newer


def _is_set(flags: Mapping[str, object] | None) -> bool:
    return any(value is not None for value in (flags or {}).values())

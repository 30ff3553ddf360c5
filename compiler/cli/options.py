"""The options that say what to compile, shared by every command that takes manifests."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from compiler.api import Compilation, compile_rules, complete_manifests
from compiler.manifests.reader import Progress
from compiler.manifests.source import STDIN, Source
from compiler.proxy.configuration import DETECT_LOCAL_MODES
from compiler.proxy.release import NEWEST, OLDEST, Release

if TYPE_CHECKING:
    from compiler.control_plane.complete import Completed

F = TypeVar("F", bound=Callable[..., Any])

# kube-proxy's own flags, which win over its configuration file: option, type, help.
KUBE_PROXY_FLAGS: tuple[tuple[str, Any, str], ...] = (
    ("--cluster-cidr", str, "The pods' CIDR, at most one a family, separated by a comma."),
    (
        "--detect-local-mode",
        click.Choice(DETECT_LOCAL_MODES),
        f"How pods' traffic is told apart: {', '.join(DETECT_LOCAL_MODES)}.",
    ),
    ("--pod-bridge-interface", str, "The pods' bridge (with BridgeInterface)."),
    ("--pod-interface-name-prefix", str, "The pods' interfaces (with InterfaceNamePrefix)."),
    ("--masquerade-all", bool, "Masquerade all traffic to cluster IPs."),
    ("--iptables-masquerade-bit", int, "The bit of the mark that asks for masquerading."),
    ("--iptables-localhost-nodeports", bool, "Whether node ports listen on localhost (IPv4)."),
    ("--nodeport-addresses", str, "CIDRs that node ports listen on, separated by commas."),
    ("--hostname-override", str, "The node's name, where --node does not say."),
    ("--conntrack-tcp-be-liberal", bool, "Whether INVALID packets are let through."),
    ("--bind-address", str, "The node's IP, where it is a specific one."),
)


@dataclass(frozen=True)
class CompileOptions:
    """What the command line says about how to compile, beside the manifests themselves."""

    config: str | Source | None = None
    node: str | None = None
    kube_version: str | None = None
    ip_family: str | None = None
    nfacct: bool = False
    node_addresses: tuple[str, ...] = ()
    check_fields: bool = False
    flags: Mapping[str, object] = field(default_factory=dict)

    def compile(
        self, manifests: Sequence[str | Source], progress: Progress | None = None
    ) -> Compilation:
        """Compile manifests with these options. Raises `InputError`."""
        return compile_rules(
            manifests,
            config=self.config,
            flags=self.flags,
            node=self.node,
            kube_version=self.kube_version,
            ip_family=self.ip_family,
            nfacct=self.nfacct,
            node_addresses=self.node_addresses,
            progress=progress,
            check_fields=self.check_fields,
            workers=2,
        )

    def complete(self, manifests: Sequence[str | Source]) -> Completed:
        """Add what the control plane would have added to manifests. Raises `InputError`."""
        if self.config == STDIN:
            raise click.UsageError("--config is read twice here: name a file")
        return complete_manifests(manifests, config=self.config, flags=self.flags)

    def compile_completed(self, completed: Completed) -> Compilation:
        """Compile what `complete` made; warnings stay those of the manifests as written."""
        compilation = self.compile([completed.source])
        return replace(compilation, warnings=completed.warnings_with(compilation.warnings))


def compile_options(command: F) -> F:
    """Give a command compile's options, as one argument `options` (a `CompileOptions`)."""

    @functools.wraps(command)
    def with_options(*args: Any, **kwargs: Any) -> Any:
        flags = {}
        for option, _, _ in KUBE_PROXY_FLAGS:
            name = _parameter(option)
            flags[name] = kwargs.pop(name)
        if flags["nodeport_addresses"] is not None:
            flags["nodeport_addresses"] = flags["nodeport_addresses"].split(",")
        options = CompileOptions(
            config=kwargs.pop("config"),
            node=kwargs.pop("node"),
            kube_version=kwargs.pop("kube_version"),
            ip_family=kwargs.pop("ip_family"),
            nfacct=kwargs.pop("nfacct"),
            node_addresses=kwargs.pop("node_address"),
            check_fields=kwargs.pop("check_fields"),
            flags=flags,
        )
        return command(*args, options=options, **kwargs)

    decorated: Any = with_options
    for option in reversed(_options()):
        decorated = option(decorated)
    result: F = decorated
    return result


def manifests_argument(command: F) -> F:
    """Give a command the argument MANIFEST..., one or more."""
    decorated: F = click.argument(
        "manifests",
        metavar="MANIFEST...",
        nargs=-1,
        required=True,
        type=click.Path(allow_dash=True),
    )(command)
    return decorated


def _parameter(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _complete_versions(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    del context, parameter
    major, newest = NEWEST
    versions = [f"{major}.{minor}" for minor in range(newest, OLDEST[1] - 1, -1)]
    return [CompletionItem(version) for version in versions if version.startswith(incomplete)]


def _options() -> list[Callable[[Any], Any]]:
    options = [
        click.option(
            "-c",
            "--config",
            metavar="FILE",
            type=click.Path(allow_dash=True),
            help="kube-proxy's configuration: a KubeProxyConfiguration, or kubeadm's ConfigMap.",
        ),
        click.option("--node", metavar="NAME", help="The node that the rules are for."),
        click.option(
            "--kube-version",
            metavar="X.Y",
            shell_complete=_complete_versions,
            help=f"Kubernetes {Release(OLDEST)} to {Release(NEWEST)}; the newest by default.",
        ),
        click.option(
            "--ip-family",
            type=click.Choice(["ipv4", "ipv6"]),
            help="IPv4 by default, or IPv6 where every Service is IPv6 only.",
        ),
        click.option("--nfacct", is_flag=True, help="Count as kube-proxy does with nfacct."),
        click.option(
            "--node-address",
            metavar="IP",
            multiple=True,
            help="A further address of the node (for --nodeport-addresses); may be repeated.",
        ),
        click.option(
            "--check-fields",
            is_flag=True,
            help="Search JSON over 1 MiB for misspelt fields and duplicate keys, too.",
        ),
    ]
    for option, type_, text in KUBE_PROXY_FLAGS:
        metavar = "MODE" if isinstance(type_, click.Choice) else None
        options.append(
            click.option(option, type=type_, metavar=metavar, help=f"kube-proxy: {text}")
        )
    return options

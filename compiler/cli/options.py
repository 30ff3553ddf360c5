"""The options that say what to compile, shared by every command that takes manifests."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from compiler.cli.help import Section, option
from compiler.cli.workload_options import taken, workload_options
from compiler.errors import InputError, Problem
from compiler.proxy.release import NEWEST, OLDEST, Release

# Imported where they are used: help must not wait for the compiler.
if TYPE_CHECKING:
    from compiler.cluster import Cluster
    from compiler.compilation import Compilation
    from compiler.control_plane.complete import Completed
    from compiler.manifests.reader import Manifests, Progress
    from compiler.manifests.source import Source

IP_FAMILY = "IPv4 by default, or IPv6 if every Service is IPv6 only."

F = TypeVar("F", bound=Callable[..., Any])
Declared = list[Callable[[Any], Any]]

STDIN = "-"
# `configuration.DETECT_LOCAL_MODES`, which a test compares them with.
DETECT_LOCAL_MODES = ("ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix")


class _Boolean(click.types.BoolParamType):
    """A boolean whose message names two values; click's lists all fifteen that it takes."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        """Convert the value. Raises `InputError`."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            from compiler.manifests.convert import shorten

            message = f"{shorten(value)} is not a boolean"
            name = param.opts[0] if param else ""
            raise InputError(Problem(name, message, "use true or false")) from error


BOOLEAN = _Boolean()

# kube-proxy's own flags, which override its configuration file: option, type, help.
KUBE_PROXY_FLAGS: tuple[tuple[str, Any, str], ...] = (
    ("--proxy-mode", str, "iptables shows the rules of a cluster in another mode."),
    ("--cluster-cidr", str, "The Pods' CIDR; one per family, separated by a comma."),
    (
        "--detect-local-mode",
        click.Choice(DETECT_LOCAL_MODES),
        f"How traffic of local Pods is detected: {', '.join(DETECT_LOCAL_MODES)}.",
    ),
    ("--pod-bridge-interface", str, "The Pods' bridge (for BridgeInterface)."),
    (
        "--pod-interface-name-prefix",
        str,
        "Prefix of the Pods' interfaces (for InterfaceNamePrefix).",
    ),
    ("--masquerade-all", BOOLEAN, "Masquerade all traffic to cluster IPs."),
    ("--iptables-masquerade-bit", int, "Bit of the mark for masquerading: 0 to 31."),
    ("--iptables-localhost-nodeports", BOOLEAN, "Serve node ports on localhost (IPv4)."),
    ("--nodeport-addresses", str, "CIDRs to serve node ports on, separated by commas, or primary."),
    ("--hostname-override", str, "The node's name, if --node is not given."),
    ("--conntrack-tcp-be-liberal", BOOLEAN, "Let INVALID packets pass."),
    ("--bind-address", str, "The node's IP, if it is a specific one."),
)


@dataclass(frozen=True)
class CompileOptions:
    """What the command line says about how to compile, beside the manifests themselves."""

    config: str | Source | None = None
    node: str | None = None
    kube_version: str | None = None
    ip_family: str | None = None
    nfacct: bool = False
    random_fully: bool = True
    node_addresses: tuple[str, ...] = ()
    check_fields: bool = False
    from_workloads: bool = False
    nodes: int = 0
    cluster: tuple[str | Source, ...] = ()
    flags: Mapping[str, object] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        """The paths of the configuration and the cluster's facts, unless they were read already."""
        return [one for one in (self.config, *self.cluster) if isinstance(one, str)]

    def with_cluster_read(self) -> CompileOptions:
        """Return the options with the cluster's facts read: a pipe can't be read again."""
        if not any(isinstance(one, str) for one in self.cluster):
            return self
        from compiler.compilation import open_sources

        return replace(self, cluster=tuple(open_sources(self.cluster)))

    def compile(
        self, manifests: Sequence[str | Source] | Manifests, progress: Progress | None = None
    ) -> Compilation:
        """Compile manifests with these options. Raises `InputError`."""
        from compiler.compilation import compile_rules

        return compile_rules(
            self.completed(manifests),
            config=self.config,
            flags=self.flags,
            node=self.node,
            kube_version=self.kube_version,
            ip_family=self.ip_family,
            nfacct=self.nfacct,
            random_fully=self.random_fully,
            node_addresses=self.node_addresses,
            progress=progress,
            check_fields=self.check_fields,
            workers=2,
        )

    def read(self, manifests: Sequence[str | Source] | Manifests) -> Cluster:
        """Read manifests for the rules of several nodes. Raises `InputError`."""
        from compiler.cluster import Cluster
        from compiler.compilation import read_inputs

        inputs = read_inputs(
            self.completed(manifests),
            config=self.config,
            flags=self.flags,
            node=self.node,
            kube_version=self.kube_version,
            ip_family=self.ip_family,
            node_addresses=self.node_addresses,
            check_fields=self.check_fields,
            workers=2,
        )
        return Cluster(inputs, self.node_addresses, self.nfacct, self.random_fully)

    def completed(
        self, manifests: Sequence[str | Source] | Manifests
    ) -> Sequence[str | Source] | Manifests:
        """Return manifests as they are compiled: read, if the control plane's part is added."""
        if not self.from_workloads or not isinstance(manifests, Sequence):
            return manifests
        return self.complete(manifests).manifests

    def complete(self, manifests: Sequence[str | Source]) -> Completed:
        """Add what the control plane would have added to manifests. Raises `InputError`."""
        from compiler.compilation import complete_manifests

        if self.config == STDIN:
            raise click.UsageError("--config can't be - here: it is read twice; give a file")
        return complete_manifests(
            manifests,
            config=self.config,
            flags=self.flags,
            nodes=self.nodes,
            cluster=self.cluster,
        )


def compile_options(command: F) -> F:
    """Give a command compile's options, as one argument `options` (a `CompileOptions`)."""
    return compile_options_with()(command)


def compile_options_with(
    ip_family: str = IP_FAMILY, *, nodes: bool = True, implied: bool = False
) -> Callable[[F], F]:
    """Make `compile_options` for a command whose `--ip-family` has a help of its own.

    `nodes` is whether `--nodes` is a number: commands that have another `--nodes` read that.
    `implied` is for commands that always add the control plane's part.
    """
    declared = _options(ip_family, nodes=nodes, implied=implied)
    return functools.partial(_with_options, declared=declared, counted=nodes, implied=implied)


def _with_options(command: F, declared: Declared, *, counted: bool, implied: bool) -> F:
    @functools.wraps(command)
    def with_options(*args: Any, **kwargs: Any) -> Any:
        flags = {}
        for flag, _, _ in KUBE_PROXY_FLAGS:
            name = _parameter(flag)
            flags[name] = kwargs.pop(name)
        if flags["nodeport_addresses"] is not None:
            flags["nodeport_addresses"] = flags["nodeport_addresses"].split(",")
        options = CompileOptions(
            config=kwargs.pop("config"),
            node=kwargs.pop("node"),
            kube_version=kwargs.pop("kube_version"),
            ip_family=kwargs.pop("ip_family"),
            nfacct=kwargs.pop("nfacct"),
            random_fully=not kwargs.pop("no_random_fully"),
            node_addresses=kwargs.pop("node_address"),
            check_fields=kwargs.pop("check_fields"),
            **taken(kwargs, counted=counted, implied=implied),
            flags=flags,
        )
        return command(*args, options=options, **kwargs)

    decorated: Any = with_options
    for one in reversed(declared):
        decorated = one(decorated)
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


def output_option(text: str) -> Callable[[F], F]:
    """Give a command `--output FILE`, None and `-` for standard output."""
    return option(
        "-o",
        "--output",
        metavar="FILE",
        type=click.Path(),
        section=Section.OUTPUT,
        help=text,
    )


def format_option(help_: str, *formats: str) -> Callable[[F], F]:
    """Give a command `--format`, as the argument `format_`; the first format is the default."""
    return option(
        "--format",
        "format_",
        type=click.Choice(formats),
        default=formats[0],
        section=Section.OUTPUT,
        help=help_,
    )


def flag(*declarations: str, section: Section = Section.OWN, text: str) -> Callable[[F], F]:
    """Give a command an option without a value."""
    return option(*declarations, is_flag=True, section=section, help=text)


def _parameter(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _complete_versions(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    del context, parameter
    major, newest = NEWEST
    versions = [f"{major}.{minor}" for minor in range(newest, OLDEST[1] - 1, -1)]
    return [CompletionItem(version) for version in versions if version.startswith(incomplete)]


def _options(ip_family: str, *, nodes: bool, implied: bool) -> Declared:
    """Return the options in the order of the help."""
    flags = [_kube_proxy_flag(*declared) for declared in KUBE_PROXY_FLAGS]
    first = [*workload_options(nodes=nodes, implied=implied), *_input_options(ip_family)]
    return [*first, *_node_options(), _config_option(), *flags]


def _input_options(ip_family: str) -> Declared:
    return [
        option(
            "--kube-version",
            metavar="X.Y",
            shell_complete=_complete_versions,
            section=Section.INPUT,
            help=f"Kubernetes {Release(OLDEST)} to {Release(NEWEST)}; the newest by default.",
        ),
        option(
            "--ip-family",
            type=click.Choice(["ipv4", "ipv6"]),
            section=Section.INPUT,
            help=ip_family,
        ),
        flag(
            "--check-fields",
            section=Section.INPUT,
            text="Find misspelt fields and duplicate keys in JSON over 1 MiB too.",
        ),
    ]


def _node_options() -> Declared:
    return [
        option(
            "--node",
            metavar="NAME",
            section=Section.NODE,
            help="The node that the rules are for.",
        ),
        option(
            "--node-address",
            metavar="IP",
            multiple=True,
            section=Section.NODE,
            help="An additional address of the node, for --nodeport-addresses; may be repeated.",
        ),
        flag(
            "--nfacct",
            section=Section.NODE,
            text="Add the counters that kube-proxy uses if the node has nfacct.",
        ),
        flag(
            "--no-random-fully",
            section=Section.NODE,
            text="Leave out --random-fully, for a node whose iptables is older than 1.6.2.",
        ),
    ]


def _config_option() -> Callable[[Any], Any]:
    return option(
        "-c",
        "--config",
        metavar="FILE",
        type=click.Path(allow_dash=True),
        section=Section.SETTINGS,
        help="A KubeProxyConfiguration, a ConfigMap with one, or kube-proxy's Pod or DaemonSet. "
        "The options below override it.",
    )


_METAVARS = {BOOLEAN: "true|false", int: "NUMBER"}
_NAMED_METAVARS = {
    "--proxy-mode": "MODE",
    "--cluster-cidr": "CIDR",
    "--detect-local-mode": "MODE",
    "--pod-bridge-interface": "NAME",
    "--pod-interface-name-prefix": "NAME",
    "--nodeport-addresses": "CIDRS",
    "--hostname-override": "NAME",
    "--bind-address": "IP",
}


def _kube_proxy_flag(declared: str, type_: Any, text: str) -> Callable[[Any], Any]:
    metavar = _NAMED_METAVARS.get(declared) or _METAVARS.get(type_)
    return option(declared, type=type_, metavar=metavar, section=Section.SETTINGS, help=text)

"""The options of `compile` for machines without a cluster: a test box rather than a node."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from compiler.api import Compilation
from compiler.family import IPV6

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class OutputOptions:
    """What the command line says about which text is wanted, and of what."""

    standalone: bool = False
    cleanup: bool = False
    check: bool = False
    from_pods: bool = False
    print_objects: bool = False

    @property
    def completes(self) -> bool:
        """Whether the control plane's part is added to the manifests first."""
        return self.from_pods or self.print_objects

    def chunks_of(self, compilation: Compilation) -> Iterable[str]:
        """Return the text that is wanted, in pieces."""
        if self.cleanup:
            return [compilation.cleanup]
        return [compilation.standalone] if self.standalone else compilation.chunks()

    @staticmethod
    def checked(compilation: Compilation, text: str) -> str:
        """Have the machine's own iptables-restore look at the text, and say who looked.

        Raises ClickException where it refuses, or can't be asked.
        """
        from compiler.netfilter.check import CheckError, check

        ipv6 = compilation.plan.family is IPV6
        try:
            verdict = check(text, "ip6tables-restore" if ipv6 else "iptables-restore")
        except CheckError as error:
            raise click.ClickException(f"not checked: {error}") from error
        if verdict.refusal:
            raise click.ClickException(f"refused, {verdict.by}: {verdict.refusal}")
        return f"checked: {verdict.by}"


def standalone_options(command: F) -> F:
    """Give a command these options, as one argument `standalone` (a `Standalone`)."""

    @functools.wraps(command)
    def with_options(*args: Any, **kwargs: Any) -> Any:
        wanted = OutputOptions(
            **{name: kwargs.pop(name) for name in OutputOptions.__dataclass_fields__}
        )
        if wanted.cleanup and (wanted.standalone or wanted.check):
            raise click.UsageError("--cleanup goes with neither --standalone nor --check")
        return command(*args, standalone=wanted, **kwargs)

    decorated: Any = with_options
    for flag, text in reversed(_FLAGS):
        decorated = click.option(flag, is_flag=True, help=text)(decorated)
    result: F = decorated
    return result


_FLAGS = (
    ("--standalone", "Add the jumps from the built-in chains: rules for a bare test box."),
    ("--cleanup", "Write what takes out again the text of --standalone."),
    ("--check", "Have this machine's iptables-restore look at the text before it is written."),
    ("--from-pods", "Add addresses and EndpointSlices as the control plane would have."),
    ("--print-objects", "Write the objects that --from-pods compiles, and no rules."),
)

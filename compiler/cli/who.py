"""`proxyrules who`: what a chain, rule, address or port means; comments on other output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from compiler.cli.collector import paused_collector
from compiler.cli.exit_codes import ExitCode
from compiler.cli.help import Command, Section, option
from compiler.cli.options import CompileOptions, compile_options, flag, format_option, output_option
from compiler.cli.output import check_paths, write_output
from compiler.errors import InputError, Problem

if TYPE_CHECKING:
    from compiler.analysis.asked import Asked
    from compiler.analysis.who import Known

STDIN = "-"
# A block is as much as a pipe holds: what has arrived is written before more is waited for.
BLOCK = 1 << 16


class _Who(Command):
    """A command whose first argument may be a rule, which begins with a dash."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Protect rules (`-A KUBE-SERVICES …`, one argument) from being read as options."""
        return super().parse_args(ctx, [f" {a}" if _is_rule(a) else a for a in args])


def _is_rule(argument: str) -> bool:
    return argument[:1] == "-" and " " in argument and argument[:3] in {"-A ", "-I ", "-D ", "-N "}


@click.command(
    "who",
    cls=_Who,
    examples=[
        "proxyrules who KUBE-SEP-TBW2IYJKUCAC7GB3 cluster.yaml",
        "proxyrules who 10.200.1.201:9000 manifests/ --node worker-1",
        "iptables-save | proxyrules who - manifests/ --node worker-1",
        "proxyrules who --annotate kube-proxy.log cluster.yaml",
    ],
)
@click.argument("arguments", metavar="WHAT [MANIFEST...|RULES]", nargs=-1)
@option(
    "--annotate",
    metavar="FILE",
    type=click.Path(),
    help="Annotate a file; all arguments are then manifests or rules.",
)
@compile_options
@format_option("text for people, json for programs (not when annotating).", "text", "json")
@output_option("Where to write the answer or the annotated lines.")
@flag(
    "-v",
    "--verbose",
    section=Section.OUTPUT,
    text="Show everything found; when annotating, also file and line of what each is due to.",
)
@paused_collector()
def who_command(
    *,
    arguments: tuple[str, ...],
    annotate: str | None,
    options: CompileOptions,
    format_: str,
    output: str | None,
    verbose: bool,
) -> None:
    """Report what a chain, rule, address or port means, and why it is there.

    WHAT is a chain (KUBE-SEP-...) or its hash, a whole rule in quotes ("-A KUBE-..."), an ADDRESS,
    ADDRESS:PORT, a PORT, or NAMESPACE/SERVICE[:PORT]. With - each line of standard input is written
    with what the names in it mean: output of iptables-save, iptables -S, iptables -L -n -v, nft
    list ruleset, conntrack -L, logs of kube-proxy.

    What it means is looked up in manifests, or in one file of rules. Exit code 1: not found.
    """
    what = STDIN if annotate is not None else arguments[0] if arguments else None
    inputs = arguments if annotate is not None else arguments[1:]
    if what is None:
        raise click.UsageError("give WHAT is asked: a chain, a rule, an address, a port or -")
    text_of = annotate or STDIN
    paths = [*inputs, *options.paths, *([text_of] if what == STDIN else [])]
    check_paths(paths, output)
    if what == STDIN:
        if format_ != "text":
            raise click.UsageError("--format is for questions; annotated lines are text")
        sys.exit(_annotate(text_of, inputs, options, output, places=verbose))
    sys.exit(_answer(_read(what), inputs, options, format_, output, verbose=verbose))


def _read(what: str) -> Asked:
    """Read what is asked. Raises `InputError`, also for a path that is there by mistake."""
    from compiler.analysis.asked import read_asked

    path = Problem(
        what,
        "this is a path",
        "what is asked comes first, then manifests or rules; --annotate FILE for a file",
    )
    if what.endswith((".yaml", ".yml", ".json", ".save", ".rules")):
        raise InputError(path)
    try:
        return read_asked(what)
    except InputError as error:
        if what and Path(what).exists():
            raise InputError(path) from error
        raise


def _answer(
    asked: Asked,
    inputs: Sequence[str],
    options: CompileOptions,
    format_: str,
    output: str | None,
    *,
    verbose: bool,
) -> ExitCode:
    from compiler.analysis.who import answer
    from compiler.cli.who_formats import as_json, as_text

    found = answer(asked, _load(inputs, options))
    if format_ == "json":
        write_output([as_json(found)], output)
    else:
        write_output((f"{line}\n" for line in as_text(found, verbose=verbose)), output)
    return ExitCode.DONE if found.found else ExitCode.DIFFERENT


def _load(inputs: Sequence[str], options: CompileOptions, *, names_only: bool = False) -> Known:
    """Read what a question is answered from. Raises `InputError`."""
    from compiler.analysis.who import Known

    if not inputs:
        return Known()
    from compiler.cli.rules_input import open_input
    from compiler.cli.who_input import known_of_manifests, known_of_rules

    side = open_input(inputs)
    if side.manifests:
        return known_of_manifests(side, options, names_only=names_only)
    return known_of_rules(side, options)


def _annotate(
    path: str, inputs: Sequence[str], options: CompileOptions, output: str | None, *, places: bool
) -> ExitCode:
    from compiler.analysis.annotate import Annotator

    known = _load(inputs, options, names_only=not places)
    names, causes = known.names, known.causes if places else None
    with _opened(path) as stream:
        lines = _lines(stream)
        if not inputs:
            names, lines = _own_names(lines)
        write_output_as_read(Annotator(names, causes).annotate(lines), output)
    return ExitCode.DONE


def _own_names(lines: Iterator[str]) -> tuple[Any, Iterator[str]]:
    """Read a dump to its end, whose rules then name what they are about; nothing else ends."""
    from itertools import chain

    from compiler.analysis.names import Names
    from compiler.analysis.rule_names import names_in

    first = next(lines, "")
    if not first.startswith(("*", "# Generated by", "-P ", "-N ", ":", "-A ", "[")):
        return Names(), chain([first], lines)
    kept = [first, *lines]
    return names_in("".join(kept)), iter(kept)


def _opened(path: str) -> BinaryIO:
    if path == STDIN:
        if sys.stdin is None:
            raise InputError(Problem("<stdin>", "is closed", "redirect a file to it"))
        return os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)
    try:
        return Path(path).open("rb", buffering=0)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(Problem(path, f"can't be read: {reason}", "name a file")) from error


def _lines(stream: BinaryIO) -> Iterator[str]:
    """Give the lines of a stream as they arrive; bytes that are not UTF-8 come out again.

    An empty string follows what arrived at once: all of it can be written then.
    """
    rest = b""
    while block := stream.read(BLOCK):
        end = block.rfind(b"\n") + 1
        if end:
            whole, rest = rest + block[:end], block[end:]
            # not splitlines: bytes that some encodings take for ends of lines are none here
            for line in whole.decode("utf-8", "surrogateescape")[:-1].split("\n"):
                yield line + "\n"
            yield ""
        else:
            rest += block
    if rest:
        yield rest.decode("utf-8", "surrogateescape")


def write_output_as_read(lines: Iterator[str], output: str | None) -> None:
    """Write annotated lines to standard output as soon as there are any, or to a file at the end.

    A reader that is gone ends it without an error.
    """
    if output not in (None, STDIN):
        write_output(lines, output)
        return
    waiting: list[str] = []
    for line in lines:
        if line:
            waiting.append(line)
        elif waiting and not write_output(["".join(waiting)], None):
            return
        else:
            waiting.clear()
    write_output(["".join(waiting)], None)

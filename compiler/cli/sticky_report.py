"""From the arguments of `sticky` to what was played."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from compiler.analysis.sticky.answers import (
    EXACT_CONNECTIONS,
    LARGE_CLUSTER,
    advice,
    figures,
    limits,
    read_expectation,
)
from compiler.analysis.sticky.duration import seconds_of
from compiler.analysis.sticky.errors import StickyError
from compiler.analysis.sticky.event_file import read_events
from compiler.analysis.sticky.events import Event, read_event
from compiler.analysis.sticky.load import (
    DEFAULT_SOURCES,
    Load,
    addresses_in,
    read_addresses,
    read_trace,
)
from compiler.analysis.sticky.play import Settings
from compiler.analysis.sticky.recording import Recorded, read_recording
from compiler.analysis.sticky.run import (
    Question,
    States,
    StickyAnswer,
    answer,
    needed_length,
    rules_steps,
)
from compiler.analysis.sticky.timeline import Pace, Step, Timeline
from compiler.analysis.sticky.world import World, services_named
from compiler.changing_cluster import ChangingCluster, ReadRules
from compiler.cli.messages import warning_lines
from compiler.cli.options import CompileOptions
from compiler.cli.output import report
from compiler.cli.rules_input import RulesInput, load_rules, open_input, report_reading
from compiler.cli.sticky import StickyOptions
from compiler.errors import InputError, Problem
from compiler.family import IPV4, Family
from compiler.manifests.convert import shorten
from compiler.manifests.source import Source, read_source

T = TypeVar("T")

# A note per object of a large cluster would bury the answer.
MAX_NOTES = 5
DEFAULT_CLIENTS = 100
DEFAULT_SECONDS = 3600.0
POLICIES = ("Cluster", "Local")
# Some ten minutes' work.
MAX_CONNECTIONS = 50_000_000
# The first recorded change comes after so many seconds.
WATCH_FIRST = 60.0
COMPARABLE = ("timeout", "policy", "ip_list_tot", "clients", "every", "lag", "grace")


@dataclass(frozen=True)
class Report:
    """What was played: an answer per variant, with its name (empty for the only one).

    `needed` is the length of lists that would keep every client, by variant, None where none was
    pushed out, or there were too many connections to find out. `unmet` are the
    expectations that did not hold, in words, `limits` what is not played.
    """

    names: tuple[str, ...]
    answers: tuple[StickyAnswer, ...]
    needed: tuple[int | None, ...]
    unmet: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    def advice(self, place: int) -> list[str]:
        """Return the advice for a variant."""
        return list(advice(self.answers[place], self.needed[place]))


def named(argument: str, read: Callable[[], T]) -> T:
    """Read an option's value; a StickyError becomes an InputError that names the option."""
    try:
        return read()
    except StickyError as error:
        raise InputError(Problem.of_argument(argument, str(error), error.hint)) from error


def about(name: str, read: Callable[[], T]) -> T:
    """Do what an input may not allow; a StickyError becomes an InputError that names the input."""
    try:
        return read()
    except StickyError as error:
        raise InputError(Problem(name, str(error), error.hint)) from error


def play_all(
    manifests: Sequence[str], asked: StickyOptions, options: CompileOptions, *, quiet: bool
) -> Report:
    """Play all variants. Raises `InputError`."""
    expectations = [named("expect", partial(read_expectation, text)) for text in asked.expect]
    variants = named("compare", lambda: _variants(asked))
    side = open_input(manifests)
    answers, needed, large = [], [], False
    for number, (_, one) in enumerate(variants):
        asker = _Asker(side, one, options, quiet=quiet or number > 0)
        question = asker.question()
        large = large or asker.large
        played = about(side.name, partial(answer, question))
        answers.append(played)
        found = figures(played)
        exact = found["pushed-out"].value and found["lost"].whole <= EXACT_CONNECTIONS
        needed.append(needed_length(question) if exact else None)
    unmet = [
        f"{expectation.text}: {found.text}: {found.amount}{' for ' + name if name else ''}"
        for expectation in expectations
        for (name, _), one in zip(variants, answers, strict=True)
        if not expectation.met(one)
        for found in [figures(one)[expectation.name]]
    ]
    names = tuple(name for name, _ in variants)
    return Report(names, tuple(answers), tuple(needed), tuple(unmet), limits(large=large))


def _variants(asked: StickyOptions) -> list[tuple[str, StickyOptions]]:
    """Return the variants to compare, with their names. Raises StickyError."""
    found = [("", asked)]
    for words in asked.compare:
        key, _, values = words.partition("=")
        if key not in COMPARABLE:
            raise StickyError(
                f"can't compare by {shorten(key)}", f"use one of {', '.join(COMPARABLE)}"
            )
        changes = [(value, _changed(key, value)) for value in values.split(",")]
        found = [
            (f"{name} {key}={value}".strip(), replace(one, **change))
            for name, one in found
            for value, change in changes
        ]
    return found


def _changed(key: str, value: str) -> dict[str, Any]:
    """Return the options that a variant changes. Raises StickyError."""
    if not value:
        raise StickyError("an empty value", f"write {key}=A,B")
    if key == "timeout":
        if value != "none":
            read_event(f"0={key}={value}", lambda _: False)
        return {key: value}
    if key == "policy":
        if value not in POLICIES:
            raise StickyError(f"{shorten(value)} is no traffic policy", "use Cluster or Local")
        return {key: value}
    if key in ("ip_list_tot", "clients"):
        if not value.isdecimal() or int(value) < 1:
            raise StickyError(f"{shorten(value)} is no number above 0")
        return {key: int(value)}
    seconds_of(value)
    return {key: value}


class _Asker:
    """Makes the question of one variant."""

    def __init__(
        self, side: RulesInput, asked: StickyOptions, options: CompileOptions, *, quiet: bool
    ) -> None:
        self.side, self.asked, self.options, self.quiet = side, asked, options, quiet
        self.large = False
        self.lag = named("lag", lambda: seconds_of(asked.lag))
        self.every = named("every", lambda: seconds_of(asked.every))
        if self.every <= 0:
            raise InputError(Problem.of_argument("every", "must be more than 0"))

    def question(self) -> Question:
        """Return the question. Raises `InputError`."""
        events = self._events()
        if self.side.manifests:
            return self._of_manifests(events)
        rules = load_rules(self.side, self.options, self._wanted_family())
        if not self.quiet:
            report_reading(rules, verbose=False)
        if self.asked.timeout or self.asked.policy:
            message = "rules don't show how another timeout or policy would be written"
            raise InputError(Problem.of_argument("compare", message, "give manifests"))
        read = ReadRules(rules.ruleset, self.options.node_addresses)
        load, settings = self._load(rules.ruleset.family)
        steps = named("at", lambda: rules_steps(events, settings.seconds))
        return self._question(steps, read.states, load, settings, ())

    def _question(
        self,
        steps: tuple[Step, ...],
        states: States,
        load: Load,
        settings: Settings,
        nodes: tuple[str, ...],
    ) -> Question:
        return Question(
            steps,
            states,
            load,
            settings,
            service=self.asked.service,
            via=self.asked.via,
            lag=self.lag,
            nodes=nodes,
        )

    def _of_manifests(self, events: Sequence[Event]) -> Question:
        options = self.options
        given = {
            "config": options.config,
            "flags": options.flags,
            "kube_version": options.kube_version,
            "ip_family": options.ip_family,
            "nfacct": options.nfacct,
            "random_fully": options.random_fully,
            "node_addresses": options.node_addresses,
        }
        cluster = ChangingCluster(given, cluster=self.options.cluster)
        world = cluster.read(self.side.manifests)
        cluster.nodes = self._nodes(world)
        recorded = self._recording()
        if recorded is not None:
            for slice_ in recorded[0]:
                world.put_slice(slice_)
        service = named("service", lambda: cluster.service(world, self.asked.service))
        if self.asked.timeout:
            named("compare", partial(self._set_timeout, world, service))
        if self.asked.policy:
            for found in services_named(world, [service]):
                world.set_policy(found, self.asked.policy)
        grace = named("grace", lambda: seconds_of(self.asked.grace)) if self.asked.grace else None
        start = named("pod_start", lambda: seconds_of(self.asked.pod_start))
        timeline = Timeline(world, service, Pace(start, grace), lambda path: cluster.read([path]))
        if recorded is not None:
            timeline.record(recorded[1])
        family = cluster.compiled.plan.family if cluster.compiled else IPV4
        load, settings = self._load(family)
        steps = named("at", lambda: timeline.run(events, settings.seconds))
        self._report(cluster)
        plan = cluster.compiled.plan if cluster.compiled else None
        self.large = plan is not None and plan.total_endpoints > LARGE_CLUSTER
        names = tuple(name for name in cluster.nodes if name)
        return self._question(tuple(steps), cluster.states, load, settings, names)

    def _set_timeout(self, world: World, name: str) -> None:
        (service,) = services_named(world, [name])
        if self.asked.timeout == "none":
            world.set_affinity(service, "None")
        else:
            world.set_affinity(service, "ClientIP")
            world.set_timeout(service, int(self.asked.timeout))

    def _report(self, cluster: ChangingCluster) -> None:
        if self.quiet:
            return
        for line in warning_lines(tuple(cluster.warnings)):
            report(line)
        compiled = cluster.compiled
        if compiled and compiled.other_family_service_ports and not self.options.ip_family:
            other = compiled.plan.family.other
            report(f"{other.api_name} left out; --ip-family {other.value} plays it")
        if len(cluster.notes) <= MAX_NOTES:
            for note in cluster.notes:
                report(f"control plane: {note}")
        else:
            report(f"control plane: {len(cluster.notes)} additions to the manifests")

    def _nodes(self, world: World) -> tuple[str, ...]:
        names, only = self.asked.nodes, self.options.node
        if names and only:
            raise InputError(Problem.of_argument("nodes", "can't be combined with --node"))
        if names == "all":
            return tuple(world.nodes())
        chosen = tuple(name for name in names.split(",") if name) or ((only,) if only else ())
        if self.asked.spread and len(chosen) < 2:
            message = "needs at least two nodes to spread connections over"
            raise InputError(Problem.of_argument("spread", message, "give --nodes"))
        return chosen

    def _recording(self) -> tuple[list[dict[str, Any]], list[Recorded]] | None:
        asked = self.asked
        if not asked.watch:
            return None
        every = None
        if asked.watch_every:
            every = named("watch_every", partial(seconds_of, asked.watch_every))
        return read_recording(read_source(asked.watch), WATCH_FIRST, every)

    def _events(self) -> tuple[Event, ...]:
        events = [named("at", partial(read_event, text, _exists)) for text in self.asked.at]
        if self.asked.events:
            events += read_events(read_source(self.asked.events), _exists)
        return tuple(events)

    def _wanted_family(self) -> Family | None:
        return Family(self.options.ip_family) if self.options.ip_family else None

    def _load(self, family: Family) -> tuple[Load, Settings]:
        """Return who connects when, and the settings of the run."""
        asked = self.asked
        trace: tuple[tuple[float, int], ...] = ()
        if asked.trace:
            addresses, trace = _of_file(asked.trace, read_trace)
        else:
            addresses = self._addresses(family)
        seconds = DEFAULT_SECONDS
        if asked.for_:
            seconds = named("for", lambda: seconds_of(asked.for_))
        elif trace:
            seconds = trace[-1][0] + 1
        if not 0 < seconds <= 31 * 86400:
            raise InputError(Problem.of_argument("for", "must be from 1 ms to 31 days"))
        wrong = [one for one in addresses if (one >= 1 << 32) != (family != IPV4)]
        if wrong:
            message = f"clients' addresses are not {family.api_name}, as the rules are"
            raise InputError(Problem.of_argument("from", message, "give others, or --ip-family"))
        load = Load(addresses, family, self.every, asked.exponential, trace)
        count = len(trace) or len(addresses) * seconds / self.every
        if count > MAX_CONNECTIONS:
            message = f"{count:,.0f} connections are too many to play"
            hint = f"at most {MAX_CONNECTIONS:,}: fewer clients, longer intervals, a shorter time"
            raise InputError(Problem.of_argument("for", message, hint))
        return load, Settings(
            seconds,
            asked.seed,
            asked.ip_list_tot,
            asked.hz,
            asked.spread,
            self._masqueraded(family),
        )

    def _masqueraded(self, family: Family) -> int:
        written = self.asked.masqueraded
        if not written:
            return 0
        try:
            address = ip_address(written)
        except ValueError:
            message = f"{shorten(written)} is not an IP address"
            raise InputError(Problem.of_argument("masqueraded", message)) from None
        if (address.version == 4) != (family == IPV4):
            raise InputError(Problem.of_argument("masqueraded", f"is not {family.api_name}"))
        return int(address)

    def _addresses(self, family: Family) -> tuple[int, ...]:
        given, count = self.asked.from_, self.asked.clients
        if given and Path(given).is_file():
            found = _of_file(given, read_addresses)
            return found[:count] if count else found
        network = given or DEFAULT_SOURCES[family]
        wanted = count if given else count or DEFAULT_CLIENTS
        return named("from" if given else "clients", lambda: addresses_in(network, wanted))


def _exists(path: str) -> bool:
    return Path(path).is_file() or Path(path).is_dir()


def _of_file(path: str, read: Callable[[Sequence[str]], T]) -> T:
    source: Source = read_source(path)
    try:
        return read(source.text.decode("utf-8", "replace").splitlines())
    except StickyError as error:
        number, separator, message = str(error).partition(": ")
        if separator and number.isdecimal():
            raise InputError(Problem(path, message, error.hint, int(number), 1)) from error
        raise InputError(Problem(path, str(error), error.hint)) from error

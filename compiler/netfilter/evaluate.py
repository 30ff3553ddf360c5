"""What netfilter does with the first packet of a connection, exactly.

The packet passes the hooks in the kernel's order (include/uapi/linux/netfilter_ipv4.h): from
outside or a pod through PREROUTING of raw, mangle and nat, then by its destination, which nat may
have rewritten, INPUT or FORWARD and POSTROUTING; from the node itself through OUTPUT and
POSTROUTING, and where it goes to the node, back in by the loopback interface. Chance
(`statistic`) makes outcomes with exact shares.

Not modelled: what rules can't show. Routing by mark, reverse path filters, routes, replies, and
whoever else looks at packets (eBPF programs, nft rules that iptables does not show).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping

import msgspec

from compiler.family import IPV4, IPV6, Family
from compiler.netfilter.header import Header
from compiler.netfilter.host import Host
from compiler.netfilter.outcome import Outcome, Step, shares
from compiler.netfilter.passage import Frame, Passage, Undecided
from compiler.netfilter.rule import Rule, remembers
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.target import Jump, Next
from compiler.netfilter.traffic import (
    DROPS,
    Ask,
    Hook,
    ListKey,
    Question,
    Split,
    Traffic,
    list_in_words,
    print_address,
    protocol_bits,
    single,
)
from compiler.netfilter.work import TooMuchWorkError, Work

_INCOMING = (("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("nat", "PREROUTING"))
_OUTGOING = tuple((table, "OUTPUT") for table in ("raw", "mangle", "nat", "filter", "security"))
_DELIVERED = (("mangle", "INPUT"), ("filter", "INPUT"), ("security", "INPUT"), ("nat", "INPUT"))
_FORWARDED = tuple((table, "FORWARD") for table in ("mangle", "filter", "security"))
_LEAVING = (("mangle", "POSTROUTING"), ("nat", "POSTROUTING"))
# By the loopback interface a packet comes in again, its translations done.
_BACK_IN = (("raw", "PREROUTING"), ("mangle", "PREROUTING"), *_DELIVERED[:3])
# Rules that may be asked to see whether open questions matter.
_ANSWERS_WORK = 100_000
_ROUTE = ("", "route")
_LOOP = ("", "loop")


class Packet(msgspec.Struct, frozen=True, kw_only=True):
    """The first packet of a connection, or a later one where `state` says so.

    `interface` is the one that it comes in by, None where that is not known; `local` packets come
    from the node itself. `lists` are the ages (in seconds) of the stamps that `xt_recent` lists
    have of the source address, by list. `flags` are TCP's.
    """

    source: str
    destination: str
    protocol: str = "tcp"
    source_port: int = 40000
    destination_port: int = 0
    local: bool = False
    interface: str | None = None
    state: str = "NEW"
    mark: int = 0
    lists: Mapping[str, tuple[float, ...]] = {}
    flags: frozenset[str] = frozenset(("SYN",))
    icmp_type: str | None = None

    def traffic(self) -> Traffic:
        """Return the packet as a set of one. Raises ValueError for what is no address."""
        source, destination = (ipaddress.ip_address(a) for a in (self.source, self.destination))
        family: Family = IPV4 if destination.version == 4 else IPV6
        full = "255.255.255.255" if family == IPV4 else ":".join(["ffff"] * 8)
        lists: dict[ListKey, tuple[float, ...]] = {
            (name, "source", full): ages for name, ages in self.lists.items()
        }
        hook: Hook = "OUTPUT" if self.local else "PREROUTING"
        return Traffic(
            family=family,
            hook=hook,
            source=((int(source), int(source)),),
            destination=((int(destination), int(destination)),),
            protocols=protocol_bits([self.protocol]),
            source_ports=((self.source_port, self.source_port),),
            destination_ports=((self.destination_port, self.destination_port),),
            states=frozenset((self.state,)),
            interface=self.interface,
            mark=self.mark,
            lists=lists,
            flags=self.flags,
            icmp_type=self.icmp_type,
        )


def evaluate(ruleset: Ruleset, packet: Packet, host: Host | None = None) -> tuple[Outcome, ...]:
    """Say what becomes of a packet; the shares of all outcomes add up to exactly 1.

    Chains that a table lacks let packets pass, as in a kernel without rules. Where a match or
    target that can't be answered decides, the outcome is `undecided` and names it.
    """
    traffic, host = packet.traffic(), host or Host()
    found = follow(ruleset, traffic, host)
    if not any(outcome.verdict == "undecided" for outcome in found):
        return found
    # A question whose answers all lead to the same decides nothing.
    try:
        both = follow(ruleset, traffic, host, splitting=True, work=Work(_ANSWERS_WORK))
    except (Split, TooMuchWorkError):
        return found
    if any(answers for _, answers in shares(both)):
        return found
    return tuple(
        msgspec.structs.replace(outcome, answers=frozenset())
        for outcome in both
        if not any(answer for _, answer in outcome.answers)
    )


def follow(
    ruleset: Ruleset,
    traffic: Traffic,
    host: Host,
    *,
    splitting: bool = False,
    recording: bool = False,
    work: Work | None = None,
) -> tuple[Outcome, ...]:
    """Follow packets that nothing has told apart so far.

    With `splitting`, raises `Split` where a rule tells them apart, and follows both answers to
    questions that rules can't answer: an outcome's share is then its share where its `answers`
    hold. With `recording`, outcomes have all rules that were asked, with what did not hold. Raises
    TooMuchWorkError where `work` is spent before the end.
    """
    first = entering(traffic, host, work, splitting=splitting)
    first.asked = [] if recording else None
    waiting = [first]
    outcomes: list[Outcome] = []
    while waiting:
        passage = waiting.pop()
        try:
            walk(ruleset, passage)
        except Undecided as undecided:
            passage.end("undecided")
            passage.undecided_by = str(undecided)
        except Ask as ask:
            waiting += reversed(passage.answering(ask.question))
            waiting += reversed(passage.forks)
            continue
        waiting += reversed(passage.forks)
        passage.forks = []
        outcomes.append(outcome_of(passage))
    return tuple(outcomes)


def entering(traffic: Traffic, host: Host, work: Work | None, *, splitting: bool) -> Passage:
    """Return packets as they come to the first hook."""
    first = Passage(traffic, host, host.numbers())
    first.splitting = splitting
    first.work = work or first.work
    first.stages = [*(_INCOMING if traffic.hook == "PREROUTING" else _OUTGOING), _ROUTE]
    return first


def walk(ruleset: Ruleset, passage: Passage) -> None:
    """Take a packet on to where its way ends."""
    while not passage.verdict:
        if passage.frames:
            _next_rule(ruleset, passage)
        elif passage.stages:
            _next_stage(ruleset, passage)
        else:
            passage.end("accepted")


def _next_stage(ruleset: Ruleset, passage: Passage) -> None:
    # What is asked of the packet comes first: both answers go on from here.
    stage = passage.stages[0]
    if stage is _ROUTE:
        local = passage.is_local("destination")
        del passage.stages[0]
        passage.routed_mark = passage.mark
        passage.delivery = "input" if local else "forward"
        if passage.traffic.hook == "OUTPUT":
            passage.stages += [*_LEAVING, _LOOP] if local else _LEAVING
        else:
            passage.stages += _DELIVERED if local else [*_FORWARDED, *_LEAVING]
        return
    if stage is _LOOP:
        del passage.stages[0]
        passage.entered_by = "lo"
        passage.stages += _BACK_IN
        return
    passage.table, passage.hook = stage
    chain = ruleset.chain(*stage)
    asked = stage[0] != "nat" or (chain is not None and _translatable(passage))
    del passage.stages[0]
    if not asked:
        return
    shown = chain.policy if chain is not None else None
    passage.policy = shown or ("" if _policy_matters(passage) else "ACCEPT")
    passage.frames = [Frame(passage.asking(chain) if chain is not None else ())]


def _translatable(passage: Passage) -> bool:
    """Say whether nat's rules are asked: of connections without an entry so far.

    Source: `nf_nat_inet_fn` of net/netfilter/nf_nat_core.c.
    """
    return not passage.untracked and passage.state_in(frozenset(("NEW", "RELATED")))


def _next_rule(ruleset: Ruleset, passage: Passage) -> None:
    frame = passage.frames[-1]
    if frame.place == len(frame.rules):
        _leave_chain(passage)
        return
    rule = frame.rules[frame.place]
    # as it was: asking may change it
    before = passage.clone() if passage.asked is not None else None
    matched = matches(rule, passage)
    frame.place += 1
    if passage.asked is not None and before is not None:
        failed = "" if matched else failing(rule, before)
        passage.asked.append(Step(passage.table, passage.hook, rule, failed))
    if not matched:
        return
    passage.path.append(Step(passage.table, passage.hook, rule))
    target = rule.target
    if target is None:
        return
    if isinstance(target, Jump):
        _jump(ruleset, passage, target)
        return
    after = target.apply(passage)
    if after is Next.RETURN:
        frame.place = len(frame.rules)
    elif after is Next.ACCEPT:
        passage.frames = []


def _jump(ruleset: Ruleset, passage: Passage, target: Jump) -> None:
    chain = ruleset.chain(passage.table, target.name)
    if chain is None:
        raise Undecided(f"the chain {target.name}, which is missing")
    if len(passage.frames) > len(ruleset.table(passage.table)):
        raise Undecided(f"{target.name}, a loop of jumps")
    if target.goto:
        passage.frames.pop()
    passage.frames.append(Frame(passage.asking(chain)))


def _policy_matters(passage: Passage) -> bool:
    """Say whether a policy that no text shows is an open question, and not the kernel's ACCEPT.

    It is for those who ask what all answers lead to, and only in filter: who drops, drops there.
    """
    return passage.splitting and passage.table == "filter"


def _leave_chain(passage: Passage) -> None:
    last = len(passage.frames) == 1
    drops = last and (
        passage.policy == "DROP"
        # what is asked comes first: both answers go on from here
        or (not passage.policy and passage.ask(Question(DROPS, passage.hook)))
    )
    passage.frames.pop()
    if drops:
        passage.end("dropped")


def matches(rule: Rule, passage: Passage) -> bool:
    """Say whether a rule matches; where that has to be asked (Ask), nothing has happened so far."""
    passage.work.spend(1)
    if rule.idle:
        return False
    if not rule.remembering:
        return applies(rule, passage)
    before = passage.probability, len(passage.forks), dict(passage.listing)
    try:
        return applies(rule, passage)
    except (Ask, Split):
        passage.probability, forks, passage.listing = before
        del passage.forks[forks:]
        raise


def applies(rule: Rule, passage: Passage) -> bool:
    """Say whether a rule matches.

    A match that can't be answered does not matter where another one surely fails.
    """
    open_question: Undecided | None = None
    try:
        if not rule.header.holds(passage):
            return False
    except Undecided as undecided:
        open_question = undecided
    for match in rule.asking:
        if open_question is not None and remembers(match):
            break
        try:
            if not match.holds(passage):
                return False
        except Undecided as undecided:
            open_question = open_question or undecided
    if open_question is not None:
        raise open_question
    return True


def failing(rule: Rule, passage: Passage) -> str:
    """Return the first thing that a rule asks and that does not hold (`-d 10.0.0.1/32`).

    The passage is used up. Empty where nothing is known not to hold.
    """
    asked = rule.header
    # one part at a time
    parts: list[tuple[str, Callable[[Passage], bool]]] = [
        (" ".join(part.words()), part.holds)
        for part in (
            Header(destination=asked.destination),
            Header(source=asked.source),
            Header(protocol=asked.protocol),
            Header(in_interface=asked.in_interface),
            Header(out_interface=asked.out_interface),
            Header(fragment=asked.fragment),
        )
    ]
    parts += [(str(match), match.holds) for match in rule.asking]
    for words, holds in parts:
        try:
            if not holds(passage):
                return words
        except (Undecided, Ask, Split):
            continue
    return "idle" if rule.idle else ""


def outcome_of(passage: Passage) -> Outcome:
    """Return what has become of a packet whose way has ended."""
    return Outcome(
        passage.probability,
        passage.verdict,
        passage.answer,
        passage.delivery,
        _destination(passage),
        passage.source_to,
        passage.routed_mark,
        passage.undecided_by,
        tuple(
            f"{'+' if there else '-'}{list_in_words(key)}"
            for key, there in sorted(passage.listing.items())
        ),
        " ".join(passage.options),
        tuple(passage.path),
        frozenset(passage.answers.items()),
        tuple(passage.visited),
        tuple(passage.asked or ()),
    )


def _destination(passage: Passage) -> str:
    if passage.destination is None:
        return ""
    family = passage.traffic.family
    number = single(passage.destination)
    host = "" if number is None else print_address(number, family)
    ports = passage.destination_ports or passage.traffic.destination_ports
    port = single(ports)
    if port is None:
        return host
    return f"[{host}]:{port}" if family == IPV6 else f"{host}:{port}"

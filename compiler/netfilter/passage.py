"""A packet (or packets that nothing has told apart) on its way through a node's hooks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NoReturn, Self

from msgspec.structs import replace

from compiler.family import IPV4, IPV6
from compiler.netfilter.chain import Chain
from compiler.netfilter.header import Network, Protocol
from compiler.netfilter.host import Host
from compiler.netfilter.outcome import Step
from compiler.netfilter.rule import Rule
from compiler.netfilter.targets.nat import nat_range
from compiler.netfilter.traffic import (
    STATES,
    WHOLE_SOURCE,
    Ask,
    ListKey,
    Question,
    Ranges,
    Split,
    Traffic,
    cut,
    fits_interface,
    follows,
    print_address,
    single,
    within,
)
from compiler.netfilter.work import Work

_LOOPBACK = {4: (127 << 24, (128 << 24) - 1), 6: (1, 1)}


class Undecided(Exception):  # noqa: N818 - an answer, and not an error
    """Nothing here can say what a match answers or a target does; the message is its words."""


class Frame:
    """A chain that the packet is in, and the rule that comes next."""

    __slots__ = ("place", "rules")

    def __init__(self, rules: Sequence[Rule], place: int = 0) -> None:
        self.rules = rules
        self.place = place


class Passage:
    """Where the packet is and what has become of it; matches ask it, targets change it.

    With `splitting`, what tells packets of one set apart raises `Split`, and a question that the
    rules don't answer raises `Ask`; otherwise it raises `Undecided`. `answers` are those taken as
    given. `visited` are the chains passed so far, `asked` the rules (None: not recorded). `forks`
    are the ways not taken where chance decided. `known_mark` are the bits of the mark that are
    known, `history` what happened before: only `compare` starts in the middle, with single chains.
    """

    def __init__(self, traffic: Traffic, host: Host, own: frozenset[int] | None) -> None:
        self.traffic = traffic
        self.host = host
        self.own = own
        self.splitting = False
        self.work = Work(1 << 62)
        self.probability = Fraction(1)
        self.forks: list[Passage] = []
        self.frames: list[Frame] = []
        self.stages: list[tuple[str, str]] = []
        self.table = self.hook = self.policy = self.history = ""
        self.destination: Ranges | None = None
        self.destination_ports: Ranges | None = None
        self.source_to = ""
        self.mark = traffic.mark
        self.known_mark = 0xFFFFFFFF
        self.routed_mark = traffic.mark
        self.untracked = False
        self.listing: dict[ListKey, bool] = {}
        self.answers: dict[Question, bool] = {}
        self.entered_by = "" if traffic.hook == "OUTPUT" else traffic.interface
        self.delivery = ""
        self.verdict = self.answer = self.undecided_by = ""
        self.options: list[str] = []
        self.visited: dict[tuple[str, str], None] = {}
        self.path: list[Step] = []
        self.asked: list[Step] | None = None

    def answering(self, question: Question) -> tuple[Self, Self]:
        """Return two copies that go on from here, one for each answer."""
        yes, no = self.clone(), self.clone()
        yes.answers[question], no.answers[question] = True, False
        return yes, no

    def asking(self, chain: Chain) -> Sequence[Rule]:
        """Return the rules of a chain that this packet may match."""
        self.visited[self.table, chain.name] = None
        address = single(self.destination or self.traffic.destination)
        port = single(self.destination_ports or self.traffic.destination_ports)
        return chain.asking(address, port)

    def clone(self) -> Self:
        """Return a copy that goes its own way from here."""
        self.work.spend(10 + len(self.answers) // 4)
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.forks = []
        other.frames = [Frame(frame.rules, frame.place) for frame in self.frames]
        other.stages = list(self.stages)
        other.listing = dict(self.listing)
        other.answers = dict(self.answers)
        other.path = list(self.path)
        other.asked = None if self.asked is None else list(self.asked)
        other.options = list(self.options)
        other.visited = dict(self.visited)
        return other

    # What matches ask.

    def source_in(self, network: Network) -> bool:
        """Say whether the source lies in a network."""
        if self.source_to:
            rewritten = self._rewritten_source()
            if network.mask is not None:
                return self._masked(network, rewritten, "source")
            return self._certain(within(rewritten, network.low, network.high), f"-s {network.text}")
        if network.mask is not None:
            return self._masked(network, self.traffic.source, "source")
        return self._in("source", network.low, network.high)

    def destination_in(self, network: Network) -> bool:
        """Say whether the destination, as it is now, lies in a network."""
        if network.mask is not None:
            return self._masked(network, self.destination or self.traffic.destination, "")
        if self.destination is None:
            return self._in("destination", network.low, network.high)
        return self._certain(within(self.destination, network.low, network.high), network.text)

    def source_port_in(self, low: int, high: int) -> bool:
        """Say whether the source port lies in a range."""
        if self.source_to:
            # translation keeps it only where no other connection has it
            return self.assumed(f"--sport {low}:{high}")
        return self._in("source_ports", low, high)

    def destination_port_in(self, low: int, high: int) -> bool:
        """Say whether the destination port, as it is now, lies in a range."""
        if self.destination_ports is None:
            return self._in("destination_ports", low, high)
        return self._certain(within(self.destination_ports, low, high), f"--dport {low}:{high}")

    def _rewritten_source(self) -> Ranges:
        """Return what the source may have become on the way out and back in by loopback.

        Masquerading takes an address of the interface that the packet leaves by. Loopback's own are
        of host scope and not taken (`inet_select_addr` of net/ipv4/devinet.c), but some other of
        the node's; with IPv6 it is the destination itself (rule 1 of `ipv6_get_saddr_eval`).
        """
        if self.source_to != "masquerade":
            addresses, _, _ = nat_range(self.source_to)
            return (addresses,) if addresses else self.traffic.source
        if self.traffic.family == IPV6:
            return self.destination or self.traffic.destination
        low, high = _LOOPBACK[4]
        if self.own is None:
            return ((0, low - 1), (high + 1, (1 << 32) - 1))
        own = sorted(number for number in self.own if number < 1 << 32)
        return tuple((number, number) for number in own if not low <= number <= high)

    def _in(self, field: str, low: int, high: int) -> bool:
        ranges: Ranges = getattr(self.traffic, field)
        answer = within(ranges, low, high)
        if answer is None:
            inside, outside = cut(ranges, low, high)
            raise Split(
                replace(self.traffic, **{field: inside}), replace(self.traffic, **{field: outside})
            )
        return answer

    def _certain(self, answer: bool | None, words: str) -> bool:
        return self.assumed(words) if answer is None else answer

    def _masked(self, network: Network, ranges: Ranges, side: str) -> bool:
        """Answer for a mask with holes, which only a single address can be held against."""
        number = single(ranges)
        if number is None or network.mask is None:
            return self.assumed(f"{side} in {network.printed}")
        return number & network.mask == network.low

    def protocol_is(self, protocol: Protocol) -> bool:
        """Say whether the packet is of a protocol."""
        if protocol.number is None:
            return self.assumed(f"-p {protocol.name}")
        if protocol.number == 0:
            return True
        bit = 1 << protocol.number
        inside = self.traffic.protocols & bit
        if inside and self.traffic.protocols != bit:
            others = self.traffic.protocols & ~bit
            raise Split(
                replace(self.traffic, protocols=bit), replace(self.traffic, protocols=others)
            )
        return bool(inside)

    def state_in(self, states: frozenset[str]) -> bool:
        """Say whether the connection is in one of some states (SNAT and DNAT are two of them)."""
        mine = frozenset(("UNTRACKED",)) if self.untracked else self.traffic.states
        if "DNAT" in states and self.destination is not None:
            return True
        if "SNAT" in states and self.source_to:
            return True
        inside = mine & states
        if inside and inside != mine:
            raise Split(
                replace(self.traffic, states=inside), replace(self.traffic, states=mine - inside)
            )
        if inside or not states - STATES or not mine & {"ESTABLISHED", "RELATED"}:
            return bool(inside)
        # of an earlier packet's translation only the kernel knows
        return self.assumed(f"--ctstate {','.join(sorted(states - STATES))}")

    def mark_is(self, value: int, mask: int) -> bool:
        """Say whether the mark's bits in `mask` are `value`."""
        if mask & ~self.known_mark:
            known = self.mark & self.known_mark
            subject = f"mark {known:#x}/{self.known_mark:#x} {self.history}"
            return self.ask(Question(f"--mark {value:#x}/{mask:#x}", subject))
        return self.mark & mask == value

    def enters_by(self, pattern: str) -> bool:
        """Say whether the packet came in by an interface (`eth0`, `veth+`)."""
        if self.entered_by is not None:
            return fits_interface(self.entered_by, pattern)
        for question, answer in self.answers.items():
            if question.subject == "in" and answer and not question.words.endswith("+"):
                return fits_interface(question.words, pattern)
            plain = not pattern.endswith("+")
            if (
                question.subject == "in"
                and answer
                and plain
                and not fits_interface(pattern, question.words)
            ):
                return False
        return self.ask(Question(pattern, "in"))

    def leaves_by(self, pattern: str) -> bool:
        """Say whether the packet leaves by an interface; before routing and in INPUT, by none."""
        if self.hook in ("PREROUTING", "INPUT"):
            return fits_interface("", pattern)
        if self.hook == "OUTPUT" and self.destination is not None:
            # all hooks there see the first route (`nf_hook_state`), whatever nat has made of it
            before = self.clone()
            before.destination = None
            return before.leaves_by(pattern)
        if self.is_local("destination"):
            return fits_interface("lo", pattern)
        number = single(self.destination or self.traffic.destination)
        if number is not None:
            version = 4 if self.traffic.family == IPV4 else 6
            if (name := self.host.interface_to(number, version)) is not None:
                return fits_interface(name, pattern)
        return self.ask(Question(f"-o {pattern}", self._destination_name()))

    def is_local(self, side: str) -> bool:  # noqa: PLR0911
        """Say whether the `source` or `destination` is one of the node's own addresses."""
        rewritten = self.destination if side == "destination" else None
        if side == "source" and self.source_to:
            if self.source_to == "masquerade":
                return True
            rewritten = self._rewritten_source()
        elif side == "source" and self.traffic.source_local is not None:
            return self.traffic.source_local
        ranges: Ranges = rewritten or getattr(self.traffic, side)
        version = 4 if self.traffic.family == IPV4 else 6
        loopback = within(ranges, *_LOOPBACK[version])
        if loopback is None and rewritten is None:
            return self._in(side, *_LOOPBACK[version])
        if loopback:
            return True
        number = single(ranges)
        if self.own is not None:
            if number is not None:
                return number in self.own
            for address in self.own:
                if within(ranges, address, address) is None:
                    if rewritten is not None:
                        return self.assumed(f"{side} is local")
                    self._in(side, address, address)
            return False
        if number is not None and self.host.is_elsewhere(number, version):
            return False
        name = side if number is None else print_address(number, self.traffic.family)
        return self.ask(Question("is an address of the node", name))

    def listed(self, key: ListKey, seconds: int, hits: int) -> bool:
        """Say whether an `xt_recent` list has the packet's address, within so many seconds."""
        if self.source_to and key[1] == "source":
            return self.assumed(f"-m recent --name {key[0]} of the translated source")
        if key in self.listing:
            if hits > 1 and self.listing[key]:
                return self.assumed(f"--hitcount {hits} of {key[0]}")
            return self.listing[key]
        lists = self.traffic.lists
        # how `Packet.lists` are looked up; of other sides and masks nothing is known
        if lists is not None and (key in lists or key[1:] == WHOLE_SOURCE[self.traffic.family]):
            ages = lists.get(key, ())
            return sum(not seconds or age <= seconds for age in ages) >= max(1, hits)
        subject = f"{key[1]} in the list {key[0]} {key[2]} {hits}{self.history}"
        return self.ask(Question(str(seconds), subject))

    def flags_match(self, printed: str) -> bool:
        """Say whether TCP flags are as `--tcp-flags MASK SET` (printed, maybe negated) asks."""
        if self.traffic.flags is None:
            return self.assumed(printed)
        _, mask, wanted = printed.removeprefix("! ").split(" ")
        named = [frozenset(word.split(",")) - {"NONE"} for word in (mask, wanted)]
        return (self.traffic.flags & named[0] == named[1]) is not printed.startswith("!")

    def icmp_type_is(self, printed: str) -> bool:
        """Say whether the packet is ICMP of a type (`8`, or with its code `3/1`)."""
        if self.traffic.icmp_type is None:
            return self.assumed(f"ICMP type {printed}")
        return printed in (self.traffic.icmp_type, self.traffic.icmp_type.partition("/")[0])

    def chance(self, probability: Fraction) -> bool:
        """Go on as chosen by chance; the packets not chosen go on as a fork."""
        if probability in (0, 1):
            return probability == 1
        other = self.clone()
        frame = other.frames[-1]
        if other.asked is not None:
            other.asked.append(Step(self.table, self.hook, frame.rules[frame.place], "chance"))
        frame.place += 1
        other.probability *= 1 - probability
        self.forks.append(other)
        self.probability *= probability
        return True

    def assumed(self, words: str) -> bool:
        """Answer what only the world outside the rules could, from what is assumed."""
        subject = f"{self.hook} {self._destination_name()} {self.mark:#x} {self.history}"
        return self.ask(Question(words, subject))

    def ask(self, question: Question) -> bool:
        """Answer a question from what is assumed. Raises Ask or Undecided without an answer."""
        known = follows(question, self.answers)
        if known is not None:
            return known
        if self.splitting:
            raise Ask(question)
        raise Undecided(question.spoken())

    def _destination_name(self) -> str:
        return ",".join(f"{low:x}-{high:x}" for low, high in self.destination or ())

    # What targets do.

    def remember(self, key: ListKey) -> None:
        """Put the packet's address on a list, now."""
        self.listing[key] = True

    def forget(self, key: ListKey) -> None:
        """Take the packet's address off a list."""
        self.listing[key] = False

    def set_mark(self, value: int, mask: int) -> None:
        """Change the mark as `--set-xmark value/mask` does."""
        self.mark = (self.mark & ~mask & 0xFFFFFFFF) ^ value
        self.known_mark |= mask

    def alter(self, words: str) -> None:
        """Change what no match here reads: its TTL, its TCP options, or where copies of it go."""
        self.options.append(words)

    def untrack(self) -> None:
        """Take the packet out of connection tracking."""
        self.untracked = True

    def translate(self, addresses: tuple[int, int] | None, ports: tuple[int, int] | None) -> None:
        """Rewrite the destination."""
        current = self.destination or self.traffic.destination
        self.destination = (addresses,) if addresses else current
        if ports:
            self.destination_ports = (ports,)

    def translate_source(self, to: str) -> None:
        """Rewrite the source, to addresses as printed or to `masquerade`."""
        self.source_to = to

    def end(self, verdict: str, answer: str = "") -> None:
        """End the packet's way."""
        self.verdict = verdict
        self.answer = answer

    def undecided(self, words: str) -> NoReturn:
        """Give up on a target that nothing here models."""
        raise Undecided(words)

"""The iptables plan to text. The words of the rules are in `templates/`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import jinja2

from compiler.proxy.iptables_plan import IptablesPlan

# A wheel carries the templates inside the package; in a checkout they are at the top level.
_FOLDERS = (Path(__file__).parent / "templates", Path(__file__).parent.parent / "templates")

# Jinja yields a word, or the rules of a service port, at a time; this many are joined to a chunk.
CHUNKS_AT_ONCE = 64

# No object's name and no address has them: they mark places in a text that is made once.
GAP = "\0"
LOCAL_TRAFFIC = "\1"


class ServicePortText(NamedTuple):
    """One service port's part of a node's text, in the three places where it has one.

    `nat` has `LOCAL_TRAFFIC` for the match for traffic of local Pods if its plan has it so.
    """

    filter: bytes
    chains: bytes
    nat: bytes


class _Environment(jinja2.Environment):
    # What templates see are objects, whose attributes Python finds in half the time that Jinja
    # takes to look for items as well. A missing one is an AttributeError, as strict as can be.
    getattr = staticmethod(getattr)  # type: ignore[assignment]


@cache  # the templates are the same in every run: parsing them takes as long as a small compile
def _environment() -> jinja2.Environment:
    # The text is no HTML, so nothing is escaped: what reaches a template was checked to be a name,
    # an address, a number or an interface. tests/test_injection.py tries otherwise.
    environment = _Environment(
        loader=jinja2.FileSystemLoader(_FOLDERS),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.globals["zip"] = zip
    environment.globals["gap"] = ""
    return environment


def render_chunks(plan: IptablesPlan) -> Iterator[str]:
    """Write the `iptables-restore` text in chunks of some 100 kB, in order."""
    chunks = _environment().get_template("restore.j2").generate(plan=plan)
    for chunk in chunks:
        yield "".join([chunk, *islice(chunks, CHUNKS_AT_ONCE)])


def render_standalone(plan: IptablesPlan) -> str:
    """Write the text with the jumps from the built-in chains, for a machine without kube-proxy."""
    return _environment().get_template("standalone.j2").render(plan=plan)


def render_cleanup(plan: IptablesPlan) -> str:
    """Write the text that removes what `render_standalone` of the same plan installs."""
    return _environment().get_template("cleanup.j2").render(plan=plan)


def render_frame(plan: IptablesPlan, *, standalone: bool = False) -> tuple[bytes, ...]:
    """Write the text of a node without its service ports: what is around their three places."""
    template = _environment().get_template("standalone.j2" if standalone else "restore.j2")
    alone = replace(plan, service_ports=[], chains=[])
    return tuple(part.encode() for part in template.render(plan=alone, gap=GAP).split(GAP))


def render_service_port(plan: IptablesPlan) -> ServicePortText:
    """Write what the service ports of a plan add to the frame, each part on its own."""
    # One context for all: making one takes as long as rendering a few rules.
    nat, filter_ = (_environment().get_template(name) for name in ("nat.j2", "filter.j2"))
    context = nat.new_context({"plan": plan})
    return ServicePortText(
        *(
            "".join(template.blocks[name](context)).encode()
            for template, name in (
                (filter_, "service_ports"),
                (nat, "chains"),
                (nat, "service_ports"),
            )
        )
    )

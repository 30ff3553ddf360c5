"""The plan to text. The words of the rules are in `templates/`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import jinja2

from compiler.proxy.plan import Plan

# A wheel carries the templates inside the package; in a checkout they stand at the top level.
_FOLDERS = (Path(__file__).parent / "templates", Path(__file__).parent.parent / "templates")

# Jinja gives a word or a few lines at a time; this many are joined to one piece.
CHUNKS_AT_ONCE = 4096


class _Environment(jinja2.Environment):
    # What templates see are objects, whose attributes Python finds in half the time that Jinja
    # takes to look for items as well. A missing one is an AttributeError, as strict as can be.
    getattr = staticmethod(getattr)  # type: ignore[assignment]


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
    )
    environment.globals["zip"] = zip
    return environment


def render_chunks(plan: Plan) -> Iterator[str]:
    """Write the `iptables-restore` text in pieces of some 100 kB, in order."""
    chunks = _environment().get_template("restore.j2").generate(plan=plan)
    for chunk in chunks:
        yield chunk + "".join(islice(chunks, CHUNKS_AT_ONCE))


def render_standalone(plan: Plan) -> str:
    """Write the text with the jumps from the built-in chains, for a machine without kube-proxy."""
    return _environment().get_template("standalone.j2").render(plan=plan)


def render_cleanup(plan: Plan) -> str:
    """Write the text that takes out what `render_standalone` of the same plan put in."""
    return _environment().get_template("cleanup.j2").render(plan=plan)

"""The plan to text. The words of the rules are in `templates/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jinja2

from compiler.proxy.plan import Plan

# A wheel carries the templates inside the package; in a checkout they stand at the top level.
_FOLDERS = (Path(__file__).parent / "templates", Path(__file__).parent.parent / "templates")


def _environment() -> jinja2.Environment:
    # The text is no HTML, so nothing is escaped: what reaches a template was checked to be a name,
    # an address, a number or an interface. tests/test_injection.py tries otherwise.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDERS),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["zip"] = zip
    return environment


def render(plan: Plan) -> str:
    """Write the whole `iptables-restore` text."""
    return "".join(render_pieces(plan))


def render_pieces(plan: Plan) -> Iterator[str]:
    """Write the text piece by piece, in order."""
    return _environment().get_template("restore.j2").generate(plan=plan)

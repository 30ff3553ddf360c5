"""GitHub's workflow commands, which it shows as annotations of a job.

Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from compiler.cli.colour import shown


def command(
    level: str,
    title: str,
    message: str,
    path: str = "",
    line: int = 0,
    columns: tuple[int, int] | None = None,
) -> str:
    """Return an annotation (`error`, `warning` or `notice`), of a line where a file is named.

    `columns` are the first one and the one after the last.
    """
    properties = [f"title={_property(title)}"]
    if path:
        properties.append(f"file={_property(path)}")
        if line:
            properties.append(f"line={line}")
        if columns:
            properties.append(f"col={columns[0]},endColumn={columns[1]}")
    return f"::{level} {','.join(properties)}::{data(message)}"


def data(text: str) -> str:
    """Escape a message."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return data(shown(text)).replace(":", "%3A").replace(",", "%2C")

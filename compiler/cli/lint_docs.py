"""Writes the pages of the rules: `python -m compiler.cli.lint_docs docs/lint`."""

from __future__ import annotations

import sys
from pathlib import Path

from compiler.analysis.lint.documentation import documentation, page
from compiler.analysis.lint.registry import GROUPS, all_rules

INDEX = "README.md"


def pages() -> dict[str, str]:
    """Return the text of each page by the name of its file."""
    made = {f"{rule.id}.md": page(rule) for rule in all_rules().values()}
    return {INDEX: _index(), **made}


def _index() -> str:
    parts = ["# Rules of `proxyrules lint`\n"]
    for prefix, group in GROUPS.items():
        some = [rule for rule in all_rules().values() if rule.id.startswith(prefix)]
        if not some:
            continue
        parts.append(f"## {group}\n\n| rule | severity | what it reports |\n|---|---|---|")
        parts += [
            f"| [{rule.id}]({rule.id}.md) `{rule.name}` | {rule.severity} | "
            f"{documentation(rule).title} |"
            for rule in some
        ]
        parts.append("")
    return "\n".join(parts)


def main(folder: Path) -> None:
    """Write the pages to a folder, and remove those of rules that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for name, text in made.items():
        (folder / name).write_text(text)
    for path in folder.glob("*.md"):
        if path.name not in made:
            path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Other people's words in Markdown, shown as they are: class names and paths may hold anything."""

import re
from collections.abc import Sequence

from kerasnets.errors import plain

_TICKS = re.compile("`+")


def code(text: str) -> str:
    """Return text as a code span, in which neither Markdown nor HTML means anything."""
    shown = plain(text).replace("\n", "\\n").replace("\t", "\\t")
    ticks = "`" * (max((len(found) for found in _TICKS.findall(shown)), default=0) + 1)
    space = " " if shown.startswith("`") or shown.endswith("`") or shown.strip() != shown else ""
    return f"{ticks}{space}{shown}{space}{ticks}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a table; the first row is its head. A bar ends a cell even in code, but for one behind a backslash."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def fenced(language: str, source: str) -> str:
    """Return a block of source code, to be copied."""
    return f"```{language}\n{source.strip()}\n```"

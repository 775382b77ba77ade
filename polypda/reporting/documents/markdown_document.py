"""Markdown that reads well as plain text and rendered: aligned tables and escaped text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from polypda.reporting.tables.text_table import padded_markdown


def inline(text: object) -> str:
    """Text of others (study file, manifest, settings) on one line, so that no tag in it comes to life."""
    return " ".join(str(text).split()).replace("\\", "\\\\").replace("<", "\\<")


def code(text: object) -> str:
    """A name as it is typed: cohort ids, option values, file names."""
    plain = " ".join(str(text).split()).replace("`", "'")
    return f"`{plain}`" if plain else "(empty)"


def bullets(lines: Iterable[str], indent: str = "") -> str:
    """A list; an empty one is an empty string."""
    return "\n".join(f"{indent}- {line}" for line in lines)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[str] = ()) -> str:
    """A table padded for readers of the raw file.

    Args:
        rows: cells as Markdown text of one line; a '|' in them is escaped here.
        numeric: the headers whose columns are set to the right.
    """
    grid = [[cell.replace("|", "\\|") for cell in row] for row in (headers, *rows)]
    return padded_markdown(grid, [header in numeric for header in headers])


def shortened(names: Iterable[str], most: int = 6) -> str:
    """``a, b, c and 4 more``."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more

"""Markdown that reads well as plain text and rendered: aligned tables and escaped text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

import pandas as pd

from polypda.reporting.wording import plain, signed


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
    right = [header in numeric for header in headers]
    # The rule below the headings is no rule without a dash, which stands before the colon of a column set to the right
    widths = [max(1 + right[place], *(_width(row[place]) for row in grid)) for place in range(len(headers))]

    def line(row: Sequence[str]) -> str:
        cells = [
            " " * (width - _width(cell)) + cell if flush else cell + " " * (width - _width(cell))
            for cell, width, flush in zip(row, widths, right, strict=True)
        ]
        return f"| {' | '.join(cells)} |"

    rule = ["-" * (width - 1) + ":" if flush else "-" * width for width, flush in zip(widths, right, strict=True)]
    return "\n".join([line(grid[0]), f"| {' | '.join(rule)} |", *map(line, grid[1:])])


def _width(text: str) -> int:
    """Columns in a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def with_interval(text: str, low: float, high: float, *, signs: bool = False) -> str:
    """``text [low, high]`` with three digits, or the text alone where there is no interval."""
    if pd.isna(low) or pd.isna(high):
        return text
    write = signed if signs else plain
    return f"{text} [{write(low, 3)}, {write(high, 3)}]"


def shortened(names: Iterable[str], most: int = 6) -> str:
    """``a, b, c and 4 more``."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more

"""What every table file repeats: title, how its numbers came about, whether frames are rendered, notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from polypda.evaluation.cases.statement import PHANTOM_BANNER, ReportStatement

METRICS_LINE = (
    "Dice = 2TP/(2TP+FP+FN) per frame at native resolution inside the field of view, no smoothing; mean over frames "
    "with a polyp (dice_frame); frames without a polyp apart"
)
TEXT_HEADS = ("adaptation", "source", "centre", "model", "stratum")
"""Columns of words: they read from the left, numbers from the right."""


@dataclass(frozen=True)
class TableFacts:
    """stated: name → text, in reading order. notes: lines below the tables."""

    title: str
    stated: Mapping[str, str]
    phantom: bool
    notes: tuple[str, ...] = ()

    @property
    def banner(self) -> str:
        """The warning that rendered frames carry; "" for real ones."""
        return PHANTOM_BANNER if self.phantom else ""

    def columns(self, taken: pd.Index) -> dict[str, str]:
        """Constant CSV columns, so that no row loses what was stated; names of the table's own columns are left out."""
        columns = {name.replace(" ", "_"): text for name, text in self.stated.items()}
        return {name: text for name, text in columns.items() if name not in taken}

    def csv(self, table: pd.DataFrame) -> str:
        """The table at full precision with the stated facts as further columns."""
        return table.assign(**self.columns(table.columns)).to_csv(index=False, lineterminator="\n")

    def markdown_head(self) -> list[str]:
        """Title and banner."""
        return [f"# {self.title}", *([f"> **{self.banner}.**"] if self.banner else [])]

    def markdown_tail(self) -> list[str]:
        """Notes and what was stated."""
        notes = ["## Read with the numbers", "\n".join(f"- {note}" for note in self.notes)] if self.notes else []
        stated = "\n".join(f"- {name}: {text}" for name, text in self.stated.items())
        return [*notes, "## How these numbers came about", stated]


def run_facts(statement: ReportStatement) -> TableFacts:
    """The facts of a single run."""
    title = f"{statement.source} → {statement.target}: Dice and IoU per centre"
    return TableFacts(title, statement.lines() | {"metrics": METRICS_LINE}, statement.phantom, statement.notes)


def markdown_table(cells: pd.DataFrame) -> str:
    """Text cells as a Markdown table, aligned so that a terminal shows it as well as a browser."""
    grid = [list(map(str, cells.columns)), *cells.astype(str).to_numpy().tolist()]
    grid = [[cell.replace("|", "\\|") for cell in row] for row in grid]
    widths = [max(len(row[place]) for row in grid) for place in range(cells.shape[1])]
    left = [str(name) in TEXT_HEADS for name in cells.columns]

    def line(row: list[str]) -> str:
        padded = [
            cell.ljust(width) if words else cell.rjust(width)
            for cell, width, words in zip(row, widths, left, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * width if words else "-" * (width - 1) + ":" for width, words in zip(widths, left, strict=True)]
    return "\n".join([line(grid[0]), f"| {' | '.join(rule)} |", *map(line, grid[1:])])

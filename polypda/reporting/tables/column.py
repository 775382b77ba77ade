"""What a column and a table of a report are, whatever they show; which there are stands in :mod:`.columns`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pandas as pd

from polypda.reporting.wording import (
    NO_BREAK,
    limit,
    p_text,
    percent,
    plain,
    points,
    signed,
    signed_percent,
    whole,
    with_interval,
)

Row = Mapping[str, Any]
Write = Callable[[Row], str]


class View(StrEnum):
    """Where a table is shown; CSV and JSON files hold every figure at full precision."""

    PAGE = "page"
    FILE = "Markdown file"
    PAPER = "LaTeX"
    CARD = "model card"


EVERYWHERE = frozenset(View)
NOT_ON_THE_PAGE = EVERYWHERE - {View.PAGE}
"""For differences from source-only, which the page shows in a table of their own."""
NOT_IN_A_PAPER = EVERYWHERE - {View.PAPER}
WIDE = frozenset({View.PAGE, View.FILE})
ONLY_FILE = frozenset({View.FILE})


@dataclass(frozen=True)
class Column:
    """A figure of a table.

    name: of the data's column. unit: "" (a number), "%" (a share), "pp" (a difference of shares), "px", "n" (a count),
    "p" (a p value). digits: after the point. higher_is_better: None where neither is. limits: the columns of the
    interval's low and high end and its kind. write: for a cell that takes more than the column's own number.
    note: its definition, for captions.
    """

    name: str
    heading: str
    unit: str = ""
    digits: int = 3
    higher_is_better: bool | None = None
    views: frozenset[View] = EVERYWHERE
    note: str = ""
    signed: bool = False
    limits: tuple[str, str, str] | None = None
    write: Write | None = None

    @property
    def title(self) -> str:
        """The heading with its unit, where the cells do not show it."""
        return f"{self.heading} (px)" if self.unit == "px" else self.heading

    def text(self, row: Row) -> str:
        """The cell of one row."""
        if self.write:
            return self.write(row)
        text = self.number(row[self.name])
        if not self.limits:
            return text
        low, high, kind = (row[name] for name in self.limits)
        return with_interval(text, self._end(low), self._end(high), kind=kind)

    def _end(self, value: float) -> str:
        """An end of the interval; its unit stands behind the number itself."""
        if self.signed:
            return limit(value * (100 if self.unit else 1), self.digits)
        return self.number(value).removesuffix(NO_BREAK + self.unit)

    def number(self, value: Any) -> str:
        """A value of this column as text."""
        match self.unit:
            case "%":
                return (signed_percent if self.signed else percent)(value, self.digits)
            case "pp":
                return points(value, self.digits)
            case "n":
                return whole(value)
            case "p":
                return p_text(value)
        return (signed if self.signed else plain)(value, self.digits)


BOLD = frozenset({"delta_dice_frame", "delta"})
BOLD_NOTE = (
    "Bold: better than source-only, p < 0.05 by cluster sign-flip test after Holm, and the interval of the difference "
    "over clusters lies above 0; never where frames were treated as independent."
)


@dataclass(frozen=True)
class Block:
    """A table of figures that belong together. lead: what its frames are. absent: said where it has no row. chosen:
    which rows of the data it shows, by the column that must be above 0. improved: columns that decide whether a row is
    a significant improvement (low end of Δ, kind of its interval, adjusted p): then its :data:`BOLD` cells are bold.
    added: asked for further columns whenever it is shown."""

    title: str
    lead: str
    absent: str
    columns: tuple[Column, ...]
    chosen: str = ""
    improved: tuple[str, str, str] | None = None
    added: Callable[[], tuple[Column, ...]] = tuple

    @property
    def every_column(self) -> tuple[Column, ...]:
        """Its columns with those that were added."""
        return (*self.columns, *self.added())

    def shown(self, view: View) -> list[Column]:
        """Its columns in one view."""
        return [column for column in self.every_column if view in column.views]

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of the data that it shows."""
        return table[table[self.chosen] > 0] if self.chosen else table

    def caption(self, headings: Sequence[str]) -> str:
        """What stands below the table: its frames, the definitions of the columns shown, which of them are costs."""
        columns = [column for column in self.every_column if column.title in headings]
        notes = [f"{column.heading}: {column.note}." for column in columns if column.note]
        costs = [column.heading for column in columns if column.higher_is_better is False]
        bold = [BOLD_NOTE] if self.improved and BOLD & {column.name for column in columns} else []
        return " ".join([self.lead, *notes, *([f"Lower is better: {', '.join(costs)}."] if costs else []), *bold])

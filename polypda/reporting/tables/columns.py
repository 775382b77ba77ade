"""What the columns of every table are and how their cells are written; which there are stands in columns.yaml.

A new figure needs its computation (:mod:`polypda.evaluation`) and its line there; then it is in the page, the Markdown
and LaTeX files, the model card, and under its own name in the CSV and JSON files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from polypda.evaluation.aggregation.comparisons import NO_ORACLE, NOT_THE_TARGET
from polypda.evaluation.cases.case_table import BOX
from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY
from polypda.evaluation.scoring.frame_metric import FRAME_METRICS, FrameMetric
from polypda.evaluation.scoring.mask_geometry import LESION_RULE
from polypda.reporting.verdict import finding
from polypda.reporting.wording import (
    NO_BREAK,
    NOT_KNOWN,
    clusters_text,
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

BOXES_ONLY = "boxes only"
LONGEST_PAIR = 20
"""Letters of "source → target" on one line."""
BOLD = frozenset({"delta_dice_frame", "delta"})
BOLD_NOTE = (
    "Bold: better than source-only, p < 0.05 by cluster sign-flip test after Holm, and the interval of the difference "
    "over clusters lies above 0; never where frames were treated as independent."
)


class View(StrEnum):
    """Where a table is shown; CSV and JSON files hold every figure at full precision. TERMINAL: within 80 columns."""

    PAGE = "page"
    FILE = "file"
    PAPER = "paper"
    CARD = "card"
    TERMINAL = "terminal"


DOCUMENTS = frozenset(View) - {View.TERMINAL}


@dataclass(frozen=True)
class Column:
    """A figure of a table; columns.yaml tells what its fields mean."""

    name: str
    heading: str
    unit: str = ""
    digits: int = 3
    higher_is_better: bool | None = None
    views: frozenset[View] = DOCUMENTS
    note: str = ""
    signed: bool = False
    limits: tuple[str, str, str] | None = None
    write: Callable[[Column, Row], str] | None = None
    beside: str = ""

    @property
    def title(self) -> str:
        """The heading with its unit, where the cells do not show it."""
        return f"{self.heading} (px)" if self.unit == "px" else self.heading

    def text(self, row: Row) -> str:
        """The cell of one row."""
        return self.write(self, row) if self.write else self.figure(row)

    def figure(self, row: Row) -> str:
        """The column's own number with its interval."""
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
            case "text":
                return str(value)
        return (signed if self.signed else plain)(value, self.digits)


@dataclass(frozen=True)
class Block:
    """A table of figures that belong together; columns.yaml tells what its fields mean. lead: what its frames are.

    Where a row is a significant improvement, its :data:`BOLD` cells are bold.
    """

    title: str
    lead: str
    absent: str
    columns: tuple[Column, ...]
    chosen: str = ""
    improved: tuple[str, ...] = ()
    added: bool = False

    @property
    def every_column(self) -> tuple[Column, ...]:
        """Its columns, with those of added metrics where it shows them (``added``)."""
        return (*self.columns, *map(_of_metric, FRAME_METRICS.values())) if self.added else self.columns

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


def _of_metric(metric: FrameMetric) -> Column:
    facts = (metric.mean_name, metric.heading, metric.unit, metric.digits)
    return Column(*facts, higher_is_better=metric.higher_is_better, note=metric.note)


def pair(row: Row) -> str:
    """ "source → target", on two lines where one would push the numbers off the page."""
    one_line = f"{row['source']} → {row['target']}"
    return one_line if len(one_line) <= LONGEST_PAIR else f"{row['source']} →\n{row['target']}"


def origin(row: Row) -> str:
    """Whose labels trained the model, and what it was adapted to."""
    if row["model"] in (SOURCE_ONLY, ORACLE):
        return f"in {row['source' if row['model'] == SOURCE_ONLY else 'target']}"
    return pair(row)


def _fractions(column: Column, row: Row) -> str:
    first, second = row[column.name], row[column.beside]
    return NOT_KNOWN if pd.isna(first) else f"{percent(first)} / {percent(second)}".replace(" ", NO_BREAK)


def _counts(column: Column, row: Row) -> str:
    first, second = row[column.name], row[column.beside]
    return NOT_KNOWN if pd.isna(second) else f"{whole(first)} / {whole(second)}"


def _dice_n(column: Column, row: Row) -> str:
    both = row["n_dice"] in (0, row["n_positive"])
    return whole(row["n_positive"]) if both else f"{whole(row['n_dice'])} of {whole(row['n_positive'])}"


def _gap(column: Column, row: Row) -> str:
    """Only where there was a gap to close: not for source-only, the oracle, or a cohort that is no target."""
    if row["gap_estimable"]:
        return column.figure(row)
    asked = row["model"] != ORACLE and row["gap_words"] not in ("", NO_ORACLE, NOT_THE_TARGET)
    return "not estimable" if asked else NOT_KNOWN


def _seeds(column: Column, row: Row) -> str:
    spread = column.figure(row)
    return spread if spread == NOT_KNOWN else f"{whole(row['n_seeds'])}: {spread}"


def _named(column: Column, row: Row) -> str:
    name = row[column.beside]
    return f"{column.figure(row)} ({name})" if name else column.figure(row)


WRITERS: Mapping[str, Callable[[Column, Row], str]] = {
    "at_step": lambda column, row: f"{column.figure(row)} (step {row[column.beside]})",
    "clusters": lambda column, row: clusters_text(row[column.name], row["cluster_unit"]),
    "counts": _counts,
    "dice": lambda column, row: BOXES_ONLY if row["annotation"] == BOX else column.figure(row),
    "dice_n": _dice_n,
    "finding": lambda _, row: "own labels" if row["model"] == ORACLE else finding(row).value,
    "fractions": _fractions,
    "gap": _gap,
    "named": _named,
    "seeds": _seeds,
    "used": lambda column, row: "used" if row[column.name] else "",
}


def _column(name: str, facts: dict[str, Any]) -> Column:
    better, limits, write = (facts.pop(key, None) for key in ("better", "limits", "write"))
    if isinstance(limits, str):
        limits = (f"{limits}_low", f"{limits}_high", f"{limits}_interval")
    return Column(
        name,
        **facts | {"views": frozenset(map(View, facts.get("views", DOCUMENTS)))},
        higher_is_better=better and better == "higher",
        limits=limits and tuple(limits),
        write=write and WRITERS[write],
    )


def _blocks() -> dict[str, Block]:
    blocks = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    for facts in blocks.values():
        facts["lead"] = facts["lead"].replace("{LESION_RULE}", LESION_RULE)
        facts["columns"] = tuple(_column(name, column) for name, column in facts["columns"].items())
        facts["improved"] = tuple(facts.get("improved", ()))
    return {name: Block(**facts) for name, facts in blocks.items()}


BLOCKS = _blocks()
CENTRE_BLOCKS = tuple(BLOCKS[name] for name in ("positives", "pixels", "negatives", "lesions"))
POSITIVES, PIXELS, NEGATIVES, LESIONS = CENTRE_BLOCKS
COMPARISONS, AGGREGATES = BLOCKS["comparisons"], BLOCKS["aggregates"]

ADAPTATION = Column("adaptation", "adaptation", write=lambda _, row: pair(row))
TRAINED = Column("trained", "trained", write=lambda _, row: origin(row))
TRAINED_IN = Column("source", "trained in", "text")
CENTRE = Column("cohort", "centre", "text")
CENTRE_AND_ROLE = Column("cohort", "centre", write=lambda _, row: f"{row['cohort']} ({row['role']})")
MODEL = Column("model", "model", "text")
RULE = Column("selector", "checkpoint rule", "text")
BY_ADAPTATION = (ADAPTATION, CENTRE_AND_ROLE, MODEL)
BY_ORIGIN = (CENTRE, TRAINED, MODEL)
BY_PAIR = (ADAPTATION, MODEL)
BY_SOURCE = (TRAINED_IN, MODEL)

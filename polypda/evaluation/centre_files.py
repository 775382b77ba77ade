"""The per-centre table as files: centers.csv for spreadsheets, centers.json for programs, centers.md for people."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from polypda.evaluation.atomic_file import write_whole
from polypda.evaluation.statement import PHANTOM_BANNER, ReportStatement

JSON_SCHEMA = "polypda-centres v1"
NOT_KNOWN = "–"
INTERVAL_NOTE = "No confidence interval is given: small differences may be chance."
NO_NEGATIVES = "No frame without a polyp was scored: false alarms were not measured."
METRIC_NOTES = (
    "Dice and IoU: mean over frames with a polyp (dice_frame, iou_frame). Worst decile: 10th percentile of Dice. "
    "Failed: share of frames with Dice < 0.5. Missed: frames with a polyp on which nothing was marked. "
    "Dice per sequence: mean of sequence means. Δ: adapted − source-only over the same frames; "
    "better, worse: share of frames whose Dice moved by more than 0.05.",
    "Frames without a polyp never enter Dice. Frame specificity: share of them without a false-positive component "
    "(8-connected, at least 20 px and 0.02 % of the field of view). Δ: against source-only, pp: percentage points.",
)

Cell = Callable[[Any], str]


def write_centres(table: pd.DataFrame, folder: Path, statement: ReportStatement) -> list[Path]:
    """Write centers.csv, centers.json and centers.md; each states protocol, checkpoint rule, seeds and the rest.

    Args:
        table: as :func:`polypda.evaluation.centers.centre_table` makes it.

    Raises: DataError E_WRITE_FAILED.
    """
    contents = {
        "centers.csv": centres_csv(table, statement),
        "centers.json": centres_json(table, statement),
        "centers.md": centres_markdown(table, statement),
    }
    for name, content in contents.items():
        write_whole(folder / name, content)
    return [folder / name for name in contents]


def centres_csv(table: pd.DataFrame, statement: ReportStatement) -> str:
    """The table at full precision; the statement's lines follow as constant columns, so that no row loses them."""
    stated = {name.replace(" ", "_"): text for name, text in statement.lines().items() if name != "split"}
    return table.assign(**stated).to_csv(index=False, lineterminator="\n")


def centres_json(table: pd.DataFrame, statement: ReportStatement) -> str:
    """The table at full precision beside the statement; a number that does not exist is null."""
    rows = [{name: _plain(value) for name, value in row.items()} for row in table.to_dict("records")]
    document = {
        "schema": JSON_SCHEMA,
        "stated": statement.lines(),
        "banner": PHANTOM_BANNER if statement.phantom else None,
        "statement": statement.model_dump(mode="json"),
        "rows": rows,
    }
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def centres_markdown(table: pd.DataFrame, statement: ReportStatement) -> str:
    """Two tables, frames with and without a polyp, aligned so that a terminal shows them as well as a browser."""
    parts = [f"# {statement.source} → {statement.target}: Dice and IoU per centre"]
    if statement.phantom:
        parts.append(f"> **{PHANTOM_BANNER}.**")
    parts += ["## Frames with a polyp", _markdown_table(positive_cells(table)), METRIC_NOTES[0]]
    negatives = negative_cells(table)
    parts += ["## Frames without a polyp", _markdown_table(negatives) if len(negatives) else NO_NEGATIVES]
    parts.append(METRIC_NOTES[1])
    unscored = int(table.drop_duplicates(["cohort", "split"])["n_unscored"].sum())
    if unscored:
        parts.append(f"{unscored} frames are in neither table: their whole reference lies outside the field of view.")
    stated = "\n".join(f"- {name}: {text}" for name, text in statement.lines().items())
    parts += ["## How these numbers came about", stated, INTERVAL_NOTE]
    return "\n\n".join(parts) + "\n"


def positive_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The positive-frame block as text cells, few digits, differences with their sign."""
    columns: dict[str, pd.Series] = _who(table) | {
        "Dice": table["dice_frame"].map(_three_digits),
        "Δ Dice": table["delta_dice_frame"].map(_signed),
        "better / worse": _pair_of_shares(table["share_better"], table["share_worse"]),
        "n": table["n_positive"].map(_count),
        "clusters": _clusters(table),
        "IoU": table["iou_frame"].map(_three_digits),
        "worst decile": table["dice_p10"].map(_three_digits),
        "failed": table["fail_rate"].map(_percent),
        "Dice = 0": table["zero_rate"].map(_percent),
        "missed": table["missed"].map(_count),
        "Dice per sequence": table["dice_sequence"].map(_three_digits),
    }
    if (table["n_seeds"] > 1).any():
        columns["SD over seeds"] = table["dice_frame_seed_sd"].map(_three_digits)
    return pd.DataFrame(columns)


def negative_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The negative-frame block as text cells; centres without such frames are left out."""
    table = table[table["n_negative"] > 0]
    return pd.DataFrame(
        _who(table)
        | {
            "frame specificity": table["frame_specificity"].map(_percent),
            "Δ specificity": table["delta_frame_specificity"].map(_signed_points),
            "n": table["n_negative"].map(_count),
            "FP components / frame": table["fp_components_per_frame"].map(_three_digits),
            "Δ FP / frame": table["delta_fp_components_per_frame"].map(_signed),
            "FP area": table["fp_area_fraction"].map(_fine_percent),
            "FP area > 1 %": table["share_fp_over_1pct"].map(_percent),
        }
    )


def _who(table: pd.DataFrame) -> dict[str, pd.Series]:
    return {"centre": table["cohort"] + " (" + table["role"] + ")", "model": table["model"]}


def _clusters(table: pd.DataFrame) -> pd.Series:
    texts = [
        "unknown" if pd.isna(count) else f"{count} {unit if unit != 'mixed' else 'cluster'}{'' if count == 1 else 's'}"
        for count, unit in zip(table["clusters"], table["cluster_unit"], strict=True)
    ]
    return pd.Series(texts, index=table.index)


def _pair_of_shares(better: pd.Series, worse: pd.Series) -> pd.Series:
    texts = [
        NOT_KNOWN if pd.isna(up) else f"{_percent(up)} / {_percent(down)}"
        for up, down in zip(better, worse, strict=True)
    ]
    return pd.Series(texts, index=better.index)


def _markdown_table(cells: pd.DataFrame) -> str:
    grid = [list(map(str, cells.columns)), *cells.astype(str).to_numpy().tolist()]
    widths = [max(len(row[place]) for row in grid) for place in range(cells.shape[1])]
    text_columns = 2  # centre and model read from the left, numbers from the right

    def line(row: list[str]) -> str:
        padded = [
            cell.ljust(width) if place < text_columns else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * width if place < text_columns else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    return "\n".join([line(grid[0]), f"| {' | '.join(rule)} |", *map(line, grid[1:])])


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def _number(pattern: str, scale: float = 1.0) -> Cell:
    def write(value: Any) -> str:
        if pd.isna(value):
            return NOT_KNOWN
        text = pattern.format(float(value) * scale)
        if any(digit in text for digit in "123456789"):
            return text.replace("-", "−")
        # −0.00 and +0.00 are the same news: none
        return pattern.format(0.0).replace("+", "±")

    return write


_three_digits = _number("{:.3f}")
_signed = _number("{:+.3f}")
_percent = _number("{:.0f} %", 100)
_fine_percent = _number("{:.2f} %", 100)
_signed_points = _number("{:+.0f} pp", 100)
_count = _number("{:.4g}")

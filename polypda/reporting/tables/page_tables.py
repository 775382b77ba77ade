"""Tables of the cross-centre page: text cells from the results, few digits, everything that belongs to a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from polypda.evaluation.aggregation.aggregates import SIZE_STRATA
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.aggregation.matrix_table import models_in_order, target_cells
from polypda.evaluation.cases.statement import ORACLE, SOURCE_ONLY
from polypda.reporting.pages.verdict import CLUSTER_INTERVALS, FRAME_INTERVAL, records, verdict
from polypda.reporting.pages.wording import (
    NO_BREAK,
    NOT_KNOWN,
    cluster_noun,
    counted,
    interval,
    p_text,
    percent,
    plain,
    signed,
    whole,
)

MOST_MATRIX_COLUMNS = 6
"""More centres go into a further table, so that none is cut off on paper."""
LONGEST_PAIR = 20
"""Letters of "source → target" on one line."""
FRAMES_MARK = "†"
FRAMES_NOTE = f"{FRAMES_MARK} frames treated as independent: likely too narrow."
NO_INTERVAL_NOTE = "No interval: fewer than five clusters."

Row = dict[str, Any]


@dataclass(frozen=True)
class PageTable:
    """rows: text cells. left: how many columns read from the left. tones: a tone per row, or none."""

    columns: list[str]
    rows: list[list[str]]
    left: int = 2
    tones: tuple[str, ...] = ()

    def tone(self, place: int) -> str:
        """ "" where no tone is given."""
        return self.tones[place] if self.tones else ""

    def without_empty_columns(self) -> PageTable:
        """Columns of numbers that hold only dashes left out."""
        kept = [
            place
            for place in range(len(self.columns))
            if place < self.left or any(row[place] not in ("", NOT_KNOWN) for row in self.rows)
        ]
        rows = [[row[place] for place in kept] for row in self.rows]
        return replace(self, columns=[self.columns[place] for place in kept], rows=rows)


def matrix_tables(results: CrossCentreResults) -> list[PageTable]:
    """Rows: source × model, columns: centres; Dice with its interval. The oracle's row comes last."""
    cells = target_cells(results.matrix)
    centres = list(dict.fromkeys([*results.centres["source"], *results.centres["cohort"]]))
    centres = [centre for centre in centres if centre in set(cells["cohort"])]
    texts: dict[tuple[str, str], dict[str, str]] = {}
    for row in records(cells):
        source = "own labels" if row["model"] == ORACLE else row["source"]
        texts.setdefault((source, row["model"]), {})[row["cohort"]] = dice_text(row, own=bool(row["own_centre"]))
    sources = [source for source in dict.fromkeys(results.centres["source"]) if source in {key[0] for key in texts}]
    models = models_in_order(list(results.centres["model"]))
    keys = [(source, model) for source in [*sources, "own labels"] for model in models if (source, model) in texts]
    chunks = [centres[start : start + MOST_MATRIX_COLUMNS] for start in range(0, len(centres), MOST_MATRIX_COLUMNS)]
    return [
        PageTable(
            ["trained in", "model", *chunk],
            [[*key, *(texts[key].get(centre, "") for centre in chunk)] for key in keys],
        )
        for chunk in chunks
    ]


def dice_text(row: Row, *, own: bool = False) -> str:
    """ "0.62 (0.55–0.69)", its kind marked; own centre's in brackets."""
    if pd.isna(row["dice"]):
        return NOT_KNOWN
    value = f"[{plain(row['dice'])}]" if own else plain(row["dice"])
    return f"{value} {span(row['low'], row['high'], row['interval'])}".strip()


def span(low: float, high: float, kind: str, *, signs: bool = False) -> str:
    """ "(0.55–0.69)", with a mark where frames were treated as independent; "" without an interval."""
    if pd.isna(low) or pd.isna(high):
        return ""
    text = interval(low, high) if signs else f"{plain(low)}–{plain(high)}"
    return f"({text}){FRAMES_MARK if kind == FRAME_INTERVAL else ''}".replace(" ", NO_BREAK)


def comparison_cells(comparisons: pd.DataFrame) -> PageTable:
    """Every model beside source-only in the centre that it was adapted to (or in another one)."""
    rows, tones = [], []
    for row in records(comparisons):
        judged = verdict(row, str(row["cluster_unit"]))
        bound = row["model"] == ORACLE
        tones.append("bound" if bound else judged.tone)
        rows.append(
            [
                _adaptation(row["source"], row["target"]),
                row["model"],
                f"{signed(row['delta'])} {span(row['low'], row['high'], row['interval'], signs=True)}",
                "own labels" if bound else judged.finding.value,
                p_text(row["p_holm"]),
                _shares(row["share_better"], row["share_worse"]),
                _gained_lost(row),
                _gap(row),
                _specificity_change(row),
                f"{whole(row['n'])} / {_clusters(row['clusters'], row['cluster_unit'])}",
                _seeds(row),
            ]
        )
    columns = [
        "adaptation", "model", "Δ Dice (95 % interval)", "finding", "Holm p", "frames better / worse",
        "polyps gained / lost", "gap closed", "Δ specificity", "frames / clusters", "seeds: SD of Δ",
    ]  # fmt: skip
    return PageTable(columns, rows, tones=tuple(tones))


def centre_cells(centres: pd.DataFrame) -> PageTable:
    """Frames with a polyp, per centre and model."""
    columns: dict[str, Callable[[Row], str]] = {
        "centre": lambda row: str(row["cohort"]),
        "trained": _origin,
        "model": lambda row: str(row["model"]),
        "Dice (95 % interval)": lambda row: (
            f"{plain(row['dice_frame'])} {span(row['dice_low'], row['dice_high'], row['dice_interval'])}"
        ),
        "IoU": lambda row: plain(row["iou_frame"]),
        "worst decile": lambda row: plain(row["dice_p10"]),
        "failed / zero": lambda row: _shares(row["fail_rate"], row["zero_rate"]),
        "sensitivity": lambda row: plain(row["sensitivity_frame"]),
        "PPV (undefined)": lambda row: _undefined(row["ppv_frame"], row["ppv_undefined"]),
        "per sequence": lambda row: plain(row["dice_sequence"]),
        "HD95 px (penalised)": lambda row: _undefined(row["hd95_mean_px"], row["hd95_penalised"], 0),
        "NSD": lambda row: plain(row["nsd_frame"]),
        "frames / clusters": lambda row: f"{whole(row['n_dice'])} / {_clusters(row['clusters'], row['cluster_unit'])}",
    }
    return _by_columns(centres[centres["n_dice"] > 0], columns, left=3)


def negative_cells(centres: pd.DataFrame) -> PageTable:
    """Frames without a polyp, per centre and model."""
    columns: dict[str, Callable[[Row], str]] = {
        "centre": lambda row: str(row["cohort"]),
        "trained": _origin,
        "model": lambda row: str(row["model"]),
        "left clean (95 % interval)": lambda row: f"{percent(row['frame_specificity'])} {_clean_span(row)}",
        "Δ": lambda row: _points(row["delta_frame_specificity"]),
        "false regions / frame": lambda row: plain(row["fp_components_per_frame"]),
        "area marked": lambda row: percent(row["fp_area_fraction"], 2),
        "frames > 1 % marked": lambda row: percent(row["share_fp_over_1pct"]),
        "frames / clusters": lambda row: (
            f"{whole(row['n_negative'])} / {_clusters(row['clusters_negative'], row['cluster_unit'])}"
        ),
    }
    return _by_columns(centres[centres["n_negative"] > 0], columns, left=3)


def strata_cells(strata: pd.DataFrame) -> PageTable:
    """Dice per size stratum in the columns, each with its number of frames."""
    texts: dict[tuple[str, ...], dict[str, str]] = {}
    for row in records(strata):
        text = f"{dice_text(row)} n={row['n']}".replace(" n=", f"{NO_BREAK}n=") if row["n"] else NOT_KNOWN
        texts.setdefault((row["cohort"], _origin(row), row["model"]), {})[row["stratum"]] = text
    rows = [[*key, *(cells.get(name, NOT_KNOWN) for name in SIZE_STRATA)] for key, cells in texts.items()]
    rows = [row for row in rows if any(cell != NOT_KNOWN for cell in row[3:])]
    return PageTable(["centre", "trained", "model", *SIZE_STRATA], rows, left=3)


def lesion_cells(lesions: pd.DataFrame) -> PageTable:
    """Lesion sensitivity, PPV and false positives under both rules."""
    columns: dict[str, Callable[[Row], str]] = {
        "centre": lambda row: str(row["cohort"]),
        "trained": _origin,
        "model": lambda row: str(row["model"]),
        "sensitivity (95 % interval)": _lesion_sensitivity,
        "PPV": lambda row: plain(row["lesion_ppv_10"]),
        "FP / frame": lambda row: plain(row["lesion_fp_per_frame_10"]),
        "sensitivity, IoU ≥ 0.5": lambda row: plain(row["lesion_sensitivity_50"]),
        "PPV, IoU ≥ 0.5": lambda row: plain(row["lesion_ppv_50"]),
        "lesions / frames": lambda row: f"{whole(row['lesions_reference'])} / {whole(row['n_frames'])}",
        "annotation": lambda row: str(row["annotation"]),
    }
    return _by_columns(lesions, columns, left=3)


def aggregate_cells(aggregates: pd.DataFrame) -> PageTable:
    """Per source and model over the target centres: mean over centres, and the worst one named."""
    columns: dict[str, Callable[[Row], str]] = {
        "trained in": lambda row: str(row["source"]),
        "model": lambda row: str(row["model"]),
        "dice_center": lambda row: plain(row["dice_center"]),
        "dice_worst_center": lambda row: f"{plain(row['dice_worst_center'])} ({row['worst_center']})",
        "mean Δ over centres": lambda row: signed(row["delta_center"]),
        "worst Δ": lambda row: (
            NOT_KNOWN
            if pd.isna(row["delta_worst_center"])
            else f"{signed(row['delta_worst_center'])} ({row['worst_delta_center']})"
        ),
        "centres": lambda row: whole(row["n_centers"]),
    }
    return _by_columns(aggregates, columns, left=2)


def table_notes(*kinds: pd.Series) -> list[str]:
    """The words that must stand below a table whose intervals are of these kinds."""
    found = {str(kind) for series in kinds for kind in series.dropna()}
    return [FRAMES_NOTE] * (FRAME_INTERVAL in found) + [NO_INTERVAL_NOTE] * ("none" in found)


def _by_columns(table: pd.DataFrame, columns: dict[str, Callable[[Row], str]], left: int) -> PageTable:
    rows = [[write(row).strip() for write in columns.values()] for row in records(table)]
    return PageTable(list(columns), rows, left)


def _adaptation(source: str, target: str) -> str:
    """On two lines where one would push the numbers off the page."""
    one_line = f"{source} → {target}"
    return one_line if len(one_line) <= LONGEST_PAIR else f"{source} →\n{target}"


def _origin(row: Row) -> str:
    """Whose labels trained the model, and what it was adapted to."""
    if row["model"] == SOURCE_ONLY:
        return f"in {row['source']}"
    if row["model"] == ORACLE:
        return f"in {row['target']}"
    return _adaptation(row["source"], row["target"])


def _shares(first: float, second: float) -> str:
    return NOT_KNOWN if pd.isna(first) else f"{percent(first)} / {percent(second)}"


def _gained_lost(row: Row) -> str:
    return NOT_KNOWN if pd.isna(row["polyps_lost"]) else f"{whole(row['polyps_gained'])} / {whole(row['polyps_lost'])}"


def _gap(row: Row) -> str:
    if row["model"] == ORACLE or pd.isna(row["gap"]):
        return NOT_KNOWN
    if not row["gap_estimable"]:
        return "not estimable"
    limits = "" if pd.isna(row["gap_low"]) else f" ({100 * row['gap_low']:.0f} to {100 * row['gap_high']:.0f})"
    mark = FRAMES_MARK if row["interval"] == FRAME_INTERVAL else ""
    return f"{percent(row['gap_closed'])}{limits}{mark}".replace("-", "−").replace(" ", NO_BREAK)


def _specificity_change(row: Row) -> str:
    return _points(row["delta_frame_specificity"]) if row["n_negative"] else NOT_KNOWN


def _points(difference: float) -> str:
    return NOT_KNOWN if pd.isna(difference) else f"{signed(difference * 100, 0)}{NO_BREAK}pp"


def _undefined(value: float, count: float, digits: int = 2) -> str:
    return NOT_KNOWN if pd.isna(value) else f"{plain(value, digits)} ({whole(count)})"


def _clean_span(row: Row) -> str:
    low, high = row["frame_specificity_low"], row["frame_specificity_high"]
    if pd.isna(low):
        return ""
    mark = FRAMES_MARK if row["frame_specificity_interval"] not in CLUSTER_INTERVALS else ""
    return f"({100 * low:.0f}–{100 * high:.0f}{NO_BREAK}%){mark}"


def _lesion_sensitivity(row: Row) -> str:
    low, high = row["lesion_sensitivity_10_low"], row["lesion_sensitivity_10_high"]
    return f"{plain(row['lesion_sensitivity_10'])} {span(low, high, row['lesion_sensitivity_10_interval'])}"


def _clusters(count: Any, unit: str) -> str:
    return "unknown" if pd.isna(count) else counted(count, cluster_noun(unit))


def _seeds(row: Row) -> str:
    seeds = whole(row["n_seeds"])
    return f"{seeds}: {plain(row['seed_sd'], 3)}" if pd.notna(row["seed_sd"]) else f"{seeds}: {NOT_KNOWN}"

"""The results as Markdown tables for the model card; every number comes from the cross-centre results."""

from __future__ import annotations

import pandas as pd

from polypda.evaluation.aggregates import SIZE_STRATA
from polypda.evaluation.cross_centre import CrossCentreResults
from polypda.evaluation.lesions import LESION_RULE
from polypda.evaluation.statement import SOURCE_ONLY
from polypda.reporting.markdown_document import bullets, code, inline, table, with_interval
from polypda.reporting.wording import NOT_KNOWN, p_text, percent, plain, signed, whole

DICE_HEADERS = (
    *("adaptation", "model", "Dice [95 % CI]", "Δ from source-only [95 % CI]", "p (Holm)", "better / worse"),
    *("gap closed", "n", "clusters", "seeds"),
)
MATRIX_TEXT = (
    "Dice, mean over frames with a polyp. Bold: scored in the centre whose labels trained the model. An adapted model "
    "stands in the column of the centre it was adapted to."
)
WORST_TEXT = "Over the centres that each source was adapted to, each centre weighing the same."
STRATA_TEXT = "Dice, and in brackets the number of frames; sizes are shares of the field of view."
NUMBERS = frozenset({"n", "clusters", "seeds", "p (Holm)", "FP regions / frame", "FP area", "PPV", "FP / frame"})


def sections(results: CrossCentreResults) -> list[str]:
    """Headed tables in reading order; a table without rows is left out, and said to be where that matters."""
    at_target, at_source, elsewhere = by_place(results.centres)
    parts = ["### Every model in every centre", MATRIX_TEXT, matrix(results.matrix)]
    parts += ["### In the target centres", dice_table(at_target), *_interval_words(results.centres)]
    parts += ["### Worst centre", WORST_TEXT, worst_centres(results.aggregates)]
    parts += ["### Frames without a polyp, target centres", negatives(at_target)]
    parts += ["### By relative polyp area, target centres", STRATA_TEXT, strata(by_place(results.strata)[0])]
    parts += ["### Lesions, target centres", f"Rule: {LESION_RULE}.", lesions(at_target)]
    if len(at_source):
        parts += ["### In the source centres", "What adaptation gains or costs at home.", dice_table(once(at_source))]
    if len(elsewhere):
        parts += ["### In further centres", "Neither source nor target.", dice_table(elsewhere, scored_on=True)]
    return parts


def matrix(cells: pd.DataFrame) -> str:
    """Dice of every model in every cohort; rows are models with their origin, columns cohorts."""
    cohorts = list(dict.fromkeys(cells["cohort"]))
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for _, cell in cells.iterrows():
        own = f"**{plain(cell['dice'], 3)}**" if cell["own_centre"] else plain(cell["dice"], 3)
        row = rows.setdefault((cell["source"], cell["model"]), {})
        # An adapted model may be scored elsewhere, too; its column is the centre it was adapted to
        if cell["adapted_to"] in ("", cell["cohort"]):
            row[cell["cohort"]] = own
    headers = ["source", "model", *map(code, cohorts)]
    cells_text = [
        [code(source), code(model), *(row.get(cohort, NOT_KNOWN) for cohort in cohorts)]
        for (source, model), row in rows.items()
    ]
    return table(headers, cells_text, headers[2:])


def strata(rows: pd.DataFrame) -> str:
    """Dice by size, one column per stratum; the number of frames belongs to the cohort and stands in the cell."""
    headers = ["adaptation", "model", *SIZE_STRATA]
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    for _, row in rows.iterrows():
        texts = cells.setdefault((row["source"], row["target"], row["model"]), {})
        texts[row["stratum"]] = f"{plain(row['dice'], 3)} ({row['n']})" if row["n"] else NOT_KNOWN
    lines = [
        [f"{code(source)} → {code(target)}", code(model), *(texts.get(name, NOT_KNOWN) for name in SIZE_STRATA)]
        for (source, target, model), texts in cells.items()
        if any(text != NOT_KNOWN for text in texts.values())
    ]
    return table(headers, lines, list(SIZE_STRATA)) if lines else "No frame has a pixel reference."


def by_place(centres: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Rows scored on the adaptation's target, on its source, and on other cohorts."""
    target, source = centres["cohort"] == centres["target"], centres["cohort"] == centres["source"]
    return centres[target], centres[source & ~target], centres[~target & ~source]


def once(rows: pd.DataFrame) -> pd.DataFrame:
    """The source-only model of a source stands once, whatever number of adaptations it is the control of."""
    control = rows["model"] == SOURCE_ONLY
    return rows[~(control & rows.duplicated(["source", "cohort", "split", "model", "dice_frame"]))]


def dice_table(rows: pd.DataFrame, *, scored_on: bool = False) -> str:
    """One row per adaptation and model, with the difference from its control."""
    headers = [*(("scored on",) if scored_on else ()), *DICE_HEADERS]
    cells = [[*((code(row["cohort"]),) if scored_on else ()), *_dice_cells(row)] for _, row in rows.iterrows()]
    return table(headers, cells, [header for header in headers if header in NUMBERS])


def _dice_cells(row: pd.Series) -> list[str]:
    delta = with_interval(signed(row["delta_dice_frame"], 3), row["delta_low"], row["delta_high"], signs=True)
    share = f"{percent(row['share_better'])} / {percent(row['share_worse'])}"
    return [
        _adaptation(row),
        code(row["model"]),
        with_interval(plain(row["dice_frame"], 3), row["dice_low"], row["dice_high"]),
        delta,
        p_text(row["p_holm"]),
        NOT_KNOWN if pd.isna(row["share_better"]) else share,
        _gap(row),
        whole(row["n_dice"]),
        _clusters(row),
        _seeds(row),
    ]


def _adaptation(row: pd.Series) -> str:
    return f"{code(row['source'])} → {code(row['target'])}"


def _gap(row: pd.Series) -> str:
    if not row["gap_estimable"] or pd.isna(row["gap_estimable"]):
        return "not estimable" if pd.notna(row["gap_closed"]) else NOT_KNOWN
    low, high = row["gap_low"], row["gap_high"]
    limits = "" if pd.isna(low) else f" [{signed(100 * low, 0)}, {signed(100 * high, 0)}]"
    return percent(row["gap_closed"]) + limits


def _clusters(row: pd.Series) -> str:
    return "unknown" if pd.isna(row["clusters"]) else f"{whole(row['clusters'])} {row['cluster_unit']}"


def _seeds(row: pd.Series) -> str:
    spread = row["dice_frame_seed_sd"]
    return whole(row["n_seeds"]) + ("" if pd.isna(spread) else f" (SD {plain(spread, 3)})")


def _interval_words(rows: pd.DataFrame) -> list[str]:
    """How the intervals were made, per cohort, with the words that must stand beside them."""
    lines = []
    for cohort, group in rows.groupby("cohort", sort=False):
        kinds = "; ".join(
            dict.fromkeys(f"{kind} interval" if kind != "none" else "no interval" for kind in group["dice_interval"])
        )
        words = "; ".join(dict.fromkeys(inline(text) for text in group["dice_words"] if text))
        lines.append(f"{code(cohort)}: {kinds}{f' ({words})' if words else ''}")
    return [bullets(lines)]


def worst_centres(aggregates: pd.DataFrame) -> str:
    """Mean over target centres and the worst of them, per source and model."""
    headers = ["source", "model", "mean over centres", "worst centre", "its Dice"]
    rows = [
        [
            code(row["source"]),
            code(row["model"]),
            plain(row["dice_center"], 3),
            code(row["worst_center"]),
            plain(row["dice_worst_center"], 3),
        ]
        for _, row in aggregates.iterrows()
    ]
    return (
        table(headers, rows, ["mean over centres", "its Dice"]) if rows else "No target centre has a pixel reference."
    )


def negatives(rows: pd.DataFrame) -> str:
    """False alarms, where frames without a polyp were scored."""
    rows = rows[rows["n_negative"] > 0]
    headers = ["adaptation", "model", "left clean [95 % CI]", "Δ [95 % CI]", "FP regions / frame", "FP area", "n"]
    cells = [
        [
            _adaptation(row),
            code(row["model"]),
            _with_percent_interval(row, "frame_specificity"),
            _points(row),
            plain(row["fp_components_per_frame"]),
            percent(row["fp_area_fraction"], 2),
            whole(row["n_negative"]),
        ]
        for _, row in rows.iterrows()
    ]
    if not cells:
        return "No frame without a polyp was scored: false alarms were not measured."
    return table(headers, cells, [header for header in headers if header in NUMBERS])


def _with_percent_interval(row: pd.Series, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    limits = "" if pd.isna(low) or pd.isna(high) else f" [{percent(low)}, {percent(high)}]"
    return percent(row[name]) + limits


def _points(row: pd.Series) -> str:
    name = "delta_frame_specificity"
    if pd.isna(row[name]):
        return NOT_KNOWN
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    limits = "" if pd.isna(low) or pd.isna(high) else f" [{signed(100 * low, 0)}, {signed(100 * high, 0)}]"
    return f"{signed(100 * row[name], 0)}{limits} pp"


def lesions(rows: pd.DataFrame) -> str:
    """Lesion figures by the headline rule, and sensitivity by the stricter one."""
    rows = rows[rows["lesions_reference"] > 0]
    if rows.empty:
        return "No lesion was there to be found."
    headers = ["adaptation", "model", "sensitivity, IoU ≥ 0.1 [95 % CI]", "PPV", "FP / frame", "sensitivity, IoU ≥ 0.5"]
    cells = [
        [
            _adaptation(row),
            code(row["model"]),
            _with_percent_interval(row, "lesion_sensitivity_10"),
            percent(row["lesion_ppv_10"]),
            plain(row["lesion_fp_per_frame_10"]),
            percent(row["lesion_sensitivity_50"]),
        ]
        for _, row in rows.iterrows()
    ]
    return table(headers, cells, [header for header in headers if header in NUMBERS])

"""The results as Markdown tables for the model card; every number comes from the cross-centre results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from polypda.evaluation.aggregation.aggregates import SIZE_STRATA
from polypda.evaluation.aggregation.comparisons import NO_ORACLE, NOT_THE_TARGET
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.cases.statement import ORACLE, SOURCE_ONLY
from polypda.evaluation.scoring.lesions import LESION_RULE
from polypda.reporting.documents.markdown_document import bullets, code, inline, table, with_interval
from polypda.reporting.pages.wording import NOT_KNOWN, cluster_noun, counted, p_text, percent, plain, signed, whole

Cell = Callable[[pd.Series], str]

MATRIX_TEXT = (
    "Dice, mean over frames with a polyp. Bold: held-out frames of the centre whose labels trained the model. An "
    "adapted model stands in the column of the centre it was adapted to."
)
WORST_TEXT = (
    "Over the centres that each source was adapted to, each centre weighing the same; Δ is against source-only."
)
STRATA_TEXT = "Dice, and in brackets the number of frames; sizes are shares of the field of view."
HOME_TEXT = "What adaptation gains or costs at home: the adapted models on held-out frames of their own source."
NO_NEGATIVES = "No frame without a polyp was scored: false alarms were not measured."
NO_MASKS = "No frame with a polyp has a pixel reference: see the lesion figures."


def sections(results: CrossCentreResults) -> list[str]:
    """Headed tables in reading order; a centre or a kind of frame that was not scored is said to be missing."""
    at_target, at_source, elsewhere = by_place(results.centres)
    parts = ["### Every model in every centre", MATRIX_TEXT, matrix(results.matrix)]
    parts += ["### In the target centres", *dice_section(at_target, TARGET_COLUMNS)]
    parts += ["### Worst centre", WORST_TEXT, worst_centres(results.aggregates)]
    parts += ["### Frames without a polyp, target centres", negatives(at_target)]
    parts += ["### By relative polyp area, target centres", STRATA_TEXT, strata(by_place(results.strata)[0])]
    parts += ["### Lesions, target centres", f"Rule: {LESION_RULE}.", lesions(at_target)]
    at_home = once(at_source[at_source["model"] != ORACLE])
    if len(at_home):
        parts += ["### In the source centres", HOME_TEXT, *dice_section(at_home, HOME_COLUMNS)]
    if len(elsewhere):
        columns = {"scored on": lambda row: code(row["cohort"]), **HOME_COLUMNS}
        parts += ["### In further centres", "Neither source nor target.", *dice_section(elsewhere, columns)]
    return parts


def by_place(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Rows scored on the adaptation's target, on its source, and on other cohorts."""
    target, source = rows["cohort"] == rows["target"], rows["cohort"] == rows["source"]
    return rows[target], rows[source & ~target], rows[~target & ~source]


def once(rows: pd.DataFrame) -> pd.DataFrame:
    """The source-only model of a source stands once, whatever number of adaptations it is the control of."""
    control = rows["model"] == SOURCE_ONLY
    return rows[~(control & rows.duplicated(["source", "cohort", "split", "model", "dice_frame"]))]


def matrix(cells: pd.DataFrame) -> str:
    """Dice of every model in every cohort: rows are models with their origin, columns cohorts; one row of oracles."""
    cohorts = list(dict.fromkeys(cells["cohort"]))
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for _, cell in cells.iterrows():
        oracle = cell["model"] == ORACLE
        if (oracle and not cell["own_centre"]) or cell["adapted_to"] not in ("", cell["cohort"]):
            continue
        dice = plain(cell["dice"], 3)
        key = ("each its own", ORACLE) if oracle else (code(cell["source"]), str(cell["model"]))
        rows.setdefault(key, {})[cell["cohort"]] = f"**{dice}**" if cell["own_centre"] else dice
    ordered = sorted(rows.items(), key=lambda item: item[0][1] == ORACLE)
    headers = ["source", "model", *map(code, cohorts)]
    lines = [
        [source, code(model), *(texts.get(cohort, NOT_KNOWN) for cohort in cohorts)]
        for (source, model), texts in ordered
    ]
    return table(headers, lines, headers[2:])


def dice_section(rows: pd.DataFrame, columns: Mapping[str, Cell]) -> list[str]:
    """One row per adaptation and model, then how the intervals were made."""
    return [_filled(rows, columns), "How the intervals were made:", bullets(_interval_words(rows))]


def _filled(rows: pd.DataFrame, columns: Mapping[str, Cell]) -> str:
    lines = [[cell(row) for cell in columns.values()] for _, row in rows.iterrows()]
    return table(list(columns), lines, [header for header in columns if header in NUMERIC])


def adaptation(row: pd.Series) -> str:
    """`source` → `target`."""
    return f"{code(row['source'])} → {code(row['target'])}"


def _dice(row: pd.Series) -> str:
    return with_interval(plain(row["dice_frame"], 3), row["dice_low"], row["dice_high"])


def _delta(row: pd.Series) -> str:
    return with_interval(signed(row["delta_dice_frame"], 3), row["delta_low"], row["delta_high"], signs=True)


def _moved(row: pd.Series) -> str:
    if pd.isna(row["share_better"]):
        return NOT_KNOWN
    return f"{percent(row['share_better'])} / {percent(row['share_worse'])}"


def _gap(row: pd.Series) -> str:
    if not row["gap_estimable"]:
        return NOT_KNOWN if row["gap_words"] in ("", NO_ORACLE, NOT_THE_TARGET) else "not estimable"
    low, high = row["gap_low"], row["gap_high"]
    limits = "" if pd.isna(low) else f" [{signed(100 * low, 0)}, {signed(100 * high, 0)}]"
    return percent(row["gap_closed"]) + limits


def clusters(row: pd.Series) -> str:
    """12 patients, or that they are unknown."""
    return "unknown" if pd.isna(row["clusters"]) else counted(row["clusters"], cluster_noun(str(row["cluster_unit"])))


def _seeds(row: pd.Series) -> str:
    spread = row["dice_frame_seed_sd"]
    return whole(row["n_seeds"]) + ("" if pd.isna(spread) else f" (SD {plain(spread, 3)})")


HOME_COLUMNS: dict[str, Cell] = {
    "adaptation": lambda row: code(row["source"]) if row["model"] == SOURCE_ONLY else adaptation(row),
    "model": lambda row: code(row["model"]),
    "Dice [95 % CI]": _dice,
    "Δ from source-only [95 % CI]": _delta,
    "better / worse": _moved,
    "n": lambda row: whole(row["n_dice"]),
    "clusters": clusters,
    "seeds": _seeds,
}
TARGET_COLUMNS: dict[str, Cell] = {
    "adaptation": adaptation,
    **{name: HOME_COLUMNS[name] for name in ("model", "Dice [95 % CI]", "Δ from source-only [95 % CI]")},
    "p (Holm)": lambda row: p_text(row["p_holm"]),
    "better / worse": _moved,
    "gap closed": _gap,
    **{name: HOME_COLUMNS[name] for name in ("n", "clusters", "seeds")},
}
NUMERIC = frozenset({"n", "p (Holm)", "FP regions / frame", "FP area", "PPV", "FP / frame", "centres", "mean Dice"})


def _interval_words(rows: pd.DataFrame) -> list[str]:
    """Per cohort the kind of interval, with the words (and cluster means) that must stand beside it."""
    lines = []
    for cohort, group in rows.groupby("cohort", sort=False):
        words = distinct_words((*group["dice_words"], *group["delta_words"]))
        kinds = dict.fromkeys(str(kind) for kind in (*group["dice_interval"], *group["delta_interval"]) if kind)
        means = dict.fromkeys(
            f"{code(row['model'])} {inline(row['dice_cluster_means'])}"
            for _, row in group.iterrows()
            if row["dice_cluster_means"]
        )
        told = "; ".join([*words, *means])
        lines.append(f"{code(cohort)}: {', '.join(kinds)}{f' ({told})' if told else ''}")
    return lines


def distinct_words(texts: Iterable[str]) -> list[str]:
    """The remarks on estimates, each once; one estimate may carry several, parted by semicolons."""
    return list(dict.fromkeys(inline(word) for text in texts if text for word in text.split("; ")))


def worst_centres(aggregates: pd.DataFrame) -> str:
    """Mean over target centres and the worst of them, per source and model."""
    columns: dict[str, Cell] = {
        "source": lambda row: code(row["source"]),
        "model": lambda row: code(row["model"]),
        "centres": lambda row: whole(row["n_centers"]),
        "mean Dice": lambda row: plain(row["dice_center"], 3),
        "worst Dice": lambda row: f"{plain(row['dice_worst_center'], 3)} ({code(row['worst_center'])})",
        "mean Δ": lambda row: signed(row["delta_center"], 3),
        "worst Δ": worst_change,
    }
    rows = aggregates[aggregates["n_centers"] > 0]
    return _filled(rows, columns) if len(rows) else NO_MASKS


def worst_change(row: pd.Series) -> str:
    """The centre that gained least or lost most."""
    if pd.isna(row["delta_worst_center"]):
        return NOT_KNOWN
    return f"{signed(row['delta_worst_center'], 3)} ({code(row['worst_delta_center'])})"


def negatives(rows: pd.DataFrame) -> str:
    """False alarms, where frames without a polyp were scored."""
    columns: dict[str, Cell] = {
        "adaptation": adaptation,
        "model": lambda row: code(row["model"]),
        "left clean [95 % CI]": lambda row: share_with_interval(row, "frame_specificity"),
        "Δ [95 % CI]": _points,
        "FP regions / frame": lambda row: plain(row["fp_components_per_frame"]),
        "FP area": lambda row: percent(row["fp_area_fraction"], 2),
        "n": lambda row: whole(row["n_negative"]),
    }
    rows = rows[rows["n_negative"] > 0]
    return _filled(rows, columns) if len(rows) else NO_NEGATIVES


def share_with_interval(row: pd.Series, name: str) -> str:
    """82 % [65 %, 100 %] of the columns ``name``, ``name_low`` and ``name_high``."""
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


def strata(rows: pd.DataFrame) -> str:
    """Dice by size, one column per stratum, with the number of frames."""
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    for _, row in rows.sort_values(["source", "target"], kind="stable").iterrows():
        texts = cells.setdefault((row["source"], row["target"], row["model"]), {})
        texts[row["stratum"]] = f"{plain(row['dice'], 3)} ({row['n']})" if row["n"] else NOT_KNOWN
    lines = [
        [f"{code(source)} → {code(target)}", code(model), *(texts.get(name, NOT_KNOWN) for name in SIZE_STRATA)]
        for (source, target, model), texts in cells.items()
        if any(text != NOT_KNOWN for text in texts.values())
    ]
    return table(["adaptation", "model", *SIZE_STRATA], lines, list(SIZE_STRATA)) if lines else NO_MASKS


def lesions(rows: pd.DataFrame) -> str:
    """Lesion figures by the headline rule, and sensitivity by the stricter one."""
    columns: dict[str, Cell] = {
        "adaptation": adaptation,
        "model": lambda row: code(row["model"]),
        "sensitivity, IoU ≥ 0.1 [95 % CI]": lambda row: share_with_interval(row, "lesion_sensitivity_10"),
        "PPV": lambda row: percent(row["lesion_ppv_10"]),
        "FP / frame": lambda row: plain(row["lesion_fp_per_frame_10"]),
        "sensitivity, IoU ≥ 0.5": lambda row: percent(row["lesion_sensitivity_50"]),
        "lesions": lambda row: whole(row["lesions_reference"]),
    }
    rows = rows[rows["lesions_reference"] > 0]
    return _filled(rows, columns) if len(rows) else "There was no lesion to be found."

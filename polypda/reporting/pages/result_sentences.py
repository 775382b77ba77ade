"""The results in short sentences, for a checklist that has no room for tables; numbers are those of the tables.

With more than MOST_ROWS adaptations × models the sentences tell the range over the target centres instead of each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY
from polypda.reporting.documents.markdown_document import code, inline
from polypda.reporting.documents.report_facts import NO_ADAPTATION, ReportFacts
from polypda.reporting.tables.result_tables import by_place, distinct_words
from polypda.reporting.verdict import FRAME_INTERVAL, Finding, finding, holds_after_correction, records
from polypda.reporting.wording import (
    NOT_KNOWN,
    clusters_text,
    counted,
    limit,
    p_text,
    percent,
    plain,
    signed,
    whole,
    with_interval,
)

MOST_ROWS = 8
WORST_FRAMES = 3
NOTABLE_LOSS = 0.05
"""From this loss of frame specificity on, the verdict says so."""
NO_ROC = "no ROC curve is drawn: figures hold at the stated threshold; reliability by tenths of probability is a figure"
EXTERNAL_AS_TO_LABELS = (
    "adapted models have seen unlabelled training frames of the centre they are tested in, never its held-out frames: "
    "external as to labels, not as to images"
)
NO_DICE = (
    "no adapted model has a Dice in a target centre, for no scored frame with a polyp has a mask there: lesion figures "
    "take its place"
)
NOTHING_CLAIMED = "on frames treated as independent (patients and sequences unknown): nothing is claimed there"
ALL_TABLES = "all tables: model_card.md (Quantitative analyses), centers.csv, matrix.csv, comparisons.csv"


def verdict_sentence(facts: ReportFacts) -> str:
    """How the adapted models did against source-only over the declared family; "" where nothing was compared."""
    comparisons = facts.results.comparisons
    family = comparisons[comparisons["in_family"].astype(bool)] if len(comparisons) else comparisons
    if family.empty:
        return ""
    rows = records(family)
    found = Counter(map(finding, rows))
    better, worse = found[Finding.HELPS], found[Finding.HARMS]
    claimed, lower = better + worse, int((family["delta"] < 0).sum())
    independent = int((family["interval"] == FRAME_INTERVAL).sum())
    caution = (
        f" {counted(independent, 'comparison')} {'rests' if independent == 1 else 'rest'} {NOTHING_CLAIMED}."
        if independent
        else ""
    )
    clean = family["delta_frame_specificity"].dropna()
    alarms = int((clean < -NOTABLE_LOSS).sum())
    if len(clean):
        caution += f" Of {len(clean)} with frames without a polyp, {alarms} left fewer of them clean (by over 5 pp)."
    return (
        f"Of {counted(len(rows), 'comparison')} of an adapted model with source-only in its target centre, {better} "
        f"found a higher Dice and {worse} a lower one, over clusters; the other {len(rows) - claimed} leave it open."
        f"{_held(rows)} The mean difference was negative in {lower}.{caution}"
    )


def _held(rows: list[dict[str, Any]]) -> str:
    """How many of the findings stand when all comparisons count."""
    claimed = [row for row in rows if finding(row) in (Finding.HELPS, Finding.HARMS)]
    if not claimed:
        return ""
    left = sum(map(holds_after_correction, claimed))
    if len(claimed) == 1:
        return f" After Holm's correction this finding {'holds' if left else 'does not hold'}."
    return f" After Holm's correction {left} of these {len(claimed)} {'holds' if left == 1 else 'hold'}."


def internal_sentences(facts: ReportFacts) -> list[str]:
    """Held-out frames of the centre whose labels trained the model."""
    cells = facts.results.matrix
    own = cells[cells["own_centre"] & (cells["model"] == SOURCE_ONLY) & cells["dice"].notna()]
    return [f"{code(cell['cohort'])}, held-out frames, source-only: {_cell_text(cell)}" for _, cell in own.iterrows()]


def external_sentences(facts: ReportFacts) -> list[str]:
    """Centres whose labels trained nothing."""
    cells = facts.results.matrix
    external = cells[~cells["own_centre"] & (cells["model"] == SOURCE_ONLY) & cells["dice"].notna()]
    sentences = [
        f"{code(cell['source'])} → {code(cell['cohort'])}, source-only: {_cell_text(cell)}"
        for _, cell in external.iterrows()
    ]
    adapted = facts.results.aggregates
    adapted = adapted[~adapted["model"].isin(NO_ADAPTATION) & (adapted["n_centers"] > 0)]
    sentences += [_aggregate_sentence(row) for _, row in adapted.iterrows()]
    return [*sentences, EXTERNAL_AS_TO_LABELS] if len(adapted) and facts.trained_here else sentences


def _aggregate_sentence(row: pd.Series) -> str:
    dice = f"{plain(row['dice_center'], 3)}, worst {plain(row['dice_worst_center'], 3)} ({code(row['worst_center'])})"
    centres = counted(row["n_centers"], "target centre")
    text = f"{code(row['source'])}, {code(row['model'])}: mean Dice over {centres} {dice}"
    if pd.isna(row["delta_center"]):
        return text
    worst = f"{signed(row['delta_worst_center'], 3)} ({code(row['worst_delta_center'])})"
    return f"{text}; mean Δ {signed(row['delta_center'], 3)}, worst {worst}"


def performance_sentences(facts: ReportFacts) -> list[str]:
    """Every adapted model in its target against source-only; many of them per source."""
    adapted = _at_target(facts, without=NO_ADAPTATION)
    if adapted.empty:
        return []
    adapted = adapted[adapted["dice_frame"].notna()]
    if adapted.empty:
        return [NO_DICE, ALL_TABLES]
    if len(adapted) <= MOST_ROWS:
        sentences = [_adapted_sentence(row) for _, row in adapted.iterrows()]
    else:
        rows = facts.results.aggregates
        rows = rows[~rows["model"].isin(NO_ADAPTATION) & (rows["n_centers"] > 0)]
        sentences = [verdict_sentence(facts), *(_aggregate_sentence(row) for _, row in rows.iterrows())]
    return [*filter(None, sentences), ALL_TABLES]


def _at_target(facts: ReportFacts, without: tuple[str, ...]) -> pd.DataFrame:
    rows = by_place(facts.results.centres)[0]
    return rows[~rows["model"].isin(without)]


def _adapted_sentence(row: pd.Series) -> str:
    text = _dice_text("dice_frame", "dice_", "n_dice", row)
    if pd.isna(row["delta_dice_frame"]):
        return f"{_who(row)}: {text}; not compared with source-only"
    limits = (limit(row[name], 3) for name in ("delta_low", "delta_high"))
    delta = with_interval(signed(row["delta_dice_frame"], 3), *limits, kind=row["delta_interval"])
    tested = f", p (Holm) {p_text(row['p_holm'])}" if pd.notna(row["p_holm"]) else ""
    words = "; ".join(distinct_words((row["dice_words"], row["delta_words"])))
    return f"{_who(row)}: {text}; Δ {delta}{tested}{f' ({words})' if words else ''}{_clean_change(row)}"


def _clean_change(row: pd.Series) -> str:
    """What adaptation did to frames without a polyp: a gain in Dice may be paid for there."""
    change = row["delta_frame_specificity"]
    if pd.isna(change):
        return ""
    after, before = row["frame_specificity"], row["frame_specificity"] - change
    frames = counted(row["n_negative"], "frame")
    return f"; {frames} without a polyp left clean: {percent(before)} → {percent(after)}"


def _who(row: pd.Series) -> str:
    return f"{code(row['source'])} → {code(row['target'])}, {code(row['model'])}"


def _cell_text(cell: pd.Series) -> str:
    words = f" ({inline(cell['words'])})" if cell["words"] else ""
    return _dice_text("dice", "", "n", cell) + words


def _dice_text(dice: str, stem: str, n: str, row: pd.Series) -> str:
    """Dice with its interval, frames and clusters, from these columns; stem: "" or what stands before low and high."""
    groups = "clusters unknown" if pd.isna(row["clusters"]) else clusters_text(row["clusters"], row["cluster_unit"])
    values = (plain(row[name], 3) for name in (dice, f"{stem}low", f"{stem}high"))
    return f"Dice {with_interval(*values, kind=row[f'{stem}interval'])}, n = {counted(row[n], 'frame')}, {groups}"


def _fraction_text(name: str, row: pd.Series) -> str:
    """A share with its interval."""
    values = (percent(row[column]) for column in (name, f"{name}_low", f"{name}_high"))
    return with_interval(*values, kind=row[f"{name}_interval"])


def diagnostic_sentences(facts: ReportFacts) -> list[str]:
    """Lesions found, false alarms, frames without a polyp left clean, in the target centres."""
    rows = _at_target(facts, without=(ORACLE,))
    if rows.empty:
        return []
    return [*_each_or_range(rows, _diagnostic_sentence, _diagnostic_range), NO_ROC]


def _each_or_range(
    rows: pd.DataFrame, each: Callable[[pd.Series], str], over_centres: Callable[[pd.DataFrame], str]
) -> Iterator[str]:
    if len(rows) <= MOST_ROWS:
        yield from (f"{_who(row)}: {each(row)}" for _, row in rows.iterrows())
        return
    for model, group in rows.groupby("model", sort=False):
        yield f"{code(model)}, range over {counted(len(group), 'adaptation')}: {over_centres(group)}"


def _diagnostic_sentence(row: pd.Series) -> str:
    clean = "no frame without a polyp was scored"
    if row["n_negative"]:
        frames = counted(row["n_negative"], "frame")
        clean = f"{_fraction_text('frame_specificity', row)} of {frames} without a polyp left clean"
    return (
        f"lesion sensitivity {_fraction_text('lesion_sensitivity_10', row)}, PPV {percent(row['lesion_ppv_10'])}, "
        f"{plain(row['lesion_fp_per_frame_10'])} false positives per frame; {clean}"
    )


def _diagnostic_range(group: pd.DataFrame) -> str:
    return (
        f"lesion sensitivity {_range(group['lesion_sensitivity_10'], percent)}, PPV "
        f"{_range(group['lesion_ppv_10'], percent)}, {_range(group['lesion_fp_per_frame_10'], plain)} false positives "
        f"per frame; frames without a polyp left clean {_range(group['frame_specificity'], percent)}"
    )


def _range(values: pd.Series, write: Callable[[float], str]) -> str:
    known = values.dropna()
    if known.empty:
        return NOT_KNOWN
    low, high = write(float(known.min())), write(float(known.max()))
    return low if low == high else f"{low} to {high}"


def failure_sentences(facts: ReportFacts) -> list[str]:
    """How often each model failed in its target, what got worse, and the worst frames."""
    rows = _at_target(facts, without=(ORACLE,))
    rows = rows[rows["n_dice"] > 0]
    if rows.empty:
        return []
    frames = list(_worst_frames(facts))
    return [
        *_each_or_range(rows, _failure_sentence, _failure_range),
        *frames,
        "overlays of the worst and the most harmed frames: the report's page (index.html)",
    ]


def _failure_sentence(row: pd.Series) -> str:
    text = (
        f"Dice < 0.5 on {percent(row['fail_rate'])}, nothing marked on {whole(row['missed'])} of "
        f"{counted(row['n_positive'], 'frame')} with a polyp"
    )
    if pd.isna(row["share_worse"]):
        return text
    lost = "" if pd.isna(row["polyps_lost"]) else f"; polyp lost on {counted(row['polyps_lost'], 'frame')}"
    return f"{text}; {percent(row['share_worse'])} of frames worse than source-only by more than 0.05{lost}"


def _failure_range(group: pd.DataFrame) -> str:
    worse = group["share_worse"].dropna()
    told = f"; frames worse than source-only by more than 0.05: {_range(worse, percent)}" if len(worse) else ""
    return f"Dice < 0.5 on {_range(group['fail_rate'], percent)} of frames with a polyp{told}"


def _worst_frames(facts: ReportFacts) -> Iterator[str]:
    frames = facts.results.frames
    at_target = frames[(frames["cohort"] == frames["target"]) & frames["model"].isin(facts.adapted_models)]
    means = at_target[at_target["dice"].notna()].groupby(["cohort", "frame"], sort=True)["dice"].mean().reset_index()
    for cohort, group in means.groupby("cohort", sort=False):
        worst = group.sort_values("dice", kind="stable").head(WORST_FRAMES)
        told = ", ".join(f"{code(row['frame'])} ({plain(row['dice'], 3)})" for _, row in worst.iterrows())
        yield f"{code(cohort)}: lowest Dice (mean over adapted models and sources): {told}"

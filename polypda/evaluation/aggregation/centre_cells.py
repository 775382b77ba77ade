"""The per-centre table as text cells, block by block, for pages and documents."""

from __future__ import annotations

import pandas as pd

from polypda.evaluation.aggregation.aggregates import SIZE_STRATA
from polypda.evaluation.aggregation.cell_text import (
    BOXES_ONLY,
    NOT_KNOWN,
    clusters_text,
    count,
    fine_percent,
    interval_cells,
    p_text,
    percent,
    pixels,
    signed,
    signed_percent,
    signed_points,
    three_digits,
    with_interval,
)
from polypda.evaluation.cases.case_values import BOX

METRIC_NOTES = (
    "Dice and IoU: mean over frames with a polyp (dice_frame, iou_frame). Worst decile: 10th percentile of Dice. "
    "Failed: share of frames with Dice < 0.5. Missed: frames with a polyp on which nothing was marked. "
    "Dice per sequence: mean of sequence means. Δ: adapted − source-only over the same frames; "
    "better, worse: share of frames whose Dice moved by more than 0.05. p: cluster sign-flip test, adjusted by Holm. "
    "Gap closed: Δ as a share of oracle − source-only. With several seeds every number is the mean over trainings.",
    "Frames without a polyp never enter Dice. Frame specificity: share of them without a false-positive component "
    "(8-connected, at least 20 px and 0.02 % of the field of view). Δ: against source-only, pp: percentage points.",
    "Means over frames with a polyp (sensitivity, PPV, F2 of pixels); PPV is undefined where nothing was marked. Dice "
    "global: 2ΣTP/(2ΣTP+ΣFP+ΣFN). MAE: mean |probability − reference| over all frames. HD95: px; a missed polyp counts "
    "with the diagonal of the field of view (penalised). NSD: share of both outlines within 1 % of the diameter of the "
    "field of view (at least 2 px).",
    "Dice by relative polyp area (share of the field of view; an endoscope gives no millimetres); n: frames.",
    "Over all frames. FP: marked lesions without a reference lesion of their own. Found, lost: frames with a "
    "polyp on which no lesion was hit before and one was after, and the reverse. Δ: against source-only; lesions are "
    "resampled with their clusters, and no test is made. A lesion that is annotated with a box is hit when the box "
    "around a marked region overlaps it.",
)


def positive_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The positive-frame block as text cells, few digits, differences with their sign, intervals in brackets."""
    boxes = table["annotation"] == BOX
    columns: dict[str, pd.Series] = _who(table) | {
        "Dice": interval_cells(table, "dice_frame", "dice", three_digits).where(~boxes, BOXES_ONLY),
        "Δ Dice": interval_cells(table, "delta_dice_frame", "delta", signed),
        "p": table["p_holm"].map(p_text),
        "better / worse": _pair_of_shares(table["share_better"], table["share_worse"]),
        "n": table["n_positive"].map(count),
        "clusters": _clusters(table),
        "IoU": table["iou_frame"].map(three_digits),
        "worst decile": table["dice_p10"].map(three_digits),
        "failed": table["fail_rate"].map(percent),
        "Dice = 0": table["zero_rate"].map(percent),
        "missed": table["missed"].map(count),
        "Dice per sequence": table["dice_sequence"].map(three_digits),
    }
    if table["gap_estimable"].any():
        columns["gap closed"] = _gaps(table)
    if (table["n_seeds"] > 1).any():
        columns["SD over seeds"] = table["dice_frame_seed_sd"].map(three_digits)
    return pd.DataFrame(columns)


def negative_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The negative-frame block as text cells; centres without such frames are left out."""
    table = table[table["n_negative"] > 0]
    return pd.DataFrame(
        _who(table)
        | {
            "frame specificity": interval_cells(table, "frame_specificity", "frame_specificity", percent),
            "Δ specificity": interval_cells(table, "delta_frame_specificity", "delta_frame_specificity", signed_points),
            "n": table["n_negative"].map(count),
            "FP components / frame": table["fp_components_per_frame"].map(three_digits),
            "Δ FP / frame": table["delta_fp_components_per_frame"].map(signed),
            "FP area": table["fp_area_fraction"].map(fine_percent),
            "FP area > 1 %": table["share_fp_over_1pct"].map(percent),
        }
    )


def surface_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Pixel and outline figures of frames with a polyp; centres without a mask are left out."""
    table = table[table["n_dice"] > 0]
    return pd.DataFrame(
        _who(table)
        | {
            "n": table["n_dice"].map(count),
            "sensitivity": table["sensitivity_frame"].map(three_digits),
            "PPV": table["ppv_frame"].map(three_digits),
            "PPV undefined": table["ppv_undefined"].map(count),
            "F2": table["f2_frame"].map(three_digits),
            "Dice global": table["dice_pixel"].map(three_digits),
            "MAE": table["mae_frame"].map(three_digits),
            "HD95 mean (px)": table["hd95_mean_px"].map(pixels),
            "HD95 median (px)": table["hd95_median_px"].map(pixels),
            "HD95 penalised": table["hd95_penalised"].map(count),
            "NSD": table["nsd_frame"].map(three_digits),
        }
    )


def lesion_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Lesion figures under both IoU rules; centres without a lesion are left out."""
    table = table[table["lesions_reference"] > 0]
    sensitivity = interval_cells(table, "lesion_sensitivity_10", "lesion_sensitivity_10", percent)
    return pd.DataFrame(
        _who(table)
        | {
            "lesions": table["lesions_reference"].map(count),
            "frames": table["n_frames"].map(count),
            "sensitivity (IoU ≥ 0.1)": sensitivity,
            "Δ sensitivity": interval_cells(
                table, "delta_lesion_sensitivity_10", "delta_lesion_sensitivity_10", signed_points
            ),
            "PPV": table["lesion_ppv_10"].map(percent),
            "FP / frame": table["lesion_fp_per_frame_10"].map(three_digits),
            "Δ FP / frame": table["delta_lesion_fp_per_frame_10"].map(signed),
            "sensitivity (IoU ≥ 0.5)": table["lesion_sensitivity_50"].map(percent),
            "PPV (0.5)": table["lesion_ppv_50"].map(percent),
            "FP / frame (0.5)": table["lesion_fp_per_frame_50"].map(three_digits),
            "specks left out": _specks(table),
            "found / lost": _found_and_lost(table),
        }
    )


def strata_cells(strata: pd.DataFrame) -> pd.DataFrame:
    """One row per centre and model, one column per size stratum: Dice with its interval and n."""
    group = [name for name in ("source", "target", "role", "cohort", "split", "model") if name in strata]
    texts = [
        f"{with_interval(row['dice'], row['low'], row['high'], row['interval'], three_digits)} (n {row['n']})"
        for row in strata.to_dict("records")
    ]
    wide = strata.assign(cell=texts).pivot_table(
        index=group, columns="stratum", values="cell", aggfunc="first", sort=False
    )
    flat = wide[list(SIZE_STRATA)].reset_index()
    return pd.DataFrame(_who(flat) | {name: flat[name] for name in SIZE_STRATA})


def cluster_mean_lines(table: pd.DataFrame) -> list[str]:
    """Where no interval could be given: the clusters' own means, one line per row that has them."""
    lines = []
    for row in table.to_dict("records"):
        means = [(row["dice_cluster_means"], "Dice"), (row["delta_cluster_means"], "Δ Dice")]
        found = "; ".join(f"{what}: {text}" for text, what in means if text)
        if found:
            lines.append(f"{row['source']} → {row['target']}, {row['cohort']}, {row['model']}: {found}")
    return lines


def _who(table: pd.DataFrame) -> dict[str, pd.Series]:
    pairs = table["source"] + " → " + table["target"]
    several = {"adaptation": pairs} if pairs.nunique() > 1 else {}
    return {**several, "centre": table["cohort"] + " (" + table["role"] + ")", "model": table["model"]}


def _clusters(table: pd.DataFrame) -> pd.Series:
    texts = [clusters_text(n, unit) for n, unit in zip(table["clusters"], table["cluster_unit"], strict=True)]
    return pd.Series(texts, index=table.index, dtype=object)


def _gaps(table: pd.DataFrame) -> pd.Series:
    texts = []
    for row in table.to_dict("records"):
        if row["gap_estimable"]:
            low, high = signed_percent(row["gap_low"]), signed_percent(row["gap_high"])
            texts.append(f"{signed_percent(row['gap_closed'])} [{low}, {high}]")
        else:
            # only where there was a gap to close: not for source-only, the oracle, or a cohort that is no target
            texts.append("not estimable" if row["p_holm"] == row["p_holm"] else NOT_KNOWN)
    return pd.Series(texts, index=table.index, dtype=object)


def _specks(table: pd.DataFrame) -> pd.Series:
    pairs = zip(table["lesion_specks_reference"], table["lesion_specks_predicted"], strict=True)
    return pd.Series([f"{count(a)} reference, {count(b)} marked" for a, b in pairs], index=table.index, dtype=object)


def _found_and_lost(table: pd.DataFrame) -> pd.Series:
    pairs = zip(table["polyps_gained"], table["polyps_lost"], strict=True)
    texts = [NOT_KNOWN if pd.isna(up) else f"{count(up)} / {count(down)}" for up, down in pairs]
    return pd.Series(texts, index=table.index, dtype=object)


def _pair_of_shares(better: pd.Series, worse: pd.Series) -> pd.Series:
    texts = [
        NOT_KNOWN if pd.isna(up) else f"{percent(up)} / {percent(down)}" for up, down in zip(better, worse, strict=True)
    ]
    return pd.Series(texts, index=better.index, dtype=object)

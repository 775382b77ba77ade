"""Every column of every table: what it is called, how its numbers are written, which way is better, where it stands.

A new figure needs its computation (:mod:`polypda.evaluation.aggregation`) and its :class:`Column` here; then it is in
the page, the Markdown and LaTeX files, the model card, and under its own name in the CSV and JSON files.
"""

from __future__ import annotations

import pandas as pd

from polypda.evaluation.aggregation.comparisons import NO_ORACLE, NOT_THE_TARGET
from polypda.evaluation.cases.case_table import BOX
from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY
from polypda.evaluation.scoring.mask_geometry import LESION_RULE
from polypda.reporting.tables.column import (
    NOT_IN_A_PAPER,
    NOT_ON_THE_PAGE,
    ONLY_FILE,
    WIDE,
    Block,
    Column,
    Row,
    View,
    Write,
)
from polypda.reporting.verdict import finding
from polypda.reporting.wording import (
    NO_BREAK,
    NOT_KNOWN,
    clusters_text,
    percent,
    plain,
    whole,
)

BOXES_ONLY = "boxes only"
LONGEST_PAIR = 20
"""Letters of "source → target" on one line."""


def _stem(name: str) -> tuple[str, str, str]:
    return f"{name}_low", f"{name}_high", f"{name}_interval"


def pair(row: Row) -> str:
    """ "source → target", on two lines where one would push the numbers off the page."""
    one_line = f"{row['source']} → {row['target']}"
    return one_line if len(one_line) <= LONGEST_PAIR else f"{row['source']} →\n{row['target']}"


def origin(row: Row) -> str:
    """Whose labels trained the model, and what it was adapted to."""
    if row["model"] in (SOURCE_ONLY, ORACLE):
        return f"in {row['source' if row['model'] == SOURCE_ONLY else 'target']}"
    return pair(row)


ADAPTATION = Column("adaptation", "adaptation", write=pair)
TRAINED = Column("trained", "trained", write=origin)
TRAINED_IN = Column("source", "trained in", write=lambda row: str(row["source"]))
CENTRE = Column("cohort", "centre", write=lambda row: str(row["cohort"]))
CENTRE_AND_ROLE = Column("cohort", "centre", write=lambda row: f"{row['cohort']} ({row['role']})")
MODEL = Column("model", "model", write=lambda row: str(row["model"]))
BY_ADAPTATION = (ADAPTATION, CENTRE_AND_ROLE, MODEL)
BY_ORIGIN = (CENTRE, TRAINED, MODEL)
BY_PAIR = (ADAPTATION, MODEL)
BY_SOURCE = (TRAINED_IN, MODEL)


def _fractions(first: str, second: str) -> Write:
    return lambda row: (
        NOT_KNOWN if pd.isna(row[first]) else f"{percent(row[first])} / {percent(row[second])}".replace(" ", NO_BREAK)
    )


def _counts(first: str, second: str) -> Write:
    return lambda row: NOT_KNOWN if pd.isna(row[second]) else f"{whole(row[first])} / {whole(row[second])}"


def _clusters(name: str) -> Write:
    return lambda row: clusters_text(row[name], row["cluster_unit"])


def _dice(row: Row) -> str:
    return BOXES_ONLY if row["annotation"] == BOX else DICE.text(row)


def _dice_n(row: Row) -> str:
    both = row["n_dice"] in (0, row["n_positive"])
    return whole(row["n_positive"]) if both else f"{whole(row['n_dice'])} of {whole(row['n_positive'])}"


def _gap(row: Row) -> str:
    """Only where there was a gap to close: not for source-only, the oracle, or a cohort that is no target."""
    if row["gap_estimable"]:
        return GAP.text(row)
    asked = row["model"] != ORACLE and row["gap_words"] not in ("", NO_ORACLE, NOT_THE_TARGET)
    return "not estimable" if asked else NOT_KNOWN


def _finding(row: Row) -> str:
    return "own labels" if row["model"] == ORACLE else finding(row).value


def _seeds(row: Row) -> str:
    spread = plain(row["seed_sd"], 3)
    return spread if spread == NOT_KNOWN else f"{whole(row['n_seeds'])}: {spread}"


def _best_snapshot(row: Row) -> str:
    return f"{plain(row['best_dice'], 3)} (step {row['best_step']})"


def _named(column: Column, centre: str) -> Write:
    def write(row: Row) -> str:
        text = column.text(row)
        return f"{text} ({row[centre]})" if row[centre] else text

    return write


DICE = Column("dice_frame", "Dice", limits=_stem("dice"))
GAP = Column("gap_closed", "gap closed", "%", 0, signed=True, limits=("gap_low", "gap_high", "interval"))
GAP_NOTE = "Δ / (oracle − source-only), only where the interval of that gap excludes 0, never clipped"
MOVED_NOTE = "share of frames whose Dice moved by more than 0.05"
P_NOTE = "cluster sign-flip test, adjusted by Holm over all adaptations of the report"
FOUND_NOTE = "frames with a polyp on which no lesion was hit before and one was after, and the reverse"


POSITIVES = Block(
    "Frames with a polyp",
    "Means over frames with a polyp; with several seeds every number is the mean over trainings.",
    "No frame with a polyp and a mask was scored.",
    (
        Column("n_dice", "n", "n", write=_dice_n),
        Column("clusters", "clusters", write=_clusters("clusters")),
        Column("dice_frame", "Dice", higher_is_better=True, write=_dice, note="dice_frame, every frame counted once"),
        Column(
            "delta_dice_frame", "Δ Dice", higher_is_better=True, views=NOT_ON_THE_PAGE, signed=True,
            limits=_stem("delta"), note="adapted − source-only over the same frames",
        ),
        Column("p_holm", "p (Holm)", "p", views=NOT_ON_THE_PAGE, note=P_NOTE),
        Column(
            "share_better", "better / worse", "%", views=NOT_ON_THE_PAGE, note=MOVED_NOTE,
            write=_fractions("share_better", "share_worse"),
        ),
        Column(
            "gap_closed", "gap closed", "%", higher_is_better=True, views=NOT_ON_THE_PAGE - {View.PAPER},
            note=GAP_NOTE, write=lambda row: _gap({**row, "interval": row["delta_interval"]}),
        ),
        Column("iou_frame", "IoU", higher_is_better=True, views=NOT_IN_A_PAPER),
        Column(
            "dice_p10", "worst decile", higher_is_better=True, views=NOT_IN_A_PAPER, note="10th percentile of Dice"
        ),
        Column(
            "fail_rate", "failed", "%", 0, higher_is_better=False, views=NOT_IN_A_PAPER,
            note="share of frames with Dice < 0.5",
        ),
        Column("zero_rate", "Dice = 0", "%", 0, higher_is_better=False, views=WIDE),
        Column(
            "missed", "missed", "n", higher_is_better=False, views=NOT_IN_A_PAPER,
            note="frames with a polyp on which nothing was marked",
        ),
        Column(
            "dice_sequence", "Dice per sequence", higher_is_better=True, views=WIDE,
            note="mean of the sequences' means",
        ),
        Column("n_seeds", "seeds", "n", views=frozenset({View.FILE, View.CARD})),
        Column(
            "dice_frame_seed_sd", "SD over seeds", higher_is_better=False, views=NOT_IN_A_PAPER,
            note="standard deviation of Dice over seeds",
        ),
    ),
    "n_positive",
    ("delta_low", "delta_interval", "p_holm"),
)  # fmt: skip
PIXELS = Block(
    "Pixels and outlines",
    "Means over frames with a polyp and a mask.",
    POSITIVES.absent,
    (
        Column("n_dice", "n", "n"),
        Column("sensitivity_frame", "sensitivity", higher_is_better=True, note="of pixels"),
        Column("ppv_frame", "PPV", higher_is_better=True, note="of pixels, where anything was marked"),
        Column("ppv_undefined", "PPV undefined", "n", note="frames on which nothing was marked"),
        Column("f2_frame", "F2", higher_is_better=True),
        Column("dice_pixel", "Dice global", higher_is_better=True, note="2ΣTP/(2ΣTP+ΣFP+ΣFN)"),
        Column("mae_frame", "MAE", higher_is_better=False, note="mean |probability − reference| over all frames"),
        Column(
            "hd95_mean_px", "HD95 mean", "px", 1, higher_is_better=False,
            note="a missed polyp counts with the diagonal of the field of view",
        ),
        Column("hd95_median_px", "HD95 median", "px", 1, higher_is_better=False),
        Column("hd95_penalised", "HD95 penalised", "n", higher_is_better=False, note="frames that count with it"),
        Column(
            "nsd_frame", "NSD", higher_is_better=True,
            note="share of both outlines within 1 % of the diameter of the field of view (at least 2 px)",
        ),
    ),
    "n_dice",
)  # fmt: skip
NEGATIVES = Block(
    "Frames without a polyp",
    "They never enter Dice. Regions: 8-connected, at least 20 px and 0.02 % of the field of view. Δ: against "
    "source-only; pp: percentage points.",
    "No frame without a polyp was scored: false alarms were not measured.",
    (
        Column("n_negative", "n", "n"),
        Column("clusters_negative", "clusters", write=_clusters("clusters_negative")),
        Column(
            "frame_specificity", "frame specificity", "%", 0, higher_is_better=True, limits=_stem("frame_specificity"),
            note="share of frames left clean, without a false-positive region",
        ),
        Column(
            "delta_frame_specificity", "Δ specificity", "pp", 0, higher_is_better=True, views=NOT_ON_THE_PAGE,
            signed=True, limits=_stem("delta_frame_specificity"),
        ),
        Column("fp_components_per_frame", "FP regions / frame", higher_is_better=False),
        Column(
            "delta_fp_components_per_frame", "Δ FP / frame", higher_is_better=False, views=NOT_ON_THE_PAGE, signed=True
        ),
        Column("fp_area_fraction", "FP area", "%", 2, higher_is_better=False),
        Column("share_fp_over_1pct", "FP area > 1 %", "%", 0, higher_is_better=False, note="share of frames"),
        Column("specks_per_frame", "specks / frame", views=ONLY_FILE, note="smaller regions, left out"),
    ),
    "n_negative",
)  # fmt: skip
LESIONS = Block(
    "Lesions",
    f"{LESION_RULE}. Over all frames; a lesion that is annotated with a box is hit when the box around a marked region "
    "overlaps it. Lesions are resampled with their clusters, and no test is made.",
    "No reference lesion was scored.",
    (
        Column("lesions_reference", "lesions", "n"),
        Column("n_frames", "frames", "n"),
        Column(
            "lesion_sensitivity_10", "sensitivity (IoU ≥ 0.1)", "%", 0, higher_is_better=True,
            limits=_stem("lesion_sensitivity_10"),
        ),
        Column(
            "delta_lesion_sensitivity_10", "Δ sensitivity", "pp", 0, higher_is_better=True, views=NOT_ON_THE_PAGE,
            signed=True, limits=_stem("delta_lesion_sensitivity_10"),
        ),
        Column("lesion_ppv_10", "PPV (0.1)", "%", 0, higher_is_better=True),
        Column(
            "lesion_fp_per_frame_10", "FP / frame (0.1)", higher_is_better=False,
            note="marked lesions without a reference lesion of their own",
        ),
        Column(
            "delta_lesion_fp_per_frame_10", "Δ FP / frame", higher_is_better=False, views=NOT_ON_THE_PAGE, signed=True
        ),
        Column("lesion_sensitivity_50", "sensitivity (IoU ≥ 0.5)", "%", 0, higher_is_better=True),
        Column("lesion_ppv_50", "PPV (0.5)", "%", 0, higher_is_better=True),
        Column("lesion_fp_per_frame_50", "FP / frame (0.5)", higher_is_better=False),
        Column(
            "lesion_specks_reference", "specks left out", "n", views=ONLY_FILE, note="reference / marked",
            write=_counts("lesion_specks_reference", "lesion_specks_predicted"),
        ),
        Column(
            "polyps_gained", "found / lost", "n", views=NOT_ON_THE_PAGE - {View.PAPER}, note=FOUND_NOTE,
            write=_counts("polyps_gained", "polyps_lost"),
        ),
        Column("annotation", "annotation", views=frozenset({View.PAGE}), write=lambda row: str(row["annotation"])),
    ),
    "lesions_reference",
)  # fmt: skip
COMPARISONS = Block(
    "Beside source-only",
    "Every model beside the source-only training of its own run and seed, on the same frames.",
    "No adapted model was scored beside source-only.",
    (
        Column("n", "n", "n", note="frames with a polyp and a mask"),
        Column("clusters", "clusters", write=_clusters("clusters")),
        Column(
            "delta", "Δ Dice", higher_is_better=True, signed=True, limits=("low", "high", "interval"),
            note="adapted − source-only",
        ),
        Column(
            "finding", "finding", views=NOT_IN_A_PAPER, write=_finding,
            note="said only of an interval over clusters that excludes 0, or of p < 0.05 after Holm",
        ),
        Column("p_holm", "p (Holm)", "p", note=P_NOTE),
        Column("p_value", "p (alone)", "p", views=ONLY_FILE, note="before that adjustment"),
        Column(
            "share_better", "better / worse", "%", note=MOVED_NOTE, write=_fractions("share_better", "share_worse")
        ),
        Column(
            "polyps_gained", "found / lost", "n", views=NOT_IN_A_PAPER, note=FOUND_NOTE,
            write=_counts("polyps_gained", "polyps_lost"),
        ),
        Column("gap_closed", "gap closed", "%", higher_is_better=True, note=GAP_NOTE, write=_gap),
        Column("delta_iou_frame", "Δ IoU", higher_is_better=True, views=ONLY_FILE, signed=True),
        Column(
            "delta_frame_specificity", "Δ specificity", "pp", 0, higher_is_better=True, signed=True,
            limits=_stem("delta_frame_specificity"), note="share of frames without a polyp left clean",
        ),
        Column(
            "delta_lesion_sensitivity_10", "Δ lesions", "pp", 0, higher_is_better=True, signed=True,
            limits=_stem("delta_lesion_sensitivity_10"), note="share of lesions found (IoU ≥ 0.1)",
        ),
        Column("seed_sd", "seeds: SD of Δ", views=NOT_IN_A_PAPER, note="– for one seed", write=_seeds),
    ),
    improved=("low", "interval", "p_holm"),
)  # fmt: skip
MEAN_DELTA = Column("delta_center", "mean Δ", higher_is_better=True, signed=True)
WORST_DELTA = Column("delta_worst_center", "worst Δ", higher_is_better=True, signed=True)
WORST_DICE = Column("dice_worst_center", "worst Dice", higher_is_better=True)
AGGREGATES = Block(
    "Over the target centres",
    "Over the centres that a source was adapted to, each weighing the same, however many frames it gave; the worst "
    "centre is named.",
    "No frame with a polyp has a pixel reference there.",
    (
        Column("n_centers", "centres", "n"),
        Column("dice_center", "mean Dice", higher_is_better=True, note="dice_center, mean over centres of dice_frame"),
        Column(
            "dice_worst_center", "worst Dice", higher_is_better=True, note="dice_worst_center",
            write=_named(WORST_DICE, "worst_center"),
        ),
        Column(
            "delta_center", "mean Δ", higher_is_better=True, signed=True,
            note="against source-only; without an interval, for how it would vary with other centres is not known",
        ),
        Column(
            "delta_worst_center", "worst Δ", higher_is_better=True, write=_named(WORST_DELTA, "worst_delta_center")
        ),
    ),
    "n_centers",
)  # fmt: skip
RULES_LEAD = (
    "Each rule's snapshot, scored on the target's held-out frames after everything was decided; it judges the rules, "
    "nothing was chosen by it."
)
RULES_ABSENT = "No checkpoint was chosen, or no held-out target frame shows a polyp."
REGRET_NOTE = "the best snapshot's mean Dice minus that of the rule's"
RULES_OF_A_RUN = Block(
    "Checkpoint rules",
    RULES_LEAD,
    RULES_ABSENT,
    (
        Column("used", "used", write=lambda row: "used" if row["used"] else ""),
        Column("step", "step", "n"),
        Column("dice", "Dice", higher_is_better=True),
        Column("regret", "regret", higher_is_better=False, note=REGRET_NOTE),
        Column("best_dice", "best snapshot", write=_best_snapshot),
    ),
)
RULES_OF_RUNS = Block(
    RULES_OF_A_RUN.title,
    RULES_LEAD,
    RULES_ABSENT,
    (
        Column("runs", "runs", "n"),
        Column("dice", "mean Dice", higher_is_better=True),
        Column("regret", "mean regret", higher_is_better=False, note=REGRET_NOTE),
        Column("worst_regret", "worst regret", higher_is_better=False, note="of any run"),
    ),
)
RULE = Column("selector", "checkpoint rule", write=lambda row: str(row["selector"]))
BLOCKS = (POSITIVES, PIXELS, NEGATIVES, LESIONS, COMPARISONS, AGGREGATES, RULES_OF_A_RUN, RULES_OF_RUNS)

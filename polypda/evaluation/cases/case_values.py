"""What the rows of a cases table may say: values that contradict each other are refused, whoever wrote them."""

from __future__ import annotations

import pandas as pd

from polypda.errors import DataError

ROLES = ("source", "target", "other")
"""What a cohort is in a run; other: it took no part in it and was scored later."""
MASK, BOX = "mask", "box"
ANNOTATIONS = (MASK, BOX)
REQUIRED_TEXT = ("run", "source", "target", "model", "training", "role", "cohort", "split", "frame")
RATIOS = ("dice", "iou", "sensitivity", "ppv", "specificity", "f2", "mae", "nsd", "fp_area_fraction")
NEEDS_MASK = ("dice", "iou", "sensitivity", "ppv", "specificity", "f2", "mae", "hd95_px", "nsd", "relative_polyp_area")
"""Columns that are empty where a frame is annotated with boxes."""


def check_values(table: pd.DataFrame, where: str) -> None:
    """Refuse a typed cases table whose values cannot be. Raises: DataError E_CASES_VALUE, naming every kind found."""
    problems = [f"'{name}' is empty" for name in REQUIRED_TEXT if (table[name] == "").any()]
    roles = sorted(set(table["role"]) - {*ROLES, ""})
    problems += [f"role '{role}' is neither source, target nor other" for role in roles]
    strangers = sorted(set(table["annotation"]) - set(ANNOTATIONS))
    problems += [f"annotation '{name}' is neither mask nor box" for name in strangers]
    problems += [problem for problem, wrong in _contradictions(table).items() if wrong.any()]
    if problems:
        raise DataError("E_CASES_VALUE", "; ".join(problems) + ".", where=where, fix="evaluate the run again.")


def _contradictions(table: pd.DataFrame) -> dict[str, pd.Series]:
    """What no row may be → which rows are."""
    boxed = table["annotation"] == BOX
    ratios, hits = table[list(RATIOS)], table[["lesions_hit_10", "lesions_hit_50"]].max(axis=1)
    false_positives_unknown = table["fp_components"].isna() | table["fp_area_fraction"].isna()
    return {
        "a frame is positive and negative at once": table["positive"] & table["negative"],
        "a positive frame with a mask has no Dice": table["positive"] & ~boxed & table["dice"].isna(),
        "a frame with boxes has a pixel figure": boxed & table[list(NEEDS_MASK)].notna().any(axis=1),
        "a negative frame has a Dice, or no count of false-positive components": (
            table["negative"] & (table["dice"].notna() | false_positives_unknown)
        ),
        "a ratio lies outside [0, 1]": ((ratios < 0) | (ratios > 1)).any(axis=1),
        "a distance is negative": table["hd95_px"] < 0,
        "a penalised HD95 belongs to a frame that was not missed": table["hd95_penalised"] & ~table["missed"],
        "more lesions were hit than there are": hits > table[["lesions_reference", "lesions_predicted"]].min(axis=1),
    }

"""summary.json: the headline and every table, for programs."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from polypda.evaluation.aggregation.cell_text import plain, plain_rows
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.aggregation.table_facts import METRICS_LINE
from polypda.evaluation.cases.statement import PHANTOM_BANNER, SOURCE_ONLY

SUMMARY_SCHEMA = "polypda-summary 1"
HEADLINE = (
    *("model", "n_dice", "n_negative", "clusters", "cluster_unit", "n_seeds", "dice_frame", "dice_low", "dice_high"),
    *("dice_interval", "dice_words", "dice_frame_seed_sd", "delta_dice_frame", "delta_low", "delta_high"),
    *("delta_interval", "delta_words", "p_value", "p_holm", "family_size", "share_better", "share_worse"),
    *("polyps_gained", "polyps_lost", "gap_closed", "gap_low", "gap_high", "gap_estimable", "gap_words"),
    *("frame_specificity", "delta_frame_specificity", "lesion_sensitivity_10", "lesion_ppv_10"),
)


def summary_json(results: CrossCentreResults) -> str:
    """The results as one JSON document; a number that does not exist or has no end is null.

    headline: per adaptation the target's rows of the per-centre table, the numbers that matter. centres, matrix,
    comparisons, aggregates, strata, lesions, selectors: the tables at full precision.
    """
    document = {
        "schema": SUMMARY_SCHEMA,
        "banner": PHANTOM_BANNER if results.phantom else None,
        "phantom": results.phantom,
        "stated": results.stated | {"metrics": METRICS_LINE},
        "notes": list(results.notes),
        # the resolved settings lie beside each run; here they would be repeated for every evaluation
        "statements": [statement.model_dump(mode="json", exclude={"settings"}) for statement in results.statements],
        "headline": headline(results.centres),
        **{
            name: plain_rows(getattr(results, name))
            for name in ("centres", "matrix", "comparisons", "aggregates", "strata", "lesions", "selectors")
        },
    }
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def headline(centres: pd.DataFrame) -> list[dict[str, Any]]:
    """One object per adaptation: source, target, split and the models' main numbers on the target."""
    targets = centres[centres["cohort"] == centres["target"]]
    found = []
    for key, part in targets.groupby(["source", "target", "split"], sort=False):
        models = [{name: plain(row[name]) for name in HEADLINE} for row in part.to_dict("records")]
        source, target, split = (str(name) for name in key)
        control = next((model for model in models if model["model"] == SOURCE_ONLY), None)
        others = [model for model in models if model["model"] != SOURCE_ONLY]
        found.append({"source": source, "target": target, "split": split, "source_only": control, "models": others})
    return found

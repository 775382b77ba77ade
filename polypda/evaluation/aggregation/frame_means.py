"""Per-frame values for figures: each model's mean over its trainings beside that of its control."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from polypda.evaluation.aggregation.comparisons import control_of
from polypda.evaluation.aggregation.panels import GROUP, Panel
from polypda.evaluation.cases.statement import SOURCE_ONLY

FACTS = [
    *("frame", "patient", "sequence", "cluster", "phantom", "annotation", "positive", "negative"),
    *("relative_polyp_area", "lesions_reference"),
]
VALUES = ("dice", "iou", "fp_components", "fp_area_fraction", "lesions_hit_10")


def frame_means(panels: Sequence[Panel], source_only: str = SOURCE_ONLY) -> pd.DataFrame:
    """One row per group and frame.

    Columns beside the group and the frame's facts: VALUES averaged over the trainings, and as many named …_before of
    the source-only trainings of the same runs and seeds (NaN for source-only itself and where there is no control).
    """
    known = {panel.key: panel for panel in panels}
    parts = []
    for panel in panels:
        # known keeps the search for a control short: there may be hundreds of panels
        control = known.get(panel.key._replace(model=source_only))
        before = control_of(panel, [control], source_only) if control and panel.key.model != source_only else None
        part = panel.frames[[*GROUP, *FACTS]].reset_index(drop=True)
        columns = {name: panel.mean_values(name) for name in VALUES}
        nothing = np.full(len(part), np.nan)
        columns |= {f"{name}_before": before.mean_values(name) if before else nothing for name in VALUES}
        parts.append(part.assign(**columns))
    return pd.concat(parts, ignore_index=True)

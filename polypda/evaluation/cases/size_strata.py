"""Dice by relative polyp area: a mean over all sizes hides that small polyps are missed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from polypda.evaluation.aggregation.aggregates import SIZE_STRATA, fail_rate, size_stratum
from polypda.evaluation.aggregation.centre_blocks import dice_frames
from polypda.evaluation.aggregation.panel_estimates import (
    Choice,
    PerFrame,
    cluster_means_text,
    estimates,
    panel_clusters,
)
from polypda.evaluation.aggregation.panels import Panel
from polypda.evaluation.statistics import IntervalKind


def strata_table(panels: Sequence[Panel]) -> pd.DataFrame:
    """One row per panel and stratum of relative polyp area, also where it holds no frame (n 0, Dice NaN).

    Columns beside the group: stratum, stratum_place (0 smallest), n, clusters (NA if unknown), dice, low, high,
    interval, words, cluster_means, fail_rate. Panels of one cohort must hold the same frames.
    """
    rows = []
    for place, stratum in enumerate(SIZE_STRATA):
        choice = _dice_of(place)
        for panel, estimate in zip(panels, estimates(panels, choice), strict=True):
            chosen, values = choice(panel)
            none = estimate.kind is IntervalKind.NONE
            rows.append(
                panel.key._asdict()
                | {"stratum": stratum, "stratum_place": place, "n": estimate.n, "clusters": estimate.clusters}
                | {"dice": estimate.value, "low": estimate.low, "high": estimate.high}
                | {"interval": str(estimate.kind), "words": estimate.words}
                | {"cluster_means": cluster_means_text(values, panel_clusters(panel, chosen)) if none else ""}
                | {"fail_rate": float(np.mean(fail_rate(panel.values("dice")[:, chosen])))}
            )
    return pd.DataFrame(rows).astype({"clusters": "Int64"})


def _dice_of(place: int) -> Choice:
    def choose(panel: Panel) -> PerFrame:
        areas = panel.frames["relative_polyp_area"].to_numpy(dtype=np.float64)
        rows = np.flatnonzero(dice_frames(panel) & (size_stratum(areas) == place))
        return rows, panel.mean_values("dice")[rows]

    return choose

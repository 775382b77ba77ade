"""Further figures of a frame, beside those of `polypda-metrics v1`: where one is added, by whomever.

A metric is one :class:`FrameMetric`, of another package by an entry point (``polypda.metrics``, see
:mod:`polypda.plugins`) or here. Its value is then a column of cases.csv, its mean over frames a figure of every centre,
and its column in the tables of pages, Markdown, LaTeX and the model card.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD
from polypda.plugins import Registry, plugins, register

Area = NDArray[np.bool_]


@dataclass(frozen=True)
class FrameMetric:
    """One figure of a frame that shows a polyp and has a mask.

    name: its column in cases.csv; NAME_frame is the mean. function: (predicted, reference, valid) → its value; three
    bool H×W arrays at the frame's own resolution, the first two inside the third; NaN where there is no value.
    heading, unit ("", "%" of a share, "px"), digits, higher_is_better, note: how tables show the mean.
    """

    name: str
    function: Callable[[Area, Area, Area], float]
    heading: str
    unit: str = ""
    digits: int = 3
    higher_is_better: bool | None = True
    note: str = ""

    @property
    def mean_name(self) -> str:
        """The column of its mean over frames."""
        return f"{self.name}_frame"


FRAME_METRICS: Registry[FrameMetric] = Registry(
    {}, lambda: {metric.name: metric for metric in plugins("polypda.metrics", FrameMetric)}
)
"""By name."""


def register_metric(metric: FrameMetric) -> FrameMetric:
    """Add a metric in this process: what is scored from now on has it.

    Raises: UsageError E_NAME_TAKEN, E_REGISTER.
    """
    return register(FRAME_METRICS, metric, FrameMetric)


def added_values(
    probability: NDArray[np.floating], reference: NDArray[np.uint8] | Area, valid: Area
) -> dict[str, float]:
    """The value of every added metric on one frame (arrays as of :func:`~.metrics.frame_metrics`, already checked)."""
    if not FRAME_METRICS:
        return {}
    inside = reference.astype(bool) & valid
    if not inside.any():
        return dict.fromkeys(FRAME_METRICS, float("nan"))
    predicted = (probability >= DEFAULT_THRESHOLD) & valid
    return {name: float(metric.function(predicted, inside, valid)) for name, metric in FRAME_METRICS.items()}

"""Frames annotated with boxes: on how many a polyp was found before and after adaptation."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from polypda.evaluation.cases.case_values import BOX
from polypda.evaluation.cases.statement import PHANTOM_BANNER, ReportStatement
from polypda.evaluation.scoring.lesions import HEADLINE_IOU
from polypda.reporting.figures.figure_style import BANNER_PAPER, BETTER, INK, SAME, STYLE, WORSE

KINDS = (
    ("found before and after", SAME),
    ("found only after", BETTER),
    ("found only before", WORSE),
    ("not found", "#FFFFFF"),
)
NARROWEST_LABELLED = 0.05


def boxed_frames(pairs: pd.DataFrame) -> pd.DataFrame:
    """The frames with a polyp of :func:`polypda.evaluation.aggregation.centers.paired_cases` that boxes annotate."""
    return pairs[pairs["positive"] & (pairs["annotation"] == BOX)]


def lesions_found(boxed: pd.DataFrame, statement: ReportStatement) -> tuple[Figure, str]:
    """A bar per cohort: frames on which any polyp was found, by which model; with the share of polyps found."""
    parts = [(role, part) for role in ("target", "source") if len(part := boxed[boxed["role"] == role])]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.4, 1.6 + 1.1 * len(parts)), layout="constrained")
        FigureCanvasAgg(figure)
        if statement.phantom:
            figure.suptitle(PHANTOM_BANNER, fontsize=10, backgroundcolor=BANNER_PAPER)
        axis = figure.subplots()
        names = []
        for place, (role, part) in enumerate(parts):
            shares, frames = _shares(part)
            left = 0.0
            for (name, colour), share in zip(KINDS, shares, strict=True):
                label = name if place == 0 else None
                axis.barh(place, share, left=left, height=0.55, color=colour, edgecolor=INK, linewidth=0.8, label=label)
                if share >= NARROWEST_LABELLED:
                    dark = colour in (BETTER, WORSE)
                    axis.text(
                        left + share / 2, place, f"{share:.0%}".replace("%", " %"), ha="center", va="center",
                        color="white" if dark else INK,
                    )  # fmt: skip
                left += share
            cohort = statement.target if role == "target" else statement.source
            names.append(f"{cohort} ({role})\n{frames} frames")
        axis.set_yticks(range(len(parts)), names)
        axis.invert_yaxis()
        axis.set_xlim(0, 1)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value * 100:.0f} %")
        axis.set_xlabel("share of the frames with a polyp")
        figure.legend(loc="outside lower center", ncols=len(KINDS), frameon=False)
    return figure, (
        f"A polyp counts as found when the box around a region that was marked overlaps its box by IoU ≥ "
        f"{HEADLINE_IOU:g}. Before: {statement.source_only}; after: {statement.method}. Split {statement.split}; "
        f"{statement.seeds_text}; checkpoint rule: {statement.selector_text}."
    )


def _shares(part: pd.DataFrame) -> tuple[np.ndarray, int]:
    """Share of the frames of each kind, [4], and how many frames there are; trainings weigh alike."""
    before, after = ((part[f"lesions_hit_10_{when}"] > 0).to_numpy() for when in ("before", "after"))
    kinds = [before & after, ~before & after, before & ~after, ~before & ~after]
    return np.array([kind.mean() for kind in kinds]), int(part["frame"].nunique())

"""Which figures a cross-centre report has, from its results alone; many centres are parted into several figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from polypda.evaluation.aggregation.centres import CHANGED_BY_DICE
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.aggregation.matrix_table import models_in_order
from polypda.evaluation.aggregation.panels import CONTROL
from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY
from polypda.reporting.figures import curve_figures
from polypda.reporting.figures.curve_figures import ModelPanel, model_panels
from polypda.reporting.figures.figure_style import Drawing, Layout
from polypda.reporting.figures.forest_figure import DifferenceRow, RowPanel, forest, seed_spread
from polypda.reporting.figures.matrix_figure import HeatPanels, heat_maps
from polypda.reporting.figures.paired_frames import TargetModels, target_models
from polypda.reporting.figures.slope_figure import SlopePanel, slope_panels, slopes
from polypda.reporting.verdict import Finding, at_target, finding, records

MOST_ROWS, MOST_SLOPES, MOST_CURVES = 44, 24, 12
"""Rows or panels in one figure; more are parted by target centre."""
MOST_FOR_SMALL_PAGES = 24
"""Panels of one kind that are also laid out for a phone; each costs a third of its drawing time more."""
PAIR = ["source", "target", "split", "model"]
BOUND_ROW = "oracle (own labels)"
Panel = TypeVar("Panel", RowPanel, SlopePanel, ModelPanel)


def cross_centre_drawings(results: CrossCentreResults) -> list[Drawing]:
    """All figures that the results allow, in the order of the page: matrix first."""
    rows = difference_panels(results)
    groups = target_models(results.frames, results.cases)
    return [
        *_matrices(results),
        *_row_figures(results, rows),
        *_slope_figures(results, groups),
        *_curve_figures(results, groups),
    ]


def origin(results: CrossCentreResults) -> str:
    """What a caption must repeat of how the numbers came about."""
    wanted = ("split", "seeds", "checkpoint rule")
    facts = "; ".join(f"{name}: {results.stated[name]}" for name in wanted if name in results.stated)
    return f"{facts[:1].upper()}{facts[1:]}."


def _matrices(results: CrossCentreResults) -> Iterator[Drawing]:
    matrix = results.matrix[results.matrix["dice"].notna()]
    adapted = matrix[(matrix["adapted_to"] == matrix["cohort"])]
    control = matrix[matrix["model"] == SOURCE_ONLY]
    bound = matrix[(matrix["model"] == ORACLE) & matrix["own_centre"]]
    if control.empty:
        return
    centres = _in_order(results, "cohort", set(matrix["cohort"]))
    sources = _in_order(results, "source", set(control["source"]) | set(adapted["source"]))
    bounds = {(BOUND_ROW, centre): dice for (_, centre), dice in _cells(bound, "dice").items()}
    models = _models(results, adapted)
    panels = {SOURCE_ONLY: {**_cells(control, "dice"), **bounds}}
    panels |= {model: {**_cells(adapted[adapted["model"] == model], "dice"), **bounds} for model in models}
    own = {(SOURCE_ONLY, source, source) for source in sources} | {
        (panel, BOUND_ROW, centre) for panel in panels for _, centre in bounds
    }
    rows = [*sources, *([BOUND_ROW] if bounds else [])]
    heat = HeatPanels(rows, centres, panels, "Dice (mean over frames)", frozenset(own), phantom=results.phantom)
    yield Drawing(
        "matrix",
        "Source × centre matrix",
        "Rows: where the model was trained; columns: where it was scored; one panel per model on one colour scale. "
        f"Framed: trained on this centre's own labels. Grey: not scored. {origin(results)}",
        lambda layout: heat_maps(heat, layout),
    )
    changed = adapted[adapted["delta"].notna() & (adapted["model"] != ORACLE)]
    if not changed.empty:
        yield _difference_matrix(results, changed, sources)


def _difference_matrix(results: CrossCentreResults, changed: pd.DataFrame, sources: list[str]) -> Drawing:
    judged = changed.assign(low=changed["delta_low"], high=changed["delta_high"], interval=changed["delta_interval"])
    supported = [row for row in records(judged) if finding(row) in (Finding.HELPS, Finding.HARMS)]
    heat = HeatPanels(
        [source for source in sources if source in set(changed["source"])],
        _in_order(results, "cohort", set(changed["cohort"])),
        {model: _cells(changed[changed["model"] == model], "delta") for model in _models(results, changed)},
        "Δ Dice, adapted − source-only",
        bold=frozenset((str(row["model"]), str(row["source"]), str(row["cohort"])) for row in supported),
        diverging=True,
        phantom=results.phantom,
    )
    return Drawing(
        "matrix-difference",
        "What adaptation changed",
        "Difference to source-only in the centre that was adapted to: blue better, red worse. Bold: the interval over "
        f"clusters excludes 0, or Holm's p < 0.05. {origin(results)}",
        lambda layout: heat_maps(heat, layout),
    )


def _row_figures(results: CrossCentreResults, rows: list[RowPanel]) -> Iterator[Drawing]:
    caption = (
        "Points: mean difference in Dice to source-only over the same frames. Solid: 95 % interval over clusters "
        "(patients, else sequences). Dashed: frames treated as independent, likely too narrow. No line: too few "
        f"clusters for an interval. Filled: shown to help (circle) or harm (square). {origin(results)}"
    )
    for name, title, panels in _parted("forest", "Differences with their intervals", rows, MOST_ROWS):
        yield Drawing(name, title, caption, _row_drawing(forest, panels, results.phantom))
    if not any(len(row.seeds) > 1 for panel in rows for row in panel.rows):
        return
    several = (
        "The same differences, one dot per training: what chance in training alone does. Intervals above speak of "
        f"cases, not of this spread. {origin(results)}"
    )
    for name, title, panels in _parted("seeds", "Spread over seeds", rows, MOST_ROWS):
        yield Drawing(name, title, several, _row_drawing(seed_spread, panels, results.phantom))


def _row_drawing(
    draw: Callable[..., Figure], panels: Sequence[RowPanel], phantom: bool
) -> Callable[[Layout], Figure]:  # fmt: skip
    return lambda layout: draw(panels, layout, phantom=phantom)


def _slope_figures(results: CrossCentreResults, groups: list[TargetModels]) -> Iterator[Drawing]:
    caption = (
        "Each line is one of the units named below its panel (means of their frames), from source-only to the adapted "
        f"model; blue gained and red, dashed, lost more than {CHANGED_BY_DICE:g} Dice. Black: mean over frames. "
        f"{origin(results)}"
    )
    everything = slope_panels(groups)
    small = len(everything) <= MOST_FOR_SMALL_PAGES
    for name, title, panels in _parted("slopes", "Before and after, pair by pair", everything, MOST_SLOPES):
        yield Drawing(name, title, caption, _panel_drawing(slopes, panels, results.phantom), small)


def _curve_figures(results: CrossCentreResults, groups: list[TargetModels]) -> Iterator[Drawing]:
    kinds = (
        (
            "dice-by-size",
            "Dice against polyp size",
            curve_figures.dice_by_size,
            "Dots: source-only, frame by frame. Lines: mean Dice within <1 %, 1–5 %, 5–15 % and >15 % of the field of "
            "view, with their numbers of frames above (an endoscope gives no millimetres).",
        ),
        (
            "dice-distribution",
            "Distribution of Dice",
            curve_figures.distribution,
            "For each Dice the share of frames with a polyp that reach no more than it: a curve further to the right "
            "is better, its start on the left is the share of missed polyps. Dotted: 0.5, below which a frame counts "
            "as failed.",
        ),
        (
            "reliability",
            "Reliability of the probabilities",
            curve_figures.reliability,
            "Per tenth of the probability range: share of polyp pixels against mean predicted probability, over all "
            "pixels of the field of view; on the dashed line probabilities mean what they say. Below: number of pixels "
            "per tenth (logarithmic).",
        ),
    )
    chunks = model_panels(groups)
    small = sum(map(len, chunks)) <= MOST_FOR_SMALL_PAGES
    for stem, title, draw, caption in kinds:
        for number, chunk in enumerate(chunks, 1):
            part = f"{stem}-{number}" if len(chunks) > 1 else stem
            named = f"{title} ({number} of {len(chunks)})" if len(chunks) > 1 else title
            for name, full_title, panels in _parted(part, named, chunk, MOST_CURVES):
                drawing = _panel_drawing(draw, panels, results.phantom)
                yield Drawing(name, full_title, f"{caption} {origin(results)}", drawing, small)


def _panel_drawing(
    draw: Callable[..., Figure], panels: Sequence[SlopePanel] | Sequence[ModelPanel], phantom: bool
) -> Callable[[Layout], Figure]:
    return lambda layout: draw(panels, layout, phantom=phantom)


def _parted(name: str, title: str, panels: Iterable[Panel], most: int) -> Iterator[tuple[str, str, list[Panel]]]:
    """All in one figure, or one figure per target centre when they are more than ``most``."""
    everything = list(panels)
    count = sum(len(panel.rows) if isinstance(panel, RowPanel) else 1 for panel in everything)
    if not count:
        return
    if count <= most:
        yield name, title, everything
        return
    targets = dict.fromkeys(panel.target for panel in everything)
    for target in targets:
        yield f"{name}-{target}", f"{title}: {target}", [panel for panel in everything if panel.target == target]


def _cells(rows: pd.DataFrame, column: str) -> dict[tuple[str, str], float]:
    triples = zip(rows["source"], rows["cohort"], rows[column], strict=True)
    return {(str(source), str(centre)): float(value) for source, centre, value in triples}


def _models(results: CrossCentreResults, cells: pd.DataFrame) -> list[str]:
    return [model for model in models_in_order(list(results.centres["model"])) if model in set(cells["model"])]


def _in_order(results: CrossCentreResults, column: str, wanted: set[str]) -> list[str]:
    """Names in one order for rows and columns, so that a diagonal is one: sources as they come, then the others."""
    known = [*results.centres["source"], *results.centres["cohort"]]
    return [str(name) for name in dict.fromkeys(known) if name in wanted]


def difference_panels(results: CrossCentreResults) -> list[RowPanel]:
    """One panel per target centre; comparisons without a Dice are left out."""
    rows = at_target(results.comparisons)
    rows = rows[rows["delta"].notna()]
    seeds = _per_seed(results.cases)
    panels = []
    for target, part in rows.groupby("target", sort=False):
        groups: dict[str, list[DifferenceRow]] = {}
        for row in sorted(records(part), key=lambda row: row["model"] == ORACLE):
            key = (str(row["source"]), str(target), str(row["split"]), str(row["model"]))
            groups.setdefault(f"from {row['source']}", []).append(_row(row, seeds.get(key, ())))
        panels.append(RowPanel(f"in {target}", str(target), groups))
    return panels


def _row(row: dict, seeds: tuple[float, ...]) -> DifferenceRow:
    return DifferenceRow(
        model=str(row["model"]),
        delta=float(row["delta"]),
        low=float(row["low"]),
        high=float(row["high"]),
        kind=str(row["interval"]),
        finding=finding(row),
        bound=row["model"] == ORACLE,
        seeds=seeds,
    )


def _per_seed(cases: pd.DataFrame) -> dict[tuple[str, str, str, str], tuple[float, ...]]:
    """(source, target, split, model) → difference of each seed's mean Dice to that of its own control."""
    scored = cases[(cases["cohort"] == cases["target"]) & cases["positive"] & cases["dice"].notna()]
    means = scored.groupby([*PAIR, "training", "seed", CONTROL], sort=False)["dice"].mean().reset_index()
    control = means[means["model"] == SOURCE_ONLY].drop_duplicates([*PAIR[:3], "training"])
    dice_of_control = control.set_index([*PAIR[:3], "training"])["dice"]
    adapted = means[(means["model"] != SOURCE_ONLY) & (means[CONTROL] != "")]
    keys = pd.MultiIndex.from_frame(adapted[[*PAIR[:3], CONTROL]])
    adapted = adapted.assign(delta=adapted["dice"].to_numpy() - dice_of_control.reindex(keys).to_numpy())
    per_seed = adapted[np.isfinite(adapted["delta"])].groupby([*PAIR, "seed"])["delta"].mean()
    found: dict[tuple[str, str, str, str], tuple[float, ...]] = {}
    for key, values in per_seed.groupby(level=list(range(4)), sort=False):
        source, target, split, model = map(str, key)
        found[source, target, split, model] = tuple(map(float, values))
    return found

"""Which figures a cross-centre report has, from its results alone; many centres are parted into several figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from polypda.evaluation.aggregation.centres import CHANGED_BY_DICE
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.aggregation.matrix_table import models_in_order
from polypda.evaluation.aggregation.panels import CONTROL
from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY
from polypda.reporting.figures.curve_figures import dice_by_size, distribution, model_panels, reliability
from polypda.reporting.figures.figure_style import Drawing, Layout, described
from polypda.reporting.figures.forest_figure import DifferenceRow, RowPanel, forest, seed_spread
from polypda.reporting.figures.matrix_figure import HeatPanels, heat_maps
from polypda.reporting.figures.paired_frames import SlopePanel, TargetModels, slope_panels, slopes, target_models
from polypda.reporting.verdict import at_target, finding, records

MOST_ROWS, MOST_SLOPES, MOST_CURVES = 44, 24, 12
"""Rows or panels in one figure; more are parted by target centre."""
MOST_FOR_SMALL_PAGES = 24
"""Panels of one kind that are also laid out for a phone; each costs a third of its drawing time more."""
PAIR = ["source", "target", "split", "model"]
BOUND_ROW = "oracle (own labels)"
Panel = TypeVar("Panel", RowPanel, SlopePanel, TargetModels)


def cross_centre_drawings(results: CrossCentreResults) -> list[Drawing]:
    """All figures that the results allow, in the order of the page: matrix first."""
    rows = difference_panels(results)
    groups = target_models(results.frames, results.cases)
    return [*_matrices(results), *_row_figures(results, rows), *_panel_figures(results, groups)]


def _drawing(
    results: CrossCentreResults,
    draw: Callable[[Layout], Figure],
    figure: str,
    *,
    name: str = "",
    part: str = "",
    small: bool = True,
) -> Drawing:
    """A figure of captions.yaml; its caption repeats how the numbers came about. part: behind its title."""
    wanted = ("split", "seeds", "checkpoint rule")
    facts = "; ".join(f"{fact}: {results.stated[fact]}" for fact in wanted if fact in results.stated)
    origin = f"{facts[:1].upper()}{facts[1:]}."
    title, caption = described("centres", figure, origin=origin, changed=CHANGED_BY_DICE)
    return Drawing(name or figure, f"{title}{part}", caption, draw, small)


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
    panels = {SOURCE_ONLY: {**_cells(control, "dice"), **bounds}}
    for model in _models(results, adapted):
        panels[model] = {**_cells(adapted[adapted["model"] == model], "dice"), **bounds}
    own = {(SOURCE_ONLY, source, source) for source in sources}
    own |= {(panel, BOUND_ROW, centre) for panel in panels for _, centre in bounds}
    rows = [*sources, *([BOUND_ROW] if bounds else [])]
    heat = HeatPanels(rows, centres, panels, "Dice (mean over frames)", frozenset(own), phantom=results.phantom)
    yield _drawing(results, partial(heat_maps, heat), "matrix")
    changed = adapted[adapted["delta"].notna() & (adapted["model"] != ORACLE)]
    if not changed.empty:
        yield _difference_matrix(results, changed, sources)


def _difference_matrix(results: CrossCentreResults, changed: pd.DataFrame, sources: list[str]) -> Drawing:
    compared = changed.assign(low=changed["delta_low"], high=changed["delta_high"], interval=changed["delta_interval"])
    supported = [row for row in records(compared) if finding(row).is_claim]
    heat = HeatPanels(
        [source for source in sources if source in set(changed["source"])],
        _in_order(results, "cohort", set(changed["cohort"])),
        {model: _cells(changed[changed["model"] == model], "delta") for model in _models(results, changed)},
        "Δ Dice, adapted − source-only",
        bold=frozenset((str(row["model"]), str(row["source"]), str(row["cohort"])) for row in supported),
        diverging=True,
        phantom=results.phantom,
    )
    return _drawing(results, partial(heat_maps, heat), "matrix-difference")


def _row_figures(results: CrossCentreResults, rows: list[RowPanel]) -> Iterator[Drawing]:
    yield from _parted(results, forest, "forest", rows, MOST_ROWS)
    if any(len(row.seeds) > 1 for panel in rows for row in panel.rows):
        yield from _parted(results, seed_spread, "seeds", rows, MOST_ROWS)


def _panel_figures(results: CrossCentreResults, groups: list[TargetModels]) -> Iterator[Drawing]:
    pairs = slope_panels(groups)
    yield from _parted(results, slopes, "slopes", pairs, MOST_SLOPES, small=len(pairs) <= MOST_FOR_SMALL_PAGES)
    chunks = model_panels(groups)
    small = sum(map(len, chunks)) <= MOST_FOR_SMALL_PAGES
    kinds = {"dice-by-size": dice_by_size, "dice-distribution": distribution, "reliability": reliability}
    for figure, draw in kinds.items():
        for number, chunk in enumerate(chunks, 1):
            stem, part = (f"{figure}-{number}", f" ({number} of {len(chunks)})") if len(chunks) > 1 else (figure, "")
            yield from _parted(results, draw, figure, chunk, MOST_CURVES, stem=stem, part=part, small=small)


def _parted(
    results: CrossCentreResults,
    draw: Callable[..., Figure],
    figure: str,
    panels: Iterable[Panel],
    most: int,
    *,
    stem: str = "",
    part: str = "",
    small: bool = True,
) -> Iterator[Drawing]:
    """All panels in one figure, or one figure per target centre when they are more than ``most``."""
    everything, stem = list(panels), stem or figure
    count = sum(len(panel.rows) if isinstance(panel, RowPanel) else 1 for panel in everything)

    def drawing(name: str, part: str, shown: list[Any]) -> Drawing:
        drawn = partial(draw, shown, phantom=results.phantom)
        return _drawing(results, drawn, figure, name=name, part=part, small=small)

    if 0 < count <= most:
        yield drawing(stem, part, everything)
    elif count:
        for target in dict.fromkeys(panel.target for panel in everything):
            own = [panel for panel in everything if panel.target == target]
            yield drawing(f"{stem}-{target}", f"{part}: {target}", own)


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
        groups: dict[str, list[DifferenceRow]] = {f"from {source}": [] for source in dict.fromkeys(part["source"])}
        for row in sorted(records(part), key=lambda row: (row["model"] == ORACLE, -row["delta"])):
            key = (str(row["source"]), str(target), str(row["split"]), str(row["model"]))
            groups[f"from {row['source']}"].append(_row(row, seeds.get(key, ())))
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
    chosen = (cases["cohort"] == cases["target"]) & cases["positive"] & cases["dice"].notna()
    scored = cases.loc[chosen, [*PAIR, "training", "seed", CONTROL, "dice"]]
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

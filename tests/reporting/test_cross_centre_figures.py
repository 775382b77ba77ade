"""Figures of several centres: complete, inside their frames at every width, and true to the results."""

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.text import Text
from support.synthetic_cases import SyntheticCohort, SyntheticStudy

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults, cross_centre_results
from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY
from polypda.reporting.figures.cross_centre_figures import MOST_SLOPES, cross_centre_drawings, difference_panels
from polypda.reporting.figures.curve_figures import MOST_LINES, in_chunks, model_panels
from polypda.reporting.figures.figure_style import (
    NARROW,
    STYLE,
    WIDE,
    Drawing,
    Layout,
    PanelSize,
    panel_grid,
    write_drawings,
)
from polypda.reporting.figures.matrix_figure import HeatPanels, heat_maps, legible_on
from polypda.reporting.figures.paired_frames import slope_panels, target_models
from polypda.reporting.verdict import Finding


@pytest.fixture(scope="module")
def results() -> CrossCentreResults:
    cohorts = [
        SyntheticCohort("ada", phantom=True),
        SyntheticCohort("a-centre-of-long-name", patients=6, clusters="sequence", phantom=True),
        SyntheticCohort("unknown", clusters="unknown", phantom=True),
    ]
    pairs = [("ada", "a-centre-of-long-name"), ("ada", "unknown"), ("a-centre-of-long-name", "unknown")]
    return cross_centre_results(SyntheticStudy(cohorts, ("adabn", "adaptsegnet"), pairs=pairs).evaluations())


@pytest.fixture(scope="module")
def drawings(results: CrossCentreResults) -> list[Drawing]:
    return cross_centre_drawings(results)


def test_every_kind_of_figure_is_there_with_its_origin(drawings: list[Drawing]) -> None:
    assert [drawing.name for drawing in drawings] == [
        "matrix",
        "matrix-difference",
        "forest",
        "seeds",
        "slopes",
        "dice-by-size",
        "dice-distribution",
        "reliability",
    ]
    for drawing in drawings:
        assert "Split: test; seeds: 2 seeds (0, 1); checkpoint rule: last." in drawing.caption


@pytest.mark.parametrize("layout", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_is_cut_off_and_no_panel_covers_another(drawings: list[Drawing], layout: Layout) -> None:
    for drawing in drawings:
        outside, overlaps = misplaced(drawing, layout)
        assert not outside, f"{drawing.name}: {outside}"
        assert not overlaps, drawing.name


def misplaced(drawing: Drawing, layout: Layout) -> tuple[list[str], list]:
    """Texts that reach out of the figure, and pairs of panels that overlap."""
    with mpl.rc_context(STYLE):
        figure = drawing.draw(layout)
        figure.canvas.draw()
    page = figure.bbox
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if within_axis(text)]
    slack = 1.0
    outside = [
        f"{content} {box.bounds}"
        for content, box in boxes
        if box.x0 < page.x0 - slack or box.x1 > page.x1 + slack or box.y0 < page.y0 - slack or box.y1 > page.y1 + slack
    ]
    titles = [axis._left_title.get_window_extent() for axis in figure.axes if axis.get_title(loc="left")]
    panels = [axis.get_window_extent() for axis in figure.axes] + titles
    return outside, [(a, b) for a, b in combinations(panels, 2) if a.overlaps(b) and not touching(a, b)]


def within_axis(text: Text) -> bool:
    """Ticks beyond an axis' limits exist without being drawn."""
    axis = text.axes
    if not np.isfinite(text.get_window_extent().bounds).all():
        return False  # a colour bar's tick beyond its norm
    if axis is None:
        return True
    ticks = {id(label) for tick in (*axis.xaxis.get_major_ticks(), *axis.yaxis.get_major_ticks()) for label in
             (tick.label1, tick.label2)}  # fmt: skip
    if id(text) not in ticks:
        return True
    view = axis.get_window_extent()
    box = text.get_window_extent()
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    return view.x0 - 200 <= x <= view.x1 + 1 and view.y0 - 200 <= y <= view.y1 + 1 and bool(text.get_text())


def touching(a, b) -> bool:
    return min(a.x1, b.x1) - max(a.x0, b.x0) < 0.5 or min(a.y1, b.y1) - max(a.y0, b.y0) < 0.5


def test_files_are_written_in_all_forms_and_the_same_every_time(drawings: list[Drawing], tmp_path) -> None:
    chosen = [drawing for drawing in drawings if drawing.name in ("matrix-difference", "forest")]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        figures = write_drawings(chosen, tmp_path / name)
    assert len(figures) == 2
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
    for figure in figures:
        wide, narrow = figure.svg.read_text(), figure.narrow.read_text()
        assert svg_width_pt(narrow) <= svg_width_pt(wide) and "<text" not in wide
        assert figure.png.read_bytes().startswith(b"\x89PNG")

    assert svg_width_pt(figures[-1].narrow.read_text()) < svg_width_pt(figures[-1].svg.read_text())


def svg_width_pt(svg: str) -> float:
    return float(svg.split('width="')[1].split("pt")[0])


def test_rows_tell_interval_finding_bound_and_seeds(results: CrossCentreResults) -> None:
    panels = {panel.target: panel for panel in difference_panels(results)}
    unknown = panels["unknown"].rows
    assert {row.kind for row in unknown} == {"frames as independent"}
    assert {row.finding for row in unknown} == {Finding.NOT_SHOWN}
    assert list(panels["unknown"].groups) == ["from ada", "from a-centre-of-long-name"]
    few = panels["a-centre-of-long-name"]
    assert {row.kind for row in few.rows} == {"cluster t"}
    assert [row.bound for row in few.groups["from ada"]] == [False, False, True]
    table = results.comparisons.set_index(["source", "target", "cohort", "model"])
    for row in few.groups["from ada"]:
        delta = table.loc[("ada", "a-centre-of-long-name", "a-centre-of-long-name", row.model), "delta"]
        assert row.delta == pytest.approx(delta) and np.mean(row.seeds) == pytest.approx(delta)
        assert len(row.seeds) == 2 and row.seeds[0] != row.seeds[1]


def test_frames_are_paired_with_their_own_control(results: CrossCentreResults) -> None:
    groups = target_models(results.frames, results.cases)
    assert (groups[0].source, groups[0].target) == ("ada", "a-centre-of-long-name")
    comparisons = results.comparisons.set_index(["source", "target", "cohort", "model"])
    for group in groups:
        assert group.methods == ("adabn", "adaptsegnet")
        assert ORACLE in group.dice and SOURCE_ONLY in group.dice and len(group.dice) == len(group.area)
        for method in group.methods:
            delta = comparisons.loc[(group.source, group.target, group.target, method), "delta"]
            assert (group.dice[method] - group.before[method]).mean() == pytest.approx(delta)
        own = results.cases[(results.cases["cohort"] == group.target) & (results.cases["target"] == group.target)]
        own = own[(own["source"] == group.source) & (own["model"] == "adabn")]
        assert group.bins["adabn"]["reliability_g_9"] == pytest.approx(own["tp_px"].sum() / own["training"].nunique())


def test_slopes_are_means_of_clusters_or_single_frames(results: CrossCentreResults) -> None:
    panels = slope_panels(target_models(results.frames, results.cases))
    units = {(panel.source, panel.target): (panel.unit, len(panel.before)) for panel in panels}
    assert units["ada", "a-centre-of-long-name"] == ("sequences", 6)
    positive = results.frames[(results.frames["cohort"] == "unknown") & results.frames["positive"]]["frame"].nunique()
    assert units["ada", "unknown"] == ("frames", positive)


def test_a_target_without_a_dice_has_no_figure() -> None:
    cohorts = [SyntheticCohort("ada"), SyntheticCohort("none", negatives=1.0), SyntheticCohort("box", annotation="box")]
    study = SyntheticStudy(cohorts, ("adabn",), seeds=(0,), oracle=False, pairs=[("ada", "none"), ("ada", "box")])
    results = cross_centre_results(study.evaluations())
    assert [drawing.name for drawing in cross_centre_drawings(results)] == ["matrix"]
    assert difference_panels(results) == [] and target_models(results.frames, results.cases) == []


@pytest.mark.slow
def test_many_methods_are_parted_into_figures() -> None:
    cohorts = [SyntheticCohort(name, patients=5, frames_per_patient=3) for name in ("ada", "bea", "cid")]
    methods = [f"method-{number}" for number in range(15)]
    pairs = [("ada", "bea"), ("cid", "bea"), ("ada", "cid")]
    results = cross_centre_results(SyntheticStudy(cohorts, methods, seeds=(0,), pairs=pairs).evaluations())
    drawings = cross_centre_drawings(results)
    names = [drawing.name for drawing in drawings]
    assert {"forest-bea", "forest-cid", "slopes-bea", "slopes-cid"} <= set(names) and "seeds" not in names
    assert {f"dice-by-size-{number}" for number in (1, 2, 3, 4)} <= set(names)
    assert all(not drawing.for_small_pages for drawing in drawings if drawing.name.startswith("slopes"))
    groups = target_models(results.frames, results.cases)
    assert len(slope_panels(groups)) == 45 > MOST_SLOPES
    figures = model_panels(groups)
    assert {method for figure in figures for panel in figure for method in panel.methods} == set(methods)
    assert all(len(panel.methods) <= MOST_LINES for figure in figures for panel in figure)
    matrix = next(drawing for drawing in drawings if drawing.name == "matrix")
    assert misplaced(matrix, WIDE) == ([], [])


def test_chunks_are_even_and_complete() -> None:
    names = tuple(map(str, range(9)))
    assert [len(chunk) for chunk in in_chunks(names, 4)] == [3, 3, 3]
    assert sum(in_chunks(names, 4), ()) == names


def test_numbers_on_every_colour_can_be_read() -> None:
    for name in ("viridis", "RdBu"):
        for value in np.linspace(0, 1, 21):
            paper = mpl.colors.to_hex(mpl.colormaps[name](value))
            assert contrast(paper, legible_on(paper)) >= 4.0, (name, value)


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio, here by matplotlib's own reading of colours."""

    def luminance(colour: str) -> float:
        rgb = np.array(mpl.colors.to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_matrix_writes_each_number_into_its_cell_and_frames_the_diagonal() -> None:
    cells = {("a", "a"): 0.81, ("a", "b"): 0.5, ("b", "a"): 0.333}
    heat = HeatPanels(["a", "b"], ["a", "b"], {"m": cells}, "Dice", own=frozenset({("m", "a", "a")}))
    with mpl.rc_context(STYLE):
        axis = heat_maps(heat, WIDE).axes[0]
    written = {(text.get_position(), text.get_text()) for text in axis.texts}
    assert written == {((0, 0), "0.81"), ((1, 0), "0.50"), ((0, 1), "0.33")}
    framed = [patch for patch in axis.patches if not patch.get_fill()]
    assert len(framed) == 1 and framed[0].get_x() < 0 < framed[0].get_x() + framed[0].get_width()


def test_groups_of_panels_stay_together() -> None:
    size = PanelSize(width=1.0, height=1.0)
    room = len(panel_grid(30, size, WIDE, phantom=False).axes) and sum(
        panel_grid(30, size, WIDE, phantom=False).first
    )  # rows of 30 panels without groups
    columns = -(-30 // room)
    together = panel_grid(2 * columns, size, WIDE, phantom=False, group=columns - 1)
    assert [index for index, first in enumerate(together.first) if first] == [0, columns - 1, 2 * columns - 2]
    parted = panel_grid(4 * columns, size, WIDE, phantom=False, group=2 * columns)
    assert [index for index, first in enumerate(parted.first) if first] == [0, columns, 2 * columns, 3 * columns]
    pairs = panel_grid(8, size, WIDE, phantom=False, group=2)
    assert sum(pairs.first) < 4  # several small groups share a row
    assert panel_grid(1, PanelSize(width=9.0, height=1.0), NARROW, phantom=True).figure.get_size_inches()[0] > 9

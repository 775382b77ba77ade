"""Panels of a training's curves: nothing that was logged is left out, and nothing lies over its neighbour."""

import itertools

import pandas as pd
import pytest

from polypda.reporting.figures.figure_style import NARROW, WIDE
from polypda.reporting.figures.run_curve_figures import curve_panels, draw_curves
from polypda.training.curves import StageCurves

NAMES = ["as_source", "aux", "as_source_painted", "as_target", "as_target_painted", "l1_source", "l1_target"]


@pytest.fixture(params=[WIDE, NARROW], ids=["wide", "narrow"])
def figure(request):
    steps = pd.RangeIndex(12)
    losses = {
        player: pd.DataFrame({name: [1.0 + index] * 12 for index, name in enumerate(names)}, index=steps)
        for player, names in (("discriminator", NAMES), ("segmenter", ["seg_main", "seg_aux", "adv", "entropy"]))
    }
    gradients = pd.DataFrame({player: [1.0] * 12 for player in losses}, index=steps)
    accuracy = pd.DataFrame({"discriminator": [0.5] * 12}, index=steps)
    curves = StageCurves("lsd", losses, gradients, accuracy, pd.Series(dtype=float))
    drawn = draw_curves(curve_panels(curves, pd.DataFrame(), None, 0.25), request.param, phantom=False)
    drawn.canvas.draw()
    return drawn


def test_every_loss_is_drawn_and_named_in_a_style_of_its_own(figure):
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == NAMES
    styles = {(line.get_color(), line.get_linestyle()) for line in legend.get_lines()}
    assert len(styles) == len(NAMES)
    assert {line.get_label() for line in figure.axes[0].lines} >= set(NAMES)


def test_titles_and_legends_stay_off_one_another_and_on_the_page(figure):
    boxes = []
    for axis in figure.axes:
        boxes.append(axis._left_title.get_window_extent())
        if axis.get_legend():
            boxes.append(axis.get_legend().get_window_extent())
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))

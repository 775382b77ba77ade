"""The page of a run's curves: nothing that was logged is left out or covered, and each finding has its own cause."""

import itertools

import pandas as pd
import pytest
from support.runs import write_run

from polypda.reporting.figures.figure_style import NARROW, WIDE
from polypda.reporting.pages.curves_page import curve_findings, curve_panels, draw_curves
from polypda.training.curves import StageCurves, read_curves

QUIET = "No collapse"


def snapshots(target, source_dice=None):
    steps = range(0, 10 * len(target), 10)
    dice = source_dice or [0.6] * len(target)
    return pd.DataFrame({"target_foreground": target, "source_dice": dice}, index=list(steps))


def findings(tmp_path, table=None, *, chance=0.5, **run):
    curves = read_curves(write_run(tmp_path / "run", 40, **run), "adda")
    return curve_findings(curves, table if table is not None else pd.DataFrame(), chance=chance)


def test_a_healthy_training_says_so(tmp_path):
    found = findings(tmp_path, snapshots([0.08, 0.09, 0.08, 0.07]), accuracy=0.7)
    assert len(found) == 1 and found[0].startswith(QUIET)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (snapshots([0.08, 0.05, 0.01, 0.001]), "Mode collapse towards background"),
        (snapshots([0.08, 0.2, 0.3, 0.5]), "Mode collapse towards polyp"),
        (snapshots([0.08, 0.01, 0.07, 0.08]), "Passing collapse at step 10"),
        (snapshots([0.08, 0.09, 0.12, 0.05]), "Late decline"),
        (snapshots([0.08, 0.08, 0.08, 0.08], [0.6, 0.6, 0.5, 0.4]), "partly forgotten: validation Dice 0.600 → 0.400"),
    ],
)
def test_snapshots_tell_of_collapse_and_forgetting(tmp_path, table, said):
    found = findings(tmp_path, table, accuracy=0.7)
    assert len(found) == 1 and said in found[0]


@pytest.mark.parametrize(
    ("accuracy", "chance", "said"), [(0.99, 0.5, "won"), (0.52, 0.5, "near chance"), (0.28, 0.25, "near chance")]
)
def test_a_decided_discriminator_is_named(tmp_path, accuracy, chance, said):
    assert said in findings(tmp_path, accuracy=accuracy, chance=chance)[0]
    assert findings(tmp_path / "other", accuracy=0.7, chance=chance)[0].startswith(QUIET)


def test_a_task_loss_that_grows_is_named(tmp_path):
    assert "seg_main grew" in findings(tmp_path, accuracy=0.7, growth=0.1)[0]


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

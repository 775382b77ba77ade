"""Overlays whose reference is boxes or nothing, and regions that are ignored."""

import numpy as np

from polypda.reporting.overlays.drawing import box_outlines, boxes_inside_mask, hatched
from polypda.reporting.overlays.frame_overlay import OverlayCaption, draw_overlay

FRAME = np.full((400, 500, 3), (120, 60, 50), np.uint8)
NOTHING = np.zeros(FRAME.shape[:2], bool)
FIELD = ~NOTHING
CAPTION = OverlayCaption("sun", "f1", "source-only", "adabn", float("nan"), float("nan"), phantom=False)
BOXES = np.array([[100.0, 80, 220, 200], [300, 250, 420, 330]])


def white(image: np.ndarray) -> int:
    return int(np.count_nonzero((image[:, :920] == 255).all(axis=2)))


def test_boxes_are_drawn_as_rectangles_in_the_references_colour():
    drawn = draw_overlay(FRAME, None, NOTHING, NOTHING, FIELD, CAPTION, boxes=BOXES)
    plain = draw_overlay(FRAME, None, NOTHING, NOTHING, FIELD, CAPTION, boxes=np.zeros((0, 4)))
    perimeter = 2 * (120 + 120 + 120 + 80) * 900 / 500
    assert 5 * perimeter < white(drawn) - white(plain) < 9 * perimeter
    scale, top = 900 / 500, drawn.shape[0] - 14 - round(400 * 900 / 500)
    for x, y in ((160, 80), (100, 140), (220, 140), (360, 330)):
        assert (drawn[top + round(y * scale), 14 + round(x * scale)] == 255).all()
    assert (drawn[top + round(140 * scale), 14 + round(160 * scale)] == FRAME[0, 0]).all(), "nothing lies on the mucosa"


def test_outlines_are_closed_along_the_boxes_edges():
    (first, _) = box_outlines(BOXES)
    assert np.array_equal(first[0], first[-1]) and first.min(axis=0).tolist() == [99.5, 79.5]
    assert boxes_inside_mask(BOXES, (400, 500)).sum() == 120 * 120 + 120 * 80
    assert not boxes_inside_mask(None, (4, 5)).any()


def test_an_unlabelled_frame_is_not_called_free_of_polyps():
    marked = NOTHING.copy()
    marked[100:200, 100:200] = True
    unlabelled = draw_overlay(FRAME, None, marked, NOTHING, FIELD, CAPTION)
    negative = draw_overlay(FRAME, NOTHING, marked, NOTHING, FIELD, CAPTION)
    height = min(unlabelled.shape[0], negative.shape[0])
    assert (unlabelled[:height, :900] == negative[:height, :900]).all(), "the same lines"
    assert (unlabelled[:height] != negative[:height]).any(), "and another legend"


def test_ignored_pixels_are_dimmed_and_hatched_and_what_is_marked_there_is_not_outlined():
    ignored, marked = NOTHING.copy(), NOTHING.copy()
    ignored[:200, :250] = True
    marked[50:150, 50:150] = True
    drawn = draw_overlay(FRAME, NOTHING, NOTHING, marked, FIELD, CAPTION, ignored=ignored)
    unmarked = draw_overlay(FRAME, NOTHING, NOTHING, NOTHING, FIELD, CAPTION, ignored=ignored)
    height = min(drawn.shape[0], unmarked.shape[0])
    assert (drawn[:height, :900] == unmarked[:height, :900]).all()
    shaded = hatched(FRAME, ignored)
    assert shaded[:200, :250].mean() < FRAME.mean() and (shaded[200:] == FRAME[200:]).all()
    assert len(np.unique(shaded[:200, :250].reshape(-1, 3), axis=0)) == 2

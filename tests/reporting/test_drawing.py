"""Lines, hatching and text: where they are drawn, closed, legible and never cut off."""

import numpy as np
import pytest

from polypda.reporting.overlays import drawing
from polypda.reporting.overlays.drawing import (
    PAPER,
    Stroke,
    Text,
    View,
    box_outlines,
    boxes_inside_mask,
    dashes,
    draw_strokes,
    legible,
    mask_outlines,
    text_block,
)
from polypda.reporting.overlays.frame_overlay import AFTER

BOXES = np.array([[100.0, 80, 220, 200], [300, 250, 420, 330]])


def test_a_mask_at_the_border_is_closed_along_it() -> None:
    mask = np.zeros((20, 30), bool)
    mask[12:, 22:] = True
    (outline,) = mask_outlines(mask)
    assert np.allclose(outline[0], outline[-1])
    assert outline[:, 0].max() > 28.9 and outline[:, 1].max() > 18.9


@pytest.mark.parametrize("radius", [1, 3, 8, 40])
def test_an_outline_strays_less_than_a_pixel_from_the_masks_edge(radius: int) -> None:
    rows, columns = np.mgrid[:100, :120]
    mask = np.hypot(rows - 50, columns - 60) <= radius
    (outline,) = mask_outlines(mask)
    for x, y in outline:
        around = mask[int(np.floor(y)) - 1 : int(np.floor(y)) + 3, int(np.floor(x)) - 1 : int(np.floor(x)) + 3]
        assert around.any() and not around.all()
    assert len(mask_outlines(mask | (np.hypot(rows - 10, columns - 10) < 4))) == 2
    assert mask_outlines(np.zeros((5, 6), bool)) == []


def test_a_casing_makes_a_line_readable_on_white_and_on_black() -> None:
    line = [np.array([[10.0, 15.0], [90.0, 15.0]])]
    for paper in (0, 255):
        drawn = draw_strokes(np.full((30, 100, 3), paper, np.uint8), line, AFTER)
        column = drawn[:, 50].astype(int)
        assert np.abs(column - AFTER.colour).max(axis=1).min() < 12, "the core keeps its colour"
        assert column.sum(axis=1).min() < 200, "there is dark beside it"


def test_dashes_cover_their_fraction_and_close_evenly() -> None:
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([50 + 40 * np.cos(angle), 50 + 40 * np.sin(angle)], axis=1)
    stroke = Stroke((0, 0, 0), 2, 1, dash_px=10, gap_px=10)
    pieces = dashes(circle, stroke)
    lengths = [np.hypot(*np.diff(piece, axis=0).T).sum() for piece in pieces]
    assert len(pieces) == 13 and max(lengths) - min(lengths) < 0.1
    assert sum(lengths) == pytest.approx(np.pi * 40, rel=0.01)
    tiny = dashes((circle - 50) * 0.02, stroke)
    assert len(tiny) == 6, "even a tiny outline is seen to be dashed"


def test_a_view_maps_pixel_centres() -> None:
    assert View(10, 20, 3.0).to_display(np.array([[10.0, 20.0], [11.5, 20.0]])).tolist() == [[1.5, 1.5], [6.0, 1.5]]


def test_no_text_is_cut_off_however_long() -> None:
    words = [Text("x" * 300 + " and " + "y" * 80, 18)]
    block = text_block(words, 400, padding_px=10)
    assert block.shape[1] == 400 and block.shape[0] > 18 * 8
    ink = (block != np.array(PAPER)).any(axis=2)
    assert not ink[:, :9].any() and not ink[:, -9:].any() and not ink[:3].any() and not ink[-3:].any()


def test_a_character_without_a_font_is_spelled_not_boxed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polypda.reporting.overlays.drawing._other_fonts", lambda: ())
    legible.cache_clear()
    assert legible("图_7é")[0] == "\\u56fe_7é"
    assert legible("a\nb")[0] == "a b"
    legible.cache_clear()


def test_a_sum_of_methods_is_broken_between_its_parts():
    font = drawing._font(drawing.legible("a", False)[1], 14)
    name = "adaptsegnet+target-colours+self-training"
    lines = drawing._wrapped(name, font, font.getlength("adaptsegnet+target-colours+self"))
    assert lines == ["adaptsegnet+target-colours+", "self-training"]
    assert "".join(drawing._wrapped("x" * 40, font, font.getlength("x" * 15))) == "x" * 40


def test_outlines_are_closed_along_the_boxes_edges():
    (first, _) = box_outlines(BOXES)
    assert np.array_equal(first[0], first[-1]) and first.min(axis=0).tolist() == [99.5, 79.5]
    assert boxes_inside_mask(BOXES, (400, 500)).sum() == 120 * 120 + 120 * 80
    assert not boxes_inside_mask(None, (4, 5)).any()

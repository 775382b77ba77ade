"""Overlays: what is drawn, where it is drawn, and that nothing is drawn elsewhere."""

import math

import numpy as np
import pytest

from polypda.errors import DataError
from polypda.reporting.overlays import drawing
from polypda.reporting.overlays.drawing import (
    PAPER,
    Stroke,
    Text,
    View,
    dashes,
    draw_strokes,
    legible,
    mask_outlines,
    text_block,
)
from polypda.reporting.overlays.frame_overlay import (
    AFTER,
    BANNER,
    BEFORE,
    GAP_PX,
    REFERENCE,
    OverlayCaption,
    draw_overlay,
)

MUCOSA = (150, 80, 70)


def caption(**changes) -> OverlayCaption:
    facts = {
        "cohort": "haining",
        "frame": "0412",
        "before_model": "source-only",
        "after_model": "adaptsegnet",
        "dice_before": 0.4,
        "dice_after": 0.8,
        "phantom": False,
    }
    return OverlayCaption(**(facts | changes))


def scene(height: int = 288, width: int = 384) -> tuple[np.ndarray, ...]:
    frame = np.full((height, width, 3), MUCOSA, np.uint8)
    masks = []
    for share in (0.10, 0.16, 0.12):
        mask = np.zeros((height, width), bool)
        rows, columns = np.mgrid[:height, :width]
        mask[np.hypot(rows - height / 2, columns - width / 2) < share * width] = True
        masks.append(mask)
    return frame, *masks, np.ones((height, width), bool)


def head_px(caption_: OverlayCaption, frame: np.ndarray) -> int:
    """Height of the head above the frame, found from a picture without lines."""
    nothing = np.zeros(frame.shape[:2], bool)
    marker = np.zeros_like(frame)
    marker[...] = (1, 2, 3)
    image = draw_overlay(marker, nothing, nothing, nothing, ~nothing, caption_)
    return int(np.argmax((image[:, GAP_PX] == (1, 2, 3)).all(axis=1)))


def near(image: np.ndarray, colour: tuple[int, int, int], tolerance: int = 8) -> np.ndarray:
    return (np.abs(image.astype(int) - colour).max(axis=2) <= tolerance).astype(bool)


def test_each_line_lies_on_its_own_mask_in_its_own_colour() -> None:
    frame, reference, before, after, fov = scene()
    image = draw_overlay(frame, reference, before, after, fov, caption())
    top, scale = head_px(caption(), frame), 900 / 384
    shown = image[top : top + 675, GAP_PX : GAP_PX + 900]
    centre = np.array([144, 192]) * scale
    for stroke, share in ((REFERENCE, 0.10), (BEFORE, 0.16), (AFTER, 0.12)):
        where = np.argwhere(near(shown, stroke.colour))
        assert len(where) > 200
        radius = np.hypot(*(where + 0.5 - centre).T)
        assert np.all(np.abs(radius - share * 384 * scale) < 6), stroke


def test_the_mucosa_between_the_lines_stays_as_it_was() -> None:
    frame, reference, before, after, fov = scene()
    image = draw_overlay(frame, reference, before, after, fov, caption())
    top = head_px(caption(), frame)
    shown = image[top : top + 675, GAP_PX : GAP_PX + 900]
    assert near(shown, MUCOSA, 1).mean() > 0.95
    assert near(shown[287:387, 400:500], MUCOSA, 1).all(), "inside the polyp nothing is drawn"


def test_where_all_agree_all_three_colours_are_seen() -> None:
    frame, reference, _, _, fov = scene()
    image = draw_overlay(frame, reference, reference, reference, fov, caption())
    top = head_px(caption(), frame)
    shown = image[top : top + 675, GAP_PX : GAP_PX + 900]
    for stroke in (REFERENCE, BEFORE, AFTER):
        assert near(shown, stroke.colour, 40).sum() > 100, stroke


@pytest.mark.parametrize(("height", "width"), [(288, 384), (1080, 1920), (966, 1225), (576, 720), (900, 300)])
def test_a_frame_is_never_shrunk_and_small_ones_are_enlarged(height: int, width: int) -> None:
    nothing = np.zeros((height, width), bool)
    frame = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    image = draw_overlay(frame, nothing, nothing, nothing, ~nothing, caption())
    assert image.dtype == np.uint8 and image.shape[0] >= max(height, 900 * height // max(height, width))
    assert image.shape[1] > max(width, 900 * width // max(height, width))
    if max(height, width) >= 900:
        flat = image[-height - 400 :]
        first = frame[0, :40].reshape(-1)
        assert any(np.array_equal(row[x : x + 40].reshape(-1), first) for row in flat for x in range(10, 30))


def test_only_what_lies_in_the_field_of_view_is_outlined() -> None:
    frame, reference, before, after, fov = scene()
    fov[:, 192:] = False
    image = draw_overlay(frame, reference, before, after, fov, caption())
    top = head_px(caption(), frame)
    right = image[top : top + 675, GAP_PX + 460 : GAP_PX + 900]
    for stroke in (REFERENCE, BEFORE, AFTER):
        assert not near(right, stroke.colour).any()


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


def test_a_phantom_carries_its_banner_and_a_real_frame_does_not() -> None:
    parts = scene()
    assert near(draw_overlay(*parts, caption(phantom=True))[:20], BANNER, 1).mean() > 0.5
    assert not near(draw_overlay(*parts, caption(phantom=False)), BANNER, 1).any()


def test_words_name_negatives_missed_polyps_and_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def recorded(lines, *args, **options):
        said.extend(line.content for line in lines)
        return text_block(lines, *args, **options)

    monkeypatch.setattr("polypda.reporting.overlays.frame_overlay.text_block", recorded)
    frame, reference, before, _, fov = scene()
    nothing = np.zeros_like(reference)
    draw_overlay(frame, reference, before, nothing, fov, caption(dice_before=0.42, dice_after=0.0, why="most harmed"))
    assert {"haining · 0412", "Shown because: most harmed", "Before: source-only", "Dice 0.42"} <= set(said)
    assert "Dice 0.00 (−0.42) · no region predicted" in said
    said.clear()
    draw_overlay(frame, nothing, before, nothing, fov, caption(dice_before=math.nan, dice_after=math.nan))
    assert "no polyp in this frame" in said and "no region predicted" in said
    assert any("of the field wrongly marked" in words for words in said)
    assert not any("Dice" in words for words in said)
    said.clear()
    draw_overlay(frame, reference, nothing, nothing, ~reference, caption(dice_before=math.nan, dice_after=math.nan))
    assert "polyp outside the scored field" in said


def test_a_tiny_polyp_is_also_shown_enlarged() -> None:
    frame, _, _, _, fov = scene()
    tiny = np.zeros(fov.shape, bool)
    tiny[100:106, 200:207] = True
    large = np.zeros(fov.shape, bool)
    large[60:200, 100:300] = True
    small_page, large_page = (draw_overlay(frame, ~fov, ~fov, mask, fov, caption()) for mask in (tiny, large))
    panel = np.s_[:, -380:]
    assert near(small_page[panel], AFTER.colour).sum() > near(large_page[panel], AFTER.colour).sum() + 200


def test_masks_of_another_size_are_refused() -> None:
    frame, reference, before, after, fov = scene()
    with pytest.raises(DataError, match=r"E_OVERLAY_SIZE.*before 384×200"):
        draw_overlay(frame, reference, before[:200], after, fov, caption())


def test_the_same_frame_gives_the_same_bytes() -> None:
    assert np.array_equal(draw_overlay(*scene(), caption()), draw_overlay(*scene(), caption()))


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

"""Overlays: what is drawn, where it is drawn, and nothing elsewhere; with masks, boxes or no reference."""

import math

import numpy as np
import pytest

from polypda.errors import DataError
from polypda.reporting.overlays.drawing import hatched, text_block
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
FRAME = np.full((400, 500, 3), (120, 60, 50), np.uint8)
NOTHING = np.zeros(FRAME.shape[:2], bool)
FIELD = ~NOTHING
CAPTION = OverlayCaption("sun", "f1", "source-only", "adabn", float("nan"), float("nan"), phantom=False)
BOXES = np.array([[100.0, 80, 220, 200], [300, 250, 420, 330]])


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
    elsewhere, twice = np.zeros_like(reference), np.zeros_like(reference)
    elsewhere[2:14, 2:14], twice[2:14, 2:14], twice[-14:-2, -14:-2] = True, True, True
    assert not (reference & (elsewhere | twice)).any()
    whole = np.ones_like(fov)
    draw_overlay(frame, reference, elsewhere, twice, whole, caption(dice_before=0.0, dice_after=0.0))
    assert {"missed; 1\N{NO-BREAK SPACE}false region", "missed; 2\N{NO-BREAK SPACE}false regions"} <= set(said)
    said.clear()
    draw_overlay(frame, reference, before, twice, whole, caption(dice_before=0.42, dice_after=0.0))
    assert "missed; 2\N{NO-BREAK SPACE}false regions (−0.42 Dice)" in said
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

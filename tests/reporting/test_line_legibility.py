"""The lines of overlays, panels and the clinician's page on what they lie on: seen, and told apart, by everybody."""

from itertools import combinations

import numpy as np
import pytest
from skimage.color import rgb2lab

from polypda.reporting.overlays.drawing import CASING, CASING_OPACITY, draw_strokes, mask_outlines
from polypda.reporting.overlays.four_panels import PANEL_WIDTH_PX, PanelWords, draw_four_panels
from polypda.reporting.overlays.frame_overlay import AFTER, BEFORE, REFERENCE, THINNEST_STROKES, stroke_scale

GROUNDS = {
    "pale mucosa": (232, 188, 170),
    "orange light": (226, 140, 62),
    "blood": (112, 22, 20),
    "indigo carmine": (52, 66, 128),
    "highlight": (252, 250, 246),
    "dark lumen": (24, 10, 9),
}
LINES = {"reference": REFERENCE, "before": BEFORE, "after": AFTER}
# Machado, Oliveira and Fernandes, IEEE TVCG 2009, severity 1.0, on linear RGB
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def linear(colour: np.ndarray) -> np.ndarray:
    share = np.asarray(colour, float) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def encoded(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def seen(colour, eye: str) -> np.ndarray:
    if eye == "deuteranopia":
        return encoded(linear(colour) @ DEUTERANOPIA.T)
    if eye == "grey":
        return encoded(np.repeat((linear(colour) @ LUMINANCE)[..., None], 3, axis=-1))
    return np.asarray(colour, float)


def contrast(one, other) -> float:
    """WCAG's ratio; 3 is what graphics need."""
    light = sorted((float(linear(colour) @ LUMINANCE) for colour in (one, other)), reverse=True)
    return (light[0] + 0.05) / (light[1] + 0.05)


@pytest.mark.parametrize("eye", ["usual", "deuteranopia", "grey"])
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("line", LINES)
def test_a_line_stands_out_from_what_it_lies_on(line: str, ground: str, eye: str) -> None:
    """By its core, or by its casing; as it is drawn on the smallest display."""
    stroke = LINES[line].scaled(THINNEST_STROKES)
    image = np.full((90, 90, 3), GROUNDS[ground], np.uint8)
    rows, columns = np.mgrid[:90, :90]
    drawn = draw_strokes(image, mask_outlines(np.hypot(rows - 45, columns - 45) < 30), stroke)
    changed = drawn[(drawn != image).any(axis=2)]
    ratios = sorted(contrast(seen(colour, eye), seen(GROUNDS[ground], eye)) for colour in np.unique(changed, axis=0))
    assert len(changed) > 150 and ratios[-1] >= 3, ratios[-1]


@pytest.mark.parametrize("line", LINES)
def test_core_and_casing_are_told_apart_on_every_ground(line: str) -> None:
    for name, ground in GROUNDS.items():
        casing = CASING_OPACITY * np.array(CASING) + (1 - CASING_OPACITY) * np.array(ground)
        assert contrast(LINES[line].colour, casing) >= 3, name


def test_lines_are_told_apart_from_each_other() -> None:
    for one, other in combinations(LINES.values(), 2):
        for eye in ("usual", "deuteranopia"):
            colours = [rgb2lab((seen(stroke.colour, eye) / 255)[None, None])[0, 0] for stroke in (one, other)]
            assert np.linalg.norm(colours[0] - colours[1]) > 25, eye
        lightness = contrast(one.colour, other.colour)
        assert lightness >= 1.5 or (one.dash_px is None) != (other.dash_px is None), "in grey print by dashes"
    assert REFERENCE.width_px > BEFORE.width_px + 2 * BEFORE.casing_px > AFTER.width_px + 2 * AFTER.casing_px
    assert REFERENCE.dash_px is None is AFTER.dash_px and BEFORE.dash_px is not None


def test_strokes_get_thinner_on_small_displays_to_a_limit() -> None:
    assert [stroke_scale(size) for size in (100, 675, 800, 900, 2000)] == pytest.approx([0.75, 0.75, 8 / 9, 1, 1])


def test_four_panels_show_each_line_in_its_own() -> None:
    frame = np.full((144, 192, 3), (150, 80, 70), np.uint8)
    rows, columns = np.mgrid[:144, :192]
    masks = [np.hypot(rows - 72, columns - 96) < radius for radius in (20, 40, 55)]
    words = PanelWords("haining · 0001", "Reference", "Before: source-only", "After: adaptsegnet", phantom=False)
    field = np.ones((144, 192), bool)
    image = draw_four_panels(frame, mask_outlines(masks[0]), masks[1], masks[2], field, words)
    assert image.dtype == np.uint8 and image.shape[1] > 4 * PANEL_WIDTH_PX
    left = image.shape[1] / 4

    def coloured(panel: int, colour) -> int:
        part = image[70:440, round(panel * left + 20) : round((panel + 1) * left - 20)].astype(int)
        return int((np.abs(part - colour).max(axis=2) < 10).sum())

    table = [[coloured(panel, stroke.colour) > 100 for stroke in LINES.values()] for panel in range(4)]
    assert table == [[False] * 3, [True, False, False], [True, True, False], [True, False, True]]
    unknown = draw_four_panels(frame, None, masks[1], masks[2], field, words)
    assert (unknown != image).any()

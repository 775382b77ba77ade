"""What was drawn beside the frames never becomes a frame: by its folder, by its name, and by its pixels."""

import numpy as np
import pytest
from importing.painted_sources import HEIGHT, WIDTH, encoded, frame, lines, mask, put, run_import

from polypda.cohorts.images import is_drawing, read_mask

RIM = mask() * 0
RIM[4:20, 6] = RIM[4:20, 19] = RIM[4, 6:20] = RIM[19, 6:20] = 255
SPOTS = mask() * 0
SPOTS[::9, ::11] = 255
TEXT = frame(7)


def names(result):
    return sorted(record.frame for record in result.records)


@pytest.mark.parametrize("suffix", [".tif", ".bmp", ".png"])
@pytest.mark.parametrize("cohort_id", ["cvc-colondb", "ward-7"])
def test_colondbs_masks_contours_and_highlights_are_no_frames(tmp_path, suffix, cohort_id):
    for number in (1, 2, 39):
        put(tmp_path / "src" / f"{number}{suffix}", frame(number))
        for letter, drawn in (("p", mask()), ("c", RIM), ("s", SPOTS)):
            put(tmp_path / "src" / f"{letter}{number}{suffix}", drawn)
    result = run_import(tmp_path / "src", tmp_path / "root", cohort_id)
    assert names(result) == ["1", "2", "39"] and result.summary.labels == {"mask": 3}
    assert read_mask(result.folder / "masks/39.png").sum() == (mask() > 0).sum()


def test_endoscenes_folders(tmp_path):
    for number in (1, 2):
        put(tmp_path / f"src/CVC-300/bbdd/{number}.bmp", frame(number))
        for folder, drawn in (("gtpolyp", mask()), ("gtlumen", RIM), ("gtspecular", SPOTS), ("gtvoid", 255 - RIM)):
            put(tmp_path / f"src/CVC-300/{folder}/{number}.bmp", drawn)
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert names(result) == ["1", "2"] and result.summary.labels == {"mask": 2}
    assert lines(result) == {"N_DRAWINGS": ["CVC-300/gtlumen", "CVC-300/gtspecular", "CVC-300/gtvoid"]}


@pytest.mark.parametrize(
    "folder",
    [
        *(
            "Edge",
            "edges",
            "Contours",
            "boundary",
            "Scribble",
            "Polygon",
            "overlays",
            "Visualizations",
            "bbox_image_C4",
        ),
        *("mask_edges", "SegmentationClassVisualization", "predictions", "heatmaps", "void", "轮廓"),
    ],
)
def test_folders_of_drawings_are_passed_over_with_a_word(tmp_path, folder):
    put(tmp_path / "src/images/a.jpg", frame())
    put(tmp_path / "src/masks/a.png", mask())
    put(tmp_path / "src" / folder / "a.jpg", frame(3))
    put(tmp_path / "src" / folder / "b.jpg", frame(4))
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert names(result) == ["a"] and lines(result) == {"N_DRAWINGS": [folder]} and result.summary.everything_taken


DRAWN = {
    "mask": np.dstack([mask()] * 3),
    "contour": np.dstack([RIM] * 3),
    "spots": np.dstack([SPOTS] * 3),
    "colours": np.dstack([mask(), RIM, SPOTS]),
    "white ground": 255 - np.dstack([mask()] * 3),
}


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("index", ["x/a.png", "images/b.png", "normal/a.png", "negative/a.png", "a1.png"])
def test_a_drawing_is_never_a_frame_in_silence(tmp_path, kind, index):
    put(tmp_path / "src/images/a.jpg", frame())
    put(tmp_path / "src/masks/a.png", mask())
    put(tmp_path / "src" / index, DRAWN[kind])
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert names(result) == ["a"] and lines(result).pop("E_IMAGE_DRAWING") == [index]


@pytest.mark.parametrize("quality", [60, 95])
def test_compressed_drawings_are_seen_and_frames_are_not_taken_for_them(quality):
    from polypda.importing.images.decoded_image import image_of

    for kind in ("mask", "contour", "white ground"):
        data = encoded(DRAWN[kind], "JPEG", quality=quality)
        with pytest.raises(Exception, match="E_IMAGE_DRAWING"):
            image_of(data, "a.jpg")
    dark = frame(3) // 8
    lit = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    lit[15:25, 20:40] = frame(4)[15:25, 20:40]
    lit[18:20, 30:32] = 255  # a highlight in a small field of view
    grey = np.repeat(frame(5)[..., :1], 3, axis=2)
    for real in (dark, lit, grey, frame(6)):
        assert not is_drawing(real)
        assert image_of(encoded(real, "JPEG", quality=quality), "a.jpg").remarks == ()


def test_swapped_folders_say_so(tmp_path):
    for number in range(3):
        put(tmp_path / f"src/masks/{number}.png", frame(number))
        put(tmp_path / f"src/images/{number}.png", mask())
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert result.folder is None and lines(result) == {"E_IMAGE_DRAWING": [f"images/{n}.png" for n in range(3)]}
    assert "swapped" in result.summary.lines[0].fix


def test_a_image_of_one_colour_is_told(tmp_path):
    put(tmp_path / "src/images/a.png", frame() * 0)
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert lines(result) == {"W_IMAGE_BLANK": ["images/a.png"]}

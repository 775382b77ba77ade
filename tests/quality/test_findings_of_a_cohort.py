"""One painted cohort with everything that a check notes of images, masks, boxes and copies: each by its code."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from support.painted_cohorts import save, write_ordinary
from support.painted_screens import mucosa, octagon, write

from polypda.cohorts.manifest import Annotation
from polypda.quality.checking import check_images
from polypda.quality.checking.check_cohorts import check_cohort, check_cohorts
from polypda.quality.checking.check_copies import check_near_duplicates
from polypda.quality.checking.check_files import check_boxes
from polypda.quality.checking.cohort_view import OverlayMap
from polypda.quality.interlacing import Scan, ScanDecision

HEIGHT, WIDTH, FRAMES = 240, 320, 14
PANEL = ("MEIER ANNA", "12/03/1961", "ID:40417")


def screen(number: int, *, left: int = 80) -> np.ndarray:
    """A processor's screen: an octagon of mucosa, a panel of text beside it."""
    rng = np.random.default_rng(number)
    image = np.full((HEIGHT, WIDTH, 3), 6, np.uint8)
    shape = octagon(HEIGHT, WIDTH, left, 8)
    image[shape] = mucosa(rng, HEIGHT, WIDTH)[shape]
    for row, line in enumerate(PANEL):
        write(image, line, (4, 60 + 16 * row), 0.35)
    return image


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return (np.hypot(columns - x, rows - y) < radius).astype(np.uint8) * 255


def masks() -> dict[int, np.ndarray]:
    """Masks with one fault each, by the number of their frame."""
    hole = disc(190, 120, 40) - disc(190, 120, 8)
    several = disc(140, 90, 20) | disc(240, 150, 20)
    specks = disc(190, 120, 30).copy()
    specks[100:102, 110:112] = 255
    small = disc(190, 120, 40)[::8, ::8]
    jagged = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return {2: hole, 3: several, 4: specks, 5: jagged, 6: disc(190, 2, 40)}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    root = tmp_path_factory.mktemp("findings")
    folder, drawn = root / "piccolo", masks()
    rows, boxes = ["frame,mode"], ["frame,x0,y0,x1,y1"]
    for number in range(FRAMES):
        image = screen(number)
        if number == 7:
            image = cv2.GaussianBlur(image, (0, 0), 9)
        if number == 8:
            shape = octagon(HEIGHT, WIDTH, 80, 8)
            image[shape] = np.clip(image[shape].astype(int) + 200, 0, 255)
        if number == 9:
            image = screen(number, left=150)
        if number == 10:
            image = np.clip(mucosa(np.random.default_rng(5), HEIGHT, WIDTH), 0, 12).astype(np.uint8)
            for row, line in enumerate(PANEL):
                write(image, line, (4, 60 + 16 * row), 0.35)
        if number in (12, 13):
            image = np.clip(screen(11).astype(int) + number - 11, 0, 255).astype(np.uint8)
        save(folder / "images" / f"{number:02d}.png", image)
        save(folder / "masks" / f"{number:02d}.png", drawn.get(number, disc(190, 120, 30)))
        rows.append(f"{number:02d},{'FICE' if number == 1 else 'WL'}")
    boxes += ["00,160,90,220,150", "01,20,20,60,60", "02,300,200,380,300"]
    (folder / "frames.csv").write_text("\n".join(rows) + "\n")
    (folder / "boxes.csv").write_text("\n".join(boxes) + "\n")
    return {finding.code: finding for finding in check_cohort("piccolo", root).findings}


CODES = {
    "N_ALIKE": None, "N_CHAINS": None, "N_BLUR": "07", "N_GLARE": "08", "N_FIELD": None, "N_FIELD_ODD": "09",
    "W_FIELD_LOST": "10", "W_TEXT": None, "N_MASK_HOLES": "02", "N_MASK_SEVERAL": "03",
    "W_MASK_SPECKS": "04", "W_MASK_JAGGED": "05", "N_MASK_BORDER": "06", "W_MODE": "01", "N_BOXES": None,
    "W_BOX_OUTSIDE": "02", "W_BOX_MASK": "01",
}  # fmt: skip
"""Code → a frame that must be named, where it is about frames."""


@pytest.mark.parametrize("code", CODES)
def test_it_is_found(told, code):
    assert code in told, sorted(told)
    assert CODES[code] is None or CODES[code] in told[code].frames, told[code]


def codes(found):
    return [finding.code for finding in found]


def test_the_same_pictures_in_two_cohorts(tmp_path):
    for cohort in ("zju2", "haining"):
        write_ordinary(tmp_path, cohort, table="frame,split\nf1,train\nf2,train\nf3,train\n")
    shared = {finding.code: finding for finding in check_cohorts(["zju2", "haining"], tmp_path).between}
    assert "share 3 images" in shared["W_SHARED_PICTURES"].message


@pytest.mark.parametrize(
    ("declared", "scan", "code"),
    [
        (True, Scan.INTERLACED, "N_INTERLACED"),
        (False, Scan.INTERLACED, "W_INTERLACED"),
        (True, Scan.PROGRESSIVE, "N_INTERLACED_NOT"),
        (False, Scan.PROGRESSIVE, None),
    ],
)
def test_interlacing_against_what_the_manifest_says(monkeypatch, declared, scan, code):
    monkeypatch.setattr(check_images, "decide", lambda combs: ScanDecision(scan, 0.9, 1, 1, 1))
    seen = [SimpleNamespace(comb=SimpleNamespace(combed=True, score=0.5), frame=SimpleNamespace(frame="f"))]
    view = SimpleNamespace(seen=seen, manifest=SimpleNamespace(interlaced=declared))
    assert codes(check_images.check_interlacing(view)) == ([code] if code else [])


def test_a_field_of_view_unlike_the_declared_one():
    field = SimpleNamespace(shape="octagon", fraction=0.7)
    seen = [SimpleNamespace(field=field, image_size=(9, 9), frame=SimpleNamespace(frame=name)) for name in "abc"]
    view = SimpleNamespace(seen=seen, manifest=SimpleNamespace(field_of_view="circle"))
    assert "N_FIELD_SHAPE" in codes(check_images.check_field_of_view(view))


@pytest.mark.parametrize(("with_text", "code"), [(60, "W_TEXT"), (2, "N_TEXT")])
def test_text_on_few_frames_is_a_note_and_insets_and_still_content_are_told(with_text, code):
    nothing = np.zeros((4, 4), np.float32)
    named = tuple(("zju2", f"{number}") for number in range(with_text))
    one = OverlayMap((320, 240), 100, nothing, nothing, np.ones((4, 4), bool), named, named[:1] * 3, ("zju2", "0"))
    found = codes(check_images.check_overlays(SimpleNamespace(overlays=[one], seen=[])))
    assert found == [code, "N_INSET", "N_STILL"]


def test_boxes_that_are_declared_and_not_there():
    view = SimpleNamespace(seen=[], manifest=SimpleNamespace(annotation=Annotation.BOX))
    view.located = SimpleNamespace(phantom=False)
    assert codes(check_boxes(view)) == ["W_BOXES_NONE"]


def test_more_candidates_for_copies_than_were_looked_at():
    view = SimpleNamespace(seen=[], alike=SimpleNamespace(copies=[], unconfirmed=7))
    [told] = check_near_duplicates(view)
    assert told.code == "W_ALIKE_MANY" and "7 more" in told.message

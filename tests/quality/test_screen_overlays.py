"""Text, insets, the scope's picture and still regions: found where they were painted, and nowhere else."""

import numpy as np
import pytest
from support.painted_screens import mucosa, octagon, through_jpeg, with_glints, write

from polypda.cohorts.catalogue import manifest
from polypda.cohorts.phantom_look import BurnedInText, Inset
from polypda.phantom.renderer import render_frame
from polypda.quality.burned_in_text import find_burned_in_text
from polypda.quality.scope_image import StaticRegions, StillnessMap, find_insets, find_scope_image

LINES = ("MEIER ANNA", "12/03/1961", "14:02:36", "ID:40417", "D.O.B.:")


def still_over(frames: list[np.ndarray]) -> StaticRegions:
    stillness = StillnessMap(*frames[0].shape[:2])
    for frame in frames:
        stillness.add(frame)
    return stillness.regions()


def _labelled(seed: int, size: float, colour: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A frame full of mucosa with glints and a panel of text at its left, through JPEG; and its text pixels."""
    rng = np.random.default_rng(seed)
    image = with_glints(mucosa(rng), rng, 60)
    text = np.zeros(image.shape[:2], bool)
    left, top = int(rng.integers(4, 60)), int(rng.integers(60, 200))
    for number, line in enumerate(LINES):
        text |= write(image, line, (left, top + round(number * 44 * size)), size, colour)
    return through_jpeg(image), text


@pytest.mark.parametrize("colour", [(235, 235, 235), (120, 255, 120), (255, 240, 90)], ids=["white", "green", "yellow"])
@pytest.mark.parametrize("size", [0.4, 0.55, 0.9])
def test_text_on_mucosa_is_covered(size, colour):
    found, there, lost = 0, 0, []
    for seed in range(4):
        image, text = _labelled(seed, size, colour)
        mask = find_burned_in_text(image).mask
        found, there = found + np.count_nonzero(mask & text), there + np.count_nonzero(text)
        lost.append(mask.mean())
    assert found / there > 0.995
    assert np.median(lost) < 0.2


def test_text_is_covered_whatever_the_frames_size():
    rng = np.random.default_rng(3)
    large = mucosa(rng, 1080, 1440)
    text = write(large, "MEIER ANNA 12/03/1961", (30, 400), 0.8)
    assert find_burned_in_text(large).mask[text].mean() > 0.995


def test_glints_are_not_text():
    shares = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        shares.append(find_burned_in_text(through_jpeg(with_glints(mucosa(rng), rng, 120))).mask.mean())
    assert np.median(shares) < 0.002 and max(shares) < 0.03


def test_a_frame_without_anything_bright_has_no_text():
    assert not find_burned_in_text(np.zeros((300, 400, 3), np.uint8)).mask.any()
    assert not find_burned_in_text(mucosa(np.random.default_rng(0))).mask.any()
    assert find_burned_in_text(np.full((1, 1, 3), 255, np.uint8)).mask.shape == (1, 1)


def _phantom_pair(cohort: str, index: int, **overlay) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A phantom frame with overlay and the same without; and where they differ: the exact truth."""
    look = manifest(cohort).phantom
    assert look is not None
    with_it = look.model_copy(update=overlay)
    without = look.model_copy(update={"burned_in_text": BurnedInText.NONE, "inset": Inset.NONE})
    drawn, _ = render_frame(with_it, seed=5, index=index)
    plain, _ = render_frame(without, seed=5, index=index)
    return drawn, plain, np.any(drawn != plain, axis=2)


@pytest.mark.parametrize("position", [BurnedInText.LEFT, BurnedInText.CORNERS])
def test_text_of_phantoms_is_covered(position):
    for index in (0, 7, 30):
        drawn, _, truth = _phantom_pair("zju2", index, burned_in_text=position, inset=Inset.NONE)
        inside = find_scope_image(drawn, np.zeros(drawn.shape[:2], bool)).mask
        left = truth & inside & ~find_burned_in_text(drawn).mask
        assert truth.any() and np.count_nonzero(left) <= 0.005 * np.count_nonzero(truth)


def test_green_insets_of_phantoms_are_found_and_mucosa_is_not():
    for index in (0, 9):
        drawn, plain, truth = _phantom_pair(
            "polypgen-c4", index, inset=Inset.GREEN, inset_fraction=1.0, burned_in_text=BurnedInText.NONE
        )
        inset = find_insets(drawn)
        assert inset[truth].all() and np.count_nonzero(inset) < 1.12 * np.count_nonzero(truth)
        assert not find_insets(plain).any()


def test_the_scopes_image_leaves_out_panel_bar_and_second_image():
    rng = np.random.default_rng(1)
    shape = octagon(540, 720, 200, 10, bottom=40)
    screen = np.full((540, 720, 3), 14, np.uint8)
    screen[shape] = mucosa(rng, 540, 720)[shape]
    screen[504:] = (17, 33, 33)  # the bar below a Fujifilm picture
    second = np.zeros((540, 720), bool)
    second[20:110, 20:140] = True
    screen[second] = mucosa(rng, 540, 720)[second]
    for number, line in enumerate(LINES):
        write(screen, line, (6, 200 + 24 * number))
    image = find_scope_image(screen, np.zeros((540, 720), bool))
    assert image.found
    assert np.count_nonzero(image.mask & shape) > 0.97 * np.count_nonzero(shape)
    assert np.count_nonzero(image.mask & ~shape) < 0.005 * np.count_nonzero(shape)
    assert np.count_nonzero(image.others & second) > 0.9 * np.count_nonzero(second)


def test_no_image_is_found_in_darkness():
    dark = np.full((200, 300, 3), 9, np.uint8)
    assert not find_scope_image(dark, np.zeros((200, 300), bool)).found


def test_labels_are_still_and_mucosa_is_not():
    frames, text = [], None
    for seed in range(16):
        frame = mucosa(np.random.default_rng(seed))
        text = write(frame, "D.O.B.:", (20, 300), 1.0)
        frame[400:450, 20:120] = (40, 180, 140)
        frames.append(through_jpeg(frame))
    still = still_over(frames)
    assert still.conclusive and still.frames == 16
    assert still.mask[405:445, 25:115].all()
    assert still.mask[text].mean() > 0.6
    assert still.mask.mean() < 0.03


def test_a_resting_scope_says_nothing_about_labels():
    frame = mucosa(np.random.default_rng(0))
    assert not still_over([frame] * 20).conclusive
    assert not still_over([frame] * 3).conclusive

"""The interlace detector on frames whose scan is known: rendered ones, and painted ones for what could fool it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from polypda.cohorts.catalogue import load_catalogue
from polypda.phantom import cohort_seed, render_frame
from polypda.quality.interlacing import THRESHOLD, Comb, Scan, decide, measure_comb

Pixels = NDArray[np.uint8]


def woven(frame: Pixels, dx: float, dy: float) -> Pixels:
    """Every second line from the same picture, moved."""
    move = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
    size = (frame.shape[1], frame.shape[0])
    moved = cv2.warpAffine(frame, move, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    result = frame.copy()
    result[1::2] = moved[1::2]
    return result


def through_jpeg(frame: Pixels, quality: int) -> Pixels:
    data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def rendered(cohort: str, index: int, interlaced: bool) -> Pixels:
    look = load_catalogue()[cohort].phantom
    assert look is not None
    changed = look.model_copy(update={"interlaced": interlaced})
    return render_frame(changed, seed=cohort_seed(cohort, 11), index=index)[0]


@pytest.fixture(scope="module")
def progressive() -> Pixels:
    return rendered("zju2", 0, interlaced=False)


@pytest.mark.parametrize("cohort", ["zju2", "ningbo", "haining", "cvc-clinicdb", "bkai-neopolyp"])
def test_rendered_frames_of_both_scans_are_told_apart(cohort: str) -> None:
    for index in (0, 8, 16):
        still, fielded = rendered(cohort, index, False), rendered(cohort, index, True)
        assert not measure_comb(through_jpeg(still, 92)).combed
        # the renderer draws how far the scope moved between the fields; not at all is one of seven draws
        assert measure_comb(through_jpeg(fielded, 92)).combed is not np.array_equal(still, fielded)


@pytest.mark.parametrize("shift", [(1.5, 0.0), (0.0, 1.5), (-4.0, 2.0), (11.0, -3.0)])
@pytest.mark.parametrize("quality", [75, 95])
def test_a_shifted_field_is_seen_through_jpeg(progressive: Pixels, shift: tuple[float, float], quality: int) -> None:
    assert not measure_comb(through_jpeg(progressive, quality)).combed
    assert measure_comb(through_jpeg(woven(progressive, *shift), quality)).combed


def test_what_resembles_a_comb_is_none(progressive: Pixels) -> None:
    rng = np.random.default_rng(5)
    noise = np.clip(rng.normal(90, 25, (300, 400, 3)), 30, 160).astype(np.uint8)
    lines = progressive.copy()
    for row in range(150, 400, 7):  # sharp horizontal texture of one-pixel lines
        cv2.line(lines, (150, row), (550, row + 3), (150, 60, 60), 1)
    written = progressive.copy()
    for row in range(60, 560, 22):
        cv2.putText(written, "PAULA 12/03/1961", (40, row), cv2.FONT_HERSHEY_PLAIN, 1.1, (230, 230, 230), 1)
    glints = progressive.copy()
    glints[rng.integers(0, 576, 400), rng.integers(0, 720, 400)] = 255
    alternating = progressive.astype(np.int16)
    alternating[1::2] += 4  # a recorder that weighs its fields differently
    levels = np.clip(alternating, 0, 255).astype(np.uint8)
    sharpened = cv2.addWeighted(progressive, 2.0, cv2.GaussianBlur(progressive, (0, 0), 1.0), -1.0, 0)
    for frame in (noise, lines, written, glints, levels, sharpened):
        comb = measure_comb(frame)
        assert not comb.combed, comb


def test_enlarged_and_doubled_frames_are_not_judged(progressive: Pixels) -> None:
    fielded = woven(progressive, 6, 0)
    enlarged = cv2.resize(fielded, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    assert "enlarged" in measure_comb(enlarged).why
    assert not measure_comb(cv2.resize(progressive, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)).combed
    noisy = np.random.default_rng(1).integers(60, 140, (300, 400, 3), dtype=np.uint8)
    doubled = measure_comb(np.repeat(noisy[::2], 2, axis=0))
    assert not doubled.judged
    assert "twice" in doubled.why


def test_black_tiny_and_wrongly_shaped_frames() -> None:
    black = measure_comb(np.zeros((200, 200, 3), np.uint8))
    assert not black.judged
    assert np.isnan(black.score)
    assert not measure_comb(np.full((40, 400, 3), 90, np.uint8)).judged
    assert not measure_comb(np.full((300, 400, 3), 90, np.uint8)).combed
    for wrong in (np.zeros((200, 200), np.uint8), np.zeros((200, 200, 3), np.float32)):
        with pytest.raises(ValueError, match="uint8 H×W×3"):
            measure_comb(wrong)  # type: ignore[arg-type]


def seen(combed: int, clean: int, unjudged: int = 0) -> list[Comb]:
    frames = [Comb(1.0, 0.5, 0.2, True)] * combed + [Comb(-0.5, -0.5, 0.0, True)] * clean
    return frames + [Comb(np.nan, np.nan, np.nan, False, "too dark")] * unjudged


def test_a_video_is_decided_by_its_frames() -> None:
    assert decide([]).scan is Scan.UNKNOWN
    assert decide(seen(0, 1)).scan is Scan.UNKNOWN
    assert decide(seen(0, 0, unjudged=50)).scan is Scan.UNKNOWN
    assert decide(seen(0, 20)).scan is Scan.PROGRESSIVE
    assert decide(seen(1, 199)).scan is Scan.PROGRESSIVE  # one false alarm of two hundred
    assert decide(seen(2, 3)).scan is Scan.INTERLACED
    decision = decide(seen(60, 940, unjudged=7))  # a scope that mostly stood still
    assert decision.scan is Scan.INTERLACED
    assert (decision.combed, decision.judged, decision.frames) == (60, 1000, 1007)
    assert 0.9 < decision.confidence <= 1


def test_confidence_is_the_posterior_of_two_hypotheses() -> None:
    """Against the integral in closed form: one clean frame, odds ∫(1−θ)dθ over 0.05…1 to 0.99."""
    interlaced = (1 - 0.05) / 2
    assert decide(seen(0, 1)).confidence == pytest.approx(0.99 / (0.99 + interlaced), abs=2e-3)
    assert decide(seen(1, 0)).confidence == pytest.approx(0.525 / (0.525 + 0.01), abs=2e-3)


def test_what_alternates_across_as_well_is_an_enlarged_frame_and_no_comb(progressive: Pixels) -> None:
    """Enlarging makes lines alternate, and columns alike; fields are lines alone."""
    lines = woven(progressive, 2, 1)
    both = np.ascontiguousarray(woven(np.ascontiguousarray(lines.transpose(1, 0, 2)), 2, 1).transpose(1, 0, 2))
    assert measure_comb(lines).combed and measure_comb(lines).across < 0.3
    comb = measure_comb(both)
    assert comb.judged and not comb.combed and comb.score + comb.across > THRESHOLD


def test_a_woven_frame_that_was_stretched_across_keeps_its_comb(progressive: Pixels) -> None:
    stretched = cv2.resize(woven(progressive, 4, 1), None, fx=1.42, fy=1, interpolation=cv2.INTER_CUBIC)
    assert measure_comb(stretched.astype(np.uint8)).combed

"""Interlacing: whether a frame was woven from two fields of different moments, seen in its pixels.

Where the scope moved between the fields, every second line is displaced: a comb. Three things tell it from texture,
noise, sharp edges and enlargement, and the score is their sum:

1. **excess**: a comb's energy lies at the finest vertical frequency there is (line against line), above the
   frequencies just below it. The spectrum of images falls, that of noise is flat: only a comb makes it rise.
2. **coherence**: displaced lines differ by displacement × gradient. The line-against-line signal is regressed, tile by
   tile, on the image's gradients; what they explain, minus what they explain of the neighbouring frequency.
3. **across**: fields are lines, never columns. A frame that was enlarged alternates from column to column as it does
   from line to line; what the frame on its side scores beyond what frames usually do is taken off.

Look **before any resize**: a resized comb has another frequency. Not seen can be: fields of the same moment (a still
scope), enlarged frames (``judged`` is False when nothing fine is left), and frames of which one field was dropped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.3
"""Scores above are combs (measured on seven real cohorts, woven and not, JPEG 75–95: benchmarks/interlacing.py)."""
COHERENCE_WEIGHT = 3.0
USUAL_ACROSS = -0.35
"""Score of the frame on its side up to which nothing is taken off (the upper quartile of frames at native size)."""
TILE_PX = 32
LARGEST_PX = (512, 416)
"""(width, height) of the central part that is looked at; larger frames are cropped to it, never reduced."""
SMALLEST_PX = 64
TAPS = 9
NEIGHBOUR = 0.385
"""Cycles per line of the band that the finest (0.5) is held against."""
BRIGHTEST, DARKEST, WHITE = 245, 25, 165
"""Clipped pixels, the black border, and white ones (text, highlights; smallest channel) are left out…"""
MARGIN_PX = 5
"""…and this much around them: the filters' reach."""
LEAST_TILE_FRACTION, LEAST_TILES = 0.25, 6
LEAST_FINE_FRACTION = 0.03
"""Energy at 0.5 cycles per line over that at 0.2, below which a frame was enlarged or is out of focus."""
DOUBLED = 0.3
"""Lines 2k and 2k+1 differ by less than this fraction of what lines 2k+1 and 2k+2 differ: each line is there twice."""
DOMINANT_QUANTILE = 0.9
"""One sharp horizontal edge looks like a displacement: tiles count with the energy of this quantile at most."""
FALSE_ALARM = 0.01
"""Fraction of progressive frames in which a comb is seen, at most."""
RAREST_COMB = 0.05
"""An interlaced video shows a comb in between this fraction and all of its frames, each fraction as likely."""
SURE = 0.9
Plane = NDArray[np.float32]


class Scan(StrEnum):
    """How a video or cohort was recorded, as far as its frames show."""

    INTERLACED = "interlaced"
    PROGRESSIVE = "progressive"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Comb:
    """What one frame shows.

    score: excess + 3 × coherence − across; NaN where not judged. across: 0 where nothing looks like a comb.
    judged: False where nothing could be seen, with the reason in ``why``.
    """

    score: float
    excess: float
    coherence: float
    judged: bool
    why: str = ""
    across: float = 0.0

    @property
    def combed(self) -> bool:
        return self.judged and self.score > THRESHOLD


@dataclass(frozen=True)
class ScanDecision:
    """A video's or cohort's scan. confidence: 0.5–1, of ``scan`` against its opposite; see :func:`decide`."""

    scan: Scan
    confidence: float
    combed: int
    judged: int
    frames: int


def measure_comb(image: NDArray[np.uint8]) -> Comb:
    """Look for a comb in one frame, uint8 H×W×3, RGB, as it came from its file, never resized.

    Raises: ValueError where the array has another form.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an interlaced frame is sought in uint8 H×W×3, not in {image.dtype} {image.shape}")
    if min(image.shape[:2]) < SMALLEST_PX:
        return _not_judged(f"smaller than {SMALLEST_PX} px")
    image = _centre(image)
    comb = _line_by_line(image)
    if not comb.combed:
        return comb
    on_its_side = _line_by_line(np.ascontiguousarray(image.transpose(1, 0, 2)))
    across = max(0.0, on_its_side.score - USUAL_ACROSS) if on_its_side.judged else 0.0
    return replace(comb, score=comb.score - across, across=across)


def _line_by_line(image: NDArray[np.uint8]) -> Comb:
    """The first two cues."""
    green = image[..., 1].astype(np.float32)
    weight = _lit(image)
    lit = _tiles(weight)
    used = lit > LEAST_TILE_FRACTION
    if np.count_nonzero(used) < LEAST_TILES:
        return _not_judged("too dark, too bright or too small")
    finest, neighbour = _columnwise(green, 0.5), [_columnwise(green, NEIGHBOUR, part) for part in (np.cos, np.sin)]
    coarser = [_columnwise(green, 0.2, part) for part in (np.cos, np.sin)]
    if _total(weight, used, finest) < LEAST_FINE_FRACTION * _total(weight, used, *coarser):
        return _not_judged("no detail as fine as a line: enlarged, or out of focus")
    if _lines_are_doubled(green, weight):
        return _not_judged("every line is there twice: one field, doubled")
    line = np.arange(green.shape[0], dtype=np.float32)[:, None]
    comb = finest * np.cos(np.pi * line).astype(np.float32)
    # A level that alternates evenly over a tile is no motion: some recorders weigh the two fields differently.
    alternating = _tiles(comb * weight) ** 2 / np.maximum(lit, 1e-6)
    moving = np.maximum(_tiles(finest * finest * weight) - alternating, 0.0)[used].sum() + 1e-6
    excess = math.log(moving / (_total(weight, used, *neighbour) + 1e-6))
    other = neighbour[0] * np.cos(2 * np.pi * NEIGHBOUR * line).astype(np.float32)
    gradients = _gradients(green)
    coherence = _explained(comb, gradients, weight, used) - _explained(other, gradients, weight, used)
    return Comb(excess + COHERENCE_WEIGHT * coherence, excess, coherence, judged=True)


def decide(frames: Sequence[Comb]) -> ScanDecision:
    """The scan that frames of one video, or of one cohort, show.

    Bayes with equal odds: a progressive video shows a comb in ``FALSE_ALARM`` of its frames, an interlaced one in any
    fraction from ``RAREST_COMB`` on. One combed frame of two is enough; one clean frame says little (the scope may have
    been still), ten say progressive. Below ``SURE`` the scan is unknown.
    """
    judged = sum(frame.judged for frame in frames)
    combed = sum(frame.combed for frame in frames)
    fractions = np.linspace(RAREST_COMB, 1.0, 400)[:-1]
    interlaced = float(np.mean(_likelihood(fractions, combed, judged)))
    progressive = float(_likelihood(np.array([FALSE_ALARM]), combed, judged)[0])
    odds = interlaced / (interlaced + progressive)
    confidence = max(odds, 1 - odds)
    scan = Scan.UNKNOWN if confidence < SURE else Scan.INTERLACED if odds > 0.5 else Scan.PROGRESSIVE
    return ScanDecision(scan, confidence, combed, judged, len(frames))


def _likelihood(fraction: NDArray[np.float64], combed: int, judged: int) -> NDArray[np.float64]:
    """Up to a factor that is the same for every fraction; scaled by the best one, against underflow."""
    best = np.clip(combed / judged, 1e-9, 1 - 1e-9) if judged else 0.5
    logs = combed * np.log(fraction / best) + (judged - combed) * np.log((1 - fraction) / (1 - best))
    return np.asarray(np.exp(logs))


def _not_judged(why: str) -> Comb:
    return Comb(math.nan, math.nan, math.nan, judged=False, why=why)


def _centre(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    top, left = max(0, height - LARGEST_PX[1]) // 2, max(0, width - LARGEST_PX[0]) // 2
    return np.ascontiguousarray(image[top : top + LARGEST_PX[1], left : left + LARGEST_PX[0]])


def _lit(image: NDArray[np.uint8]) -> Plane:
    """float32 H×W: 1 where mucosa is seen, 0 in and around the border, text and highlights."""
    red, green, blue = (image[..., channel] for channel in range(3))
    brightest, least = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    bad = ((brightest > BRIGHTEST) | (brightest < DARKEST) | (least > WHITE)).astype(np.uint8)
    side = 2 * MARGIN_PX + 1
    return np.asarray(cv2.dilate(bad, np.ones((side, side), np.uint8)) == 0, np.float32)


def _tiles(plane: Plane) -> Plane:
    """Means over tiles of about TILE_PX."""
    height, width = plane.shape
    size = (max(1, width // TILE_PX), max(1, height // TILE_PX))
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _total(weight: Plane, used: NDArray[np.bool_], *parts: Plane) -> float:
    """Energy of a band, over the tiles used."""
    squared = parts[0] * parts[0]
    for part in parts[1:]:
        squared += part * part
    return float(_tiles(squared * weight)[used].sum())


def _columnwise(plane: Plane, cycles_per_line: float, part: np.ufunc = np.cos) -> Plane:
    """One quadrature part of a vertical band; both parts together give white noise of SD 1 the energy 1."""
    offset = np.arange(TAPS) - (TAPS - 1) / 2
    window = np.hanning(TAPS + 2)[1:-1]
    parts = [window * wave(2 * np.pi * cycles_per_line * offset) for wave in (np.cos, np.sin)]
    parts[0] -= window * (parts[0].sum() / window.sum())  # deaf to brightness
    norm = math.sqrt(sum(float((taps**2).sum()) for taps in parts))
    taps = parts[0 if part is np.cos else 1] / norm
    return np.asarray(cv2.filter2D(plane, cv2.CV_32F, taps.reshape(-1, 1).astype(np.float32)), np.float32)


def _lines_are_doubled(green: Plane, weight: Plane) -> bool:
    steps = np.abs(np.diff(green, axis=0)) * weight[1:]
    first, second = float(steps[0::2].sum()), float(steps[1::2].sum())
    return min(first, second) < DOUBLED * max(first, second)


def _gradients(green: Plane) -> tuple[Plane, Plane]:
    smooth = cv2.GaussianBlur(green, (0, 0), 1.2)
    row = np.array([[-0.5, 0.0, 0.5]], np.float32)
    across, down = cv2.filter2D(smooth, cv2.CV_32F, row), cv2.filter2D(smooth, cv2.CV_32F, row.T)
    return np.asarray(across, np.float32), np.asarray(down, np.float32)


def _explained(signal: Plane, gradients: tuple[Plane, Plane], weight: Plane, used: NDArray[np.bool_]) -> float:
    """Fraction of the signal's energy (its slow part) that one displacement per tile explains; about 0–1."""
    signal = np.asarray(cv2.GaussianBlur(signal, (0, 0), 1.0), np.float32) * weight
    x, y = gradients
    xx, yy, xy = _tiles(x * x * weight), _tiles(y * y * weight), _tiles(x * y * weight)
    sx, sy, energy = _tiles(signal * x), _tiles(signal * y), _tiles(signal * signal)
    ridge = 0.02 * (xx + yy) + 0.05  # grey levels² per px²: tiles without structure have no displacement
    determinant = (xx + ridge) * (yy + ridge) - xy * xy
    moved_x = ((yy + ridge) * sx - xy * sy) / determinant
    moved_y = ((xx + ridge) * sy - xy * sx) / determinant
    explained = moved_x * sx + moved_y * sy
    most = np.quantile(energy[used], DOMINANT_QUANTILE)
    tempered = np.minimum(1.0, most / np.maximum(energy, 1e-6))[used]
    return float((explained[used] * tempered).sum() / max(float((energy[used] * tempered).sum()), 1e-6))

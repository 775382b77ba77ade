"""`polypda-metrics v1` spelt out with sets of pixels and exact arithmetic: slow, short, and independent of the product.

Nothing here uses NumPy, SciPy or the package under test: pixels are (row, column) pairs, areas are set sizes, ratios
are fractions, and a distance is kept as the square root of a whole number. The answers of the conformance table follow
from it, and it is the reference of the random tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

Pixel = tuple[int, int]
Answer = Fraction | int | bool | None

LEAST_LESION_PX = 20
LEAST_LESION_FRACTION = Fraction(2, 10_000)
LEAST_TOLERANCE_PX = Fraction(2)
TOLERANCE_FRACTION = Fraction(1, 100)
FALSE_POSITIVE_FRACTION = Fraction(1, 100)
HIT_RULES = {"lesions_hit_10": Fraction(1, 10), "lesions_hit_50": Fraction(1, 2)}


@dataclass(frozen=True)
class Distance:
    """√low + share·(√high − √low), in pixels: what linear interpolation between two distances gives, kept exact."""

    low_squared: int
    high_squared: int
    share: Fraction = Fraction(0)

    def __float__(self) -> float:
        low, high = math.sqrt(self.low_squared), math.sqrt(self.high_squared)
        return low + float(self.share) * (high - low)

    def __str__(self) -> str:
        if not self.share:
            return f"√{self.low_squared}"
        return f"√{self.low_squared}+{self.share}(√{self.high_squared}-√{self.low_squared})"


@dataclass(frozen=True)
class Drawn:
    """One frame: sets of pixels of a height × width grid, and the probability where it is not 0."""

    height: int
    width: int
    reference: frozenset[Pixel]
    valid: frozenset[Pixel]
    probability: Mapping[Pixel, Fraction]
    threshold: Fraction = Fraction(1, 2)

    @property
    def predicted(self) -> frozenset[Pixel]:
        return frozenset(pixel for pixel, p in self.probability.items() if p >= self.threshold)


def answers(frame: Drawn) -> dict[str, Answer | Distance]:
    """Every metric of one frame by its definition; None where the definition says NaN (or no answer)."""
    g, p = frame.reference & frame.valid, frame.predicted & frame.valid
    return {**pixel_answers(g, p, frame), **contour_answers(g, p, frame.valid), **lesion_answers(g, p, frame)}


def pixel_answers(g: frozenset[Pixel], p: frozenset[Pixel], frame: Drawn) -> dict[str, Answer | Distance]:
    tp, fp, fn = len(g & p), len(p - g), len(g - p)
    tn = len(frame.valid - g - p)
    touched = frame.valid & (g | frame.probability.keys())
    error = sum(abs(frame.probability.get(pixel, Fraction(0)) - (pixel in g)) for pixel in touched)
    return {
        "dice": ratio(2 * tp, 2 * tp + fp + fn) if g else None,
        "iou": ratio(tp, tp + fp + fn) if g else None,
        "sensitivity": ratio(tp, len(g)),
        "ppv": ratio(tp, len(p)),
        "specificity": ratio(tn, tn + fp),
        "f2": ratio(5 * tp, 5 * tp + 4 * fn + fp) if g else None,
        "mae": Fraction(error) / len(frame.valid),
        "relative_polyp_area": Fraction(len(g), len(frame.valid)),
        "fp_area_fraction": Fraction(fp, len(frame.valid)),
        "reference_outside_share": ratio(len(frame.reference - g), len(frame.reference)) or Fraction(0),
        "false_positive_frame": Fraction(fp, len(frame.valid)) > FALSE_POSITIVE_FRACTION,
        "positive": bool(g),
        "negative": not frame.reference,
        "missed": bool(g) and not p,
    }


def ratio(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole else None


def contour(mask: Iterable[Pixel]) -> list[Pixel]:
    """Pixels of the mask with at least one of their four neighbours outside it; beyond the frame is outside."""
    inside = set(mask)
    return [(y, x) for y, x in inside if not {(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)} <= inside]


def squared_distances(starts: list[Pixel], ends: list[Pixel]) -> list[int]:
    """For each start the squared distance to its nearest end, ascending."""
    return sorted(min((y - b) ** 2 + (x - a) ** 2 for b, a in ends) for y, x in starts)


def percentile_95(squared: list[int]) -> Distance:
    """The 95th percentile of the ascending distances, linear between the two nearest ranks."""
    rank = Fraction(95, 100) * (len(squared) - 1)
    below = math.floor(rank)
    low, high = squared[below], squared[math.ceil(rank)]
    return Distance(low, low) if low == high else Distance(low, high, rank - below)


def contour_answers(g: frozenset[Pixel], p: frozenset[Pixel], valid: frozenset[Pixel]) -> dict[str, Answer | Distance]:
    height, width = bounding_sides(valid)
    tolerance_px = max(LEAST_TOLERANCE_PX, TOLERANCE_FRACTION * max(height, width))
    hd95: Distance | None = None
    nsd: Fraction | None = None
    if g and p:
        there, back = squared_distances(contour(g), contour(p)), squared_distances(contour(p), contour(g))
        hd95 = max(percentile_95(there), percentile_95(back), key=float)
        nsd = Fraction(sum(d <= tolerance_px**2 for d in there + back), len(there + back))
    elif g:
        hd95, nsd = Distance(height**2 + width**2, height**2 + width**2), Fraction(0)
    return {"hd95_px": hd95, "hd95_penalised": bool(g) and not p, "nsd": nsd, "nsd_tolerance_px": tolerance_px}


def bounding_sides(pixels: Iterable[Pixel]) -> tuple[int, int]:
    """(height, width) of the tight box around the pixels, counted in pixels."""
    rows, columns = zip(*pixels, strict=True)
    return max(rows) - min(rows) + 1, max(columns) - min(columns) + 1


def lesion_answers(g: frozenset[Pixel], p: frozenset[Pixel], frame: Drawn) -> dict[str, Answer | Distance]:
    least_px = max(Fraction(LEAST_LESION_PX), LEAST_LESION_FRACTION * len(frame.valid))
    polyps, specks_g = parted(components(g), least_px)
    marks, specks_p = parted(components(p), least_px)
    hits = {name: max(hit_counts(polyps, marks, rule)) for name, rule in HIT_RULES.items()}
    alarms: Answer = len(marks) if not frame.reference else None
    return {
        "lesions_reference": len(polyps),
        "lesions_predicted": len(marks),
        **hits,
        "lesion_specks_reference": specks_g,
        "lesion_specks_predicted": specks_p,
        "fp_components": alarms,
        "specks": specks_p if not frame.reference else None,
    }


def reliability_answers(frame: Drawn) -> dict[str, Answer | Distance]:
    """Per tenth of the probability range (1 is in the last): pixels, their probability, how many are polyp."""
    tenths: list[list[Pixel]] = [[] for _ in range(10)]
    for pixel in frame.valid:
        tenths[min(math.floor(10 * frame.probability.get(pixel, 0)), 9)].append(pixel)
    found: dict[str, Answer | Distance] = {}
    for tenth, pixels in enumerate(tenths):
        found[f"pixels_{tenth}"] = len(pixels)
        found[f"probability_{tenth}"] = sum((frame.probability.get(p, Fraction(0)) for p in pixels), Fraction(0))
        found[f"reference_{tenth}"] = len(frame.reference.intersection(pixels))
    return found


def components(mask: Iterable[Pixel]) -> list[frozenset[Pixel]]:
    """Parts of the mask that hang together by sides or corners (8-connected)."""
    left, parts = set(mask), []
    while left:
        part, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            part.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge += near
        parts.append(frozenset(part))
    return parts


def parted(parts: list[frozenset[Pixel]], least_px: Fraction) -> tuple[list[frozenset[Pixel]], int]:
    """(lesions, how many specks): a part below ``least_px`` is a speck."""
    lesions = [part for part in parts if len(part) >= least_px]
    return lesions, len(parts) - len(lesions)


def hit_counts(polyps: list[frozenset[Pixel]], marks: list[frozenset[Pixel]], rule: Fraction) -> set[int]:
    """How many pairs the one-to-one matchings of greatest total IoU hold; pairs below the rule cannot be matched.

    More than one number when matchings of equal weight differ in their size.
    """
    weights = [[Fraction(len(g & p), len(g | p)) for p in marks] for g in polyps]
    best: dict[Fraction, set[int]] = {}

    def extend(row: int, used: frozenset[int], total: Fraction, hits: int) -> None:
        if row == len(polyps):
            best.setdefault(total, set()).add(hits)
            return
        extend(row + 1, used, total, hits)
        for column, weight in enumerate(weights[row]):
            if weight >= rule and column not in used:
                extend(row + 1, used | {column}, total + weight, hits + 1)

    extend(0, frozenset(), Fraction(0), 0)
    return best[max(best)]

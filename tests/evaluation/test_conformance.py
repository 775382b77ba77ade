"""The product against the conformance table, and the table against the definitions."""

import math
from dataclasses import asdict
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from conformance_case import METRICS, PREDICTION, REFERENCE, VALID, Case, drawn_rows, read_distance
from conformance_contours import CONTOURS
from conformance_lesions import LESIONS
from conformance_pixels import PIXELS
from conformance_table import TABLE, TOPICS
from metric_definitions import Distance, answers, components, hit_counts, parted, percentile_95

from polypda.evaluation.scoring.metrics import frame_metrics

ROUNDING = 1e-12


@cache
def measured(name: str, dtype: type[np.floating] = np.float64) -> dict[str, Any]:
    case = TABLE[name]
    probability = case.probabilities().astype(dtype)
    threshold = float(Fraction(case.threshold))
    return asdict(frame_metrics(probability, case.mask(REFERENCE), case.mask(VALID), threshold, frame=name))


def agree(got: float | None, answer: Fraction | Distance | int | None) -> bool:
    """NaN and "no answer" are both None in the table; anything else must be the same number."""
    if answer is None:
        return got is None or math.isnan(got)
    return got is not None and math.isclose(got, float(answer), rel_tol=ROUNDING, abs_tol=ROUNDING)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", TABLE)
def test_product_gives_the_exact_answer(name: str, metric: str) -> None:
    answer = TABLE[name].answers()[metric]
    got = measured(name)[metric]
    assert agree(got, answer), f"{metric} of “{name}”: {got}, exactly {answer}\n" + "\n".join(TABLE[name].rows)


@pytest.mark.parametrize("name", TABLE)
def test_single_precision_decides_alike(name: str) -> None:
    single, double = measured(name, np.float32), measured(name)
    assert all(single[metric] == pytest.approx(double[metric], abs=1e-7, nan_ok=True) for metric in METRICS)


@pytest.mark.parametrize("name", TABLE)
def test_pixel_counts_cover_the_valid_area(name: str) -> None:
    case, got = TABLE[name], measured(name)
    letters = "".join(case.rows)
    counts = {"tp_px": "T", "fp_px": "p", "fn_px": "g", "tn_px": "."}
    assert {count: got[count] for count in counts} == {count: letters.count(c) for count, c in counts.items()}
    assert got["valid_px"] == sum(letters.count(letter) for letter in VALID)
    assert (got["height_px"], got["width_px"]) == case.shape


@pytest.mark.parametrize("name", TABLE)
def test_table_agrees_with_the_definitions(name: str) -> None:
    defined = answers(TABLE[name].frame)
    assert TABLE[name].answers() == {metric: defined[metric] for metric in METRICS}


@pytest.mark.parametrize("name", [name for name, case in TABLE.items() if case.probability])
def test_drawing_shows_what_the_threshold_leaves(name: str) -> None:
    case = TABLE[name]
    marked = case.probabilities() >= float(Fraction(case.threshold))
    np.testing.assert_array_equal(marked & case.mask(VALID), case.mask(PREDICTION) & case.mask(VALID))


def test_table_is_large_covers_every_topic_and_holds_no_square() -> None:
    assert len(TABLE) == len(PIXELS) + len(LESIONS) + len(CONTOURS), "two rows share a name"
    assert len(TABLE) >= 60
    assert {case.topic for case in TABLE.values()} == set(TOPICS)
    assert all(height != width for height, width in (case.shape for case in TABLE.values()))
    kinds = {case.kind for case in TABLE.values()}
    assert kinds == {"positive", "missed", "negative", "outside"}


@pytest.mark.parametrize("name", TABLE)
def test_number_of_hits_is_unambiguous(name: str) -> None:
    """A row in which two matchings of equal weight have unequal numbers of hits would have no exact answer."""
    frame = TABLE[name].frame
    least = max(Fraction(20), Fraction(len(frame.valid), 5000))
    polyps, _ = parted(components(frame.reference & frame.valid), least)
    marks, _ = parted(components(frame.predicted & frame.valid), least)
    assert all(len(hit_counts(polyps, marks, rule)) == 1 for rule in (Fraction(1, 10), Fraction(1, 2)))


def test_drawings_are_read_as_described() -> None:
    assert drawn_rows("2*3.g T3.") == ["...g", "...g", "T..."]
    case = Case("", ".gpT ~GPB", "", "", "", "", "")
    assert case.mask(REFERENCE).astype(int).tolist() == [[0, 1, 0, 1], [0, 1, 0, 1]]
    assert case.mask(PREDICTION).astype(int).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]
    assert case.mask(VALID).astype(int).tolist() == [[1, 1, 1, 1], [0, 0, 0, 0]]
    with pytest.raises(ValueError, match="different lengths"):
        drawn_rows("..T .")


def test_distances_are_exact() -> None:
    assert read_distance("√5!") == Distance(5, 5)
    between = read_distance("√4+3/20(√5-√4)")
    assert between == Distance(4, 5, Fraction(3, 20)) and str(between) == "√4+3/20(√5-√4)"
    assert float(percentile_95([0, 1, 4, 9, 16])) == pytest.approx(np.percentile([0, 1, 2, 3, 4], 95))

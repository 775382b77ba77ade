"""How far cohorts differ, against plain counting, and on cohorts that are drawn alike or apart."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from polypda.evaluation.cohort_differences import compare_cohorts, supported
from polypda.evaluation.cohort_distances import FOLDS, auc_of_values, dealt_folds, energy_distance, told_apart
from polypda.evaluation.statistics.clusters import clusters_from_labels, frames_as_clusters
from polypda.quality.frame_table import FEATURES, IN_DISTANCE


def _clusters(count: int, size: int):
    return clusters_from_labels([f"{number:03d}" for number in np.repeat(np.arange(count), size)])


def _drawn(rng, clusters: int, size: int, features: int = 6, shift: float = 0.0, likeness: float = 0.6):
    """Normal values of which ``likeness`` is shared within a cluster, [N, F], and their clusters."""
    shared = np.repeat(rng.normal(size=(clusters, features)), size, axis=0)
    own = rng.normal(size=(clusters * size, features))
    return shift + np.sqrt(likeness) * shared + np.sqrt(1 - likeness) * own, _clusters(clusters, size)


def test_auc_counts_pairs_and_half_of_the_ties():
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 6, 30).astype(float), rng.integers(1, 8, 24).astype(float)
    by_pairs = np.mean([(a > b) + 0.5 * (a == b) for a in x for b in y])
    found = auc_of_values(x, _clusters(10, 3), y, _clusters(8, 3))
    assert found.auc == pytest.approx(by_pairs)
    turned = auc_of_values(y, _clusters(8, 3), x, _clusters(10, 3))
    assert (turned.auc, turned.low, turned.high) == pytest.approx((1 - found.auc, 1 - found.high, 1 - found.low))
    assert found.low < found.auc < found.high and (found.p_value < 0.05) == (found.high < 0.5)


def test_auc_without_overlap_without_spread_and_with_few_clusters():
    apart = auc_of_values(np.arange(10.0), _clusters(5, 2), np.arange(10.0) + 50, _clusters(5, 2))
    assert apart.auc == 0 and np.isnan(apart.low) and apart.p_value == pytest.approx(2 / 252)
    same = auc_of_values(np.ones(10), _clusters(5, 2), np.ones(10), _clusters(5, 2))
    assert same.auc == 0.5 and np.isnan(same.p_value)
    few = auc_of_values(np.arange(8.0), _clusters(4, 2), np.arange(10.0), _clusters(5, 2))
    assert np.isnan(few.low) and np.isnan(few.p_value) and np.isfinite(few.auc)
    assert np.isnan(auc_of_values(np.empty(0), frames_as_clusters(0), np.ones(3), frames_as_clusters(3)).auc)


def _plain_energy(x, of_x, y, of_y):
    def mean(a, cluster_a, b, cluster_b):
        told = [
            float(np.sqrt(((one - other) ** 2).sum()))
            for one, own in zip(a, cluster_a, strict=True)
            for other, its in zip(b, cluster_b, strict=True)
            if own != its
        ]
        return float(np.mean(told))

    across = mean(x, [("x", code) for code in of_x.codes], y, [("y", code) for code in of_y.codes])
    return (2 * across - mean(x, of_x.codes, x, of_x.codes) - mean(y, of_y.codes, y, of_y.codes)) / (2 * across)


def test_energy_is_what_plain_loops_and_a_plain_jackknife_give():
    rng = np.random.default_rng(2)
    (x, of_x), (y, of_y) = _drawn(rng, 6, 3, 4), _drawn(rng, 5, 2, 4, shift=0.7)
    found = energy_distance(x, of_x, y, of_y, permutations=200)
    assert found.coefficient == pytest.approx(_plain_energy(x, of_x, y, of_y))
    without_x = [of_x.codes != code for code in range(6)]
    without_y = [of_y.codes != code for code in range(5)]
    left_x = np.array([_plain_energy(x[kept], of_x.subset(kept), y, of_y) for kept in without_x])
    left_y = np.array([_plain_energy(x, of_x, y[kept], of_y.subset(kept)) for kept in without_y])
    variance = sum((len(left) - 1) / len(left) * ((left - left.mean()) ** 2).sum() for left in (left_x, left_y))
    # 2.776…: t of 4 degrees of freedom
    assert found.coefficient - found.low == pytest.approx(2.7764451 * np.sqrt(variance), rel=1e-6)


def test_two_halves_of_one_cohort_are_no_distance_apart():
    rng = np.random.default_rng(3)
    energies, areas, naive = [], [], []
    for _ in range(30):
        values, clusters = _drawn(rng, 16, 6)
        mine = clusters.codes < 8
        halves = values[mine], clusters.subset(mine), values[~mine], clusters.subset(~mine)
        found = energy_distance(*halves, permutations=50)
        energies.append(found.coefficient)
        areas.append(told_apart(*halves))
        single = [frames_as_clusters(int(part.sum())) for part in (mine, ~mine)]
        naive.append(energy_distance(values[mine], single[0], values[~mine], single[1], permutations=50).coefficient)
    assert abs(np.mean(energies)) < 0.01
    assert abs(np.mean(areas) - 0.5) < 0.06
    assert np.mean(naive) > 0.025  # what taking frames as independent would have shown


def test_the_further_the_shift_the_larger_every_distance():
    rng = np.random.default_rng(4)
    (x, of_x), (y, of_y) = _drawn(rng, 20, 4), _drawn(rng, 20, 4)
    shifts = (0.0, 0.5, 1.0, 2.0, 4.0)
    energies = [energy_distance(x, of_x, y + shift, of_y, permutations=200) for shift in shifts]
    areas = [told_apart(x, of_x, y + shift, of_y) for shift in shifts]
    assert all(one.coefficient < other.coefficient for one, other in pairwise(energies))
    assert all(one <= other for one, other in pairwise(areas))
    assert areas[-1] > 0.99 and energies[0].p_value > 0.05 >= energies[-1].p_value
    assert energies[0].low < 0 < energies[-1].low


def test_folds_keep_clusters_whole():
    clusters = clusters_from_labels([str(number) for number in np.repeat(np.arange(7), [9, 1, 1, 4, 4, 2, 3])])
    folds = dealt_folds(clusters, np.random.default_rng(0))
    assert all(len(set(folds[clusters.codes == code])) == 1 for code in range(7))
    assert set(folds) == set(range(FOLDS))


def _table(rng, cohort: str, clusters: int = 12, size: int = 5, **shifts: float) -> pd.DataFrame:
    rows = clusters * size
    table = pd.DataFrame({feature.name: np.full(rows, np.nan) for feature in FEATURES})
    for feature in IN_DISTANCE:
        values, _ = _drawn(rng, clusters, size, 1, shift=shifts.get(feature.name, 0.0))
        spread = (feature.spread or 1.0) * values[:, 0]
        table[feature.name] = 5 * np.exp(spread) if feature.offset is not None else 40 + spread
    table["polyps"] = 1.0
    names = [f"{cohort}-{number}" for number in np.repeat(np.arange(clusters), size)]
    return table.assign(cohort=cohort, frame=[str(n) for n in range(rows)], patient=names, cluster=names, label="mask")


def test_comparison_of_tables_tells_what_was_shifted_and_nothing_else():
    rng = np.random.default_rng(5)
    tables = [_table(rng, "here"), _table(rng, "there"), _table(rng, "away", laplacian_sd=5.0, lightness=-4.0)]
    found = compare_cohorts(pd.concat(tables))
    alike = found.effects[(found.effects["cohort"] == "here") & (found.effects["other"] == "there")]
    assert supported(alike).empty
    shifted = supported(found.effects[found.effects["other"] == "away"])
    assert set(shifted["feature"]) == {"laplacian_sd", "lightness"}
    signs = shifted.groupby("feature")["delta"].agg(["min", "max"])
    assert signs.loc["laplacian_sd", "min"] > 0.5 and signs.loc["lightness", "max"] < -0.5
    distance = found.distances.set_index(["cohort", "other"])["distance"]
    assert abs(distance["here", "there"]) < 0.05 < distance["here", "away"]
    assert found.halves["distance"].abs().max() < 0.08
    assert found.distances["clusters_known"].all() and set(found.summary["cluster_unit"]) == {"patient"}
    sharp = found.summary[(found.summary["cohort"] == "away") & (found.summary["feature"] == "laplacian_sd")].iloc[0]
    assert sharp["q50"] == pytest.approx(np.median(tables[2]["laplacian_sd"])) and sharp["clusters"] == 12
    assert "polyp_area_percent" not in set(found.summary["feature"])  # nothing is made up for what no frame has


def test_one_cohort_and_one_frame_compare_with_nothing():
    rng = np.random.default_rng(6)
    alone = compare_cohorts(_table(rng, "here", 1, 1))
    assert alone.effects.empty and alone.distances.empty and (alone.summary["n"] == 1).all()
    assert alone.halves["distance"].isna().all()
    two = compare_cohorts(pd.concat([_table(rng, "here", 1, 1), _table(rng, "there", 4, 1)]))
    assert two.effects["p_value"].isna().all() and supported(two.effects).empty
    assert two.distances["distance"].isna().all()


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [(5, 8), (10, 10), (10, 29), (30, 30)])
@pytest.mark.parametrize("shift", [0.0, 0.8, 2.0])
def test_intervals_cover(clusters, shift):
    rng = np.random.default_rng(7)
    true, covered, tried = norm.cdf(shift / np.sqrt(2)), 0, 600
    for _ in range(tried):
        (x, of_x), (y, of_y) = _drawn(rng, clusters[0], 12, 1, shift), _drawn(rng, clusters[1], 12, 1)
        found = auc_of_values(x[:, 0], of_x, y[:, 0], of_y)
        covered += found.low <= true <= found.high
    print(f"{clusters} AUC {true:.2f}: {100 * covered / tried:.1f} % covered")
    assert 0.89 < covered / tried < 0.99

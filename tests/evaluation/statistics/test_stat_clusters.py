"""Frames are grouped by patient or sequence, whatever their order, and never on a silently smaller n."""

import numpy as np
import pandas as pd
import pytest

from polypda.errors import DataError
from polypda.evaluation.statistics.clusters import (
    Clusters,
    checked_values,
    cluster_means,
    clusters_from_labels,
    clusters_of,
    effective_count,
    frames_as_clusters,
)


def table(patients: list[str], sequences: list[str], cohort: str = "haining") -> pd.DataFrame:
    cluster = [patient or sequence for patient, sequence in zip(patients, sequences, strict=True)]
    return pd.DataFrame({"cohort": cohort, "patient": patients, "sequence": sequences, "cluster": cluster})


def test_patients_are_the_unit_where_all_are_known() -> None:
    clusters = clusters_of(table(["p2", "p1", "p2"], ["s", "s", "t"]))
    assert (clusters.unit, clusters.known, clusters.count) == ("patient", True, 2)
    assert clusters.codes.tolist() == [1, 0, 1]
    assert clusters.names == ("p1", "p2")
    assert clusters.sizes.tolist() == [1, 2]


def test_sequences_stand_in_where_no_patient_is_known() -> None:
    assert clusters_of(table(["", ""], ["s", "t"])).unit == "sequence"


def test_a_patient_and_a_sequence_of_one_name_are_two_clusters() -> None:
    clusters = clusters_of(table(["1", ""], ["9", "1"]))
    assert (clusters.unit, clusters.count) == ("mixed", 2)


def test_one_name_in_two_cohorts_is_two_clusters() -> None:
    both = pd.concat([table(["p1"], ["s"], "haining"), table(["p1"], ["s"], "zju2")])
    clusters = clusters_of(both)
    assert clusters.count == 2
    assert clusters.names == ("haining/p1", "zju2/p1")


def test_one_frame_of_unknown_origin_makes_all_unknown() -> None:
    clusters = clusters_of(table(["p1", "p1", ""], ["", "", ""]))
    assert (clusters.unit, clusters.known, clusters.count, len(clusters)) == ("unknown", False, 3, 3)


def test_no_frame_is_no_cluster() -> None:
    clusters = clusters_of(table([], []))
    assert (len(clusters), clusters.count, clusters.effective_count) == (0, 0, 0.0)


def test_a_subset_forgets_clusters_without_a_frame() -> None:
    clusters = clusters_from_labels(["a", "b", "b", "c"], "sequence")
    part = clusters.subset(np.array([False, True, True, True]))
    assert (part.codes.tolist(), part.count, part.names, part.unit) == ([0, 0, 1], 2, ("b", "c"), "sequence")


def test_effective_count_is_the_count_of_equal_clusters_and_less_otherwise() -> None:
    assert effective_count(np.array([7, 7, 7, 7])) == pytest.approx(4)
    assert effective_count(np.array([8, 1, 1])) == pytest.approx(100 / 66)


def test_cluster_means_by_hand() -> None:
    clusters = clusters_from_labels(["b", "a", "b"])
    means = cluster_means([[0.2, 1.0], [0.5, 0.0], [0.6, 0.5]], clusters)
    np.testing.assert_allclose(means, [[0.5, 0.0], [0.4, 0.75]])


@pytest.mark.parametrize(
    ("codes", "count", "unit", "known"),
    [
        (np.array([0, 2]), 3, "patient", True),  # cluster 1 has no frame
        (np.array([0.0, 1.0]), 2, "patient", True),
        (np.array([0, 1]), 2, "unknown", True),
        (np.array([0, 1]), 2, "polyp", True),
    ],
)
def test_contradictory_clusters_are_refused(codes: np.ndarray, count: int, unit: str, known: bool) -> None:
    with pytest.raises(DataError, match="E_STAT_CLUSTERS"):
        Clusters(codes, count, unit, known)


def test_names_must_match_the_clusters() -> None:
    with pytest.raises(DataError, match="E_STAT_CLUSTERS"):
        Clusters(np.array([0, 1]), 2, "patient", True, ("a",))


def test_cases_without_clusters_are_refused() -> None:
    with pytest.raises(DataError, match=r"E_STAT_CLUSTERS.*patient, cluster"):
        clusters_of(pd.DataFrame({"cohort": ["haining"]}))


def test_values_that_are_not_numbers_are_counted_in_the_error() -> None:
    with pytest.raises(DataError, match=r"E_STAT_NOT_FINITE.* 2 of 3 frames"):
        checked_values([np.nan, 0.5, np.inf], frames_as_clusters(3))


@pytest.mark.parametrize("shape", [(2,), (4, 1), (3, 1, 1), ()])
def test_values_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="E_STAT_LENGTH"):
        checked_values(np.zeros(shape), frames_as_clusters(3))

"""What may be called help or harm, and in which words."""

import math

import pytest

from polypda.reporting.verdict import Finding, finding, holds_after_correction, verdict
from polypda.reporting.wording import counted, interval, listed, p_text, percent, signed, whole


def row(delta=0.04, low=-0.01, high=0.09, kind="cluster bootstrap", p_holm=0.4, clusters=22, n=66, **more):
    return {
        "delta": delta,
        "low": low,
        "high": high,
        "interval": kind,
        "p_holm": p_holm,
        "clusters": clusters,
        "n": n,
    } | more


@pytest.mark.parametrize(
    ("case", "found"),
    [
        (row(), Finding.NOT_SHOWN),
        (row(low=0.01), Finding.HELPS),
        (row(delta=-0.04, low=-0.09, high=-0.01), Finding.HARMS),
        (row(low=0.01, kind="cluster t"), Finding.HELPS),
        (row(p_holm=0.049), Finding.HELPS),
        (row(p_holm=0.05), Finding.NOT_SHOWN),
        (row(delta=-0.04, p_holm=0.01), Finding.HARMS),
        (row(low=0.01, kind="frames as independent", p_holm=0.001, clusters=None), Finding.NOT_SHOWN),
        (row(low=math.nan, high=math.nan, kind="none", p_holm=math.nan, clusters=3), Finding.NOT_SHOWN),
        (row(low=0.0), Finding.NOT_SHOWN),
        (row(delta=math.nan, low=math.nan, high=math.nan, kind="none", n=0), Finding.UNKNOWN),
    ],
)
def test_only_clusters_carry_a_claim(case, found) -> None:
    assert finding(case) is found


def said(case, unit="patient") -> str:
    return verdict(case, unit).replace("\u00a0", " ")


def test_the_words_name_difference_interval_clusters_and_conclusion() -> None:
    assert said(row()) == "Dice +0.04, 95 % interval −0.01 to +0.09, 22 patients: not shown to help"
    assert said(row(delta=-0.04)).endswith("not shown to help, the mean is lower")
    assert said(row(low=0.01, p_holm=0.01), "mixed").endswith("22 clusters: helps")
    assert said(row(low=0.01, p_holm=0.2)).endswith("helps, taken by itself (not after Holm's correction)")
    assert said(row(p_holm=0.012)).endswith(
        "helps by the sign-flip test (Holm p = 0.012), though the interval reaches 0"
    )
    frames = said(row(low=0.01, kind="frames as independent", clusters=None))
    assert "if its 66 frames were independent" in frames and "likely too narrow" in frames and "not shown" in frames
    few = said(row(low=math.nan, high=math.nan, kind="none", clusters=1), "sequence")
    assert "1 sequence (66 frames), too few for an interval" in few
    boxes = "annotated with boxes only: no Dice"
    case = row(delta=math.nan, words=boxes, delta_lesion_sensitivity_10=0.05)
    assert said(case) == f"{boxes}; lesion sensitivity +0.05 (no interval), for which no finding is declared"
    case |= {f"delta_lesion_sensitivity_10_{end}": value for end, value in (("low", -0.02), ("high", 0.12))}
    assert "+0.05 (−0.02 to +0.12)" in said(case | {"delta_lesion_sensitivity_10_interval": "cluster bootstrap"})


def test_a_finding_may_not_hold_when_all_comparisons_count() -> None:
    assert holds_after_correction(row(low=0.01, p_holm=0.01))
    assert not holds_after_correction(row(low=0.01, p_holm=0.2))
    assert not holds_after_correction(row(p_holm=math.nan, low=0.01))
    assert not holds_after_correction(row())


def test_numbers_keep_their_sign_and_their_unit() -> None:
    assert (signed(-0.104), signed(0.001), signed(-0.0001), signed(math.nan)) == ("−0.10", "±0.00", "±0.00", "–")
    # a limit that rounding would move to 0 keeps the side on which it lies
    assert interval(0.004, 0.05).replace("\u00a0", " ") == "+0.004 to +0.05"
    assert interval(math.nan, 0.05) == "–"
    assert (percent(0.426), percent(math.nan)) == ("43\u00a0%", "–")
    assert (p_text(0.0002), p_text(0.0123), p_text(0.43)) == ("<0.001", "0.012", "0.43")
    assert (whole(5.0), whole(2.5), whole(None)) == ("5", "2.5", "–")
    assert (counted(1, "frame"), counted(2, "frame")) == ("1\u00a0frame", "2\u00a0frames")
    assert listed(["a"]) == "a" and listed(["a", "b", "c"]) == "a, b and c" and listed([]) == ""

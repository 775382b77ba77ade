"""What may be called help or harm, and in which words."""

import math

import pytest

from polypda.reporting.verdict import Finding, concerns, finding, verdict
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
        (row(low=0.01, p_holm=0.049), Finding.HELPS),
        (row(low=0.01, p_holm=0.05), Finding.MAY_HELP),
        (row(low=0.01, p_holm=math.nan), Finding.MAY_HELP),
        (row(delta=-0.04, low=-0.09, high=-0.01, p_holm=0.01), Finding.HARMS),
        (row(delta=-0.04, low=-0.09, high=-0.01), Finding.MAY_HARM),
        (row(low=0.01, kind="cluster t", p_holm=0.01), Finding.HELPS),
        (row(p_holm=0.049), Finding.MAY_HELP),
        (row(p_holm=0.05), Finding.NOT_SHOWN),
        (row(delta=-0.04, p_holm=0.01), Finding.MAY_HARM),
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
    assert said(row(low=0.01, p_holm=0.2)).endswith("suggestive: better (not after Holm's correction)")
    assert said(row(low=0.01, p_holm=math.nan)).endswith("suggestive: better (not among the tested comparisons)")
    assert said(row(delta=-0.04, p_holm=0.012)).endswith(
        "suggestive: worse (sign-flip test, Holm p = 0.012, but the interval reaches 0)"
    )
    frames = said(row(low=0.01, kind="frames as independent", clusters=None))
    assert "if its 66 frames were independent" in frames and "likely too narrow" in frames and "not shown" in frames
    few = said(row(low=math.nan, high=math.nan, kind="none", clusters=1), "sequence")
    assert "1 sequence (66 frames), too few for an interval" in few
    alike = said(row(delta=0.0, low=math.nan, high=math.nan, kind="none", clusters=12), "patient")
    assert "12 patients (66 frames), all alike: no interval" in alike
    boxes = "annotated with boxes only: no Dice"
    case = row(delta=math.nan, words=boxes, delta_lesion_sensitivity_10=0.05)
    assert said(case) == f"{boxes}; lesion sensitivity +0.05 (no interval), for which no finding is declared"
    case |= {f"delta_lesion_sensitivity_10_{end}": value for end, value in (("low", -0.02), ("high", 0.12))}
    assert "+0.05 (−0.02 to +0.12)" in said(case | {"delta_lesion_sensitivity_10_interval": "cluster bootstrap"})


def centre_row(**changes):
    return {
        "n_dice": 40,
        "missed": 4,
        "n_negative": 50,
        "frame_specificity": 0.6,
        "delta_frame_specificity": 0.1,
        "delta_dice_frame": 0.05,
        "cohort": "ada",
    } | changes


def test_what_goes_before_any_gain() -> None:
    before = centre_row(frame_specificity=0.5)
    assert concerns(before, centre_row(), centre_row()) == []
    found = concerns(
        before,
        centre_row(missed=20, frame_specificity=0.4, delta_frame_specificity=-0.1),
        centre_row(delta_dice_frame=-0.21),
    )
    assert [one.replace("\u00a0", " ") for one in found] == [
        "Not usable: it marks nothing on 20 of 40 frames with a polyp (before: 4).",
        "Beware: it leaves 40 % of 50 frames without a polyp clean (before: 50 %).",
        "Beware: it forgot part of its source, Dice in ada falls by 0.21.",
    ]


@pytest.mark.parametrize(
    "after",
    [
        centre_row(missed=19),
        centre_row(n_dice=0, missed=math.nan),
        centre_row(delta_frame_specificity=-0.04),
        centre_row(n_negative=10, delta_frame_specificity=-0.1),  # one frame
        centre_row(n_negative=0, delta_frame_specificity=math.nan),
    ],
)
def test_what_is_no_concern(after) -> None:
    assert concerns(centre_row(), after, centre_row(delta_dice_frame=math.nan)) == []


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

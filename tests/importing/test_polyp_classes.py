"""Which classes are polyps, and which words say that there is none."""

from __future__ import annotations

import pytest

from polypda.importing.annotations.annotated import (
    FrameFacts,
    Meaning,
    PolypClasses,
    facts_in,
    mode_of_path,
    says_no_polyp,
)
from polypda.importing.readers.folder_words import mode_of

POLYP, NONE, UNKNOWN = Meaning.POLYP, Meaning.NONE, Meaning.UNKNOWN


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("polyp", POLYP),
        ("Polyps_2", POLYP),
        ("AD-adenoma", POLYP),
        ("non-neoplastic", POLYP),
        ("hyperplastic", POLYP),
        ("SSL", POLYP),
        ("mucosal lesion", POLYP),
        ("息肉", POLYP),
        ("腺瘤性息肉", POLYP),
        ("no polyp", NONE),
        ("NotPolyp", NONE),
        ("non-polypoid lesion", POLYP),
        ("not_a_polyp", NONE),
        ("polyp-free", NONE),
        ("without polyps", NONE),
        ("无息肉", NONE),
        ("normal mucosa", NONE),
        ("abnormal", UNKNOWN),
        ("instrument", NONE),
        ("Forceps", NONE),
        ("texture", UNKNOWN),
        ("class_3", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_meaning_of_a_class(name, meaning):
    assert PolypClasses().meaning(name) is meaning


def test_only_class_is_the_polyp_unless_its_name_says_the_opposite():
    assert PolypClasses(used=["target"]).meaning("Target") is POLYP
    assert PolypClasses(used=["target", "other"]).meaning("target") is UNKNOWN
    assert PolypClasses(used=["background"]).meaning("background") is NONE


def test_words_for_a_frame_without_a_polyp():
    assert all(map(says_no_polyp, ("Not polyp", "negatives", "NORMAL", "clean mucosa", "polyp_negative", "阴性")))
    assert not any(map(says_no_polyp, ("polyp", "instrument", "abnormal", "WL", "mucosa", "")))


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("NBI", "NBI"),
        ("white light", "WL"),
        ("WLI", "WL"),
        ("Narrow-Band Imaging", "NBI"),
        ("iscan", "ISCAN"),
        ("x", None),
    ],
)
def test_imaging_modes(name, mode):
    assert mode_of(name) == mode
    assert mode_of_path(["NBI" if mode is None else "x", name]) == (mode or "NBI")


def test_facts_in_free_fields():
    facts = facts_in({"Patient ID": 3, "Video": "v", "MODALITY": "wl", "subset": "Val", "other": [], "split": None})
    assert (facts.patient, facts.sequence, facts.mode, facts.split) == ("3", "v", "WL", "validation")
    assert facts_in({"patient": {"a": 1}, "video": True, "mode": "dark"}) == FrameFacts(other_mode="dark")

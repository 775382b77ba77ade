from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polypda.cohorts.frames import Frame, OpenedCohort, Split
from polypda.cohorts.splits import assign_splits, hashed_split, require_no_leak, require_split, unit_of
from polypda.errors import DataError, LeakageError

NAMES = st.one_of(st.none(), st.text("abcdef0123456789", min_size=1, max_size=4))


def frame(name: str, patient: str | None = None, sequence: str | None = None, split: Split | None = None) -> Frame:
    return Frame("painted", name, Path(f"{name}.png"), patient=patient, sequence=sequence, split=split)


@st.composite
def cohorts(draw):
    """Frames whose sequences each belong to one patient, or all to none."""
    patients = draw(st.dictionaries(st.text("pqrs", min_size=1, max_size=3), NAMES, max_size=12))
    sequences = list(patients) or [None]
    names = draw(st.lists(st.integers(0, 9999).map(str), unique=True, min_size=1, max_size=40))
    chosen = [draw(st.sampled_from([*sequences, None])) for _ in names]
    return [frame(name, patients.get(s) if s else None, s) for name, s in zip(names, chosen, strict=True)]


@settings(max_examples=100, deadline=None)
@given(cohorts(), st.integers(0, 40))
def test_adding_frames_moves_none_and_order_does_not_matter(frames, kept):
    before = {entry.frame: entry.split for entry in assign_splits(frames[:kept])}
    after = {entry.frame: entry.split for entry in assign_splits(list(reversed(frames)))}
    assert all(after[name] is split for name, split in before.items())
    assert None not in after.values()


@settings(max_examples=100, deadline=None)
@given(cohorts())
def test_no_unit_lies_in_two_parts(frames):
    parts: dict[tuple[str, str], set] = {}
    for entry in assign_splits(frames):
        parts.setdefault(unit_of(entry), set()).add(entry.split)
    assert all(len(seen) == 1 for seen in parts.values())


def test_fractions_are_seventy_ten_twenty():
    counts = Counter(hashed_split("painted", ("frame", str(number))) for number in range(4000))
    for part, share in ((Split.TRAIN, 0.7), (Split.VALIDATION, 0.1), (Split.TEST, 0.2)):
        assert abs(counts[part] / 4000 - share) < 0.03  # > 4 standard errors


def test_split_is_pinned():
    # A change of the rule would move frames between the parts of everybody's cohorts.
    told = "".join(hashed_split("kvasir", ("frame", str(number))).value[1] for number in range(24))
    assert told == "eeerrrerrrrrarerrarrarrr"  # second letters: tRain, vAlidation, tEst


def test_cohort_is_part_of_the_hash():
    units = [("patient", str(number)) for number in range(50)]
    assert [hashed_split("a", unit) for unit in units] != [hashed_split("b", unit) for unit in units]


def test_official_split_wins_and_the_rest_of_its_unit_follows():
    given_part = next(part for part in Split if part is not hashed_split("painted", ("patient", "p")))
    split = assign_splits([frame("1", "p", split=given_part), frame("2", "p")])
    assert [entry.split for entry in split] == [given_part, given_part]


@pytest.mark.parametrize(
    "frames",
    [
        [frame("1", "p", "s", Split.TRAIN), frame("2", "p", "t", Split.TEST)],
        [frame("1", None, "s", Split.TRAIN), frame("2", None, "s", Split.VALIDATION)],
        [frame("1", "p", "s", Split.TRAIN), frame("2", None, "s", Split.TEST)],
    ],
    ids=["patient", "sequence", "sequence of a half-known patient"],
)
def test_leaking_official_split_is_refused(frames):
    with pytest.raises(LeakageError) as caught:
        assign_splits(frames)
    assert caught.value.code == "E_SPLIT_LEAK" and caught.value.exit_status == 4
    assert "frame 1" in caught.value.what and "frame 2" in caught.value.what


def test_sequences_of_two_patients_may_share_a_name():
    require_no_leak([frame("1", "p", "1", Split.TRAIN), frame("2", "q", "1", Split.TEST)])
    with pytest.raises(LeakageError, match="E_SPLIT_LEAK"):  # the same sequence of one patient may not
        require_no_leak([frame("1", "p", "1", Split.TRAIN), frame("2", "p", "1", Split.TEST)])


def test_same_names_in_two_cohorts_are_no_leak():
    one = frame("1", None, "s", Split.TRAIN)
    require_no_leak([one, replace(one, cohort="other", split=Split.TEST)])
    with pytest.raises(LeakageError, match="E_SPLIT_LEAK"):  # within one cohort the same name is one
        require_no_leak([one, replace(one, frame="2", split=Split.TEST)])


def test_empty_part_is_an_error_with_the_counts():
    opened = OpenedCohort("painted", Path(), (frame("1", split=Split.TRAIN),))
    assert require_split(opened, Split.TRAIN) == opened.frames
    with pytest.raises(DataError, match="train 1, validation 0, test 0") as caught:
        require_split(opened, Split.TEST)
    assert caught.value.code == "E_SPLIT_EMPTY"

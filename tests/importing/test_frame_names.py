"""Names of frames: safe everywhere, one of each, the same every time."""

from hypothesis import given
from hypothesis import strategies as st

from polypda.importing.writing.records import FrameNames, safe_name


@given(st.text(max_size=150))
def test_every_name_can_be_a_file(tmp_path_factory, name):
    safe = safe_name(name)
    assert safe and len(safe.encode()) <= 120
    assert not set(safe) & set('/\\:*?"<>|\0\n\r') and safe not in (".", "..")
    assert safe == safe.strip(" .") and safe_name(safe) == safe


@given(st.lists(st.text(max_size=12), unique=True, max_size=6))
def test_given_names_never_clash_whatever_the_case(wishes):
    names = FrameNames()
    given_names = [name for name in map(names.give, wishes) if name is not None]
    assert len({name.casefold() for name in given_names}) == len(given_names)
    assert all(names.give(wish) is None for wish in wishes)


def test_usual_names_stay():
    names = FrameNames()
    assert [names.give(name) for name in ("img_001", "病例 3", "a.b", "Ä")] == ["img_001", "病例 3", "a.b", "Ä"]
    assert names.give("A\u0308") is None  # the same letter, decomposed


def test_clashes_by_case_and_by_cleaning_get_digits_of_their_own():
    names = FrameNames()
    first, by_case, cleaned = names.give("a_1"), names.give("A_1"), names.give("a/1")
    assert first == "a_1" and by_case.startswith("A_1-") and cleaned.startswith("a_1-") and cleaned != by_case
    other = FrameNames()
    other.give("a_1")
    assert other.give("a/1") == cleaned  # whoever else came


def test_devices_and_long_names():
    assert safe_name("CON") == "_CON" and safe_name("nul.1") == "_nul.1"
    long = "肠" * 200
    assert len(safe_name(long).encode()) <= 120 and safe_name(long) != safe_name(long + "x")


def test_a_name_of_the_cohort_is_taken():
    names = FrameNames()
    names.reserve("f1")
    assert names.give("f1") is None and names.give("F1").startswith("F1-")

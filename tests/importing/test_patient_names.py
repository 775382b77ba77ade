"""Patients by names: clips of one patient stay together, and the import's end tells what was understood."""

import pytest
from importing.painted_sources import frame, lines, mask, put, run_import

from polypda.cohorts.opening import open_cohort
from polypda.errors import UsageError
from polypda.importing.annotations.annotated import facts_in, facts_of
from polypda.importing.readers.folder_words import PatientRule

NAMES = ("case1_1", "case1_2", "case2_1", "case10_1", "case10_2")


def clips(folder, names=NAMES):
    for number, name in enumerate(names):
        for image in range(2):
            put(folder / "images" / name / f"{image}.jpg", frame(10 * number + image))
            put(folder / "masks" / name / f"{image}.png", mask())
    return folder


def groups(result):
    return {record.frame: (record.patient, record.sequence) for record in result.records}


def told(result, code):
    return [line.what for line in result.summary.lines if line.code == code]


def test_clips_of_one_patient_are_one_patient_and_this_is_told(tmp_path):
    result = run_import(clips(tmp_path / "src"), tmp_path / "root")
    assert {patient for patient, _ in groups(result).values()} == {"case1", "case2", "case10"}
    assert {sequence for _, sequence in groups(result).values()} == {
        "case1_1",
        "case1_2",
        "case2_1",
        "case10_1",
        "case10_2",
    }
    (what,) = told(result, "W_PATIENT_GUESSED")
    assert what.startswith("3 patients found by folders called 'case' and a number.") and "-O patients=whole" in what
    parts = {}
    for one in open_cohort("ward-7", tmp_path / "root").frames:
        parts.setdefault(one.patient, set()).add(one.split)
    assert len(parts) == 3 and all(len(part) == 1 for part in parts.values())


@pytest.mark.parametrize(
    ("option", "patients"),
    [
        ("whole", {"case1_1", "case1_2", "case2_1", "case10_1", "case10_2"}),
        ("none", {None}),
        (r"case(\d+)", {"1", "2", "10"}),
        (r"case\d+", {"case1", "case2", "case10"}),
    ],
)
def test_the_user_decides(tmp_path, option, patients):
    result = run_import(clips(tmp_path / "src"), tmp_path / "root", options={"patients": option})
    assert {patient for patient, _ in groups(result).values()} == patients
    assert told(result, "W_PATIENT_GUESSED") == []
    assert len(told(result, "N_PATIENTS")) == (option != "none")


def test_no_pattern_is_an_error():
    with pytest.raises(UsageError, match="E_OPTION"):
        PatientRule.parse("case(")


def test_patients_in_the_names_of_files(tmp_path):
    for number, name in enumerate(("patient1_001", "patient1_002", "patient2_001", "other")):
        put(tmp_path / "src" / f"{name}.jpg", frame(number))
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert [patient for patient, _ in groups(result).values()] == [None, "patient1", "patient1", "patient2"]
    assert told(result, "N_PATIENTS") == ["2 patients found by files called 'patient' and a number."]
    assert len(told(result, "W_PATIENT_PARTLY")) == 1


def test_plain_names_of_patients_are_told_and_not_doubted(tmp_path):
    result = run_import(clips(tmp_path / "src", ("Case 1", "Case 2")), tmp_path / "root")
    assert set(lines(result)) == {"N_PATIENTS"} and result.summary.everything_taken


def test_a_table_needs_no_guess(tmp_path):
    source = clips(tmp_path / "src", ("case1_1",))
    put(source / "groups.csv", b"frame,patient\n0,p1\n1,p1\n")
    result = run_import(source, tmp_path / "root")
    assert lines(result) == {} and {patient for patient, _ in groups(result).values()} == {"p1"}


def test_annotated_images_and_videos_go_by_the_same_rule():
    facts = facts_of(facts_in({}), "images/case1_2/a.png")
    assert (facts.patient, facts.sequence) == ("case1", "case1_2") and facts.patient_by
    named = facts_of(facts_in({"patient": "p9"}), "images/case1_2/a.png")
    assert named.patient == "p9" and named.patient_by is None
    assert PatientRule().of("films/case3_1.mp4", video=True)[:2] == ("case3", "case3_1")
    assert PatientRule().of("films/lesion3.mp4", video=True) == (None, None, None)

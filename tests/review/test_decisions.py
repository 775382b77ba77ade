"""What comes back from reviewers: what is refused, and why."""

import json

import pytest
from support.reviews import decisions_document, write_decisions, write_painted_review

from polypda.errors import DataError
from polypda.review.decisions import checksum, read_decisions, require_fitting
from polypda.review.merging import agreement_of, merge
from polypda.review.record import read_key, read_record

ACCEPT, REJECT, FLAG = ({"decision": word} for word in ("accept", "reject", "flag"))


@pytest.fixture
def record(tmp_path):
    return write_painted_review(tmp_path, 4)


def refused(path, content) -> str:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(DataError) as raised:
        read_decisions(path)
    assert raised.value.fix
    return raised.value.code


def sealed(document: dict, **changes) -> dict:
    changed = {**document, **changes}
    return {**changed, "checksum": checksum(changed)}


def test_a_file_is_read_as_it_was_written(record, tmp_path) -> None:
    document = decisions_document(record, [ACCEPT, {**REJECT, "reasons": ["missed"], "note": "Röt 息肉 😀 \u2028"}])
    decisions = read_decisions(write_decisions(tmp_path / "d.json", document))
    assert [one.decision for one in decisions.answers] == ["accept", "reject"]
    assert decisions.answers[1].note == "Röt 息肉 😀 \u2028" and decisions.reviewer == "Li"
    require_fitting(decisions, record, "d.json")


def test_each_kind_of_bad_file_has_its_code(record, tmp_path) -> None:
    good = decisions_document(record, [ACCEPT])
    path, text = tmp_path / "d.json", json.dumps(good)
    assert refused(path, text[: len(text) // 2].encode()) == "E_REVIEW_UNREADABLE"
    assert refused(path, b"") == "E_REVIEW_UNREADABLE"
    assert refused(path, b"\xff\xfe") == "E_REVIEW_UNREADABLE"
    assert refused(path, b"[" * 100_000) == "E_REVIEW_UNREADABLE"
    assert refused(path, [good]) == "E_REVIEW_SCHEMA"
    assert refused(path, {"schema": "polypda-review 1"}) == "E_REVIEW_SCHEMA"
    assert refused(path, sealed(good, schema="polypda-review-decisions 2")) == "E_REVIEW_SCHEMA"
    assert refused(path, {**good, "reviewer": "Somebody else"}) == "E_REVIEW_EDITED"
    edited = {**good, "answers": [{**good["answers"][0], "decision": "reject"}]}
    assert refused(path, edited) == "E_REVIEW_EDITED"
    assert refused(path, sealed(edited, answers=[{**good["answers"][0], "decision": "maybe"}])) == "E_REVIEW_VALUE"
    assert refused(path, sealed(good, answers=[{**good["answers"][0], "reasons": ["dull"]}])) == "E_REVIEW_VALUE"
    assert refused(path, sealed(good, surplus=1)) == "E_REVIEW_VALUE"
    doubled = [{**good["answers"][0], "decision": "reject", "reasons": ["missed", "missed"]}]
    assert refused(path, sealed(good, answers=doubled)) == "E_REVIEW_VALUE"
    for character in "\0\n\x1b\x9b":
        assert refused(path, sealed(good, reviewer=f"Li{character}")) == "E_REVIEW_VALUE"
    assert refused(path, sealed(good, answers=[{**good["answers"][0], "note": "a\0b"}])) == "E_REVIEW_VALUE"
    assert refused(path, sealed(good, reviewer=" ")) == "E_REVIEW_REVIEWER"
    with pytest.raises(DataError, match="E_REVIEW_UNREADABLE"):
        read_decisions(tmp_path / "nowhere.json")


def test_a_newer_schema_says_so(record, tmp_path) -> None:
    path = write_decisions(
        tmp_path / "d.json", sealed(decisions_document(record, []), schema="polypda-review-decisions 7")
    )
    with pytest.raises(DataError, match="as new as the page"):
        read_decisions(path)


def test_answers_must_be_to_what_was_handed_out(record, tmp_path) -> None:
    def fitting(document) -> None:
        require_fitting(read_decisions(write_decisions(tmp_path / "d.json", document)), record, "d.json")

    good = decisions_document(record, [ACCEPT, REJECT])
    fitting(good)
    one = good["answers"][0]
    for code, changes in {
        "E_REVIEW_OTHER": {"review": "f" * 12},
        "E_REVIEW_CASES": {"answers": [{**one, "case": "0" * 12}]},
        "E_REVIEW_STALE": {"answers": [{**one, "prediction": "0" * 64}]},
    }.items():
        with pytest.raises(DataError, match=code):
            fitting(sealed(good, **changes))
    with pytest.raises(DataError, match=r"E_REVIEW_CASES.*twice"):
        fitting(sealed(good, answers=[one, one]))


def parsed(tmp_path, *documents):
    return [read_decisions(write_decisions(tmp_path / f"{n}.json", one)) for n, one in enumerate(documents)]


def test_reviewers_are_merged_case_by_case(record, tmp_path) -> None:
    li = decisions_document(record, [ACCEPT, {**REJECT, "reasons": ["too_large"]}, ACCEPT, {"ms": 900}])
    wu = decisions_document(record, [ACCEPT, {**REJECT, "reasons": ["missed"]}, FLAG], reviewer="Wu")
    merged = merge(record, parsed(tmp_path, li, wu), None)
    assert [one.decision for one in merged] == ["accept", "reject", "disputed", "undecided"]
    assert merged[1].reasons == ("missed", "too_large") and len(merged[0].answers) == 2
    assert not merged[3].answers, "a reading time is no answer"
    share, ac1, kappa = agreement_of(merged, ["Li", "Wu"])
    assert share.value == pytest.approx(2 / 3) and share.cases == 3
    assert kappa.name == "Cohen's kappa" and ac1.value > 0
    assert agreement_of(merged, ["Li"]) == []


def test_a_note_may_have_lines(record, tmp_path) -> None:
    document = decisions_document(record, [{**ACCEPT, "note": "one\ntwo\tthree\r\n"}])
    assert read_decisions(write_decisions(tmp_path / "d.json", document)).answers[0].note == "one\ntwo\tthree\r\n"


@pytest.mark.parametrize("again", [" li ", "\uff2c\uff49", "LI\u3000"])
def test_two_files_of_one_reviewer_are_refused(record, tmp_path, again: str) -> None:
    files = parsed(tmp_path, decisions_document(record, [ACCEPT]), decisions_document(record, [REJECT], reviewer=again))
    with pytest.raises(DataError, match="E_REVIEW_TWICE"):
        merge(record, files, None)


def test_who_decided_nothing_changes_no_measure_of_agreement(record, tmp_path) -> None:
    li, wu = ([ACCEPT, REJECT, ACCEPT, FLAG], [ACCEPT, ACCEPT, ACCEPT, FLAG])
    documents = [decisions_document(record, answers, reviewer=name) for name, answers in (("Li", li), ("Wu", wu))]
    noting = decisions_document(record, [{"note": "blurred"}] * 4, reviewer="Xu")
    merged = merge(record, parsed(tmp_path, *documents), None)
    with_another = merge(record, parsed(tmp_path, *documents, noting), None)
    expected = agreement_of(merged, ["Li", "Wu"])
    # as text: from Python 3.13 on a dataclass that holds NaN does not even equal itself
    assert repr(agreement_of(with_another, ["Li", "Wu", "Xu"])) == repr(expected)
    assert expected[2].name == "Cohen's kappa"
    assert agreement_of(with_another, ["Li", "Xu"]) == []


def test_a_blinded_review_is_opened_by_its_key(tmp_path) -> None:
    record = write_painted_review(tmp_path, 8, blinded=True)
    index = tmp_path / "run" / "reviews" / record.review
    key = read_key(index)
    assert set(key.a_is) == {case.case for case in record.cases} and set(key.a_is.values()) <= {"before", "after"}
    answers = [{**ACCEPT, "preference": word} for word in ("a", "b", "same")]
    merged = merge(read_record(index), parsed(tmp_path, decisions_document(record, answers)), key)
    a_is = key.a_is[record.cases[0].case]
    b_is = "before" if key.a_is[record.cases[1].case] == "after" else "after"
    assert [one.better for one in merged[:4]] == [a_is, b_is, "same", None]
    assert [one.judged for one in merged[:3]] == [a_is, b_is, "after"]
    assert [one.known for one in merged[:4]] == [True, True, False, False], "an outline that nobody named is not learnt"

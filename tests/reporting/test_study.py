"""The study file: what its author wrote stays as written, and what is misspelt is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from polypda.errors import DataError
from polypda.reporting.documents.study import (
    NOT_REPORTED,
    CohortStudy,
    Study,
    parse_study,
    read_study,
    require_known_cohorts,
    study_template,
)


def refused(text: str) -> DataError:
    with pytest.raises(DataError) as caught:
        parse_study(text)
    return caught.value


def test_the_template_names_every_key_and_says_nothing() -> None:
    template = study_template(["zju2", "haining"])
    blocks = yaml.safe_load(template)

    assert set(blocks) == set(Study.model_fields)
    assert set(blocks["cohorts"]["zju2"]) == set(CohortStudy.model_fields)
    for name in Study.model_fields:
        if name != "cohorts":
            assert set(blocks[name]) == set(type(getattr(Study(), name)).model_fields), name
    assert parse_study(template) == Study(cohorts={"zju2": CohortStudy(), "haining": CohortStudy()})
    assert parse_study(study_template()) == Study() == parse_study("")


def test_a_commented_cohort_block_of_the_template_can_be_uncommented() -> None:
    template = study_template()
    at = template.index("cohorts:\n") + len("cohorts:\n")
    opened = template[:at] + "".join(f"{line.replace('# ', '', 1)}\n" for line in template[at:].splitlines())
    assert parse_study(opened.replace("period:", "period: 2019")).cohort("zju2").period == "2019"


def test_values_stay_the_text_that_was_written() -> None:
    study = parse_study(
        "ethics: {number: 0123, body: no}\n"
        "study: {title: 2023-05-01, design: Retrospective}\n"
        "responsibility:\n  conflicts: None\n  funding: >-\n    a grant\n    of two lines\n"
        "use:\n  hazards: only one\n  mitigations: [first, '', second]\n"
    )
    assert (study.ethics.number, study.ethics.body) == ("0123", "no")
    assert (study.study.title, study.study.design) == ("2023-05-01", "retrospective")
    assert study.responsibility.conflicts == "None", "no conflict is an answer, not a gap"
    assert study.responsibility.funding == "a grant of two lines"
    assert (study.use.hazards, study.use.mitigations) == (("only one",), ("first", "second"))


@pytest.mark.parametrize("gap", ["", "~", "null", "'   '", NOT_REPORTED])
def test_what_is_left_empty_is_not_reported(gap: str) -> None:
    assert parse_study(f"ethics: {{number: {gap}}}\nuse:\ncohorts:\n  zju2:\n").ethics.number is None


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("ethic: {}", "E_STUDY_KEY", "Did you mean 'ethics'?"),
        ("ethics: {numer: 3}", "E_STUDY_KEY", "'ethics.numer'. Did you mean 'number'?"),
        ("cohorts: {zju2: {perod: x}}", "E_STUDY_KEY", "Did you mean 'period'?"),
        ("funding: a grant", "E_STUDY_KEY", "belongs into the section responsibility"),
        ("study: {design: guess}", "E_STUDY_VALUE", "'prospective'"),
        ("study: {title: [a, b]}", "E_STUDY_VALUE", "study.title: should be text"),
        ("study: some text", "E_STUDY_VALUE", "study: should be a block of keys"),
        ("cohorts: [zju2]", "E_STUDY_VALUE", "cohorts: should be a block of keys"),
        ("use: {hazards: {a: b}}", "E_STUDY_VALUE", "use.hazards"),
        ("a: 1\na: 2", "E_STUDY_YAML", "written twice"),
        ("- a", "E_STUDY_YAML", "no mapping"),
        ("study: {title: a: b}", "E_STUDY_YAML", "mapping"),
        ("? [a]\n: b", "E_STUDY_YAML", "a key must be text"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(text: str, code: str, says: str) -> None:
    error = refused(text)
    assert error.code == code
    assert says in error.what
    assert error.fix
    assert error.where == "study.yaml"


def test_reading_a_file(tmp_path: Path) -> None:
    path = tmp_path / "my-study.yaml"
    path.write_text("study: {title: 海宁}\n", encoding="utf-8-sig")  # as editors on Windows save it
    assert read_study(path).study.title == "海宁"

    for name, content, code in (
        ("none.yaml", None, "E_STUDY_MISSING"),
        ("gbk.yaml", b"\xba\xa3\xc4\xfe", "E_STUDY_UN"),
    ):
        if content:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_study(tmp_path / name)
        assert caught.value.code.startswith(code)


def test_a_misspelt_cohort_is_no_silent_gap() -> None:
    study = parse_study("cohorts: {haning: {period: 2019}, mine: {period: 2020}}")
    with pytest.raises(DataError, match=r"E_STUDY_COHORT .*'haning'. Did you mean 'haining'"):
        require_known_cohorts(study, ["haining", "mine"])
    require_known_cohorts(study, ["haning", "mine", "other"])

"""Templates of Markdown: tables stay tables, what is not known is no text, and a misspelt name is an error."""

from __future__ import annotations

import jinja2
import pytest

from polypda.reporting.documents.checklist import checklist_items
from polypda.reporting.documents.study import NOT_REPORTED
from polypda.reporting.documents.templates import markdown_templates


def rendered(template: str, **facts: object) -> str:
    return markdown_templates().from_string(template).render(facts)


def test_rows_become_an_aligned_table_whatever_their_cells_hold() -> None:
    block = "{% filter aligned(numeric=['n']) %}\n{{ row('a', 'n') }}\n{{ row(text, 7) }}\n{% endfilter %}\n"
    assert rendered(block, text="海|宁") == "| a      |  n |\n| ------ | -: |\n| 海\\|宁 |  7 |\n"


def test_what_nobody_knows_is_said_or_left_out() -> None:
    assert rendered("{{ none }}, {{ none | said }}, {{ '<b>\n x' | said }}", none=None) == (
        f", **{NOT_REPORTED}**, \\<b> x"
    )


def test_a_name_that_a_template_does_not_know_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="cohrt"):
        rendered("{{ cohrt.title }}")


def test_shared_sentences_are_filled_in() -> None:
    shared = markdown_templates().globals["shared"]
    assert all("{{" not in text and "\n" not in text for text in shared.values())
    assert "70% to training, 10% to validation" in shared["split_rule"]


def test_every_answer_tells_from_where_it_comes() -> None:
    def leaves(answers):
        for answer in answers:
            yield from leaves(answer.answers) if answer.repeat else [answer]

    for item in checklist_items():
        for answer in leaves(item.answers):
            told = [answer.run, answer.manifest, answer.cohort or answer.study]
            assert sum(text is not None for text in told) == 1, (item.number, answer)

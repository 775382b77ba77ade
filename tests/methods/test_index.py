"""The table of methods says what their classes say."""

import sys

import pytest

from polypda.errors import UsageError
from polypda.methods import index
from polypda.methods.index import check_names
from polypda.methods.registry import METHODS, TERMS, method_class


def test_the_table_is_that_of_the_classes():
    stored, asked = index.method_summaries(), index.summaries_of_registry()
    assert stored == asked, "write it anew: python -m polypda.methods.index"
    assert list(stored) == list(METHODS)
    assert [name for name, summary in stored.items() if "term" in summary.roles] == list(TERMS)


def test_a_sum_has_the_options_of_its_parts():
    known = index.method_summaries()
    summed = {option.name for option in index.method_summary("adaptsegnet+minent").options}
    parts = {option.name for name in ("adaptsegnet", "minent") for option in known[name].options}
    assert summed == parts and summed > {option.name for option in known["adaptsegnet"].options}


def test_a_package_that_adds_a_method_is_asked(monkeypatch):
    monkeypatch.setattr(index.metadata, "entry_points", lambda group: ["one"])
    monkeypatch.setattr(index, "summaries_of_registry", lambda: {"asked": sys.modules})
    assert index.method_summaries() == {"asked": sys.modules}


@pytest.mark.parametrize("name", ["adaptsegnet", "adaptsegnet+minent", "source-only+fda+self-training", "tent"])
def test_names_are_checked_without_a_method_as_with_it(name):
    every = list(method_class(name).Options.model_fields)
    check_names(name, every)
    with pytest.raises(UsageError, match="E_METHOD_OPTION"):
        check_names(name, ["learning_rat"])
    for stray in ("adaptsegnett", f"{name}+minnent"):
        with pytest.raises(UsageError, match="E_METHOD_UNKNOWN"):
            check_names(stray, [])

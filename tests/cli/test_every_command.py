"""What is written and printed after a de-identified import holds no identifier, and nothing asks for the network.

All commands on the same material: `python benchmarks/privacy.py`.
"""

import pytest
from support.every_command import (
    FAILING,
    ON_A_CLUSTER,
    SERVED,
    SHORT,
    TOUR,
    at,
    command_names,
    give,
    lay_material,
    named,
)
from support.planted_identifiers import PLANTS, found_in


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """The place that was worked in, and what each command did."""
    place = lay_material(tmp_path_factory.mktemp("every"))
    with at(place) as heard:
        return place, [give(words, heard) for words in (*SHORT, *FAILING)]


def test_the_commands_end_as_they_should(given):
    for one in given[1]:
        assert (one.status == 0) == (one.words not in FAILING), one.said


def test_nothing_that_was_written_holds_an_identifier(given):
    place, _ = given
    assert set(found_in(place / "ward-7")) == set(PLANTS), "the search must find them where they are"
    for folder in ("data", "run", "made", "home"):
        assert list((place / folder).rglob("*")) and found_in(place / folder) == {}


def test_nothing_that_is_printed_holds_an_identifier_a_traceback_neither(given):
    for one in given[1]:
        assert not [plant for plant in PLANTS if plant.lower() in one.said.lower()], one.said
    debug = next(one for one in given[1] if one.words.startswith("--debug show"))
    assert 'File "polypda/' in debug.said and "E_WEIGHTS_MISSING" in debug.said and 'File "/' not in debug.said


def test_no_command_asks_for_the_network(given):
    assert not [asked for one in given[1] for asked in one.sockets]


def test_the_watch_hears_the_network(tmp_path):
    with at(lay_material(tmp_path)) as heard:
        download = give(
            "adapt --source zju2 --target haining --phantom --encoder-weights imagenet --encoder resnet18 --out run",
            heard,
        )
    assert download.status == 3 and "E_WEIGHTS_DOWNLOAD" in download.said
    assert any(asked.startswith("socket.getaddrinfo") for asked in download.sockets)


def test_the_tour_leads_through_every_command():
    assert {named(words) for words in TOUR} | {SERVED} | ON_A_CLUSTER == command_names()


def test_an_error_that_nobody_thought_of_is_told_without_places(polypda, monkeypatch, tmp_path):
    from polypda.workflows.runs import keeping

    monkeypatch.setattr(keeping, "runs_below", lambda folder: [][1])
    status, _, err = polypda("runs", "list", ".")
    assert status == 1 and "IndexError" in err and "fault of polypda" in err
    assert str(tmp_path) not in err and 'File "/' not in err

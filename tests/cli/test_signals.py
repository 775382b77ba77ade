"""Whatever a command is at when it is asked to end, it says so, and its exit status is the signal's."""

import os
import signal

import pytest

from polypda.processes import STOPPING, errors_of_signals


@pytest.fixture(params=STOPPING, ids=lambda number: signal.Signals(number).name)
def number(request):
    """A signal that is not ignored, as under nohup."""
    former = signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, former)


def asked_to_end(number):
    os.kill(os.getpid(), number)


def lost_in_compiled_code(number):
    """A library that calls back tells of the handler's exception in its own words."""
    try:
        os.kill(os.getpid(), number)
    except KeyboardInterrupt:
        raise ValueError("Invalid bounding box") from None


@pytest.mark.parametrize("stop", [asked_to_end, lost_in_compiled_code])
def test_a_command_that_knows_nothing_of_signals_ends_with_a_word(polypda, monkeypatch, number, stop):
    monkeypatch.setattr("polypda.cli.doctor.explained", lambda _: stop(number))
    status, out, err = polypda("explain", "E_MASK_SIZE")
    assert (status, out) == (128 + number, "") and err.splitlines()[0] == "E_INTERRUPTED: stopped."
    assert "Traceback" not in err and "fault" not in err


@pytest.mark.parametrize("stop", [asked_to_end, lost_in_compiled_code])
def test_an_import_says_what_is_left(polypda, tmp_path, monkeypatch, number, stop):
    (tmp_path / "frames").mkdir()
    monkeypatch.setattr("polypda.workflows.cohorts.import_cohort.import_cohort", lambda *_, **__: stop(number))
    status, _, err = polypda("cohorts", "import", "frames", "--as", "ward-7", "--out", "data")
    assert status == 128 + number and "nothing was written; give the command again" in err


def test_an_error_without_a_signal_stays_what_it_is():
    with pytest.raises(ValueError, match="as it was"), errors_of_signals():
        raise ValueError("as it was")


def test_a_signal_before_the_block_explains_no_error_in_it(polypda, monkeypatch, number):
    """A notebook goes on after Ctrl-C."""
    monkeypatch.setattr("polypda.cli.doctor.explained", lambda _: asked_to_end(number))
    assert polypda("explain", "E_MASK_SIZE")[0] == 128 + number
    with pytest.raises(ValueError, match="of today"), errors_of_signals():
        raise ValueError("of today")

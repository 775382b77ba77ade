"""Progress in terminals of any width."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from polypda.cli.console import Lines, columns_for, duration_text
from polypda.training.progress import phase


@pytest.mark.parametrize("width", [50, 66, 80, 100, 140])
def test_a_narrow_terminal_keeps_bar_count_and_times_and_drops_losses_first(width):
    written = io.StringIO()
    console = Console(file=written, width=width, force_terminal=True, color_system=None)
    with Progress(*columns_for(width), console=console) as bars:
        task = bars.add_task("adaptsegnet+target", total=480, losses="seg_main 0.123", whole="whole run 4 min")
        bars.update(task, completed=120)
    line = written.getvalue().replace("\x1b[?25h", "").replace("\r", "\n").splitlines()
    shown = [one for one in line if "120/480" in one][-1]
    assert "0:00:0" in shown and "ETA" in shown and "━" in shown and "…" not in shown
    assert ("seg_main 0.123" in shown) == (width >= 130)
    assert ("whole run 4 min" in shown) == (width >= 90)
    assert "adapt" in shown


def test_lines_name_a_phase_at_once_and_count_steps(capsys):
    lines = Lines()
    with phase(lines, "writing the report"):
        assert capsys.readouterr().err == "writing the report…\n"
    assert capsys.readouterr().err == ""
    lines.begin("start", 0, 20)
    for step in range(1, 21):
        lines.advance(step)
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "start…" and told[1].startswith("start: 2/20") and told[-1].startswith("start: 20/20")
    lines.remaining(372)
    lines.advance(20)
    assert capsys.readouterr().err.rstrip().endswith("s left (whole run: 6 min)")
    lines.begin("start", 7, 20)
    assert capsys.readouterr().err == "start: goes on at step 7\n"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (3, "10 s"), (61, "70 s"), (372, "6 min"), (7_800, "2 h 10 min")]
)
def test_a_duration_is_told_roughly(seconds, words):
    assert duration_text(seconds) == words

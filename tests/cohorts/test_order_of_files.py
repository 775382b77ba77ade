"""A cohort is the same whatever order the disk lists its files in; a whole run: `python benchmarks/determinism.py`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.painted import write_cohort

from polypda.cohorts.image_files import natural_key
from polypda.cohorts.opening import open_cohort

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "determinism.py"


class Reversed:
    """What os.scandir yields, in the other order."""

    def __init__(self, entries):
        self.entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

    def __iter__(self):
        return self.entries

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


def test_frames_come_in_the_same_order_and_parts(tmp_path, monkeypatch):
    write_cohort(tmp_path, "haining")
    (tmp_path / "haining" / "frames.csv").unlink()
    first = open_cohort("haining", tmp_path)
    scan, listed = os.scandir, os.listdir
    monkeypatch.setattr(os, "scandir", lambda path=".": Reversed(list(scan(path))))
    monkeypatch.setattr(os, "listdir", lambda path=".": sorted(listed(path), reverse=True))
    assert next(path.name for path in (tmp_path / "haining" / "images").iterdir()) == "011.png", "it must be turned"
    other = open_cohort("haining", tmp_path)
    assert [(one.frame, one.split, one.mask) for one in other.frames] == [
        (one.frame, one.split, one.mask) for one in first.frames
    ]


@pytest.mark.slow
def test_a_run_is_the_same_elsewhere(tmp_path):
    words = [sys.executable, str(BENCHMARK), "--out", str(tmp_path), "--only", "all at once"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "1/1 the same" in done.stdout, done.stdout + done.stderr


@given(st.lists(st.text("019a-é", max_size=8), max_size=6))
def test_runs_of_digits_are_ordered_as_numbers(names):
    def by_numbers(name):
        parts = [part for part in re.split(r"([0-9]+)", name) if part]
        return [(0, int(part), part) if part[0] in "0123456789" else (1, 0, part) for part in parts]

    assert sorted(names, key=natural_key) == sorted(names, key=by_numbers)

"""The script that counts lines of tests per line of code."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.line_ratio import TOP, code_lines, rooms

ROOT = Path(__file__).parents[1]
TEXT = '''"""A docstring
of two lines."""

import os  # counts


# does not
LIMIT = (
    3,
)
"""Said of the constant."""


def name() -> str:
    """Docstring."""
    return """a text
    of two lines"""
'''


def test_only_what_python_reads_is_counted():
    assert code_lines(TEXT) == 7
    assert code_lines("") == 0


def test_rooms_are_paired_by_their_names(tmp_path):
    for path, lines in {"code/a/x.py": 4, "code/b/c/y.py": 2, "code/z.py": 1, "tests/a/test_x.py": 6}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x = 1\n" * lines)
    found = rooms(tmp_path / "code", tmp_path / "tests")
    assert [(room.name, room.code, room.tests) for room in found] == [(TOP, 1, 0), ("a", 4, 6), ("b", 2, 0)]
    assert found[1].ratio == 1.5


@pytest.mark.slow
def test_the_script_prints_every_room():
    command = [sys.executable, str(ROOT / "benchmarks" / "test_ratio.py")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    names = {line.split()[0] for line in shown[1:]}
    assert {room.name for room in rooms(ROOT / "polypda", ROOT / "tests")} | {"all"} == names

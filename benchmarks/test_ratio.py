"""Prints the lines of tests for each line of code, room by room: ``python benchmarks/test_ratio.py``.

Counted are lines that say something to Python; blank lines, comments and docstrings are not. Tests of a room lie in the
folder of its name below ``tests``; many rooms are tested through the commands as well, whose tests count for ``cli``.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.line_ratio import Room, rooms  # noqa: E402


def main() -> None:
    """Print the table, the least tested room first."""
    found = sorted(rooms(ROOT / "polypda", ROOT / "tests"), key=lambda room: room.ratio)
    code, tests = (sum(counts) for counts in zip(*((room.code, room.tests) for room in found), strict=True))
    print(f"{'room':<12} {'code':>7} {'tests':>7} {'tests/code':>11}")
    for room in (*found, Room("all", code, tests)):
        print(f"{room.name:<12} {room.code:>7} {room.tests:>7} {room.ratio:>11.2f}")


if __name__ == "__main__":
    main()

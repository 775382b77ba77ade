"""The order in which people count: img2 before img10."""

from __future__ import annotations

import re


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that compares runs of ASCII digits as numbers and the rest as text."""
    parts = [part for part in re.split(r"([0-9]+)", name) if part]
    return tuple((0, int(part), part) if part[0] in "0123456789" else (1, 0, part) for part in parts)

"""What a JSON value is, whatever somebody wrote there: a wrong kind reads as nothing, never as an exception."""

from __future__ import annotations

import math
from typing import Any


def mapping(value: object) -> dict[str, Any]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """The array, or an empty one."""
    return value if isinstance(value, list) else []


def mappings(value: object) -> list[dict[str, Any]]:
    """The objects of an array; what is none of them is passed over."""
    return [item for item in items(value) if isinstance(item, dict)]


def text(value: object) -> str:
    """The string without space around it, a whole number as digits, else an empty string."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**18 else ""
    # an escaped half of a surrogate pair is a string in JSON, but no text that could be written anywhere
    return value.encode("utf-8", "replace").decode("utf-8").strip() if isinstance(value, str) else ""


def number(value: object) -> float:
    """The number, also where it stands as text; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def whole(value: object) -> int | None:
    """The number where it is a whole one, else None."""
    found = number(value)
    return int(found) if math.isfinite(found) and found == int(found) else None


def size_px(width: object, height: object) -> tuple[int, int] | None:
    """(height, width) where both are whole and at least 1; tools write 0 or nothing where they do not know."""
    across, down = whole(width), whole(height)
    return (down, across) if across and down and min(across, down) >= 1 else None

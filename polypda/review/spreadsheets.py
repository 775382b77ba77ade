"""Tables for a spreadsheet: UTF-8 with its mark, so that Chinese is read as such, and no cell that is a formula."""

from __future__ import annotations

from typing import Any

import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet would run."""


def harmless_cell(value: Any) -> Any:
    """A text that cannot be taken for a formula: an apostrophe goes before it. Numbers stay as they are."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def spreadsheet(table: pd.DataFrame) -> str:
    """The table as CSV, without its index."""
    return "\ufeff" + table.map(harmless_cell).to_csv(index=False, lineterminator="\r\n")

"""Where tables for people are printed."""

from __future__ import annotations

import shutil
import sys

from rich.console import Console

NARROWEST_COLUMNS = 80


def wide_console() -> Console:
    """A console whose tables keep whole rows in a pipe, which has no width; a terminal keeps its own."""
    wide = max(NARROWEST_COLUMNS, shutil.get_terminal_size(fallback=(120, 24)).columns)
    return Console(width=None if sys.stdout.isatty() else wide, highlight=False, soft_wrap=False)

"""The conformance table of `polypda-metrics v1`: tiny pairs of masks, never square, with the exact answer for each metric.

The rows lie in three files by subject; :mod:`conformance_case` says how to read one. The answers are literals. They were
derived by hand where the drawing is small enough, and every one is derived a second time by :mod:`metric_definitions`.
"""

from __future__ import annotations

from conformance_case import Case
from conformance_contours import CONTOURS
from conformance_lesions import LESIONS
from conformance_pixels import PIXELS

TABLE: dict[str, Case] = {**PIXELS, **LESIONS, **CONTOURS}

TOPICS = (
    "overlap",
    "missed",
    "negative frame, marked",
    "negative frame, silent",
    "border",
    "field of view",
    "ignored region",
    "threshold",
    "specks",
    "matching",
    "connectivity",
    "lesions and valid area",
    "distances",
    "tolerance",
    "contours and valid area",
)
"""Every edge case that must have at least one row."""

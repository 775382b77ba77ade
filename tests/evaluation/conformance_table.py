"""The conformance table of `polypda-metrics v1`: small pairs of masks, never square, with exact answers.

The rows lie in three files by subject; :mod:`conformance_case` says how to read one. The answers are literals,
derived from the definitions alone (:mod:`metric_definitions`), the deciding ones by hand, and never from the product.
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

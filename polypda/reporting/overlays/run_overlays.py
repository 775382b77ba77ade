"""The worst frames of several runs: their overlays, copied from the runs' own reports."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from polypda.evaluation.cases.evaluation_file import Evaluation
from polypda.files import write_failed
from polypda.reporting.pages.cross_centre_page import Gallery
from polypda.reporting.pages.page import MOST_EMBEDDED_PREVIEWS, GalleryPicture, preview
from polypda.reporting.pages.report_folder import OVERLAY_LIST, file_name

MOST_COPIED = 48
BAD_NEWS = ("worst after", "most harmed", "largest false positive")
"""Reasons of :mod:`polypda.reporting.overlays.frame_choice` that come first."""
NONE_FOUND = "The runs hold no overlays to show."


@dataclass(frozen=True)
class _RunOverlay:
    path: Path
    run: str
    cohort: str
    frame: str
    why: str

    @property
    def is_bad_news(self) -> bool:
        return self.why.startswith(BAD_NEWS)


def copy_worst(evaluations: Sequence[Evaluation], folder: Path) -> Gallery:
    """Copy overlays of the target centres into ``folder``/overlays, the worst of every run before the second worst.

    Raises: DataError E_WRITE_FAILED.
    """
    per_run = [_overlays_of(evaluation) for evaluation in evaluations]
    found = sum(map(len, per_run))
    if not found:
        return Gallery(absent=NONE_FOUND)
    chosen = list(_in_turn(per_run))[:MOST_COPIED]
    pictures = [_copy(overlay, folder, place) for place, overlay in enumerate(chosen, 1)]
    left = found - len(chosen)
    words = f"{left} further overlays of these centres lie in the runs' own reports." if left else ""
    return Gallery(pictures, words)


def _overlays_of(evaluation: Evaluation) -> list[_RunOverlay]:
    """The target's overlays of one run, bad news first; [] where there are none."""
    listing = evaluation.folder / OVERLAY_LIST
    try:
        entries = json.loads(listing.read_text(encoding="utf-8"))
        said = evaluation.statement
        overlays = [
            _RunOverlay(
                listing.parent / Path(entry["file"]).name, said.run, entry["cohort"], entry["frame"], entry["why"]
            )
            for entry in entries
            if entry["cohort"] == said.target
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # pictures are an extra: a report of numbers does not fail for want of them
    return sorted((one for one in overlays if one.path.is_file()), key=lambda one: not one.is_bad_news)


def _in_turn(per_run: Sequence[Sequence[_RunOverlay]]) -> Iterator[_RunOverlay]:
    for rank in range(max(map(len, per_run))):
        yield from (overlays[rank] for overlays in per_run if rank < len(overlays))


def _copy(overlay: _RunOverlay, folder: Path, place: int) -> GalleryPicture:
    name = f"overlays/{place:03d}-{file_name(f'{overlay.run}-{overlay.cohort}-{overlay.frame}')}.png"
    try:
        shutil.copyfile(overlay.path, folder / name)
        small = None
        if place <= MOST_EMBEDDED_PREVIEWS:
            with Image.open(overlay.path) as picture:
                small = preview(np.asarray(picture.convert("RGB")))
    except OSError as error:
        raise write_failed(folder / name, error) from error
    why = f"{overlay.run}: {overlay.why}" if overlay.why else overlay.run
    return GalleryPicture(overlay.cohort, overlay.frame, why, name, small)

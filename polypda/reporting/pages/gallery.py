"""The overlays that a report shows: drawn for one run, or copied from the runs' own reports, the worst first."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from polypda.evaluation.cases.evaluation_file import Evaluation
from polypda.files import write_failed, write_whole
from polypda.reporting.pages.page import data_uri

PREVIEW_WIDTH_PX = 1100
PREVIEW_QUALITY = 82
MOST_EMBEDDED_PREVIEWS = 24
"""Further overlays are linked from the folder, so that the page stays small enough to mail."""
MOST_COPIED = 48
LONGEST_NAME = 60
OVERLAY_LIST = "overlays/overlays.json"
BAD_NEWS = ("worst after", "most harmed", "largest false positive")
"""Reasons of :mod:`polypda.reporting.overlays.frame_choice` that come first."""
NO_OVERLAYS = "Numbers and plots only: no frame is shown in this report."
NOT_ASKED_FOR = "No overlay was asked for."
NONE_FOUND = "The runs hold no overlays to show."


@dataclass(frozen=True)
class OverlayImage:
    """A drawn overlay: uint8 H×W×3 RGB, its frame and the reason for showing it ("" for none)."""

    cohort: str
    frame: str
    why: str
    shown: NDArray[np.uint8]


@dataclass(frozen=True)
class GalleryImage:
    """An overlay on the page. href: its full-size file, relative to the page. preview: JPEG bytes, or None to link."""

    cohort: str
    frame: str
    why: str
    href: str
    preview: bytes | None


@dataclass(frozen=True)
class Gallery:
    """Overlays on the page; left_out: what is not shown, in words; absent: what stands there when there is none."""

    images: Sequence[GalleryImage] = ()
    left_out: str = ""
    absent: str = NO_OVERLAYS

    def entries(self) -> list[dict[str, str]]:
        """The pictures as the templates take them: small copies inside the page, links to the files."""
        return [
            {
                "cohort": shown.cohort,
                "frame": shown.frame,
                "why": shown.why,
                "href": quote(shown.href),
                "source": data_uri(shown.preview, "jpeg") if shown.preview else quote(shown.href),
            }
            for shown in self.images
        ]


def preview(shown: NDArray[np.uint8]) -> bytes:
    """A JPEG of an overlay, reduced to the page's width; picture is uint8 H×W×3 RGB."""
    image = Image.fromarray(shown)
    if image.width > PREVIEW_WIDTH_PX:
        size = (PREVIEW_WIDTH_PX, round(image.height * PREVIEW_WIDTH_PX / image.width))
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=PREVIEW_QUALITY, subsampling=0, optimize=True)
    return buffer.getvalue()


def draw_gallery(overlays: Iterable[OverlayImage], folder: Path) -> Gallery:
    """Write overlays/*.png, consumed one by one, so that a generator never holds more than one picture, and the list of
    what each shows and why, for reports of several runs.

    Raises: DataError E_WRITE_FAILED.
    """
    (folder / "overlays").mkdir()
    images = list(_drawn(folder, overlays))
    if images:
        listed = [
            {"file": Path(shown.href).name, "cohort": shown.cohort, "frame": shown.frame, "why": shown.why}
            for shown in images
        ]
        write_whole(folder / OVERLAY_LIST, json.dumps(listed, ensure_ascii=False, indent=1) + "\n")
    return Gallery(images, absent=NOT_ASKED_FOR)


def _drawn(folder: Path, overlays: Iterable[OverlayImage]) -> Iterator[GalleryImage]:
    for index, overlay in enumerate(overlays, 1):
        name = f"overlays/{index:03d}-{file_name(f'{overlay.cohort}-{overlay.frame}')}.png"
        buffer = io.BytesIO()
        Image.fromarray(overlay.shown).save(buffer, "PNG", compress_level=6)
        write_whole(folder / name, buffer.getvalue())
        small = preview(overlay.shown) if index <= MOST_EMBEDDED_PREVIEWS else None
        yield GalleryImage(overlay.cohort, overlay.frame, overlay.why, name, small)


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


def copy_gallery(evaluations: Sequence[Evaluation], folder: Path) -> Gallery:
    """Copy overlays of the target centres into ``folder``/overlays, the worst of every run before the second worst.

    Raises: DataError E_WRITE_FAILED.
    """
    per_run = [_overlays_of(evaluation) for evaluation in evaluations]
    found = sum(map(len, per_run))
    if not found:
        return Gallery(absent=NONE_FOUND)
    (folder / "overlays").mkdir()
    chosen = list(_in_turn(per_run))[:MOST_COPIED]
    images = [_copy(overlay, folder, index) for index, overlay in enumerate(chosen, 1)]
    left = found - len(chosen)
    words = f"{left} further overlays of these centres lie in the runs' own reports." if left else ""
    return Gallery(images, words)


def _overlays_of(evaluation: Evaluation) -> list[_RunOverlay]:
    """The target's overlays of one run, bad news first; [] where there are none."""
    listing = evaluation.folder / OVERLAY_LIST
    try:
        entries = json.loads(listing.read_text(encoding="utf-8"))
        said = evaluation.run_metadata
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


def _copy(overlay: _RunOverlay, folder: Path, index: int) -> GalleryImage:
    name = f"overlays/{index:03d}-{file_name(f'{overlay.run}-{overlay.cohort}-{overlay.frame}')}.png"
    try:
        shutil.copyfile(overlay.path, folder / name)
        small = None
        if index <= MOST_EMBEDDED_PREVIEWS:
            with Image.open(overlay.path) as shown:
                small = preview(np.asarray(shown.convert("RGB")))
    except OSError as error:
        raise write_failed(folder / name, error) from error
    why = f"{overlay.run}: {overlay.why}" if overlay.why else overlay.run
    return GalleryImage(overlay.cohort, overlay.frame, why, name, small)


def file_name(text: str) -> str:
    """Text as part of a file name on every system: letters and digits of any script, '-', '_' and '.'."""
    plain = re.sub(r"[^\w.-]+", "-", text).strip("-.")
    return plain[:LONGEST_NAME].rstrip("-.") or "frame"

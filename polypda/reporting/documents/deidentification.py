"""What a person looks over after an import that de-identified: its figures, and a sheet of frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.images import read_image
from polypda.importing.deidentification.findings import Findings, FrameFindings
from polypda.reporting.documents.templates import render_document
from polypda.reporting.overlays.drawing import Text, on_paper, text_block

SUMMARY_FILE, SHEET_FILE = "deidentification.md", "deidentification-review.png"
MOST_NAMED = 200
MOST_FRAMES, COLUMNS = 40, 4
TILE_PX, GAP_PX = 440, 10
OUTLINE = (0, 220, 255)


def deidentification_markdown(findings: Findings) -> str:
    """What was removed, as Markdown; no name, date or text of the source is in it."""
    asked = findings.to_look_at()
    return render_document(
        "deidentification.md.jinja",
        findings=findings,
        metadata=sorted({kind for frame in findings.frames for kind in frame.metadata}),
        figures=findings.summary(),
        shown=asked[:MOST_NAMED],
        more=len(asked) - MOST_NAMED,
    )


def review_sheet(folder: Path, findings: Findings) -> NDArray[np.uint8]:
    """Up to 40 frames of a de-identified cohort folder: those to look at first, then others, evenly spaced.

    Returns: uint8 H×W×3, RGB.
    """
    shown = _choice(findings)
    asked = len(findings.to_look_at())
    head = [
        Text(
            f"De-identified {findings.cohort}: {len(shown)} of {len(findings.frames)} frames as written", 26, bold=True
        ),
        Text(f"{asked} are for a person to look at; these come first. Blank regions are outlined.", 18),
    ]
    width = COLUMNS * TILE_PX + (COLUMNS + 1) * GAP_PX
    rows = [text_block(head, width, padding_px=GAP_PX)]
    for start in range(0, len(shown), COLUMNS):
        tiles = [_tile(folder, frame) for frame in shown[start : start + COLUMNS]]
        placed = [(tile, GAP_PX + index * (TILE_PX + GAP_PX), 0) for index, tile in enumerate(tiles)]
        rows.append(on_paper(max(tile.shape[0] for tile in tiles) + GAP_PX, width, *placed))
    return np.vstack(rows)


def _choice(findings: Findings) -> list[FrameFindings]:
    first = findings.to_look_at()[:MOST_FRAMES]
    names = {frame.frame for frame in first}
    others = [frame for frame in findings.frames if frame.frame not in names]
    room = min(MOST_FRAMES - len(first), len(others))
    indices = sorted({round(index) for index in np.linspace(0, len(others) - 1, room)}) if room else []
    return [*first, *(others[index] for index in indices)]


def _tile(folder: Path, frame: FrameFindings) -> NDArray[np.uint8]:
    image = read_image(folder / "images" / f"{frame.frame}.png")
    scale = TILE_PX / image.shape[1]
    size = (TILE_PX, max(1, round(image.shape[0] * scale)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    blank = np.all(image == 0, axis=2).astype(np.uint8)
    blank = cv2.morphologyEx(blank, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))  # black specks of mucosa are no regions
    outlines, _ = cv2.findContours(
        cv2.resize(blank, size, interpolation=cv2.INTER_NEAREST), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(small, outlines, -1, OUTLINE, 1)
    lines = [Text(frame.frame, 15), Text(f"{frame.field_lost:.1%} of the field of view blank", 15)]
    lines += [Text(reason, 15, bold=True) for reason in frame.look_at]
    return np.vstack([small, text_block(lines, TILE_PX, padding_px=4)])

"""How files on disk become frames: which folder holds the cohort, and which mask belongs to which image.

Nothing here looks at mask folders or opens a table of boxes unless labels are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from polypda.cohorts.frames import Frame, Split
from polypda.cohorts.frames_csv import FILE_NAME as FRAMES_CSV
from polypda.cohorts.frames_csv import FrameRow, read_frames_csv
from polypda.cohorts.image_files import files_by_frame, image_files, name_some
from polypda.cohorts.label_files import FoundFrames, all_declared_negative, with_labels
from polypda.cohorts.manifest import Layout, Manifest, MaskFiles
from polypda.cohorts.ordering import natural_key
from polypda.errors import DataError, nearest

PHANTOM_MARKER = "PHANTOM.json"
IGNORE_FOLDER = "ignore"


def ordinary_layout(cohort_id: str) -> Layout:
    """How any cohort may lie: ``images``, ``masks`` (same stem) or ``boxes.csv``, and ``frames.csv``, ``ignore``."""
    return Layout(
        name="ordinary cohort folder",
        verified=True,
        folders=(cohort_id,),
        images=("images/*",),
        masks=MaskFiles(files=("masks/*",)),
    )


@dataclass(frozen=True)
class Located:
    """Where a cohort was found and how it lies there."""

    layout: Layout
    folder: Path
    phantom: bool
    frames_csv: Path | None


def indices(manifest: Manifest) -> list[tuple[Layout, str]]:
    """Every layout with every folder (relative to the data root) in which the cohort is looked for, in order."""
    layouts = (*manifest.layouts, ordinary_layout(manifest.id))
    return [(layout, folder) for layout in layouts for folder in layout.folders]


def locate(manifest: Manifest, data_root: Path) -> Located | None:
    """Find the cohort below the data root; None when no place holds an image.

    An ordinary folder that says so (by its frames.csv or as a phantom) goes before any release's layout.
    """
    ordinary = data_root / manifest.id
    phantom = (ordinary / PHANTOM_MARKER).is_file()
    table = ordinary / FRAMES_CSV
    tabled = table.is_file()
    candidates = indices(manifest)
    if phantom or tabled:
        candidates = [(ordinary_layout(manifest.id), manifest.id)]
    for layout, name in candidates:
        folder = data_root / name
        if next(image_files(folder, layout.images), None) is not None:
            return Located(layout, folder, phantom, table if tabled else None)
    return None


def find_frames(manifest: Manifest, located: Located, *, labels: bool) -> FoundFrames:
    """List the frames of a located cohort; splits are those that the release or frames.csv names, else None.

    With ``labels=False`` neither masks nor boxes.csv are looked for: frames have none and every state is NONE.

    Raises: DataError E_FRAME_NAME, E_FRAME_TWICE, E_SEQUENCE_UNKNOWN, E_FRAMES_CSV…, E_BOXES_CSV…, E_BOX_NEGATIVE.
    """
    layout, folder = located.layout, located.folder
    excluded = {exclusion.frame for exclusion in layout.exclude}
    scenes = {frame: f"scene {scene[0]}" for scene in layout.scenes for frame in scene}
    images = files_by_frame(folder, layout.images, layout.frame, "image")
    rows = read_frames_csv(located.frames_csv) if located.frames_csv else None
    if rows is not None:
        _require_same_frames(rows, images, manifest.id)
    ignored = {path.stem: path for path in image_files(folder, (f"{IGNORE_FOLDER}/*",))}
    stated = {frame_id: row.label_state for frame_id, row in (rows or {}).items()}
    frames = []
    for frame_id, (image, told) in images.items():
        if frame_id in excluded:
            continue
        row = (rows or {}).get(frame_id, FrameRow(frame_id))
        sequence = row.sequence or told.get("sequence") or ranged_sequence(frame_id, layout, manifest.id)
        sequence = sequence or scenes.get(frame_id)
        frames.append(
            Frame(
                cohort=manifest.id,
                frame=frame_id,
                image=image,
                patient=row.patient or told.get("patient"),
                sequence=sequence,
                t_s=row.t_s,
                split=row.split or _told_split(told),
                mode=row.mode,
                ignore=ignored.get(frame_id),
            )
        )
    frames.sort(key=lambda frame: natural_key(frame.frame))
    all_negative = all_declared_negative(frames, stated, layout)
    if not labels:
        return FoundFrames(tuple(frames), all_negative=all_negative)
    found = with_labels(frames, stated, folder, layout, excluded, any_colour=manifest.any_colour)
    return replace(found, all_negative=all_negative)


def _told_split(told: dict[str, str | None]) -> Split | None:
    name = told.get("split")
    return Split(name) if name else None


def ranged_sequence(frame_id: str, layout: Layout, cohort_id: str) -> str | None:
    """The sequence of a numbered frame by its layout's table; None without a table.

    Raises: DataError E_SEQUENCE_UNKNOWN.
    """
    if layout.sequence_ranges is None:
        return None
    number = int(frame_id) if frame_id.isascii() and frame_id.isdigit() else None
    for sequence, (first, last) in layout.sequence_ranges.items():
        if number is not None and first <= number <= last:
            return sequence
    raise DataError(
        "E_SEQUENCE_UNKNOWN",
        f"frame '{frame_id}' lies in none of the {len(layout.sequence_ranges)} sequences that the manifest lists.",
        where=cohort_id,
        fix="take the frame out of the folder: without its sequence it could leak from train into test.",
    )


def _require_same_frames(rows: dict[str, FrameRow], images: Iterable[str], cohort_id: str) -> None:
    where = f"{cohort_id}/{FRAMES_CSV}"
    images = list(images)
    gone = [frame for frame in rows if frame not in images]
    if gone:
        hint = nearest(gone[0], images)
        what = f"rows without an image: {name_some(gone)}.{hint}"
        raise DataError("E_FRAMES_CSV_ROW", what, where=where, fix="name frames by their image's stem, without suffix.")
    unlisted = [frame for frame in images if frame not in rows]
    if unlisted:
        what = f"images without a row: {name_some(unlisted)}."
        fix = "add a row for each (fields may be empty): a frame of unknown patient could leak from train into test."
        raise DataError("E_FRAMES_CSV_ROW", what, where=where, fix=fix)

"""How files on disk become frames: which folder holds the cohort, and which mask belongs to which image.

Nothing here looks at mask folders unless labels are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from polypda.cohorts.frames import Frame, LabelState, Split
from polypda.cohorts.frames_csv import FILE_NAME as FRAMES_CSV
from polypda.cohorts.frames_csv import FrameRow, read_frames_csv
from polypda.cohorts.images import IMAGE_SUFFIXES
from polypda.cohorts.manifest import Layout, Manifest, MaskFiles, Unmasked
from polypda.cohorts.ordering import natural_key
from polypda.errors import DataError, nearest

PHANTOM_MARKER = "PHANTOM.json"
MOST_NAMED = 5
"""How many frames a message names before it says how many more there are."""


def ordinary_layout(cohort_id: str) -> Layout:
    """The folder that any cohort may be laid out as: ``<id>/images``, ``<id>/masks`` (same stem), ``frames.csv``."""
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


@dataclass(frozen=True)
class FoundFrames:
    """The frames of a located cohort, in natural order, and what does not pair up (ids and mask files)."""

    frames: tuple[Frame, ...]
    without_mask: tuple[str, ...] = ()
    masks_without_image: tuple[Path, ...] = ()


def places(manifest: Manifest) -> list[tuple[Layout, str]]:
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
    candidates = places(manifest)
    if phantom or tabled:
        candidates = [(ordinary_layout(manifest.id), manifest.id)]
    for layout, name in candidates:
        folder = data_root / name
        if next(_pictures(folder, layout.images), None) is not None:
            return Located(layout, folder, phantom, table if tabled else None)
    return None


def find_frames(manifest: Manifest, located: Located, *, labels: bool) -> FoundFrames:
    """List the frames of a located cohort; splits are those that the release or frames.csv names, else None.

    With ``labels=False`` no mask file is looked for: masks are None and every label state is NONE.

    Raises: DataError E_FRAME_NAME, E_FRAME_TWICE, E_SEQUENCE_UNKNOWN, E_FRAMES_CSV…
    """
    layout, folder = located.layout, located.folder
    excluded = {exclusion.frame for exclusion in layout.exclude}
    scenes = {frame: f"scene {scene[0]}" for scene in layout.scenes for frame in scene}
    images = _by_frame(folder, layout.images, layout.frame, "image")
    rows = read_frames_csv(located.frames_csv) if located.frames_csv else None
    if rows is not None:
        _require_same_frames(rows, images, manifest.id)
    frames = []
    for frame_id, (image, told) in images.items():
        if frame_id in excluded:
            continue
        row = (rows or {}).get(frame_id, FrameRow(frame_id))
        sequence = row.sequence or told.get("sequence") or _ranged_sequence(frame_id, layout, manifest.id)
        sequence = sequence or scenes.get(frame_id)
        frames.append(
            Frame(
                cohort=manifest.id,
                frame=frame_id,
                image=image,
                patient=row.patient or told.get("patient"),
                sequence=sequence,
                t_s=row.t_s,
                label_state=row.label_state or LabelState.MASK,  # what the mask files are held against
                split=row.split or _told_split(told),
            )
        )
    frames.sort(key=lambda frame: natural_key(frame.frame))
    if not labels:
        return FoundFrames(tuple(frame.without_label() for frame in frames))
    return _with_masks(frames, located, excluded)


def name_some(frames: Sequence[str]) -> str:
    """The first few of many ids, and how many more there are."""
    more = f" and {len(frames) - MOST_NAMED} more" if len(frames) > MOST_NAMED else ""
    return ", ".join(frames[:MOST_NAMED]) + more


def _pictures(folder: Path, patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in patterns:
        for path in folder.glob(pattern):
            # macOS leaves "._name.jpg" beside each file on foreign disks
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
                yield path


def _by_frame(
    folder: Path, patterns: Iterable[str], name: str, what: str
) -> dict[str, tuple[Path, dict[str, str | None]]]:
    """Frame → (file, the named groups of its path), for all picture files that match the globs."""
    pattern = re.compile(name)
    found: dict[str, tuple[Path, dict[str, str | None]]] = {}
    for path in sorted(set(_pictures(folder, patterns)), key=lambda path: natural_key(path.as_posix())):
        match = pattern.fullmatch(path.relative_to(folder).with_suffix("").as_posix())
        relative = path.relative_to(folder.parent).as_posix()
        if match is None:
            fix = "take the file out of the folder, or correct its name."
            raise DataError("E_FRAME_NAME", f"the {what}'s name does not fit {name}", where=relative, fix=fix)
        frame_id = match["frame"]
        if frame_id in found:
            other = found[frame_id][0].relative_to(folder.parent).as_posix()
            what_twice = f"frame '{frame_id}' has a second {what}, {other}."
            raise DataError("E_FRAME_TWICE", what_twice, where=relative, fix="keep one of them.")
        found[frame_id] = path, match.groupdict()
    return found


def _with_masks(frames: list[Frame], located: Located, excluded: set[str]) -> FoundFrames:
    layout = located.layout
    masks: dict[str, Path] = {}
    if layout.masks is not None:
        found = _by_frame(located.folder, layout.masks.files, layout.masks.frame, "mask")
        masks = {frame_id: path for frame_id, (path, _) in found.items()}
    labelled, without = [], []
    for frame in frames:
        mask, state = masks.get(frame.frame), frame.label_state
        if state is LabelState.NONE:
            mask = None
        elif mask is None and layout.unmasked is Unmasked.NEGATIVE:
            state = LabelState.NEGATIVE
        elif mask is None and state is LabelState.MASK:
            without.append(frame.frame)
            state = LabelState.NONE
        labelled.append(replace(frame, mask=mask, label_state=state))
    known = {frame.frame for frame in frames} | excluded
    orphans = tuple(path for frame_id, path in masks.items() if frame_id not in known)
    return FoundFrames(tuple(labelled), tuple(without), orphans)


def _told_split(told: dict[str, str | None]) -> Split | None:
    name = told.get("split")
    return Split(name) if name else None


def _ranged_sequence(frame_id: str, layout: Layout, cohort_id: str) -> str | None:
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

"""How files on disk become frames: which folder holds the cohort, and which mask and boxes belong to which image.

Nothing here looks at mask folders or opens a table of boxes unless labels are asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from polypda.cohorts.frames import Frame, LabelState, PolypBox, Split
from polypda.cohorts.frames_table import frames_table_of, read_frames_table
from polypda.cohorts.image_files import files_by_frame, image_files, name_some, natural_key, number_of
from polypda.cohorts.manifest import Layout, Manifest, MaskFiles, Unmasked
from polypda.cohorts.tables import BOXES_CSV, FrameRow, read_boxes_csv
from polypda.errors import DataError, nearest

if TYPE_CHECKING:
    from polypda.cohorts.stored_masks import FellowMasks

PHANTOM_MARKER = "PHANTOM.json"
IGNORE_FOLDER = "ignore"


@dataclass(frozen=True)
class Located:
    """Where a cohort was found and how it lies there."""

    layout: Layout
    folder: Path
    phantom: bool
    frames_table: Path | None


@dataclass(frozen=True)
class FoundFrames:
    """The frames of a located cohort, in natural order, and what does not pair up (ids and mask files).

    without_mask: neither a mask, a box nor a statement tells of their polyps. without_box: boxes were promised.
    all_negative: frames.csv or the layout declares every frame free of polyps; known without opening any label.
    """

    frames: tuple[Frame, ...]
    without_mask: tuple[str, ...] = ()
    masks_without_image: tuple[Path, ...] = ()
    without_box: tuple[str, ...] = ()
    all_negative: bool = False


def ordinary_layout(cohort_id: str) -> Layout:
    """How any cohort may lie: ``images``, ``masks`` (same stem) or ``boxes.csv``, and ``frames.csv`` (or
    ``frames.parquet``), ``ignore``."""
    return Layout(
        name="ordinary cohort folder",
        verified=True,
        folders=(cohort_id,),
        images=("images/*",),
        masks=MaskFiles(files=("masks/*",)),
    )


def layouts_and_folders(manifest: Manifest) -> list[tuple[Layout, str]]:
    """Every layout with every folder (relative to the data root) in which the cohort is looked for, in order."""
    layouts = (*manifest.layouts, ordinary_layout(manifest.id))
    return [(layout, folder) for layout in layouts for folder in layout.folders]


def locate(manifest: Manifest, data_root: Path) -> Located | None:
    """Find the cohort below the data root; None when no folder holds an image.

    An ordinary folder that says so (by its table of frames or as a phantom) goes before any release's layout.
    """
    ordinary = data_root / manifest.id
    phantom = (ordinary / PHANTOM_MARKER).is_file()
    table = frames_table_of(ordinary)
    candidates = layouts_and_folders(manifest)
    if phantom or table:
        candidates = [(ordinary_layout(manifest.id), manifest.id)]
    for layout, name in candidates:
        if next(image_files(data_root / name, layout.images), None) is not None:
            return Located(layout, data_root / name, phantom, table)
    return None


def find_frames(manifest: Manifest, located: Located, *, labels: bool) -> FoundFrames:
    """List the frames of a located cohort; splits are those that the release or the table of frames names, else None.

    With ``labels=False`` neither masks nor boxes.csv are looked for: frames have none and every state is NONE.

    Raises: DataError E_FRAME_NAME, E_FRAME_TWICE, E_SEQUENCE_UNKNOWN, E_FRAMES_CSV…, E_BOXES_CSV…, E_BOX_NEGATIVE.
    """
    layout, folder = located.layout, located.folder
    excluded = {exclusion.frame for exclusion in layout.exclude}
    scenes = scenes_of(layout)
    images = files_by_frame(folder, layout.images, layout.frame, "image")
    rows = read_frames_table(located.frames_table) if located.frames_table else {}
    if located.frames_table:
        _require_same_frames(rows, images, f"{manifest.id}/{located.frames_table.name}")
    ignored = {path.stem: path for path in image_files(folder, (f"{IGNORE_FOLDER}/*",))}
    stated = {frame_id: row.label_state for frame_id, row in rows.items()}
    frames = []
    for frame_id, (image, groups) in images.items():
        if frame_id in excluded:
            continue
        row = rows.get(frame_id, FrameRow(frame_id))
        sequence = row.sequence or groups.get("sequence") or ranged_sequence(frame_id, layout, manifest.id)
        split = groups.get("split")
        frames.append(
            Frame(
                cohort=manifest.id,
                frame=frame_id,
                image=image,
                patient=row.patient or groups.get("patient"),
                sequence=sequence or scenes.get(frame_id),
                t_s=row.t_s,
                split=row.split or (Split(split) if split else None),
                mode=row.mode,
                ignore=ignored.get(frame_id),
            )
        )
    frames.sort(key=lambda frame: natural_key(frame.frame))
    found = FoundFrames(tuple(frames))
    if labels:
        found = with_labels(frames, stated, folder, layout, excluded, any_colour=manifest.any_colour)
    return replace(found, all_negative=_all_declared_negative(frames, stated, layout))


def scenes_of(layout: Layout) -> dict[str, str]:
    """Frame → the scene that a layout says it shows."""
    return {frame: f"scene {scene[0]}" for scene in layout.scenes for frame in scene}


def ranged_sequence(frame_id: str, layout: Layout, cohort_id: str) -> str | None:
    """The sequence of a numbered frame by its layout's table; None without a table.

    Raises: DataError E_SEQUENCE_UNKNOWN.
    """
    if layout.sequence_ranges is None:
        return None
    number = number_of(frame_id)
    for sequence, (first, last) in layout.sequence_ranges.items():
        if number is not None and first <= number <= last:
            return sequence
    raise DataError(
        "E_SEQUENCE_UNKNOWN",
        f"frame '{frame_id}' lies in none of the {len(layout.sequence_ranges)} sequences that the manifest lists.",
        where=cohort_id,
        fix="take the frame out of the folder: without its sequence it could leak from train into test.",
    )


def _require_same_frames(rows: Collection[str], images: Collection[str], where: str) -> None:
    gone = [frame for frame in rows if frame not in images]
    if gone:
        what = f"rows without an image: {name_some(gone)}.{nearest(gone[0], images)}"
        raise DataError("E_FRAMES_CSV_ROW", what, where=where, fix="name frames by their image's stem, without suffix.")
    unlisted = [frame for frame in images if frame not in rows]
    if unlisted:
        what = f"images without a row: {name_some(unlisted)}."
        fix = "add a row for each (fields may be empty): a frame of unknown patient could leak from train into test."
        raise DataError("E_FRAMES_CSV_ROW", what, where=where, fix=fix)


def _all_declared_negative(frames: Sequence[Frame], stated: Mapping[str, LabelState | None], layout: Layout) -> bool:
    """Whether every frame is declared free of polyps, by its row or by a layout that has no masks."""
    by_layout = LabelState.NEGATIVE if layout.masks is None and layout.unmasked is Unmasked.NEGATIVE else None
    states = (stated.get(frame.frame) or by_layout for frame in frames)
    return bool(frames) and all(state is LabelState.NEGATIVE for state in states)


def with_labels(
    frames: Sequence[Frame],
    stated: Mapping[str, LabelState | None],
    folder: Path,
    layout: Layout,
    excluded: Collection[str],
    *,
    any_colour: bool = False,
) -> FoundFrames:
    """Give frames their masks and boxes. A state that frames.csv does not tell follows from what is there.

    any_colour: every colour of a mask is a polyp.

    Raises: DataError E_FRAME_NAME, E_FRAME_TWICE, E_BOXES_CSV…, E_BOX_NEGATIVE.
    """
    known = {frame.frame for frame in frames} | set(excluded)
    masks = _masks(folder, layout)
    boxes = _boxes(folder / BOXES_CSV, known)
    fellows = cohort_masks([path for frame_id, path in masks.items() if frame_id in known], any_colour=any_colour)
    labelled, without_mask, without_box = [], [], []
    for frame in frames:
        mask, boxed = masks.get(frame.frame), boxes.get(frame.frame, ())
        state = stated.get(frame.frame) or _found_state(mask, boxed, layout)
        if state is LabelState.NEGATIVE and boxed:
            what = f"frame '{frame.frame}' is declared free of polyps and has a box."
            fix = "take its rows out, or write label_state box for it in frames.csv."
            raise DataError("E_BOX_NEGATIVE", what, where=f"{folder.name}/{BOXES_CSV}", fix=fix)
        if state is LabelState.MASK and mask is None:
            without_mask.append(frame.frame)
            state = LabelState.NONE
        elif state is LabelState.BOX and not boxed:
            without_box.append(frame.frame)
            state = LabelState.NONE
        if state in (LabelState.NONE, LabelState.BOX):
            mask = None
        if state is LabelState.NONE:
            boxed = ()
        peers = fellows if mask is not None else None
        labelled.append(replace(frame, mask=mask, boxes=boxed, label_state=state, fellows=peers))
    orphans = tuple(path for frame_id, path in masks.items() if frame_id not in known)
    return FoundFrames(tuple(labelled), tuple(without_mask), orphans, tuple(without_box))


def cohort_masks(paths: Iterable[Path], *, any_colour: bool = False) -> FellowMasks:
    """The masks of a cohort, by their files. Nothing is opened."""
    from polypda.cohorts.stored_masks import FellowMasks  # brings the decoders with it

    return FellowMasks(tuple(map(str, paths)), _read, any_colour)


def _read(path: str) -> bytes:  # no lambda: frames go to other processes
    return Path(path).read_bytes()


def _masks(folder: Path, layout: Layout) -> dict[str, Path]:
    if layout.masks is None:
        return {}
    found = files_by_frame(folder, layout.masks.files, layout.masks.frame, "mask")
    return {frame_id: path for frame_id, (path, _) in found.items()}


def _boxes(path: Path, known: Collection[str]) -> dict[str, tuple[PolypBox, ...]]:
    boxes = read_boxes_csv(path) if path.is_file() else {}
    strangers = [frame_id for frame_id in boxes if frame_id not in known]
    if strangers:
        what = f"boxes of frames without an image: {name_some(strangers)}.{nearest(strangers[0], known)}"
        fix = "name frames by their image's stem, without suffix, or take the rows out."
        raise DataError("E_BOXES_CSV_ROW", what, where=f"{path.parent.name}/{path.name}", fix=fix)
    return boxes


def _found_state(mask: Path | None, boxes: tuple[PolypBox, ...], layout: Layout) -> LabelState:
    if mask is not None:
        return LabelState.MASK
    if boxes:
        return LabelState.BOX
    # A promised mask that is not there is noted by whoever asks for it.
    return LabelState.NEGATIVE if layout.unmasked is Unmasked.NEGATIVE else LabelState.MASK

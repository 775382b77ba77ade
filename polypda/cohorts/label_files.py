"""Which mask and which boxes belong to which frame, and what is then known of its label."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from polypda.cohorts.boxes_csv import FILE_NAME as BOXES_CSV
from polypda.cohorts.boxes_csv import read_boxes_csv
from polypda.cohorts.frames import Frame, LabelState, PolypBox
from polypda.cohorts.image_files import files_by_frame, name_some
from polypda.cohorts.manifest import Layout, Unmasked
from polypda.errors import DataError, nearest

if TYPE_CHECKING:
    from polypda.cohorts.stored_masks import FellowMasks


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


def all_declared_negative(frames: Sequence[Frame], stated: Mapping[str, LabelState | None], layout: Layout) -> bool:
    """Whether every frame is declared free of polyps, by its row or by a layout that has no masks."""
    layout_says = layout.masks is None and layout.unmasked is Unmasked.NEGATIVE
    told = (stated.get(frame.frame) for frame in frames)
    return bool(frames) and all(state is LabelState.NEGATIVE or (state is None and layout_says) for state in told)


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
        state = stated.get(frame.frame)
        mask, own = masks.get(frame.frame), boxes.get(frame.frame, ())
        if state is LabelState.NEGATIVE and own:
            raise _boxed_negative(frame.frame, folder)
        if state is None:
            state = _found_state(mask, own, layout)
        if state is LabelState.MASK and mask is None:
            without_mask.append(frame.frame)
            state = LabelState.NONE
        elif state is LabelState.BOX and not own:
            without_box.append(frame.frame)
            state = LabelState.NONE
        if state in (LabelState.NONE, LabelState.BOX):
            mask = None
        if state is LabelState.NONE:
            own = ()
        told = fellows if mask is not None else None
        labelled.append(replace(frame, mask=mask, boxes=own, label_state=state, fellows=told))
    orphans = tuple(path for frame_id, path in masks.items() if frame_id not in known)
    return FoundFrames(tuple(labelled), tuple(without_mask), orphans, tuple(without_box))


def cohort_masks(paths: Iterable[Path], *, any_colour: bool = False) -> FellowMasks:
    """The masks of a cohort, by their files. Nothing is opened."""
    from polypda.cohorts.stored_masks import FellowMasks  # brings the decoders with it

    return FellowMasks(tuple(map(str, paths)), _read, any_colour)


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def _masks(folder: Path, layout: Layout) -> dict[str, Path]:
    if layout.masks is None:
        return {}
    found = files_by_frame(folder, layout.masks.files, layout.masks.frame, "mask")
    return {frame_id: path for frame_id, (path, _) in found.items()}


def _boxes(path: Path, known: Collection[str]) -> dict[str, tuple[PolypBox, ...]]:
    if not path.is_file():
        return {}
    boxes = read_boxes_csv(path)
    strangers = [frame_id for frame_id in boxes if frame_id not in known]
    if strangers:
        raise DataError(
            "E_BOXES_CSV_ROW",
            f"boxes of frames without an image: {name_some(strangers)}.{nearest(strangers[0], known)}",
            where=f"{path.parent.name}/{path.name}",
            fix="name frames by their image's stem, without suffix, or take the rows out.",
        )
    return boxes


def _found_state(mask: Path | None, boxes: tuple[PolypBox, ...], layout: Layout) -> LabelState:
    if mask is not None:
        return LabelState.MASK
    if boxes:
        return LabelState.BOX
    # A promised mask that is not there is noted by whoever asks for it.
    return LabelState.NEGATIVE if layout.unmasked is Unmasked.NEGATIVE else LabelState.MASK


def _boxed_negative(frame: str, folder: Path) -> DataError:
    return DataError(
        "E_BOX_NEGATIVE",
        f"frame '{frame}' is declared free of polyps and has a box.",
        where=f"{folder.name}/{BOXES_CSV}",
        fix="take its rows out, or write label_state box for it in frames.csv.",
    )

"""Opening a cohort: from its id and a data root to frames with their splits."""

from __future__ import annotations

import logging
from pathlib import Path

from polypda.cohorts.catalogue import manifest as manifest_of
from polypda.cohorts.frames import OpenedCohort
from polypda.cohorts.image_files import name_some
from polypda.cohorts.layouts import FoundFrames, Located, find_frames, layouts_and_folders, locate
from polypda.cohorts.manifest import Annotation, Manifest, Media
from polypda.cohorts.splits import assign_splits
from polypda.cohorts.sub_cohorts import CohortName, sub_cohort
from polypda.cohorts.tables import BOXES_CSV
from polypda.errors import DataError

log = logging.getLogger(__name__)
_PHANTOM = "`--phantom` runs now, on rendered frames."


def open_cohort(
    cohort_id: str, data_root: Path | None, *, labels: bool = True, allow_leakage: bool = False
) -> OpenedCohort:
    """Find a cohort's frames below the data root and assign their splits; no image is read.

    cohort_id: an id, or ``ID:MODE`` for the frames of one imaging mode, in the parts that the whole cohort gives them.
    labels: False for a cohort whose labels must not be used. Then neither masks nor boxes.csv are looked for, frames
    have neither and the label state NONE; frames and splits are those that ``labels=True`` gives.

    allow_leakage: True takes a split that divides patients or sequences as it is.

    Raises:
        UsageError: E_COHORT_UNKNOWN, E_MODE_NAME.
        DataError: E_MODE_UNKNOWN, E_COHORT_ABSENT, E_COHORT_EMPTY, E_COHORT_BOXES, E_COHORT_VIDEO, E_MASK_MISSING,
            E_BOX_MISSING, and what :func:`~polypda.cohorts.layouts.find_frames` raises.
        LeakageError: E_SPLIT_LEAK.
    """
    name = CohortName.parse(cohort_id)
    manifest = manifest_of(name.cohort, data_root)
    located = find_cohort(manifest, data_root)
    found = find_frames(manifest, located, labels=labels)
    if not found.frames:
        raise _empty(manifest, located.folder)
    if found.without_mask:
        raise missing_masks(manifest, located, found)
    if found.without_box:
        raise missing_boxes(manifest, found)
    if found.masks_without_image:
        names = [path.name for path in found.masks_without_image]
        log.warning("%s: %d masks have no image: %s", cohort_id, len(names), name_some(names))
    frames = assign_splits(found.frames, refuse=not allow_leakage)
    whole = OpenedCohort(manifest.id, located.folder, frames, located.phantom, found.all_negative)
    return whole if name.mode is None else sub_cohort(whole, name.mode)


def find_cohort(manifest: Manifest, data_root: Path | None) -> Located:
    """Where a cohort lies. Raises: DataError E_COHORT_ABSENT, E_COHORT_EMPTY, E_COHORT_BOXES, E_COHORT_VIDEO."""
    located = locate(manifest, data_root) if data_root is not None else None
    if located is not None:
        return located
    # A cohort without layouts is imported first: a folder of its own that holds no image makes no difference.
    folders = list(dict.fromkeys(folder for _, folder in layouts_and_folders(manifest)))
    held = [folder for folder in folders if data_root is not None and (data_root / folder).is_dir()]
    to_import = manifest.media is Media.VIDEO or manifest.annotation is Annotation.BOX
    if held and data_root is not None and (manifest.layouts or not to_import):
        raise _empty(manifest, data_root / held[0])
    raise _not_imported(manifest, data_root) if to_import else _absent(manifest, data_root, folders)


def present(cohort_id: str, data_root: Path | None) -> bool:
    """Whether a cohort's images lie below the data root; stops at the first. Raises: UsageError E_COHORT_UNKNOWN."""
    manifest = manifest_of(cohort_id, data_root)
    return data_root is not None and locate(manifest, data_root) is not None


def missing_masks(manifest: Manifest, located: Located, found: FoundFrames) -> DataError:
    """The error for images that have no mask where the layout promises one."""
    what = f"{len(found.without_mask)} of {len(found.frames)} images have no mask: {name_some(found.without_mask)}."
    orphans = [path.name for path in found.masks_without_image]
    what += f" {len(orphans)} masks have no image: {name_some(orphans)}." if orphans else ""
    masks = ", ".join(located.layout.masks.files) if located.layout.masks else "masks"
    fix = "add the masks under their images' names (or boxes, in boxes.csv), or write label_state negative or none "
    fix += "for these frames in frames.csv. A cohort without any labels can still be a target."
    return DataError("E_MASK_MISSING", what, where=f"{manifest.id}/{masks}", fix=fix)


def missing_boxes(manifest: Manifest, found: FoundFrames) -> DataError:
    """The error for frames that frames.csv declares to be annotated with boxes, and that have none."""
    count = f"{len(found.without_box)} of {len(found.frames)}"
    what = f"{count} frames have label_state box and no row in boxes.csv: {name_some(found.without_box)}."
    fix = "add their boxes, or write label_state negative (no polyp) or none (not known) for them in frames.csv."
    return DataError("E_BOX_MISSING", what, where=f"{manifest.id}/{BOXES_CSV}", fix=fix)


def _absent(manifest: Manifest, data_root: Path | None, folders: list[str]) -> DataError:
    root = "no data root was given" if data_root is None else f"looked below {data_root} for {', '.join(folders)}"
    fix = f"{manifest.access.how.strip()} Then name the root with --data-root or POLYPDA_DATA. {_PHANTOM}"
    return DataError("E_COHORT_ABSENT", f"no frames of this cohort here ({root}).", where=manifest.id, fix=fix)


def _empty(manifest: Manifest, folder: Path) -> DataError:
    patterns = dict.fromkeys(pattern for layout, _ in layouts_and_folders(manifest) for pattern in layout.images)
    what = f"the folder {folder} holds no image ({', '.join(patterns)})."
    return DataError("E_COHORT_EMPTY", what, where=manifest.id, fix=f"{manifest.access.how.strip()} {_PHANTOM}")


def _not_imported(manifest: Manifest, data_root: Path | None) -> DataError:
    video = manifest.media is Media.VIDEO
    root = data_root if data_root is not None else "<data root>"
    code, kind = ("E_COHORT_VIDEO", "videos") if video else ("E_COHORT_BOXES", "boxes")
    what = f"no frames of this cohort here (looked for {root}/{manifest.id}/images); its owner holds it as {kind}."
    fix = f"`polypda cohorts import FOLDER --as {manifest.id} --data-root {root}` makes an ordinary cohort folder of "
    return DataError(code, what, where=manifest.id, fix=f"{fix}what you hold, or use `--phantom`, which runs now.")

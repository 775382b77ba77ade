"""Labels as they come back from people: read by the importers, matched with the frames that were exported."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.frames import Frame, LabelState
from polypda.cohorts.image_files import IMAGE_SUFFIXES, name_some
from polypda.cohorts.images import read_image
from polypda.cohorts.opening import open_cohort
from polypda.data.labels import read_reference
from polypda.errors import DataError
from polypda.files import write_png
from polypda.importing.annotations.shapes import Polygon
from polypda.integrity import sha256_of
from polypda.reporting.correctable import regions_of
from polypda.workflows.audit.plan import IMAGES, LIST, PLAN
from polypda.workflows.cohorts.import_cohort import ImportRequest, import_cohort

COHORT = "audit-labels"
ANNOTATIONS = (".json", ".xml")


@dataclass(frozen=True, eq=False)
class ReturnedLabels:
    """masks: exported image → 0/1 H×W, empty where its owner says that there is no polyp. boxes_only: images with
    boxes and no outline. left_out: what could not be read, as (file, what)."""

    masks: dict[str, NDArray[np.uint8]]
    boxes_only: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


def read_stored(frame: Frame) -> NDArray[np.uint8]:
    """A cohort's frame as it is always read: not turned. Raises: DataError E_IMAGE_…."""
    return read_image(frame.image)


def read_labels(
    folder: Path, frames: Mapping[str, Frame], read: Callable[[Frame], NDArray[np.uint8]] = read_stored
) -> ReturnedLabels:
    """Read masks or annotations of some of the frames; a frame without any stays unlabelled.

    Args:
        folder: masks named like the images, or JSON/XML files of an annotation tool, in any subfolder.
        frames: exported image's file name → the frame it shows.
        read: the pixels of a frame as they were exported.

    Raises: DataError E_AUDIT_LABELS where nothing is there, E_AUDIT_FRAMES where a file belongs to no frame; what
        importing raises.
    """
    if not folder.is_dir():
        raise DataError(
            "E_AUDIT_LABELS", "there is no such folder.", where=folder, fix="name the folder of the labels."
        )
    with TemporaryDirectory() as index:
        source, root = Path(index) / "labels", Path(index) / "root"
        (source / IMAGES).mkdir(parents=True)
        for name, frame in frames.items():
            if name == frame.image.name:
                shutil.copyfile(frame.image, source / IMAGES / name)
            else:
                write_png(source / IMAGES / name, read(frame), compress_level=1)
        _gather(folder, source, {Path(name).stem: name for name in frames})
        result = import_cohort(ImportRequest(source, COHORT, root))
        left_out = tuple((line.origin, line.what) for line in result.summary.lines if not line.taken)
        found = open_cohort(COHORT, root, labels=True).frames if result.folder else ()
        by_stem = {Path(name).stem: name for name in frames}
        masks = {
            by_stem[frame.frame]: read_reference(frame, read_image(frame.image))
            for frame in found
            if frame.label_state in (LabelState.MASK, LabelState.NEGATIVE) and frame.frame in by_stem
        }
        boxes = tuple(by_stem[frame.frame] for frame in found if frame.label_state is LabelState.BOX)
    return ReturnedLabels(masks, boxes, left_out)


def is_as_exported(filled: NDArray[np.bool_], mask: NDArray[np.uint8]) -> bool:
    """Whether a label (0/1, H×W) is exactly what was filled in before (bool H×W): perhaps nobody looked at it."""
    drawn = np.zeros(mask.shape, np.uint8)  # as an annotation tool gives its polygons back
    for region in regions_of(filled):
        drawn |= Polygon((region.outer, *region.holes)).pixels(mask.shape)
    return bool(mask.any() and ((drawn == mask).all() or (filled == mask.astype(bool)).all()))


def _gather(folder: Path, source: Path, stems: Mapping[str, str]) -> None:
    """Lay what was returned beside the images: annotation files, else masks."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    own = {sha256_of(path) for path in (folder / IMAGES).glob("*.png")}
    files = [path for path in files if path.name not in (PLAN, LIST) and "answer" not in path.parts[-3:-1]]
    annotations = [path for path in files if path.suffix.lower() in ANNOTATIONS]
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    masks = [path for path in images if sha256_of(path) not in own]
    masks = [path for path in masks if not (path.parent.name == IMAGES and path.stem in stems)]
    if annotations:
        for number, path in enumerate(annotations):
            beside = source / IMAGES / path.name
            shutil.copyfile(path, beside if not beside.exists() else beside.with_stem(f"{path.stem}-{number}"))
        return
    if not masks:
        raise DataError(
            "E_AUDIT_LABELS",
            "neither a mask nor an annotation file (JSON, XML) is there.",
            where=folder,
            fix=f"lay masks named like those of {IMAGES}/ there (PNG, white is polyp, black throughout: no polyp).",
        )
    strange = [path.name for path in masks if _stem(path) not in stems]
    if strange:
        raise DataError(
            "E_AUDIT_FRAMES",
            f"{len(strange)} of {len(masks)} files belong to no frame that can be scored: {name_some(strange)}.",
            where=folder,
            fix="name masks like the images that were exported, such as audit-001.png.",
        )
    (source / "masks").mkdir()
    for path in masks:
        shutil.copyfile(path, source / "masks" / f"{_stem(path)}{path.suffix.lower()}")


def _stem(path: Path) -> str:
    """A mask's stem without what tools put behind it."""
    return path.stem.removesuffix("_mask").removesuffix("-mask")

"""Predictions of images as annotations that people correct in a drawing tool, and `polypda cohorts import` reads again.

Specks are not kept (:func:`~polypda.evaluation.scoring.mask_geometry.find_lesions`).
"""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence
from enum import StrEnum
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda import __version__
from polypda.evaluation.scoring.mask_geometry import find_lesions
from polypda.files import write_json
from polypda.prediction.inputs import Input
from polypda.reporting.correctable import ToCorrect, coco_document, labelme_document

ANNOTATIONS = "annotations"


class AnnotationKind(StrEnum):
    """What ``--annotations`` takes."""

    NONE = "none"
    COCO = "coco"
    LABELME = "labelme"


def write_annotations(
    out: Path,
    kind: AnnotationKind,
    rows: Sequence[Mapping[str, str]],
    inputs: Mapping[str, Input],
    exchanged: Container[str] = (),
) -> Path | None:
    """Write the annotations of all predicted images; returns their file or folder, None where there is no image.

    Args: kind: not none. rows: of predictions.csv, with their masks. inputs: by what they are called there.
    exchanged: those of them that were other files before: no annotation of these stays.
    Raises: DataError E_WRITE_FAILED.
    """
    mine = [row for row in rows if row["input"] in inputs and not inputs[row["input"]].kind.moves]
    images = [row for row in mine if row["mask"]]
    for row in mine:
        if row["input"] in exchanged:
            (out / ANNOTATIONS / f"{row['name']}.json").unlink(missing_ok=True)
    if not images:
        return None
    (out / ANNOTATIONS).mkdir(exist_ok=True)
    if kind is AnnotationKind.COCO:
        path = out / ANNOTATIONS / "coco.json"
        described = f"predicted by a model, for correction (polypda {__version__})"
        write_json(path, coco_document((ToCorrect(row["input"], _mask(out, row)) for row in images), described))
        return path
    for row in images:
        frame = ToCorrect(_image_path(out, inputs[row["input"]]), _mask(out, row))
        if frame.mask.any():  # a file without a shape would say that somebody saw no polyp
            write_json(out / ANNOTATIONS / f"{row['name']}.json", labelme_document(frame))
    return out / ANNOTATIONS


def _mask(out: Path, row: Mapping[str, str]) -> NDArray[np.bool_]:
    """The predicted mask without its specks."""
    stored = cv2.imdecode(np.frombuffer((out / row["mask"]).read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    mask = np.asarray(stored) > 0
    regions = find_lesions(mask, mask.size)
    left, top, width, height = regions.box
    kept = np.zeros_like(mask)
    kept[top : top + height, left : left + width] = regions.labels > 0
    return kept


def _image_path(out: Path, one: Input) -> str:
    """From the annotations to the image; of one that lay in an archive, its name."""
    name = PurePosixPath(one.origin).name
    if one.file is None or one.file.name != name:
        return name
    return Path(os.path.relpath(one.file, out / ANNOTATIONS)).as_posix()

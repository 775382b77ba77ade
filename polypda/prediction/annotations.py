"""Predictions of images as annotations that people correct in a drawing tool, and `polypda cohorts import` reads again.

Each region is one outline of few points (half a pixel is given up for that); holes in it are not kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.measure import approximate_polygon

from polypda import __version__
from polypda.evaluation.scoring.mask_geometry import find_lesions
from polypda.files import write_whole
from polypda.prediction.inputs import Input
from polypda.reporting.overlays.drawing import mask_outlines

ANNOTATIONS = "annotations"
POLYP = "polyp"
TOLERANCE_PX = 0.5
FEWEST_POINTS = 3


class AnnotationKind(StrEnum):
    """What ``--annotations`` takes."""

    NONE = "none"
    COCO = "coco"
    LABELME = "labelme"


def polygons_of(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """One ring for each region that is no speck, N×2, x and y in px with edges at whole numbers, in order of area."""
    regions = find_lesions(mask, mask.size)
    left, top, width, height = regions.box
    rings = []
    for number in np.argsort(-regions.areas_px):
        whole = np.zeros_like(mask)
        whole[top : top + height, left : left + width] = regions.labels == number + 1
        outer = max(mask_outlines(whole), key=len)
        ring = approximate_polygon(outer + 0.5, TOLERANCE_PX)[:-1]
        if len(ring) >= FEWEST_POINTS:
            rings.append(np.round(np.clip(ring, 0, (mask.shape[1], mask.shape[0])), 2))
    return rings


def write_annotations(
    out: Path, kind: AnnotationKind, rows: Sequence[Mapping[str, str]], inputs: Mapping[str, Input]
) -> Path | None:
    """Write the annotations of all predicted images; returns their file or folder, None where there is no image.

    Args: kind: not none. rows: of predictions.csv, with their masks. inputs: by what they are called there.
    Raises: DataError E_WRITE_FAILED.
    """
    images = [row for row in rows if row["mask"] and row["input"] in inputs and not inputs[row["input"]].kind.moves]
    if not images:
        return None
    (out / ANNOTATIONS).mkdir(exist_ok=True)
    if kind is AnnotationKind.COCO:
        path = out / ANNOTATIONS / "coco.json"
        write_whole(path, json.dumps(_coco(out, images), ensure_ascii=False))
        return path
    for row, rings in _drawn(out, images):
        sheet = _labelme(row, rings, _image_path(out, inputs[row["input"]]))
        write_whole(out / ANNOTATIONS / f"{row['name']}.json", json.dumps(sheet, ensure_ascii=False, indent=1))
    return out / ANNOTATIONS


def _drawn(out: Path, rows: Sequence[Mapping[str, str]]) -> Iterator[tuple[Mapping[str, str], list[NDArray]]]:
    for row in rows:
        mask = cv2.imdecode(np.frombuffer((out / row["mask"]).read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
        yield row, polygons_of(np.asarray(mask) > 0)


def _coco(out: Path, rows: Sequence[Mapping[str, str]]) -> dict[str, object]:
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for number, (row, rings) in enumerate(_drawn(out, rows), 1):
        size = {"width": int(row["width"]), "height": int(row["height"])}
        images.append({"id": number, "file_name": row["input"], **size})
        for ring in rings:
            (x0, y0), (x1, y1) = ring.min(axis=0), ring.max(axis=0)
            x, y = ring.T
            area = abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "segmentation": [ring.ravel().tolist()],
                    "bbox": [round(float(value), 2) for value in (x0, y0, x1 - x0, y1 - y0)],
                    "area": round(area, 2),
                    "iscrowd": 0,
                }
            )
    described = f"predicted by a model, for correction (polypda {__version__})"
    return {
        "info": {"description": described},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": POLYP}],
    }


def _labelme(row: Mapping[str, str], rings: Sequence[NDArray], image: str) -> dict[str, object]:
    shapes = [
        {"label": POLYP, "points": ring.tolist(), "group_id": None, "shape_type": "polygon", "flags": {}}
        for ring in rings
    ]
    return {
        "version": "5.0.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": image,
        "imageData": None,
        "imageHeight": int(row["height"]),
        "imageWidth": int(row["width"]),
    }


def _image_path(out: Path, one: Input) -> str:
    """From the annotations to the image; of one that lay in an archive, its name."""
    name = PurePosixPath(one.origin).name
    if one.file is None or one.file.name != name:
        return name
    return Path(os.path.relpath(one.file, out / ANNOTATIONS)).as_posix()

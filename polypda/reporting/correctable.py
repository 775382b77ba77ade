"""Predictions to be corrected, in the formats of three annotation tools; `polypda cohorts import` reads them back.

Regions are polygons of pixel corners; one with a hole is run lengths (COCO, CVAT) or a shape called ``hole``
(LabelMe). A frame on which nothing was marked gets no LabelMe file: saving it unchanged would say that it shows no
polyp.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.measure import approximate_polygon

from polypda.files import write_json
from polypda.reporting.overlays.drawing import Outline, mask_outlines

LABEL = "polyp"
TOLERANCE_PX = 0.25
SHORTEST_RING = 4


@dataclass(frozen=True)
class ToCorrect:
    """A frame whose outline is to be corrected.

    image: the image's name or path, as the annotations name it. mask: bool H×W, what is drawn already. facts: patient,
    sequence, mode: columns that COCO keeps of an image, empty ones left out. task: what is wrong, for LabelMe.
    """

    image: str
    mask: NDArray[np.bool_]
    facts: Mapping[str, str] = field(default_factory=dict)
    task: str = ""


@dataclass(frozen=True)
class Region:
    """One connected region, bool H×W. outer: ring in px, pixel corners at whole numbers. holes: likewise."""

    mask: NDArray[np.bool_]
    outer: Outline
    holes: tuple[Outline, ...]


def write_for_tools(folder: Path, frames: Sequence[ToCorrect], images: Path | None) -> None:
    """Write ``coco``, ``labelme`` and ``cvat``, each a folder of its own with the images, as its tool opens it.

    images: where the frames' images lie; None: the annotations alone. Raises: DataError E_WRITE_FAILED; OSError.
    """
    for name in ("coco", "labelme", "cvat"):
        (folder / name / "images").mkdir(parents=True)
        for frame in frames if images is not None else ():
            shutil.copyfile(images / frame.image, folder / name / "images" / frame.image)  # type: ignore[operator]
    write_json(folder / "coco" / "annotations.json", coco_document(frames))
    write_labelme(folder / "labelme" / "images", frames)
    tree = ElementTree(_cvat(frames))
    indent(tree)
    tree.write(folder / "cvat" / "annotations.xml", encoding="utf-8", xml_declaration=True)


def write_labelme(folder: Path, frames: Iterable[ToCorrect]) -> None:
    """Write STEM.json of each frame on which something is drawn. Raises: DataError E_WRITE_FAILED."""
    for frame in frames:
        if frame.mask.any():
            write_json(folder / f"{PurePosixPath(frame.image).stem}.json", labelme_document(frame))


def regions_of(mask: NDArray[np.bool_]) -> list[Region]:
    """The 4-connected regions of a bool H×W mask with their outlines, given up to a quarter of a pixel."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    found = []
    for label in range(1, count):
        region = labels == label
        rings = [_ring(outline) for outline in mask_outlines(region)]
        rings.sort(key=lambda ring: -abs(_area(ring)))
        if rings:
            found.append(Region(region, rings[0], tuple(rings[1:])))
    return found


def _ring(outline: Outline) -> Outline:
    points = approximate_polygon(outline, TOLERANCE_PX)
    points = points if len(points) > SHORTEST_RING else outline
    return np.round(points[:-1] + 0.5, 2)


def _area(ring: Outline) -> float:
    x, y = ring.T
    return 0.5 * float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """left, top, right, bottom; right and bottom exclusive."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _runs(values: NDArray[np.bool_]) -> list[int]:
    """Lengths of runs, of False first."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], values, [False]]).astype(np.int8)))
    ends = np.concatenate([[0], edges, [values.size] if edges.size == 0 or edges[-1] != values.size else []])
    return [int(length) for length in np.diff(ends)]


def coco_document(frames: Iterable[ToCorrect], description: str = "") -> dict[str, object]:
    """All frames as one COCO document."""
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for number, frame in enumerate(frames, 1):
        height, width = frame.mask.shape
        images.append({"id": number, "file_name": frame.image, "width": width, "height": height, **_known(frame)})
        for region in regions_of(frame.mask):
            left, top, right, bottom = _box(region.mask)
            segmentation: object = [region.outer.ravel().tolist()]
            if region.holes:
                segmentation = {"size": [height, width], "counts": _runs(region.mask.ravel(order="F"))}
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": int(bool(region.holes)),
                    "bbox": [left, top, right - left, bottom - top],
                    "area": int(region.mask.sum()),
                    "segmentation": segmentation,
                }
            )
    categories = [{"id": 1, "name": LABEL, "supercategory": ""}]
    info = {"info": {"description": description}} if description else {}
    return {**info, "images": images, "annotations": annotations, "categories": categories}


def _known(frame: ToCorrect) -> dict[str, str]:
    return {name: value for name, value in frame.facts.items() if value}


def labelme_document(frame: ToCorrect) -> dict[str, object]:
    """One frame as a LabelMe document."""
    height, width = frame.mask.shape
    shapes = []
    for number, region in enumerate(regions_of(frame.mask), 1):
        for label, ring in ((LABEL, region.outer), *(("hole", hole) for hole in region.holes)):
            shapes.append(
                {
                    "label": label,
                    "points": ring.tolist(),
                    "group_id": number if region.holes else None,
                    "shape_type": "polygon",
                    "flags": {},
                    "description": frame.task,
                }
            )
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": frame.image,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _cvat(frames: Sequence[ToCorrect]) -> Element:
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    labels = SubElement(SubElement(SubElement(root, "meta"), "task"), "labels")
    SubElement(SubElement(labels, "label"), "name").text = LABEL
    for number, frame in enumerate(frames):
        height, width = frame.mask.shape
        image = SubElement(root, "image", id=str(number), name=frame.image, width=str(width), height=str(height))
        for region in regions_of(frame.mask):
            drawn = {"label": LABEL, "source": "auto", "occluded": "0", "z_order": "0"}
            if region.holes:
                left, top, right, bottom = _box(region.mask)
                runs = _runs(region.mask[top:bottom, left:right].ravel())
                index = {"left": left, "top": top, "width": right - left, "height": bottom - top}
                texts = {name: str(value) for name, value in index.items()}
                SubElement(image, "mask", drawn | {"rle": ", ".join(map(str, runs))} | texts)
            else:
                points = ";".join(f"{x:g},{y:g}" for x, y in region.outer)
                SubElement(image, "polygon", drawn | {"points": points})
    return root

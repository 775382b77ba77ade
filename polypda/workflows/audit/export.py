"""The frames of an audit as files for people: images in random order, a list, and outlines to correct.

Exported images are numbered, so that neither the stratum nor the model's opinion can be guessed from a name. Prefilled
outlines are drawn where the mean of both models' probabilities passes the threshold: they favour neither model, but
they do pull whoever corrects them towards both, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from polypda.cohorts.frames import Frame
from polypda.cohorts.images import read_image
from polypda.data.cache import load_native
from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD
from polypda.files import whole_folder, write_json, write_png, write_table
from polypda.workflows.audit.plan import IMAGES, LIST, PLAN, AuditedRun, AuditPlan, Drawn, Prefill


def export_frames(audited: AuditedRun, plan: AuditPlan, out: Path) -> None:
    """Write images, the list, the plan and prefilled outlines, whole or not at all.

    Raises: DataError E_REPORT_EXISTS where ``out`` exists, E_WRITE_FAILED.
    """
    known = {frame.frame: frame for frame in audited.target.frames}
    frames = [known[drawn.frame] for drawn in plan.frames]
    prefill = Prefill(plan.prefill)
    rows = [{"image": drawn.image, "frame": drawn.frame} for drawn in plan.frames]
    with whole_folder(out) as work:
        (work / IMAGES).mkdir()
        outlined: list[tuple[Drawn, tuple[int, int], list[NDArray[np.int64]]]] = []
        for drawn, frame in zip(plan.frames, frames, strict=True):
            image = read_image(frame.image)
            write_png(work / IMAGES / drawn.image, image)
            if prefill is not Prefill.NONE:
                outlined.append((drawn, image.shape[:2], outlines_of(audited, frame)))
        if prefill is Prefill.LABELME:
            for drawn, size, outlines in outlined:
                if outlines:  # a file without a shape would say that somebody saw no polyp
                    write_json(
                        (work / IMAGES / drawn.image).with_suffix(".json"), labelme_sheet(drawn.image, size, outlines)
                    )
        if prefill is Prefill.COCO:
            write_json(work / "annotations.json", _coco(outlined))
        write_table(work / LIST, pd.DataFrame(rows))
        write_json(work / PLAN, plan.as_json())


def outlines_of(audited: AuditedRun, frame: Frame) -> list[NDArray[np.int64]]:
    """Polygons, [N, 2] px each, around what both models mark on average."""
    native = load_native(frame, audited.models.asked.grid)
    before, after = audited.models.maps(native)
    marked = (((before + after) / 2 >= DEFAULT_THRESHOLD) & native.valid).astype(np.uint8)
    found, _ = cv2.findContours(marked, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    simple = [cv2.approxPolyDP(outline, 1.0, True)[:, 0].astype(np.int64) for outline in found]
    return [outline for outline in simple if len(outline) >= 3]


def labelme_sheet(image: str, size: tuple[int, int], outlines: Sequence[NDArray[np.int64]]) -> dict[str, Any]:
    """A LabelMe file of an image. size: (height, width) px; outlines: polygons [N, 2] of x, y."""
    shapes = [
        {"label": "polyp", "points": outline.tolist(), "group_id": None, "shape_type": "polygon", "flags": {}}
        for outline in outlines
    ]
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": image,
        "imageData": None,
        "imageHeight": size[0],
        "imageWidth": size[1],
    }


def _coco(outlined: Sequence[tuple[Drawn, tuple[int, int], list[NDArray[np.int64]]]]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (drawn, (height, width), outlines) in enumerate(outlined, 1):
        images.append({"id": number, "file_name": drawn.image, "width": width, "height": height})
        for outline in outlines:
            (x0, y0), (x1, y1) = outline.min(axis=0).tolist(), outline.max(axis=0).tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "segmentation": [outline.ravel().tolist()],
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": float(cv2.contourArea(outline.astype(np.float32))),
                    "iscrowd": 0,
                }
            )
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "polyp"}]}

"""The frames of an audit as files for people: images in random order, a list, and outlines to correct.

Exported images are numbered, so that neither the stratum nor the model's opinion can be guessed from a name. Prefilled
outlines are drawn where the mean of both models' probabilities passes the threshold: they favour neither model, but
they do pull whoever corrects them towards both, and the answer says so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from polypda.cohorts.frames import Frame
from polypda.cohorts.images import read_image
from polypda.data.cache import load_native
from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD
from polypda.files import whole_folder, write_json, write_png, write_table
from polypda.reporting.correctable import ToCorrect, coco_document, write_labelme
from polypda.workflows.audit.plan import IMAGES, LIST, PLAN, AuditedRun, AuditPlan, Prefill


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
        filled = []
        for drawn, frame in zip(plan.frames, frames, strict=True):
            write_png(work / IMAGES / drawn.image, read_image(frame.image))
            if prefill is not Prefill.NONE:
                filled.append(ToCorrect(drawn.image, prefilled_mask(audited, frame)))
        if prefill is Prefill.LABELME:
            write_labelme(work / IMAGES, filled)
        if prefill is Prefill.COCO:
            write_json(work / "annotations.json", coco_document(filled))
        write_table(work / LIST, pd.DataFrame(rows))
        write_json(work / PLAN, plan.as_json())


def prefilled_mask(audited: AuditedRun, frame: Frame) -> NDArray[np.bool_]:
    """What both models mark on average, bool H×W on the frame's own grid."""
    native = load_native(frame, audited.models.asked.grid)
    before, after = audited.models.maps(native)
    return ((before + after) / 2 >= DEFAULT_THRESHOLD) & native.valid

"""The folder that a clinician opens: page, frames, uncertainty, panels for slides, the list of cases, a page of help.

Beside it, in the run, the record of what was handed out: hashes, masks, and the key of a blinded review.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from polypda import __version__
from polypda.cohorts.frames import Frame
from polypda.cohorts.image_files import name_some
from polypda.cohorts.images import file_bytes
from polypda.errors import DataError
from polypda.files import whole_folder, write_failed, write_json, write_png, write_whole
from polypda.integrity import check_folder, seal, sha256_of
from polypda.reporting.overlays.drawing import Outline, box_outlines, mask_outlines
from polypda.reporting.overlays.four_panels import PanelWords, draw_four_panels
from polypda.reporting.report_folders import refuse_existing
from polypda.review.contours import mask_path, svg_path
from polypda.review.frames import shown_image, shown_whole, uncertainty_image
from polypda.review.page_file import render_page, render_readme
from polypda.review.record import (
    HANDED_OUT,
    MASKS,
    REVIEWS,
    CaseFigures,
    ReviewCase,
    ReviewKey,
    ReviewRecord,
    Side,
    case_id,
    prediction_hash,
    review_id,
    write_key,
    write_record,
)
from polypda.review.spreadsheets import spreadsheet

PAGE, README = "index.html", "README.html"
FORMER = (PAGE, "cases.json", README)
"""By which a former review's folder is known."""
SYMMETRIC = "disagreement"
"""The only value that says the same of A and B as of before and after."""
BEFORE_BIT, AFTER_BIT = 1, 2
"""Values of the record's masks: the pixels that each model marked."""


@dataclass(frozen=True)
class PredictedCase:
    """One case before it is written. All arrays are native, H×W; pixels: uint8 H×W×3, RGB.

    reference: None where there is none. boxes: N×4 in its place. uncertainty: entropy of each model in bits, None where
    the maps are plain masks. owner: the folder of the run (or of the predictions) that keeps the record.
    """

    run: str
    owner: Path
    frame: Frame
    pixels: NDArray[np.uint8]
    field: NDArray[np.bool_]
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    trainings: dict[Side, str]
    phantom: bool
    reference: NDArray[np.bool_] | None = None
    boxes: NDArray[np.float64] | None = None
    uncertainty: dict[Side, NDArray[np.float32]] | None = None
    figures: CaseFigures | None = None
    centre: str = ""
    device: str = ""
    why: str = ""
    values: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class ReviewPlan:
    """What is handed out. models: names before and after. single_file: frames and all inside the page."""

    models: dict[Side, str]
    part: str
    order: str
    blinded: bool = False
    single_file: bool = False
    panels: bool = True
    referenced: bool = True


def write_review(
    folder: Path, cases: Iterable[PredictedCase], plan: ReviewPlan, *, replace: bool = False
) -> ReviewRecord:
    """Write the folder and, in each run, its record: all of it or nothing. ``cases`` is consumed one by one.

    Raises: DataError E_REVIEW_EMPTY, E_REPORT_EXISTS, E_WRITE_FAILED, and what reading frames raises.
    """
    refuse_existing(folder, replace=replace, former=FORMER, forcible=True)
    _refuse_answers(folder)
    try:
        with whole_folder(folder, replace=replace, sealed=True) as work:
            written = _Writer(work, plan)
            for case in cases:
                written.add(case)
            record = written.finish()
            for owner in dict.fromkeys(written.owners):
                _keep(owner, written, record)
    except OSError as error:
        raise write_failed(folder, error) from error
    return record


def _refuse_answers(folder: Path) -> None:
    """What a reviewer saved into the folder is not removed with it."""
    if answers := sorted(path.name for path in folder.glob("decisions-*")):
        raise DataError(
            "E_REPORT_EXISTS",
            f"answers of a reviewer lie in it ({answers[0]}): it is not replaced.",
            where=folder,
            fix="move them elsewhere first, or choose another folder.",
        )


@dataclass
class _Writer:
    """Collects what is written of each case.

    a_is: case id → which prediction is called A (or comes first). sums: file → SHA-256 of what the page shows.
    """

    work: Path
    plan: ReviewPlan
    cases: list[ReviewCase] = dataclasses.field(default_factory=list)
    owners: list[Path] = dataclasses.field(default_factory=list)
    masks: list[bytes] = dataclasses.field(default_factory=list)
    shown: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    a_is: dict[str, Side] = dataclasses.field(default_factory=dict)
    sums: dict[str, str] = dataclasses.field(default_factory=dict)
    phantom: bool = False

    def add(self, case: PredictedCase) -> None:
        number = len(self.cases) + 1
        before, after = case.before & case.field, case.after & case.field
        prediction = prediction_hash(before, after)
        name = case_id(case.run, case.frame.cohort, case.frame.frame, prediction)
        content, suffix = shown_image(case.frame, case.pixels)
        image, shown_sha256 = self._put(f"frames/{number:04d}", content, suffix, case.pixels.shape)
        first: Side = "after" if self.plan.blinded and secrets.randbelow(2) else "before"
        second: Side = "before" if first == "after" else "after"
        height, width = case.field.shape
        self.cases.append(
            ReviewCase(
                case=name,
                number=number,
                run=case.run,
                cohort=case.frame.cohort,
                frame=case.frame.frame,
                split=case.frame.split.value if case.frame.split else "",
                patient=case.frame.patient or "",
                sequence=case.frame.sequence or "",
                centre=case.centre,
                device=case.device,
                mode=case.frame.mode or "",
                width_px=width,
                height_px=height,
                image=image,
                image_sha256=hashlib.sha256(file_bytes(case.frame.image, "E_IMAGE")).hexdigest(),
                prediction=prediction,
                shown_sha256=shown_sha256,
                trainings=case.trainings,
                figures=case.figures,
                why=case.why,
            )
        )
        self.owners.append(case.owner)
        self.masks.append(_packed(before, after))
        self.a_is[name] = first
        self.phantom |= case.phantom
        sides: dict[Side, NDArray[np.bool_]] = {"before": before, "after": after}
        reference = _reference_outlines(case)
        shown = {
            "image": image,
            "field": "" if case.field.all() else mask_path(case.field),
            "reference": None if reference is None else svg_path(reference),
            "boxed": case.reference is None and case.boxes is not None,
            "one": mask_path(sides[first]),
            "two": mask_path(sides[second]),
            "uncertainty": self._uncertainty(number, case, first, second),
            "values": {
                name: value for name, value in case.values.items() if not self.plan.blinded or name == SYMMETRIC
            },
        }
        if self.plan.panels:
            shown["panels"] = f"panels/{number:04d}.png"
            write_png(_made(self.work / "panels") / f"{number:04d}.png", self._panels(case, reference, sides, first))
        self.shown.append(shown)

    def finish(self) -> ReviewRecord:
        """Write page, lists and help."""
        plan = self.plan
        if not self.cases:
            raise DataError(
                "E_REVIEW_EMPTY",
                "no frame is left to judge.",
                fix="name a part that holds frames: --part test, train or validation.",
            )
        record = ReviewRecord(
            review=secrets.token_hex(6) if plan.blinded else review_id([case.case for case in self.cases]),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
            runs=tuple(dict.fromkeys(case.run for case in self.cases)),
            models=plan.models,
            part=plan.part,
            order=plan.order,
            blinded=plan.blinded,
            referenced=plan.referenced,
            phantom=self.phantom,
            cases=tuple(self.cases),
        )
        public = record.public()
        write_whole(self.work / "cases.csv", cases_csv(public))
        frames = {name: base64.b64encode(data).decode() for name, data in self.files.items()}
        page = render_page(public, self.shown, frames)
        write_whole(self.work / PAGE, page)
        write_record(self.work, public)
        self.sums[PAGE] = hashlib.sha256(page.encode()).hexdigest()
        write_whole(self.work / README, render_readme(public))
        return record

    def _put(self, stem: str, content: bytes, suffix: str, shape: tuple[int, ...]) -> tuple[str, str]:
        """A picture H×W as a file of the folder or, where all is one file, as a part of the page: its name, SHA-256."""
        if self.plan.single_file:
            name, self.files[f"{stem}{suffix}"] = f"{stem}{suffix}", content
        else:
            name, content = f"{stem}.svg", shown_whole(content, suffix, shape)
            _made((self.work / name).parent)
            (self.work / name).write_bytes(content)
            self.sums[name] = hashlib.sha256(content).hexdigest()
        return name, hashlib.sha256(content).hexdigest()

    def _uncertainty(self, number: int, case: PredictedCase, first: Side, second: Side) -> dict[str, str] | None:
        if case.uncertainty is None:
            return None
        names = {}
        for index, side in (("one", first), ("two", second)):
            content, shape = uncertainty_image(np.where(case.field, case.uncertainty[side], 0.0))
            names[index], _ = self._put(f"uncertainty/{number:04d}-{index}", content, ".png", shape)
        return names

    def _panels(
        self,
        case: PredictedCase,
        reference: list[Outline] | None,
        sides: dict[Side, NDArray[np.bool_]],
        first: Side,
    ) -> NDArray[np.uint8]:
        second: Side = "before" if first == "after" else "after"
        told = {"before": "Before", "after": "After"}
        for side in told:
            told[side] += f": {self.plan.models[side] or 'none'}"  # type: ignore[index]
            dice = getattr(case.figures, f"dice_{side}", None)
            told[side] += "" if dice is None else f" · Dice {dice:.2f}"
        words = PanelWords(
            title=f"{case.frame.cohort} · {case.frame.frame}",
            reference=_reference_words(reference),
            before="A" if self.plan.blinded else told[first],
            after="B" if self.plan.blinded else told[second],
            phantom=case.phantom,
        )
        return draw_four_panels(case.pixels, reference, sides[first], sides[second], case.field, words)


def _reference_outlines(case: PredictedCase) -> list[Outline] | None:
    if case.reference is not None:
        return mask_outlines(case.reference & case.field)
    return None if case.boxes is None else list(box_outlines(case.boxes))


def _reference_words(reference: Sequence[Outline] | None) -> str:
    if reference is None:
        return "Reference: none"
    return "Reference" if reference else "Reference: no polyp"


def _packed(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> bytes:
    buffer = io.BytesIO()
    values = before.astype(np.uint8) * BEFORE_BIT + after.astype(np.uint8) * AFTER_BIT
    Image.fromarray(values).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def require_untouched(page: Path, index: Path) -> None:
    """A folder that came back must be, to the byte, one that was handed out: page, frames, maps of uncertainty.

    Args: index: the review's record. Raises: DataError E_REVIEW_TOUCHED, E_REVIEW_RECORD (no sums were kept).
    """
    try:
        check_folder(index / HANDED_OUT)
        lists = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((index / HANDED_OUT).glob("*.json"))]
    except (OSError, ValueError, DataError):
        lists = []
    if not lists:
        what = "no sums of the files that were handed out are kept, or they are damaged."
        raise DataError("E_REVIEW_RECORD", what, where=index.name, fix="import without --page.")
    changed = min(([name for name, sum_ in sums.items() if not _has_sum(page / name, sum_)] for sums in lists), key=len)
    if changed:
        what = f"{len(changed)} of its files are missing or not what was handed out: {name_some(changed)}."
        fix = "what was judged is not known: hand the review out anew and have these cases judged again."
        raise DataError("E_REVIEW_TOUCHED", what, where=page, fix=fix)


def _has_sum(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path) == sha256


def read_masks(record: Path, case: ReviewCase) -> dict[Side, NDArray[np.bool_]]:
    """What both models marked on a case, bool H×W, as the record holds it, checked by its hash.

    Raises: DataError E_REVIEW_RECORD.
    """
    path = record / MASKS / f"{case.case}.png"
    try:
        with Image.open(path) as image:
            values = np.asarray(image)
    except OSError as error:
        what = f"the predictions of case {case.case} cannot be read."
        raise DataError("E_REVIEW_RECORD", what, where=path, fix="build the review again.") from error
    before, after = (values & BEFORE_BIT) > 0, (values & AFTER_BIT) > 0
    if prediction_hash(before, after) != case.prediction:
        what = f"the predictions of case {case.case} are not those that were handed out."
        raise DataError("E_REVIEW_RECORD", what, where=path, fix="build the review again.")
    return {"before": before, "after": after}


def _keep(owner: Path, written: _Writer, record: ReviewRecord) -> None:
    """Write the record of a review into the run that its cases are of. Raises: OSError."""
    index = owner / REVIEWS / record.review
    own = [number for number, whose in enumerate(written.owners) if whose == owner]
    kept = record.model_copy(update={"cases": tuple(record.cases[number] for number in own)})
    with whole_folder(index, replace=True) as work:
        for former in index.glob("*/"):  # decisions and the like on the same cases with the same predictions
            if former.name != MASKS:
                shutil.copytree(former, work / former.name)
        _made(work / HANDED_OUT)
        write_json(work / HANDED_OUT / f"{written.sums[PAGE][:12]}.json", written.sums)
        (work / MASKS).mkdir()
        for number in own:
            (work / MASKS / f"{record.cases[number].case}.png").write_bytes(written.masks[number])
        if record.blinded:
            ids = {case.case for case in kept.cases}
            write_key(work, ReviewKey(review=record.review, a_is={k: v for k, v in written.a_is.items() if k in ids}))
        write_record(work, kept)
        seal(work / HANDED_OUT)
        seal(work, deep=False)


def cases_csv(record: ReviewRecord) -> str:
    """The list of cases as a spreadsheet opens it."""
    plain = [case.model_dump(exclude={"trainings", "figures"}) for case in record.cases]
    figures = [case.figures.model_dump() if case.figures else {} for case in record.cases]
    return spreadsheet(pd.DataFrame([{**row, **more} for row, more in zip(plain, figures, strict=True)]))


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def sizes(folder: Path) -> Iterator[int]:
    """Bytes of every file of a folder."""
    yield from (path.stat().st_size for path in folder.rglob("*") if path.is_file())

"""Which frames of a source can teach, and what must be said of a run that learnt from boxes."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass

from polypda.cohorts.frames import Frame, LabelState, OpenedCohort, Split
from polypda.cohorts.images import read_image, read_mask, swapped
from polypda.data.labels import BoxSupervision, teaches
from polypda.errors import DataError
from polypda.files import write_json
from polypda.training.run_folder import RunFolder

RECORD = "labels.json"
ORDER = (LabelState.MASK, LabelState.BOX, LabelState.NEGATIVE, LabelState.NONE)


def teaching_frames(cohort: OpenedCohort, part: Split, boxes: BoxSupervision | None) -> tuple[Frame, ...]:
    """The frames of a part that can be learnt from: masks, declared negatives, and boxes where they may teach."""
    return tuple(frame for frame in cohort.split(part) if teaches(frame.label_state, boxes))


def require_teaching(cohort: OpenedCohort, part: Split, boxes: BoxSupervision | None) -> tuple[Frame, ...]:
    """Likewise; masks are read up to the first that shows a polyp.

    Raises: DataError E_NO_LABELS, E_BOX_SUPERVISION when none of them can show a polyp, E_NO_POLYP when none does; what
        reading images and masks raises.
    """
    frames = teaching_frames(cohort, part, boxes)
    if any(frame.label_state is not LabelState.NEGATIVE for frame in frames):
        if not any(map(_shows_polyp, frames)):
            raise DataError(
                "E_NO_POLYP",
                f"all {len(frames)} masks and statements of the {part.value} part say that there is no polyp to learn.",
                where=cohort.id,
                fix="`polypda cohorts check` tells how the masks are stored; were they drawn and exported?",
            )
        return frames
    boxed = sum(frame.label_state is LabelState.BOX for frame in cohort.split(part))
    if boxed:
        raise DataError(
            "E_BOX_SUPERVISION",
            f"its polyps are annotated with boxes only ({boxed} frames of the {part.value} part): there is no mask to "
            "learn from.",
            where=cohort.id,
            fix="--box-supervision filled or projection trains on the boxes, and every table says so; as a target it "
            "needs no labels.",
        )
    negative = f" but {len(frames)} without a polyp" if frames else ""
    raise DataError(
        "E_NO_LABELS",
        f"no frame of the {part.value} part has a label to learn from{negative}.",
        where=cohort.id,
        fix="put the masks where the manifest says; `polypda cohorts check` shows what was found.",
    )


def _shows_polyp(frame: Frame) -> bool:
    """Whether a frame's boxes or its mask mark a polyp; a mask without a file may (learning from it is refused)."""
    if frame.mask is None:
        return frame.label_state is not LabelState.NEGATIVE
    try:
        return bool(read_mask(frame.mask, frame.fellows).any())
    except DataError as problem:
        raise swapped(problem, read_image(frame.image), f"{frame.cohort}/{frame.frame}") from problem


@dataclass(frozen=True)
class LearntLabels:
    """Training frames of a source by what is known of them; boxes: how those with boxes taught, None: not at all."""

    masks: int = 0
    boxed: int = 0
    negatives: int = 0
    unlabelled: int = 0
    boxes: BoxSupervision | None = None

    @classmethod
    def of(cls, source: OpenedCohort, boxes: BoxSupervision | None) -> LearntLabels:
        """Count a source's training frames."""
        states = Counter(frame.label_state for frame in source.split(Split.TRAIN))
        masks, boxed, negatives, unlabelled = (states[state] for state in ORDER)
        return cls(masks, boxed, negatives, unlabelled, boxes if boxed else None)

    @classmethod
    def recorded(cls, run: RunFolder) -> LearntLabels:
        """What a run recorded; nothing for one that was made before it was recorded."""
        path = run.folder / RECORD
        if not path.is_file():
            return cls()
        found = json.loads(path.read_text(encoding="utf-8"))
        boxes = found.pop("boxes")
        return cls(**found, boxes=BoxSupervision(boxes) if boxes else None)

    def record(self, run: RunFolder) -> None:
        """Write it into the run, so that every later table of it can say it."""
        write_json(run.folder / RECORD, asdict(self))

    @property
    def words(self) -> str:
        """ "trained on boxes (filled, ignore band)…"; "" where boxes taught nothing."""
        if self.boxes is None:
            return ""
        beside = f"beside {self.masks} with masks" if self.masks else "no masks"
        return f"{self.boxes.words}: {self.boxed} frames, {beside}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be told of training frames that taught nothing."""
        told = []
        if self.boxed and self.boxes is None:
            told.append(f"{self.boxed} training frames of the source have boxes only and taught nothing.")
        if self.unlabelled:
            told.append(f"{self.unlabelled} training frames of the source have no label and taught nothing.")
        return tuple(told)

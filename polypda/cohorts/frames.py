"""What a cohort is once its files are found: frames, each with its image, its group and its split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

    from polypda.cohorts.stored_masks import FellowMasks


class Split(StrEnum):
    """Part of a cohort. ``test`` is held out from everything but the final evaluation."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class LabelState(StrEnum):
    """What is known of a frame's label without opening a mask."""

    MASK = "mask"
    BOX = "box"  # every polyp has a box; which pixels are polyp is not known
    NEGATIVE = "negative"  # declared free of polyps by the cohort; needs no mask file
    NONE = "none"  # unlabelled, or labels were not looked for


class PolypBox(NamedTuple):
    """Where a polyp is: px of the frame, half-open (x1 − x0 is the width); ``label`` is its class, where told."""

    x0: float
    y0: float
    x1: float
    y1: float
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of a cohort.

    ``mask`` is None when the frame has no mask file or when the cohort was opened without labels; so are ``boxes``
    empty. A frame in the state BOX has at least one box and no mask; one in the state MASK may have boxes beside it.
    ``mode``: imaging mode in capitals (WL, NBI…). ``ignore``: an image of the pixels that count nowhere (burned-in
    text, insets); no label. ``patient``, ``sequence`` and ``mode`` are None where the release does not tell them.
    ``fellows``: all masks of the cohort, which tell what the values of this one mean where it does not.
    """

    cohort: str
    frame: str
    image: Path
    mask: Path | None = None
    patient: str | None = None
    sequence: str | None = None
    t_s: float | None = None
    label_state: LabelState = LabelState.NONE
    split: Split | None = None
    mode: str | None = None
    boxes: tuple[PolypBox, ...] = ()
    ignore: Path | None = None
    fellows: FellowMasks | None = field(default=None, repr=False, compare=False)

    @property
    def cluster(self) -> str | None:
        """The unit of resampling and of splitting: the patient, else the sequence, else None (unknown)."""
        return self.patient or self.sequence

    def without_label(self) -> Frame:
        """The same frame as adaptation may see it: nothing left of its mask and its boxes."""
        return replace(self, mask=None, boxes=(), label_state=LabelState.NONE, fellows=None)


@dataclass(frozen=True)
class OpenedCohort:
    """A cohort found on disk: its id, where, what its frames are, and whether they were rendered.

    all_negative: every frame is declared free of polyps (known even when it was opened without labels).
    """

    id: str
    root: Path
    frames: tuple[Frame, ...]
    phantom: bool = False
    all_negative: bool = False

    def split(self, part: Split) -> tuple[Frame, ...]:
        """The frames of one split, in the cohort's order."""
        return tuple(frame for frame in self.frames if frame.split == part)

    def labelled(self, part: Split) -> tuple[Frame, ...]:
        """The frames of a part that can be scored: a mask, boxes, or the statement that there is no polyp."""
        return tuple(frame for frame in self.split(part) if frame.label_state is not LabelState.NONE)

    def counts(self) -> dict[str, int]:
        """Number of frames per split."""
        tally = Counter(str(frame.split) for frame in self.frames)
        return {part.value: tally.get(part.value, 0) for part in Split}

    def table(self) -> pd.DataFrame:
        """One row per frame, paths relative to the cohort's root, with forward slashes; ``boxes`` is their number."""
        import pandas as pd  # only here: listing cohorts does without it

        def relative(path: Path | None) -> str:
            return path.relative_to(self.root).as_posix() if path else ""

        rows = [
            {
                "cohort": frame.cohort,
                "frame": frame.frame,
                "image": relative(frame.image),
                "mask": relative(frame.mask),
                "patient": frame.patient or "",
                "sequence": frame.sequence or "",
                "t_s": frame.t_s,
                "label_state": frame.label_state.value,
                "split": frame.split.value if frame.split else "",
                "mode": frame.mode or "",
                "boxes": len(frame.boxes),
                "ignore": relative(frame.ignore),
            }
            for frame in self.frames
        ]
        return pd.DataFrame(rows)

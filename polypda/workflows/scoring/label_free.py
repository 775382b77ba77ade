"""What two models say of frames whose labels are not known, and of labelled ones that stand in for them.

Pseudo-targets are labelled frames that neither model learnt: the source's held-out frames as they are, the same in the
colours of the target (:mod:`polypda.data.frame_changes`), and other public cohorts below the data root, each by
itself. Held-out source frames are divided in halves, so that no frame is estimated by a calibrator that it fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.catalogue import load_catalogue, shared_frames
from polypda.cohorts.frames import Frame, LabelState, OpenedCohort, Split
from polypda.cohorts.manifest import AccessLevel, Annotation
from polypda.cohorts.opening import open_cohort, present
from polypda.cohorts.splits import unit_of
from polypda.cohorts.sub_cohorts import whole_cohort
from polypda.data.cache import NativeFrame, load_native
from polypda.data.frame_changes import with_colour_statistics, with_low_frequencies
from polypda.data.labels import read_reference
from polypda.errors import PolypdaError
from polypda.evaluation.estimation.confidence import ConfidenceCounts, confidence_counts
from polypda.evaluation.estimation.estimated_dice import PairCounts, PseudoTarget
from polypda.networks.averaged_prediction import Asked
from polypda.networks.segmenter import Segmenter
from polypda.training.progress import Progress

MOST_HELD_OUT = 48
"""Labelled source frames that the estimate rests on, evenly spaced: enough for a mean, affordable in four styles."""
MOST_OF_A_COHORT = 24
MOST_COHORTS = 6
LOW_BAND = 0.03
"""Half width of the exchanged band of low frequencies, as a share of the frame's side."""
AS_IT_IS, STYLIZED, OTHER_COHORT = "as it is", "restyled", "other cohort"

Image = NDArray[np.uint8]
Stylizing = Callable[[Image, NDArray[np.bool_], Image, NDArray[np.bool_]], Image]


def _low_frequencies(image: Image, _: NDArray[np.bool_], style: Image, __: NDArray[np.bool_]) -> Image:
    return with_low_frequencies(image, style, LOW_BAND)


def _colours(image: Image, inside: NDArray[np.bool_], style: Image, style_inside: NDArray[np.bool_]) -> Image:
    return with_colour_statistics(image, inside, style, style_inside, 1.0)


def _both(image: Image, inside: NDArray[np.bool_], style: Image, style_inside: NDArray[np.bool_]) -> Image:
    return _low_frequencies(_colours(image, inside, style, style_inside), inside, style, style_inside)


RESTYLINGS: dict[str, Stylizing] = {
    "target's colours": _colours,
    "target's low frequencies": _low_frequencies,
    "target's colours and low frequencies": _both,
}


@dataclass(frozen=True)
class ModelPair:
    """Source-only and adapted, and how they are asked."""

    before: Segmenter
    after: Segmenter
    asked: Asked

    def __post_init__(self) -> None:
        for model in (self.before, self.after):
            model.eval().to(self.asked.device)

    def maps(self, native: NativeFrame) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """P(polyp) of one frame on its own grid, before and after: float32 H×W each."""
        return self.asked.native_probability(self.before, native), self.asked.native_probability(self.after, native)

    def counts(
        self, native: NativeFrame, reference: NDArray[np.uint8] | None
    ) -> tuple[ConfidenceCounts, ConfidenceCounts]:
        """One frame's pixels by confidence, before and after."""
        before, after = self.maps(native)
        return confidence_counts(before, native.valid, reference), confidence_counts(after, native.valid, reference)


@dataclass(frozen=True, eq=False)
class LabelledEvidence:
    """What labelled frames tell of estimates. held_out: the source's, as they are; None where none are here."""

    held_out: PairCounts | None = None
    pseudo_targets: tuple[PseudoTarget, ...] = ()


def labelled_evidence(
    models: ModelPair,
    source: OpenedCohort | None,
    target: Sequence[Frame],
    others: Iterable[tuple[str, Sequence[Frame]]],
    progress: Progress,
) -> LabelledEvidence:
    """Held-out source frames and pseudo-targets.

    Args: source: opened with labels; None where a source package stands for it. target: its frames, of which only
        images are read. others: name and labelled frames of other cohorts.
    """
    frames = held_out_frames(source) if source is not None else []
    if not frames or not target:
        return LabelledEvidence()
    told = _Progress(progress, "estimating, source", len(frames))
    styles = {AS_IT_IS: [], **{name: [] for name in RESTYLINGS}}  # type: dict[str, list[tuple[ConfidenceCounts, ...]]]
    try:
        for index, frame in enumerate(frames):
            style = load_native(target[index * len(target) // len(frames)].without_label(), models.asked.grid)
            for name, counts in _stylized_counts(models, frame, style):
                styles[name].append(counts)
            told.one_more()
    finally:
        progress.end()
    joined = {name: joined_pair(counts) for name, counts in styles.items()}
    plain = joined[AS_IT_IS]
    pseudo = [*_of_source(joined, halves(frames))]
    for name, labelled in others:
        try:
            pair = joined_pair(list(labelled_counts(models, labelled, progress, f"estimating, {name}")))
        except PolypdaError:
            continue  # a damaged cohort that nobody asked for is no reason to fail
        pseudo.append(PseudoTarget(name, OTHER_COHORT, pair, plain.before))
    return LabelledEvidence(plain, tuple(pseudo))


def _stylized_counts(
    models: ModelPair, frame: Frame, style: NativeFrame
) -> Iterator[tuple[str, tuple[ConfidenceCounts, ConfidenceCounts]]]:
    native = load_native(frame, models.asked.grid)
    reference = read_reference(frame, native.image)
    yield AS_IT_IS, models.counts(native, reference)
    size = native.image.shape[1::-1]
    looks = cv2.resize(style.image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    inside = cv2.resize(style.valid.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    for name, stylize in RESTYLINGS.items():
        changed = stylize(native.image, native.valid, looks, inside)
        image = np.where(native.valid[..., None], changed, native.image)
        yield name, models.counts(replace(native, image=image), reference)


def _of_source(styles: dict[str, PairCounts], half: NDArray[np.bool_]) -> Iterator[PseudoTarget]:
    """Each half in each style, by the calibrator of the other half."""
    if half.all() or not half.any():
        return
    plain = styles[AS_IT_IS].before
    for name, counts in styles.items():
        for number, rows in enumerate((half, ~half), 1):
            pair = PairCounts(counts.before.subset(rows), counts.after.subset(rows))
            kind = AS_IT_IS if name == AS_IT_IS else STYLIZED
            half_name = f"held-out source, half {number}"
            yield PseudoTarget(f"{half_name}, {name}", kind, pair, plain.subset(~rows), half_name)


def labelled_counts(
    models: ModelPair, frames: Sequence[Frame], progress: Progress, stage: str
) -> Iterator[tuple[ConfidenceCounts, ConfidenceCounts]]:
    told = _Progress(progress, stage, len(frames))
    try:
        for frame in frames:
            native = load_native(frame, models.asked.grid)
            yield models.counts(native, read_reference(frame, native.image))
            told.one_more()
    finally:
        progress.end()


def joined_pair(counts: Sequence[tuple[ConfidenceCounts, ...]]) -> PairCounts:
    return PairCounts(*(ConfidenceCounts.joined([pair[index] for pair in counts]) for index in range(2)))


def held_out_frames(source: OpenedCohort) -> list[Frame]:
    """Evenly spaced frames of the source with a mask that no model was trained on."""
    held = [
        frame
        for part in (Split.VALIDATION, Split.TEST)
        for frame in source.split(part)
        if frame.label_state is LabelState.MASK
    ]
    return evenly_spaced(held, MOST_HELD_OUT)


def halves(frames: Sequence[Frame]) -> NDArray[np.bool_]:
    """Which frames lie in the first of two halves: bool [N]; a patient or a sequence is not divided."""
    first: set[tuple[str, str]] = set()
    sizes = [0, 0]
    counts: dict[tuple[str, str], int] = {}
    for frame in frames:
        counts[unit_of(frame)] = counts.get(unit_of(frame), 0) + 1
    for unit, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        smaller = int(sizes[1] < sizes[0])
        sizes[smaller] += count
        if not smaller:
            first.add(unit)
    return np.array([unit_of(frame) in first for frame in frames], bool)


def evenly_spaced(frames: Sequence[Frame], most: int) -> list[Frame]:
    """At most ``most`` frames, in order."""
    return [frames[index] for index in evenly_spaced_places(len(frames), most)]


def evenly_spaced_places(count: int, most: int) -> list[int]:
    """Places of at most ``most`` of ``count`` things, rising."""
    if count <= 0 or most <= 0:
        return []
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int)).tolist()


def other_cohorts(named: Sequence[str], data_root: Path | None) -> Iterator[tuple[str, list[Frame]]]:
    """Public cohorts with masks below the data root, other than those named and any that shares frames with them."""
    known = {whole_cohort(name) for name in named}
    found = 0
    for cohort, described in load_catalogue(data_root).items():
        if found == MOST_COHORTS:
            return
        is_public = described.access.level is AccessLevel.PUBLIC and described.annotation is Annotation.MASK
        if not is_public or cohort in known or any(shared_frames(cohort, name) for name in known):
            continue
        try:
            if not present(cohort, data_root):
                continue
            opened = open_cohort(cohort, data_root, labels=True, allow_leakage=True)
        except PolypdaError:
            continue  # an incomplete cohort that nobody asked for is no reason to fail
        masked = [frame for frame in opened.frames if frame.label_state is LabelState.MASK]
        if masked and not opened.phantom:
            found += 1
            yield cohort, evenly_spaced(masked, MOST_OF_A_COHORT)


class _Progress:
    """Counts on behalf of a progress that wants to be told a number."""

    def __init__(self, progress: Progress, stage: str, steps: int) -> None:
        self._progress = progress
        self._done = 0
        progress.begin(stage, 0, steps)

    def one_more(self) -> None:
        self._done += 1
        self._progress.advance(self._done)

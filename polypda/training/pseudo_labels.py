"""What a model of the run says of the target's training frames, written once and learnt by the next training.

Images are read anew, because a model is asked at larger inputs than it trains at. No file of the target's labels is
opened: its frames carry none. ``pseudo-labels.json`` is written last, so that labels without it are made again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.filters import apply_hysteresis_threshold

from polypda.data.batches import IGNORED
from polypda.data.cache import CachedArray, CachedFrames, NativeFrame, load_native, write_images
from polypda.files import remove_leftovers, whole_file, write_json
from polypda.integrity import check
from polypda.methods.contract import PseudoLabelRule
from polypda.networks.averaged_prediction import Asked
from polypda.networks.segmenter import POLYP, Segmenter
from polypda.training.progress import Progress

LABELS, FACTS = "pseudo-labels.npy", "pseudo-labels.json"


@dataclass(frozen=True)
class PseudoLabelFacts:
    """What was labelled. Shares are fractions of the field of view's pixels, means over all frames.

    frames: how many were asked for. indices: those that teach. with_polyp: how many of them show a polyp.
    """

    frames: int
    indices: tuple[int, ...]
    with_polyp: int
    polyp_share: float
    ignored_share: float

    @property
    def words(self) -> str:
        return (
            f"{len(self.indices)} of {self.frames} frames teach, {self.with_polyp} with a polyp "
            f"(of all area {self.polyp_share:.1%} polyp, {self.ignored_share:.1%} not sure)"
        )


def decide(
    probabilities: Sequence[NDArray[np.floating]], valid: NDArray[np.bool_], rule: PseudoLabelRule
) -> NDArray[np.uint8]:
    """Labels of one frame, uint8 h×w: 1 polyp, 0 background, 255 not sure or outside the field of view.

    A region is a polyp by its peak: hysteresis thresholding, Canny, PAMI 1986. What labellers do not agree on is left
    out: each must say polyp, or background.

    Args: probabilities: P(polyp) of each labeller, h×w in [0, 1]. valid: bool h×w.
    """
    labels = np.full(valid.shape, IGNORED, np.uint8)
    labels[np.max(probabilities, axis=0) <= rule.background_to] = 0
    inside = np.where(valid, np.min(probabilities, axis=0), 0.0)
    labels[apply_hysteresis_threshold(inside, rule.polyp_from, max(rule.peak_from, rule.polyp_from))] = POLYP
    labels[~valid] = IGNORED
    return labels


def certain(mask: NDArray[np.uint8], native: NativeFrame, valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Labels of a frame whose mask (0/1, H×W, native) people accepted, uint8 h×w; 255 outside the field of view."""
    return np.where(valid, native.geometry.mask_to_network(mask), IGNORED).astype(np.uint8)


def teaches(labels: NDArray[np.uint8], probability: NDArray[np.floating], rule: PseudoLabelRule) -> bool:
    """Whether a frame is learnt from: it shows a polyp, or clearly none."""
    counted = labels != IGNORED
    if (labels == POLYP).any():
        return True
    return bool(counted.any()) and float(probability.max()) <= rule.negative_to


def pseudo_labelled(
    folder: Path,
    labellers: Sequence[Segmenter],
    target: CachedFrames,
    rule: PseudoLabelRule,
    asked: Asked,
    progress: Progress,
    accepted: Mapping[str, NDArray[np.uint8]] | None = None,
) -> CachedFrames:
    """The target's frames that teach, with what segmenters agree on; made now, or read where they were made before.

    Args: folder: of the training that learns them. target: unlabelled frames on ``asked.grid``. accepted: frame → mask
    0/1, H×W, native, that people accepted: certain everywhere in the field of view, and always learnt.
    Raises: what reading frames raises.
    """
    if not (folder / FACTS).is_file():
        remove_leftovers(folder)
        _write(folder, labellers, target, rule, asked, progress, accepted or {})
    return target.with_pseudo_labels(read_facts(folder).indices, CachedArray(folder / LABELS))


def agreement(earlier: Path, later: Path) -> float:
    """Mean Dice between two trainings' pseudo-labels over the frames that both learn; NaN where there is none.

    Pixels that either ignores are left out; two frames without a polyp agree.
    """
    one, other = read_facts(earlier).indices, read_facts(later).indices
    first, second = CachedArray(earlier / LABELS), CachedArray(later / LABELS)
    values = []
    for index in sorted(set(one) & set(other)):
        mine, its = first[one.index(index)], second[other.index(index)]
        counted = (mine != IGNORED) & (its != IGNORED)
        a, b = (mine == POLYP) & counted, (its == POLYP) & counted
        values.append(2 * np.count_nonzero(a & b) / total if (total := int(a.sum() + b.sum())) else 1.0)
    return float(np.mean(values)) if values else float("nan")


def read_facts(folder: Path) -> PseudoLabelFacts:
    """What was labelled for the training in a folder. Raises: DataError E_FILE_CHANGED."""
    for name in (FACTS, LABELS):
        fix = f"remove pseudo-labels.* of stages/{folder.name} and resume the run: they are made again."
        check(folder / name, fix=fix)
    plain = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return PseudoLabelFacts(**{**plain, "indices": tuple(plain["indices"])})


def _write(
    folder: Path,
    labellers: Sequence[Segmenter],
    target: CachedFrames,
    rule: PseudoLabelRule,
    asked: Asked,
    progress: Progress,
    accepted: Mapping[str, NDArray[np.uint8]],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for segmenter in labellers:
        segmenter.eval().to(asked.device)
    learnt, indices, fractions, with_polyp = [], [], [], 0
    progress.begin("labelling the target", 0, len(target))
    try:
        for index, frame in enumerate(target.frames):
            native = load_native(frame.without_label(), asked.grid)
            probabilities = [asked.grid_probability(segmenter, native) for segmenter in labellers]
            inside = target.valid[index] > 0
            known = accepted.get(frame.frame)
            labels = decide(probabilities, inside, rule) if known is None else certain(known, native, inside)
            seen = labels[inside] if inside.any() else np.zeros(1)
            fractions.append((np.mean(seen == POLYP), np.mean(seen == IGNORED)))
            if known is not None or teaches(labels, np.where(inside, np.max(probabilities, axis=0), 0), rule):
                learnt.append(labels)
                indices.append(index)
                with_polyp += int((labels == POLYP).any())
            progress.advance(index + 1)
    finally:
        progress.end()
    polyp, ignored = np.mean(fractions, axis=0)
    with whole_file(folder / LABELS, recorded=True) as temporary:
        write_images(temporary, (len(learnt), asked.grid.size, asked.grid.size), learnt)
    facts = PseudoLabelFacts(len(target), tuple(indices), with_polyp, round(float(polyp), 6), round(float(ignored), 6))
    write_json(folder / FACTS, asdict(facts), recorded=True)

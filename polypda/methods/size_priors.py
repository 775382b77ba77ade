"""How large each class is in the source's masks, what that demands of a target image, and that demand as a term.

FCNs in the Wild (Hoffman, Wang, Yu, Darrell, 2016), category-specific alignment: over the source images that contain
class c, α_c is the lower 10 % quantile of its fraction, δ_c the mean, γ_c the upper 10 % quantile. Class c is present
in a target image where its predicted fraction d_c exceeds 0.1·α_c. The published bounds are δ_c ≤ mean p(c) ≤ γ_c, with
slack on the lower one only; maths in :mod:`polypda.methods.size_constraint`.

With two classes the published lower bounds of polyp and background together force mean p(polyp) = δ wherever every
source image has both. So by default only the polyp is constrained, from its lower to its upper quantile, and frames on
which no polyp is predicted are left alone.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from polypda.data.batches import IGNORED, LabelledBatch, UnlabelledBatch
from polypda.errors import DataError
from polypda.methods.contract import LossTerm, MethodOptions, Preparation, require_several_target_frames
from polypda.methods.size_constraint import SizeBounds, project, projection_loss, size_shift
from polypda.methods.target_terms import TargetTerm, TargetView
from polypda.networks.segmenter import BACKGROUND, CLASSES, POLYP, Segmenter

EVERYTHING = "all"
QUANTILES = (0.1, 0.9)
PRIORS = "size_priors"


class LowerStatistic(StrEnum):
    """What the lower bound is."""

    Q10 = "q10"  # α: a polyp may be as small as the source's small ones
    MEAN = "mean"  # δ, as published


class Absent(StrEnum):
    """What happens to a target image whose prediction shows (almost) none of a constrained class."""

    IGNORE = "ignore"  # nothing is demanded of that class: a frame without a polyp is left alone
    SUPPRESS = "suppress"  # its remaining probability is taken away, as in the constrained network's code


class SizeOptions(MethodOptions):
    """Published values, but for the constrained class and the lower statistic (see the module's text)."""

    lambda_size: float = Field(1.0, ge=0, description="weight of the size constraint; 0: none")
    size_start: int | None = Field(
        None, ge=0, description="step from which sizes are constrained; None: after half of the steps (term: at once)"
    )
    lower_stat: LowerStatistic = Field(LowerStatistic.Q10, description="lower bound of a class's share")
    lower_slack: float = Field(2.0, ge=0, description="largest logit shift for the lower bound (constrained CNN: 2)")
    upper_slack: float | None = Field(None, ge=0, description="the same for the upper bound; None: it is hard")
    constrain_background: bool = Field(False, description="bounds on the background as well, as published")
    absent: Absent = Field(Absent.IGNORE, description="what to do where a class is not present")
    presence_fraction: float = Field(
        0.1, ge=0, description="present: predicted share above this times the 10 % quantile"
    )
    large_fraction: float = Field(0.1, ge=0, le=1, description="classes whose 10 % quantile is above this count less")
    large_factor: float = Field(0.1, ge=0, le=1, description="factor on the gradient of such classes")
    frame_groups: str = Field(
        "", description="regular expression of named alternatives, sought in cohort/frame: (?P<nbi>_nbi)|(?P<wl>_wl)"
    )

    @field_validator("frame_groups")
    @classmethod
    def _is_a_pattern(cls, pattern: str) -> str:
        try:
            named = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        if pattern and not named:
            raise ValueError("it names no group; write (?P<name>…) for each")
        return pattern


class FrameGroups:
    """Which prior a frame belongs to: the named alternative that its ``cohort/frame`` matches; one group by default."""

    def __init__(self, pattern: str) -> None:
        self.pattern = re.compile(pattern)
        self.names = tuple(self.pattern.groupindex) or (EVERYTHING,)

    def of(self, frame: str) -> int:
        """The group's index in ``names``. Raises: DataError E_PRIOR_GROUP for a frame of no group."""
        if not self.pattern.groupindex:
            return 0
        found = self.pattern.search(frame)
        if found is None or found.lastgroup is None:
            what = f"the frame matches none of the groups {', '.join(self.names)}."
            fix = "add an alternative to frame_groups that its name matches."
            raise DataError("E_PRIOR_GROUP", what, where=frame, fix=fix)
        return self.names.index(found.lastgroup)


@dataclass(frozen=True)
class SizePrior:
    """Of each of C classes: q10 (α), mean (δ) and q90 (γ) of its fraction over the frames that contain it."""

    q10: tuple[float, ...]
    mean: tuple[float, ...]
    q90: tuple[float, ...]


class SizePriors(nn.Module):
    """The priors of every group of frames, as buffers, so that they are saved, resumed and moved with the networks.

    statistics: G×3×C floats (q10, mean, q90), of no meaning for a class that no frame contains. frames: int64 G×C, how
    many do.
    """

    statistics: Tensor
    frames: Tensor

    def __init__(self, groups: FrameGroups, classes: int = CLASSES) -> None:
        super().__init__()
        self.groups = groups
        shape = (len(groups.names), 3, classes)
        self.register_buffer("statistics", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("frames", torch.zeros(len(groups.names), classes, dtype=torch.int64))

    def learn(self, batches: Iterable[LabelledBatch], needed: Iterable[int] = (POLYP,)) -> None:
        """Take the statistics of labelled frames; of a class, only those count that contain it.

        Args: needed: the classes that will be constrained.
        Raises: DataError E_PRIOR_EMPTY where a group has no frame with a needed class, E_PRIOR_FIELD for a frame
            without a counted pixel, E_PRIOR_GROUP.
        """
        classes = self.frames.shape[1]
        fractions: dict[int, list[np.ndarray]] = defaultdict(list)
        for batch in batches:
            for frame, mask in zip(batch.frames, batch.masks, strict=True):
                fractions[self.groups.of(frame)].append(class_fractions(mask, classes, frame))
        for group, name in enumerate(self.groups.names):
            table = np.asarray(fractions[group]).reshape(-1, classes)
            for label in range(classes):
                containing = table[table[:, label] > 0, label]
                if not len(containing) and label in needed:
                    raise _empty_prior(name, len(table))
                self.frames[group, label] = len(containing)
                if len(containing):
                    low, high = np.quantile(containing, QUANTILES)
                    self.statistics[group, :, label] = torch.tensor([low, containing.mean(), high])

    def of(self, frame: str) -> SizePrior:
        """The prior that holds for a frame; NaN for a class that no frame contains.

        Raises: DataError E_PRIOR_GROUP, E_PRIOR_EMPTY.
        """
        group = self.groups.of(frame)
        if not int(self.frames[group, POLYP]):
            raise _empty_prior(self.groups.names[group], 0)
        known = self.statistics[group].masked_fill(self.frames[group] == 0, math.nan)
        return SizePrior(*(tuple(row) for row in known.tolist()))


def class_fractions(mask: Tensor, classes: int, frame: str = "") -> np.ndarray:
    """Fraction of each class among the counted pixels of an int64 H×W mask (255: not counted), float64.

    Raises: DataError E_PRIOR_FIELD where no pixel is counted.
    """
    counted = mask[mask != IGNORED]
    if not counted.numel():
        what = "no pixel lies inside the field of view, so no size can be measured."
        raise DataError("E_PRIOR_FIELD", what, where=frame, fix="look at this frame; leave it out if it is blank.")
    return (torch.bincount(counted.flatten(), minlength=classes).double() / counted.numel()).cpu().numpy()


def size_bounds(prior: SizePrior, predicted: np.ndarray, options: SizeOptions) -> SizeBounds | None:
    """What is demanded of one image whose argmax gives the classes these fractions; None where nothing is.

    A class is present where its fraction is strictly above ``presence_fraction`` · α.
    """
    classes = range(len(prior.q10))
    constrained = [label == POLYP or options.constrain_background for label in classes]
    present = [bool(predicted[label] > options.presence_fraction * prior.q10[label]) for label in classes]
    suppress = options.absent is Absent.SUPPRESS
    bounded = [constrained[label] and present[label] for label in classes]
    suppressed = [constrained[label] and not present[label] and suppress for label in classes]
    if not any(bounded) and not any(suppressed):
        return None
    floor = prior.mean if options.lower_stat is LowerStatistic.MEAN else prior.q10
    upper_slack = math.inf if options.upper_slack is None else options.upper_slack
    return SizeBounds(
        lower=tuple(floor[label] if bounded[label] else 0.0 for label in classes),
        # the mean lies above γ where few sizes are very large: γ then gives way
        upper=tuple(max(prior.q90[label], floor[label]) if bounded[label] else 1.0 for label in classes),
        lower_slack=(options.lower_slack,) * len(classes),
        upper_slack=(upper_slack,) * len(classes),
        present=tuple(not gone for gone in suppressed),
    )


def size_loss(logits: Tensor, batch: UnlabelledBatch, priors: SizePriors, options: SizeOptions) -> Tensor:
    """Mean over the batch's images of KL(p‖q) with p the nearest prediction of allowed size; a scalar.

    Images of which nothing is demanded count as 0. Logits: B×C×H×W at image size; pixels outside the field of view do
    not count. Raises: DataError E_PRIOR_GROUP, E_PRIOR_EMPTY.
    """
    losses = [logits.sum() * 0.0]
    for image, valid, frame in zip(logits, batch.valid[:, 0], batch.frames, strict=True):
        pixels = image[:, valid].T.float() if image.dtype is torch.bfloat16 else image[:, valid].T
        if not len(pixels):
            continue
        prior = priors.of(frame)
        labels = torch.bincount(pixels.detach().argmax(dim=1), minlength=pixels.shape[1]).double() / len(pixels)
        bounds = size_bounds(prior, labels.cpu().numpy(), options)
        if bounds is not None:
            weights = [options.large_factor if q10 > options.large_fraction else 1.0 for q10 in prior.q10]
            losses.append(projection_loss(pixels, nearest_allowed(pixels, bounds), pixels.new_tensor(weights)))
    return torch.stack(losses).sum() / len(batch.frames)


def learn_sizes(priors: SizePriors, data: Preparation, options: SizeOptions) -> None:
    """Fill the priors from the source; check that there is a target to constrain and that its frames have a prior.

    Raises: DataError E_PRIOR_EMPTY, E_PRIOR_FIELD, E_PRIOR_GROUP, E_TARGET_FRAMES.
    """
    require_several_target_frames(data)
    if options.lambda_size == 0:
        return
    priors.learn(data.source(), (BACKGROUND, POLYP) if options.constrain_background else (POLYP,))
    if options.frame_groups:
        for frame in data.target_names():
            priors.groups.of(frame)


def nearest_allowed(pixels: Tensor, bounds: SizeBounds) -> Tensor:
    """The projection of one image's N×C logits: a scalar shift where two classes and only the polyp are bounded."""
    only_polyp = bounds.lower[BACKGROUND] == 0 and bounds.upper[BACKGROUND] == 1
    if pixels.shape[1] != CLASSES or not all(bounds.present) or not only_polyp:
        return project(pixels, bounds)
    z = pixels.detach().double()
    z = z[:, POLYP] - z[:, BACKGROUND]
    limits = {"lower_slack": bounds.lower_slack[POLYP], "upper_slack": bounds.upper_slack[POLYP]}
    shifted = z + size_shift(z, bounds.lower[POLYP], bounds.upper[POLYP], **limits)
    return torch.stack([-shifted, shifted], dim=1).div(2).softmax(dim=1).to(pixels.dtype)


def _empty_prior(group: str, frames: int) -> DataError:
    which = "" if group == EVERYTHING else f" of group '{group}'"
    what = f"none of the {frames} labelled source frames{which} shows a polyp, so its size there is unknown."
    return DataError(
        "E_PRIOR_EMPTY", what, fix="give source frames with polyps, or set lambda_size=0 (no size constraint)."
    )


class SizeConstraintTerm(TargetTerm):
    """KL to the nearest target prediction whose polyp has a size that the source knows."""

    name = "size-constraint"
    title = "Size constraint"
    paper = "Hoffman et al., arXiv 1612.02649 (category-specific alignment)"
    Options = SizeOptions
    options: SizeOptions

    def __init__(self, options: SizeOptions, segmenter: Segmenter) -> None:
        super().__init__(options, segmenter)
        self.priors = SizePriors(FrameGroups(options.frame_groups))

    def modules(self) -> dict[str, nn.Module]:
        return {PRIORS: self.priors}

    def prepare(self, data: Preparation) -> None:
        """Learn the sizes of the source's polyps. Raises: DataError E_PRIOR_EMPTY, E_PRIOR_GROUP, E_TARGET_FRAMES."""
        learn_sizes(self.priors, data, self.options)

    def reads_prediction(self, step: int) -> bool:
        return self.options.lambda_size > 0 and step >= (self.options.size_start or 0)

    def on_prediction(self, view: TargetView, logits: Mapping[str, Tensor]) -> list[LossTerm]:
        value = size_loss(logits["main"], view.target, self.priors, self.options)
        return [LossTerm("size", value, self.options.lambda_size)]

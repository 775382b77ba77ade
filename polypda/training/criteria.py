"""The criteria by which checkpoints are chosen: what ``--selector`` takes. Adding one: a function and a line here, or
an entry point of another package (``polypda.selectors``, see :mod:`polypda.plugins`).

    entropy            mean binary entropy, lower is better
    im                 mutual information of pixel and class: entropy of the mean minus mean entropy
    snd                soft neighbourhood density, Saito et al., "Tune it the right way", ICCV 2021
    teacher-agreement  Dice with a moving average of the earlier snapshots' maps (temporal ensembling, Laine and Aila,
                       ICLR 2017)
    ensemble           Dice with the mean map of all candidates, after the checkpoint choice of Hu et al., "Towards
                       Reliable Model Selection for Unsupervised Domain Adaptation" (EnsV), NeurIPS 2024
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import torch

from polypda.plugins import Registry, plugins, register

LAST, SOURCE_DICE, ORACLE = "last", "source-dice", "oracle"
DENSITY_PIXELS = 2048
"""Pixels of all scored frames together whose neighbourhoods are compared, each with each."""
DENSITY_TEMPERATURE = 0.05
"""As published."""
NOT_SCORED = float("nan")


@dataclass(frozen=True)
class SeenSnapshot:
    """What a criterion looks at: a snapshot's answers on the scored frames of the target, at network size.

    maps: polyp probabilities, B×H×W per batch. insides: fields of view, bool alike. earlier: the average of the maps of
    the snapshots before; None for the first. mean: of all candidates' maps; None until all were seen. source_dice,
    target_dice: on labelled validation frames, the target's only where the user permits it; NaN where there is none.
    """

    maps: Sequence[torch.Tensor]
    insides: Sequence[torch.Tensor]
    earlier: Sequence[torch.Tensor] | None = None
    mean: Sequence[torch.Tensor] | None = None
    source_dice: float = NOT_SCORED
    target_dice: float = NOT_SCORED

    @cached_property
    def probabilities(self) -> torch.Tensor:
        """Of every pixel inside, one after the other."""
        return torch.cat([map_[inside] for map_, inside in zip(self.maps, self.insides, strict=True)])


@dataclass(frozen=True)
class Criterion:
    """One rule of ``--selector``.

    name: what the user writes. doc: what is highest or lowest at the chosen checkpoint, in words. function: its value;
    NaN where there is none. direction: +1 where higher is better, −1 where lower is. column: its name in selection.json
    and tables. heading: over its curve. reads_source_labels, reads_target_labels: of validation frames; the target's
    need permission, and such a rule is computed only where it was asked for. asked_last: it needs
    :attr:`SeenSnapshot.mean`. speaks_for_adaptation: a better value than the control's is a reason to use the adapted
    model. missing: why there may be no value.
    """

    name: str
    doc: str
    function: Callable[[SeenSnapshot], float] | None
    unit: str = ""
    direction: int = 1
    column: str = ""
    heading: str = ""
    reads_source_labels: bool = False
    reads_target_labels: bool = False
    asked_last: bool = False
    speaks_for_adaptation: bool = False
    missing: str = "nothing to choose by"

    @property
    def key(self) -> str:
        """Its name in selection.json and tables."""
        return self.column or self.name

    @property
    def title(self) -> str:
        """For a figure: ``Entropy on target (bit)``."""
        return (self.heading or self.name) + (f" ({self.unit})" if self.unit else "")

    def reason(self, value: float) -> str:
        """Why a checkpoint was chosen: ``lowest entropy on the target (0.123 bit)``."""
        unit = f" {self.unit}" if self.unit else ""
        return f"{'highest' if self.direction > 0 else 'lowest'} {self.doc} ({value:.3f}{unit})"


def entropy(seen: SeenSnapshot) -> float:
    """Mean binary entropy of the target's pixels, bit."""
    return float(binary_entropy(seen.probabilities).mean())


def information(seen: SeenSnapshot) -> float:
    """Certain per pixel, yet both classes used: bit."""
    return float(binary_entropy(seen.probabilities.mean())) - entropy(seen)


def density(seen: SeenSnapshot) -> float:
    """Pixels fall into dense groups: nat."""
    values = seen.probabilities
    chosen = torch.linspace(0, len(values) - 1, min(DENSITY_PIXELS, len(values))).round().long()
    return soft_neighbourhood_density(values[chosen])


def soft_neighbourhood_density(probabilities: torch.Tensor) -> float:
    """Mean entropy (nats) of each pixel's soft neighbourhood: high where pixels lie in dense groups.

    Args:
        probabilities: N ≥ 2 polyp probabilities; pixels are compared by the cosine of (1−p, p).
    Returns: between 0 (every pixel has one neighbour) and ln(N−1) (all pixels alike).
    """
    classes = torch.nn.functional.normalize(torch.stack([1 - probabilities, probabilities], dim=1).double(), dim=1)
    similarity = classes @ classes.T / DENSITY_TEMPERATURE
    similarity.fill_diagonal_(-torch.inf)
    neighbourhood = similarity.softmax(dim=1)
    return float(torch.special.entr(neighbourhood).sum(dim=1).mean())


def agreement(maps: Sequence[torch.Tensor], other: Sequence[torch.Tensor], insides: Sequence[torch.Tensor]) -> float:
    """Mean Dice over frames between two sets of thresholded maps; 1 where both find nothing."""
    values = []
    for map_, another, inside in zip(maps, other, insides, strict=True):
        mine, theirs = (map_ >= 0.5) & inside, (another >= 0.5) & inside
        sizes = (mine.sum(dim=(1, 2)) + theirs.sum(dim=(1, 2))).double()
        overlap = 2 * (mine & theirs).sum(dim=(1, 2)) / sizes.clamp_min(1)
        values.append(torch.where(sizes > 0, overlap, 1.0))
    return float(torch.cat(values).mean())


def binary_entropy(p: torch.Tensor) -> torch.Tensor:
    """In bit, of probabilities of any shape."""
    p = p.clamp(1e-7, 1 - 1e-7)
    return -(p * p.log2() + (1 - p) * (1 - p).log2())


def _agreement_with(seen: SeenSnapshot, maps: Sequence[torch.Tensor] | None) -> float:
    return NOT_SCORED if maps is None else agreement(seen.maps, maps, seen.insides)


_BUILT_IN = (
    Criterion(LAST, "checkpoint", None),
    Criterion(
        SOURCE_DICE,
        "source validation Dice",
        lambda seen: seen.source_dice,
        column="source_dice",
        heading="Source validation Dice",
        reads_source_labels=True,
        missing="no source validation frame shows a polyp, so there is no Dice to choose by",
    ),
    Criterion(
        "entropy",
        "entropy on the target",
        entropy,
        unit="bit",
        direction=-1,
        column="target_entropy",
        heading="Entropy on target",
        speaks_for_adaptation=True,
    ),
    Criterion(
        "im",
        "mutual information on the target",
        information,
        unit="bit",
        column="target_information",
        heading="Information, im",
        speaks_for_adaptation=True,
    ),
    Criterion(
        "snd",
        "soft neighbourhood density on the target",
        density,
        unit="nat",
        column="target_density",
        heading="Neighbourhood density, snd",
        speaks_for_adaptation=True,
    ),
    Criterion(
        "teacher-agreement",
        "agreement with the average of earlier snapshots",
        lambda seen: _agreement_with(seen, seen.earlier),
        unit="Dice",
        column="teacher_agreement",
        heading="Agreement with earlier snapshots",
        missing="there is no earlier eligible snapshot to agree with",
    ),
    Criterion(
        "ensemble",
        "agreement with the mean of all candidates",
        lambda seen: _agreement_with(seen, seen.mean),
        unit="Dice",
        column="ensemble_agreement",
        heading="Agreement with the mean of all",
        asked_last=True,
        speaks_for_adaptation=True,
    ),
    Criterion(
        ORACLE,
        "Dice on the TARGET'S labelled validation frames",
        lambda seen: seen.target_dice,
        column="target_dice",
        heading="Target validation Dice",
        reads_target_labels=True,
        missing="no labelled target validation frame shows a polyp",
    ),
)
CRITERIA: Registry[Criterion] = Registry(
    {criterion.name: criterion for criterion in _BUILT_IN},
    lambda: {criterion.name: criterion for criterion in plugins("polypda.selectors", Criterion)},
)
"""``oracle`` is the rule of every published table: it needs permission, and is no method."""


def register_selector(criterion: Criterion) -> Criterion:
    """Add a rule for choosing checkpoints in this process: ``selector=NAME`` then takes it.

    Raises: UsageError E_NAME_TAKEN, E_REGISTER.
    """
    return register(CRITERIA, criterion, Criterion)


@dataclass(frozen=True)
class SnapshotScore:
    """What is known of one snapshot, mostly without labels.

    target_foreground, source_foreground: fraction of the field of view that is called polyp. criteria: column of a
    :class:`Criterion` → its value, absent (and read as NaN) where there is nothing to score
    by: no source validation frame with a polyp, no earlier snapshot. control_agreement: Dice with the control's maps.
    """

    step: int
    target_foreground: float
    source_foreground: float = NOT_SCORED
    control_agreement: float = NOT_SCORED
    criteria: dict[str, float] = field(default_factory=dict)

    def __getitem__(self, column: str) -> float:
        return self.criteria.get(column, NOT_SCORED)

    def as_row(self) -> dict[str, Any]:
        """Flat: step, foregrounds and agreement, and a column per criterion."""
        row = asdict(self)
        known = {rule.key: self[rule.key] for rule in CRITERIA.values() if rule.function is not None}
        return {**known, **row.pop("criteria"), **row}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> SnapshotScore:
        """Reads :meth:`as_row`, of an earlier version as well; None counts as NaN."""
        known = {name: value for name, value in row.items() if value is not None}
        fields: dict[str, Any] = {name: known.pop(name) for name in cls.__dataclass_fields__ if name in known}
        return cls(**fields, criteria=known)

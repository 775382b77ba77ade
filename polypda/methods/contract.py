"""The contract of an adaptation method: players, and the losses each of them plays for.

Every published system here is a game over one forward pass: several players (segmenter, discriminators, generators),
each with its own parameters, optimiser and loss. A method computes forward passes and *yields* losses; the engine
differentiates each player's loss with respect to that player's parameters only and steps all players at the end. So a
method needs no ``detach``, no ``requires_grad`` toggles and no ``zero_grad``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.optim import Optimizer

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.data.frame_changes import TargetColours
from polypda.errors import DataError
from polypda.networks.segmenter import Segmenter
from polypda.stylization.appearance import StylizationSettings

SEGMENTER = "segmenter"


class Domain(IntEnum):
    """Domain labels of every discriminator here; papers disagree on which is 0."""

    SOURCE = 0
    TARGET = 1


@dataclass(frozen=True)
class LossTerm:
    """One scalar that a player minimises, ``weight × value``; ``value`` is what gets logged.

    accuracy: of a discriminator's term, the fraction of its cells that it put right; logged beside the losses.
    """

    name: str
    value: Tensor
    weight: float = 1.0
    accuracy: Tensor | None = None


Losses = Mapping[str, Sequence[LossTerm]]
"""Player name → its terms, all differentiable now. Players that share a graph belong into one mapping, and so do a
segmenter's losses of both domains where both were predicted before the first is yielded."""


@dataclass(frozen=True)
class StepNow:
    """Yielded by a method that alternates: these players step before the method goes on."""

    players: tuple[str, ...]


class Decay(StrEnum):
    """How a learning rate falls after its warm-up."""

    POLY = "poly"  # (1 − step/horizon)^power, as the published systems have it
    COSINE = "cosine"  # ½ (1 + cos) from the warm-up's end to the horizon: with a warm-up, "one-cycle"


@dataclass(frozen=True)
class Schedule:
    """Learning-rate factor after a linear warm-up; AdaptSegNet's ``poly`` has power 0.9.

    power: of ``poly`` alone. warmup: steps in which the factor rises to 1.
    """

    horizon: int
    power: float = 0.9
    warmup: int = 0
    decay: Decay = Decay.POLY

    def factor(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        if self.decay is Decay.COSINE:
            done = (step - self.warmup) / max(1, self.horizon - self.warmup)
            return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
        return float(max(0.0, 1.0 - step / self.horizon) ** self.power)


@dataclass
class Player:
    """Somebody who plays: parameters, their optimiser, and the schedule of its learning rates."""

    name: str
    optimizer: Optimizer
    schedule: Schedule
    initial_learning_rates: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.initial_learning_rates = [group["lr"] for group in self.optimizer.param_groups]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The player's parameters, each once, even where the optimiser lists some more often."""
        listed = (parameter for group in self.optimizer.param_groups for parameter in group["params"])
        return list({id(parameter): parameter for parameter in listed}.values())

    def set_learning_rates(self, step: int) -> None:
        factor = self.schedule.factor(step)
        for group, rate in zip(self.optimizer.param_groups, self.initial_learning_rates, strict=True):
            group["lr"] = rate * factor


class Preparation(Protocol):
    """What a method may look at before its first step: unaugmented frames, in random order, as often as it likes."""

    def source(self) -> Iterator[LabelledBatch]:
        """One pass over every labelled source frame."""
        ...

    def target(self) -> Iterator[UnlabelledBatch]:
        """One pass over target frames in batches of one size; without labels unless the user permitted them."""
        ...

    def statistics(self) -> Iterator[UnlabelledBatch]:
        """Target frames in batches of one size, changed at random as the training changes them."""
        ...

    def target_names(self) -> Sequence[str]:
        """``cohort/frame`` of every target frame."""
        ...


class FirstLabeller(StrEnum):
    """Who labels the target for the first round; none has learnt from it."""

    START = "start"  # where the student begins again
    CONTROL = "control"  # the start trained on for the method's budget: knows more where the start was short
    AGREEMENT = "agreement"  # that control with its own and with the target's batch-norm statistics, where they agree


@dataclass(frozen=True)
class PseudoLabelRule:
    """rounds: trainings, each on labels of the one before. first: who labels for the first.

    A region of pixels above ``polyp_from`` is polyp where it somewhere exceeds ``peak_from``; a pixel is background up
    to ``background_to``; the rest is ignored. A frame without a polyp pixel is left out unless no pixel exceeds
    ``negative_to``.
    """

    rounds: int
    polyp_from: float
    background_to: float
    negative_to: float
    peak_from: float = 0.0
    first: FirstLabeller = FirstLabeller.START


class MethodOptions(BaseModel):
    """Options of a method; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def learns_target_labels(self) -> bool:
        """True where a semi-supervised term is asked for; it needs the user's explicit permission."""
        return False

    @property
    def pseudo_labels(self) -> PseudoLabelRule | None:
        """How often and by which rule a model labels the target between trainings; None: never."""
        return None

    @property
    def target_colours(self) -> TargetColours | None:
        """How source frames take the target's colours; None: not."""
        return None

    @property
    def stylizing(self) -> StylizationSettings | None:
        """How the source is restyled to the target before training; None: not."""
        return None


class LabelsFrom(IntEnum):
    """Whose labels a method trains on."""

    SOURCE = 0
    TARGET = 1  # only the oracle; needs the user's explicit permission


class Method(ABC):
    """One adaptation algorithm. It owns its networks and optimisers.

    It knows nothing of files, devices, logging, precision or checkpoints. What commands, tables and pages must know of
    it stands here, on its class.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    Options: ClassVar[type[MethodOptions]] = MethodOptions
    labels_from: ClassVar[LabelsFrom] = LabelsFrom.SOURCE
    plays_on_target: ClassVar[bool] = True
    """False where training steps need no target batch (then none is loaded)."""

    reads_source: ClassVar[bool] = True
    """False where no source frame is looked at, whatever is at hand."""

    source_free: ClassVar[bool] = False
    """True where it adapts from a source package as well, without a source frame."""

    reads_source_features: ClassVar[bool] = False
    """True where it then learns from the package's features; its options have ``tap`` and ``source_features``."""

    takes_terms: ClassVar[bool] = True
    """False where no term can be added: it does not train the segmenter on the source's labels."""

    chance_accuracy: ClassVar[float] = 0.5
    """Accuracy of its discriminator where that only guesses."""

    preset_family: ClassVar[str] = ""
    """The name under which presets hold its options; empty: its own."""

    @property
    def plays_on_source(self) -> bool:
        """False where something else stands for source frames; then :meth:`play` never looks at its source batch."""
        return self.reads_source

    def __init__(self, segmenter: Segmenter, options: MethodOptions, *, steps: int) -> None:
        """Args: steps: number of training steps planned (the schedules' horizon)."""
        self.segmenter = segmenter
        self.options = options
        self.steps = steps
        self._players: list[Player] = []

    def players(self) -> list[Player]:
        """The players, created once; the engine steps them in this order."""
        return self._players

    @abstractmethod
    def play(self, source: LabelledBatch, target: UnlabelledBatch | None, step: int) -> Iterator[Losses | StepNow]:
        """Yield the losses of one training step, source before target.

        Each yielded mapping is differentiated at once and its graph freed; nobody steps before the last.
        """

    def prepare(self, data: Preparation) -> None:  # noqa: B027 - most methods prepare nothing
        """Do what is done once, before the first step; a resumed run has what stays in :meth:`modules`."""

    def modules(self) -> dict[str, nn.Module]:
        """Every network of the method, by name, for checkpoints and devices."""
        return {SEGMENTER: self.segmenter}

    def adapted(self) -> Segmenter:
        """The network that is used afterwards, one of :meth:`modules`: the segmenter, or a teacher in its place."""
        return self.segmenter

    def after_step(self, step: int) -> None:  # noqa: B027 - most methods do nothing
        """Called when all players have made step number ``step`` (moving averages belong here)."""


LEAST_TARGET_FRAMES = 2


def require_several_target_frames(data: Preparation) -> None:
    """Raise DataError E_TARGET_FRAMES unless there are at least two target frames: one has no distribution."""
    first = next(iter(data.target()), None)
    found = 0 if first is None else len(first.frames)
    if found < LEAST_TARGET_FRAMES:
        plural = "" if found == 1 else "s"
        what = f"the target has {found} training frame{plural}; distributions cannot be aligned to it."
        raise DataError("E_TARGET_FRAMES", what, fix="give at least two target frames (many more to be of use).")

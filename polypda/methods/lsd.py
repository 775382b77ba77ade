"""LSD-seg: features are aligned by what a generator can paint from them.

Sankaranarayanan, Balaji, Jain, Lim, Chellappa, "Learning from Synthetic Data: Addressing Domain Shift for Semantic
Segmentation", CVPR 2018; losses as released. G paints an image x̂ from the segmenter's (F's) maps of x; D says which of
four kinds an image is (source and target, real and painted) and segments it. With ce(image, label) on D's grid:

    L_D = ce(x_s, source) + ce(x̂_s, source painted) + ce(x_t, target) + ce(x̂_t, target painted) + aux(x_s)
    L_G = aux(x̂_s) + λ_G [ce(x̂_s, source) + ce(x̂_t, target)] + λ_1 [|x̂_s − x_s| + |x̂_t − x_t|]
    L_F = L_seg + λ_adv [ce(x̂_s, target) + ce(x̂_t, source)] + λ_aux aux(x̂_s)

L_F's swap of the domains is the alignment. Reduction ``sum`` (released): every cross-entropy is the sum over its grid
divided by the batch; |·| is a mean. D's grid has 1/64 of the pixels: λ = 0.1 there is 0.1/64 between means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import IntEnum, StrEnum
from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from polypda.data.batches import IGNORED, LabelledBatch, UnlabelledBatch
from polypda.methods.contract import SEGMENTER, Losses, LossTerm, Method, Player, Schedule, StepNow
from polypda.methods.segmentation import SupervisedOptions, image_size_logits, segmenter_optimizer, supervised_terms
from polypda.networks.lsd_networks import FourWayDiscriminator, generator_for
from polypda.networks.segmenter import Prediction, Segmenter


class Seen(IntEnum):
    """The four labels."""

    SOURCE = 0
    SOURCE_PAINTED = 1
    TARGET = 2
    TARGET_PAINTED = 3


class View(NamedTuple):
    """One domain's part of a step.

    inside: bool B×1×H×W. masks, boxes: the source's. swapped: what F wants x̂ taken for.
    """

    images: Tensor
    inside: Tensor
    masks: Tensor | None
    real: Seen
    painted: Seen
    swapped: Seen
    boxes: Tensor | None = None


def seen_in_both(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Where both domains' frames show mucosa: each source frame with the target frame at its index in the batch.

    A discriminator of whole images would know the processors by the shape of their black corners alone.
    Args: bool B×1×H×W fields of view; batches of different sizes share one outline. Returns: one per domain.
    """
    if source.shape == target.shape:
        both = source & target
        return both, both
    both = source.all(dim=0, keepdim=True) & target.all(dim=0, keepdim=True)
    return both.expand_as(source), both.expand_as(target)


def domain_labels(seen: Seen, inside: Tensor, grid: Tensor) -> Tensor:
    """One label for all cells: int64 B×h×w as ``grid`` (B×C×h×w), ignored outside ``inside`` (bool B×1×H×W)."""
    within = _nearest(inside[:, 0], grid)
    return torch.where(within > 0, int(seen), IGNORED)


def class_labels(masks: Tensor, inside: Tensor, grid: Tensor) -> Tensor:
    """The masks (int64 B×H×W) on the grid: int64 B×h×w, ignored outside ``inside``."""
    return _nearest(torch.where(inside[:, 0], masks, IGNORED), grid)


def cross_entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """Mean cross-entropy of B×C×h×w logits over labelled cells, and their number; 0 where none is labelled."""
    counted = int((labels != IGNORED).sum())
    return F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum") / max(1, counted), counted


@torch.no_grad()
def fraction_put_right(logits: Tensor, labels: Tensor) -> Tensor:
    """Fraction of the labelled cells of B×C×h×w logits whose largest logit is the label's; 0 without cells."""
    counted = labels != IGNORED
    return ((logits.argmax(dim=1) == labels) & counted).sum() / counted.sum().clamp_min(1)


def l1_inside(painted: Tensor, real: Tensor, inside: Tensor) -> Tensor:
    """Mean |painted − real| of B×3×H×W images over the pixels inside."""
    difference = (painted - real).abs() * inside
    return difference.sum() / (inside.sum() * real.shape[1]).clamp_min(1)


def _nearest(labels: Tensor, grid: Tensor) -> Tensor:
    # Nearest to the cell's centre, as image libraries resize label maps.
    resized = F.interpolate(labels.unsqueeze(1).float(), size=grid.shape[-2:], mode="nearest-exact")
    return resized[:, 0].long()


SUM_WEIGHT = 0.1  # released λ_adv and λ_aux
GRID_FRACTION = 1 / 64  # cells of D's grid per pixel


class Reduction(StrEnum):
    """How a cross-entropy map becomes a number."""

    SUM = "sum"  # as released; the gradient grows with the image
    MEAN = "mean"  # the same pull at every image size, on the scale of the other methods' losses


class Update(StrEnum):
    """Who sees whose new weights."""

    SIMULTANEOUS = "simultaneous"  # nobody: all three move from the same weights
    SEQUENTIAL = "sequential"  # D moves, then G against the new D, then F against both


class LsdOptions(SupervisedOptions):
    """Published weights of the game; F is trained by the shared options (:data:`PUBLISHED` has the released ones)."""

    reduction: Reduction = Reduction.MEAN
    update: Update = Update.SIMULTANEOUS
    lambda_adv: float | None = Field(
        None, ge=0, description="F's weight of the swap; None: 0.1 (sum), 0.0015625 (mean)"
    )
    lambda_aux: float | None = Field(None, ge=0, description="F's weight of aux; None: 0.1 (sum), 0.0015625 (mean)")
    lambda_generator: float = Field(0.1, ge=0, description="λ_G: G's adversarial loss beside its aux loss")
    lambda_l1: float = Field(1.0, ge=0, description="λ_1; of a mean also under sum, where it is then all but off")
    adversary_learning_rate: float = Field(1e-4, gt=0, description="constant rate of D and G")
    generator_width: int = Field(64, ge=1, description="channels of G's finest stage; 32 needs about a quarter")
    discriminator_width: int = Field(128, ge=1, description="channels of D")

    def mapping_weight(self, given: float | None) -> float:
        """λ_adv or λ_aux in this reduction."""
        usual = SUM_WEIGHT * (GRID_FRACTION if self.reduction is Reduction.MEAN else 1.0)
        return usual if given is None else given


_F = {"optimizer": "adamw", "weight_decay": 0.0, "learning_rate": 1e-5, "head_factor": 1.0, "poly_power": 0.0}
PUBLISHED: dict[str, dict[str, object]] = {
    "released": {**_F, "reduction": "sum", "adversary_learning_rate": 1e-4},  # 100,000 steps, one frame per domain
    "paper": {**_F, "reduction": "sum", "adversary_learning_rate": 2e-4},  # 10,000 steps, by a reader's note
}
"""AdamW without decay is Adam. Left out: the released F's biases learn twice as fast, and its rate falls tenfold every
eight passes over the smaller cohort."""

GENERATOR, DISCRIMINATOR = "generator", "discriminator"
BETAS = (0.7, 0.999)  # released, of D and G


class Lsd(Method):
    """F, G and D on any segmenter that shows its encoder's maps; the published G where F is the published FCN-8s."""

    name = "lsd"
    title = "LSD-seg"
    paper = "Sankaranarayanan et al., CVPR 2018"
    Options = LsdOptions
    chance_accuracy = 0.25  # real or generated, of either domain
    options: LsdOptions

    def __init__(self, segmenter: Segmenter, options: LsdOptions, *, steps: int) -> None:
        """Raises: UsageError E_FEATURE_TAP where the segmenter does not show its encoder's maps."""
        super().__init__(segmenter, options, steps=steps)
        self.discriminator = FourWayDiscriminator(width=options.discriminator_width)
        self.generator = generator_for(segmenter, options.generator_width)
        constant = Schedule(horizon=1, power=0.0)
        schedule = options.schedule(steps)
        self._players = [
            Player(name, torch.optim.Adam(network.parameters(), options.adversary_learning_rate, BETAS), constant)
            for name, network in ((DISCRIMINATOR, self.discriminator), (GENERATOR, self.generator))
        ]
        self._players.append(Player(SEGMENTER, segmenter_optimizer(segmenter, options), schedule))

    def modules(self) -> dict[str, nn.Module]:
        return super().modules() | {GENERATOR: self.generator, DISCRIMINATOR: self.discriminator}

    def play(self, source: LabelledBatch, target: UnlabelledBatch | None, step: int) -> Iterator[Losses | StepNow]:
        assert target is not None  # plays_on_target
        inside = seen_in_both(source.valid, target.valid)
        views = (
            View(source.images, inside[0], source.masks, Seen.SOURCE, Seen.SOURCE_PAINTED, Seen.TARGET, source.boxes),
            View(target.images, inside[1], None, Seen.TARGET, Seen.TARGET_PAINTED, Seen.SOURCE),
        )
        if self.options.update is Update.SIMULTANEOUS:
            for view in views:
                yield self.losses(view, self.segmenter(view.images), (DISCRIMINATOR, GENERATOR, SEGMENTER))
            return
        seen = [(view, self.segmenter(view.images)) for view in views]  # holds until F itself moves, last
        for mover in (DISCRIMINATOR, GENERATOR):
            yield from (self.losses(view, _detached(prediction), (mover,)) for view, prediction in seen)
            yield StepNow((mover,))
        both = [self.losses(*one, (SEGMENTER,))[SEGMENTER] for one in seen]
        yield {SEGMENTER: [*both[0], *both[1]]}  # F steps with the step's end, and target terms can join its losses

    def losses(self, view: View, prediction: Prediction, movers: Sequence[str]) -> dict[str, list[LossTerm]]:
        """One domain's terms of the players that move; all look at the same painted frames."""
        options, real = self.options, view.images * view.inside
        painted = self.generator(prediction.encoder, *view.images.shape[-2:]) * view.inside
        on_painted = self.discriminator(painted)
        terms: dict[str, list[LossTerm]] = {}
        if DISCRIMINATOR in movers:
            on_real = self.discriminator(real)
            terms[DISCRIMINATOR] = self.as_seen(view, on_real, view.real, aux=1.0, discriminator_plays=True)
            terms[DISCRIMINATOR] += self.as_seen(view, on_painted, view.painted, aux=None, discriminator_plays=True)
        if GENERATOR in movers:
            l1 = LossTerm(f"l1_{view.real.name.lower()}", l1_inside(painted, real, view.inside), options.lambda_l1)
            terms[GENERATOR] = [*self.as_seen(view, on_painted, view.real, options.lambda_generator, aux=1.0), l1]
        if SEGMENTER in movers:
            adv, aux = (options.mapping_weight(given) for given in (options.lambda_adv, options.lambda_aux))
            terms[SEGMENTER] = self.supervised(view, prediction)
            terms[SEGMENTER] += self.as_seen(view, on_painted, view.swapped, adv, aux=aux)
        return terms

    def as_seen(
        self,
        view: View,
        answer: tuple[Tensor, Tensor],
        wanted: Seen,
        weight: float = 1.0,
        *,
        aux: float | None,
        discriminator_plays: bool = False,
    ) -> list[LossTerm]:
        """ce(image, wanted), and where ``aux`` weighs it and the frames have masks, aux(image)."""
        domain, classes = answer
        labels = domain_labels(wanted, view.inside, domain)
        term = self.term(f"as_{wanted.name.lower()}", domain, labels, weight)
        terms = [replace(term, accuracy=fraction_put_right(domain, labels)) if discriminator_plays else term]
        if aux is not None and view.masks is not None:
            terms.append(self.term("aux", classes, class_labels(view.masks, view.inside, classes), aux))
        return terms

    def supervised(self, view: View, prediction: Prediction) -> list[LossTerm]:
        """L_seg, of the source's view."""
        if view.masks is None:
            return []
        batch = LabelledBatch(view.images, view.inside, (), view.masks, view.boxes)
        terms = supervised_terms(image_size_logits(prediction, batch), batch, self.options)
        scale = self.scale(int((view.masks != IGNORED).sum()), batch.images)
        return [replace(term, weight=term.weight * scale) for term in terms]

    def term(self, name: str, logits: Tensor, labels: Tensor, weight: float) -> LossTerm:
        """A mean cross-entropy, which its weight turns into a sum divided by the batch where that is asked for."""
        mean, counted = cross_entropy(logits, labels)
        return LossTerm(name, mean, weight * self.scale(counted, logits))

    def scale(self, counted: int, batch: Tensor) -> float:
        return counted / len(batch) if self.options.reduction is Reduction.SUM else 1.0


def _detached(prediction: Prediction) -> Prediction:
    return Prediction({}, {}, tuple(found.detach() for found in prediction.encoder))

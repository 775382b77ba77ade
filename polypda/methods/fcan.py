"""FCAN: fully convolutional adaptation networks, the representation part (RAN).

Zhang, Qiu, Yao, Liu, Mei, "Fully Convolutional Adaptation Networks for Semantic Segmentation", CVPR 2018 (no published
code). Symbols are the paper's; its equation numbers could not be verified and are left out. D is the probability of
being target (source 0) per cell of the feature grid, Z cells.

    L_adv = −mean over target of (1/Z) Σ log D_i − mean over source of (1/Z) Σ log (1 − D_i)
    max over segmenter, min over D:  L_adv − λ_seg · L_seg,   λ_seg = 5

So the segmenter minimises λ_seg·L_seg − L_adv on both domains (a gradient reversal, played here as two players at the
same weights) and D minimises L_adv, a sum over domains, not halved. Published stages: source-only, then joint
fine-tuning at a low rate; the first is the start every method here has. The appearance part (AAN) restyles the source
before training: :mod:`polypda.stylization`, used with ``stylize``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pydantic import Field
from torch import nn

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.errors import UsageError
from polypda.methods.adversary import DISCRIMINATOR, AdversaryOptions, discriminator_player, discriminator_term
from polypda.methods.contract import (
    SEGMENTER,
    Domain,
    Losses,
    LossTerm,
    Method,
    Player,
    Preparation,
    require_several_target_frames,
)
from polypda.methods.segmentation import image_size_logits, segmenter_optimizer, supervised_terms
from polypda.networks.discriminators import ASPP_RATES, ASPP_WIDTH, AsppDiscriminator
from polypda.networks.segmenter import Prediction, Segmenter
from polypda.networks.taps import FeatureTap, read_tap, tap_width
from polypda.stylization.appearance import StylizationSettings


class FCANOptions(AdversaryOptions, StylizationSettings):
    """Published λ_seg. It multiplies the segmentation's gradient: at another method's learning rate write
    lambda_seg=1 and lambda_adv=0.2, the same game."""

    tap: FeatureTap = Field(FeatureTap.BOTTLENECK, description="grid that is aligned: bottleneck, decoder or logits")
    lambda_seg: float = Field(5.0, gt=0, description="weight of the segmentation loss")
    lambda_adv: float = Field(1.0, ge=0, description="weight of the reversed adversarial loss")
    discriminator_width: int = Field(ASPP_WIDTH, gt=0, description="channels per dilated branch")
    lambda_target_seg: float = Field(
        0.0, ge=0, description="weight of the segmentation loss on labelled target frames; needs permitted labels"
    )
    stylize: bool = Field(False, description="train on source frames restyled to the target (AAN)")

    @property
    def learns_target_labels(self) -> bool:
        return self.lambda_target_seg > 0

    @property
    def stylizing(self) -> StylizationSettings | None:
        return self if self.stylize else None


class FCAN(Method):
    """Minimax alignment of the encoder's deepest grid with an ASPP discriminator."""

    name = "fcan"
    title = "FCAN"
    paper = "Zhang et al., CVPR 2018"
    Options = FCANOptions
    options: FCANOptions

    def __init__(self, segmenter: Segmenter, options: FCANOptions, *, steps: int) -> None:
        super().__init__(segmenter, options, steps=steps)
        channels = tap_width(segmenter, options.tap)
        self.discriminator = AsppDiscriminator(channels, options.discriminator_width, ASPP_RATES)
        self._players = [
            Player(SEGMENTER, segmenter_optimizer(segmenter, options), options.schedule(steps)),
            discriminator_player(DISCRIMINATOR, self.discriminator, options, steps),
        ]

    def modules(self) -> dict[str, nn.Module]:
        return super().modules() | {DISCRIMINATOR: self.discriminator}

    def prepare(self, data: Preparation) -> None:
        """Check what is asked for. Raises: DataError E_TARGET_FRAMES; UsageError E_TARGET_LABELS where target labels
        are to be learnt and the target comes without."""
        require_several_target_frames(data)
        if self.options.lambda_target_seg and not isinstance(next(iter(data.target())), LabelledBatch):
            raise _labels_not_permitted()

    def play(self, source: LabelledBatch, target: UnlabelledBatch | None, step: int) -> Iterator[Losses]:
        # Nothing of the source is held here when the target's forward begins: its graph is then freed.
        yield self._on_source(source, step)
        assert target is not None  # plays_on_target
        yield self._on_target(target, step)

    def _on_source(self, source: LabelledBatch, step: int) -> Losses:
        prediction = self.segmenter(source.images)
        return self._losses(
            prediction, Domain.SOURCE, step, self.supervised(prediction, source, self.options.lambda_seg)
        )

    def _on_target(self, target: UnlabelledBatch, step: int) -> Losses:
        prediction = self.segmenter(target.images)
        supervised: list[LossTerm] = []
        if self.options.lambda_target_seg:
            if not isinstance(target, LabelledBatch):
                raise _labels_not_permitted()
            terms = self.supervised(prediction, target, self.options.lambda_target_seg)
            supervised = [replace(term, name=f"target_{term.name}") for term in terms]
        return self._losses(prediction, Domain.TARGET, step, supervised)

    def supervised(self, prediction: Prediction, batch: LabelledBatch, weight: float) -> list[LossTerm]:
        """weight · L_seg; frames whose masks are 255 everywhere teach nothing."""
        terms = supervised_terms(image_size_logits(prediction, batch), batch, self.options)
        return [replace(term, weight=weight * term.weight) for term in terms]

    def _losses(self, prediction: Prediction, domain: Domain, step: int, supervised: list[LossTerm]) -> Losses:
        adversarial = discriminator_term(self.discriminator(read_tap(prediction, self.options.tap)), domain)
        weight = -self.options.ramped(self.options.lambda_adv, step)
        reversed_term = LossTerm(f"adv_{domain.name.lower()}", adversarial.value, weight)
        return {DISCRIMINATOR: [adversarial], SEGMENTER: [*supervised, reversed_term]}


def _labels_not_permitted() -> UsageError:
    what = "lambda_target_seg learns from target labels, and this run has none: adaptation does not see them."
    fix = "leave lambda_target_seg out, or permit target labels (--target-labels)."
    return UsageError("E_TARGET_LABELS", what, fix=fix)

"""AdaptSegNet: adversarial alignment of the output space.

Tsai, Hung, Schulter, Sohn, Yang, Chandraker, "Learning to Adapt Structured Output Space for Semantic Segmentation",
CVPR 2018. Equation numbers are the paper's. The domain labels follow the released code: source 0, target 1.

    L_seg = loss(main) + λ_seg · loss(aux)                                            (2)
    L_adv = Σ_level λ_level · domain_loss(D_level(P_target), source)                  (4)
    L_D   = ½ [domain_loss(D(P_source), source) + domain_loss(D(P_target), target)]   (3)

P is the softmax of the logits at image size. All players' gradients belong to the same, unstepped weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.errors import UsageError
from polypda.methods.adversary import AdversaryOptions, Objective, discriminator_player, discriminator_term, domain_loss
from polypda.methods.contract import SEGMENTER, Domain, Losses, LossTerm, Method, Player
from polypda.methods.segmentation import image_size_logits, segmenter_optimizer, supervised_terms
from polypda.networks.deeplab_v2 import DeepLabV2
from polypda.networks.discriminators import PatchDiscriminator
from polypda.networks.segmenter import CLASSES, Prediction, Segmenter, to_image_size


class AdaptSegNetOptions(AdversaryOptions):
    """Published values for 19 classes; with two classes the adversary's pull is 2–5 times stronger per λ."""

    objective: Objective = Objective.VANILLA
    lambda_adv_main: float = Field(1e-3, ge=0, description="weight of the main level's adversarial loss")
    lambda_adv_aux: float = Field(2e-4, ge=0, description="weight of the auxiliary level's adversarial loss")
    discriminator_width: int = Field(64, gt=0, description="channels of the discriminator's first layer")
    discriminator_layers: int = Field(5, ge=2, description="receptive field 1+3(2ⁿ−1) px")
    discriminator_shrink: int = Field(
        1, ge=1, description="the discriminator sees means over squares of so many px a side; 1: as published"
    )
    duplicate_params: bool = Field(
        False, description="parity quirk: step each backbone parameter once per ancestor module, as released"
    )


class AdaptSegNet(Method):
    """Output-space adaptation: one discriminator per output level of the segmenter (single- or multi-level)."""

    name = "adaptsegnet"
    title = "AdaptSegNet (output space)"
    paper = "Tsai et al., CVPR 2018"
    Options = AdaptSegNetOptions
    preset_family = "adaptsegnet"  # of all that play this game
    options: AdaptSegNetOptions

    def __init__(self, segmenter: Segmenter, options: AdaptSegNetOptions, *, steps: int) -> None:
        super().__init__(segmenter, options, steps=steps)
        width, layers = options.discriminator_width, options.discriminator_layers
        self.discriminators = nn.ModuleDict(
            {level: PatchDiscriminator(self.discriminator_channels(level), width, layers) for level in segmenter.levels}
        )
        backbone = _as_released(segmenter) if options.duplicate_params else None
        self._players = [
            Player(SEGMENTER, segmenter_optimizer(segmenter, options, backbone), options.schedule(steps)),
            *(discriminator_player(f"d_{level}", d, options, steps) for level, d in self.discriminators.items()),
        ]

    def modules(self) -> dict[str, nn.Module]:
        return super().modules() | {f"d_{level}": network for level, network in self.discriminators.items()}

    def play(self, source: LabelledBatch, target: UnlabelledBatch | None, step: int) -> Iterator[Losses]:
        # Nothing of the source is held here when the target's forward begins: its graph is then freed.
        yield self._on_source(source)
        assert target is not None  # plays_on_target
        yield self._on_target(target, step)

    def _on_source(self, source: LabelledBatch) -> Losses:
        prediction = self.segmenter(source.images)
        logits = image_size_logits(prediction, source)
        domain = self.domain_logits(prediction, logits)
        supervised = supervised_terms(logits, source, self.options)
        return {**self.discriminator_terms(domain, Domain.SOURCE), SEGMENTER: supervised}

    def _on_target(self, target: UnlabelledBatch, step: int) -> Losses:
        prediction = self.segmenter(target.images)
        logits = image_size_logits(prediction, target)
        domain = self.domain_logits(prediction, logits)
        adversarial = [
            LossTerm(f"adv_{level}", domain_loss(z, Domain.SOURCE, self.options.objective), self.weight(level, step))
            for level, z in domain.items()
        ]
        return {**self.discriminator_terms(domain, Domain.TARGET), SEGMENTER: adversarial}

    def domain_logits(self, prediction: Prediction, logits: dict[str, Tensor]) -> dict[str, Tensor]:
        """D(P) per level: one forward serves the discriminator's loss and the segmenter's."""
        seen = {level: self.representation(prediction, logits, level) for level in self.discriminators}
        shrink = self.options.discriminator_shrink
        return {level: d(_shrunk(seen[level], shrink)) for level, d in self.discriminators.items()}

    def discriminator_terms(self, domain: dict[str, Tensor], truth: Domain) -> dict[str, list[LossTerm]]:
        return {
            f"d_{level}": [discriminator_term(z, truth, self.options.objective, name=f"d_{level}", weight=0.5)]
            for level, z in domain.items()
        }

    def weight(self, level: str, step: int) -> float:
        """λ of a level at a step, after the ramp."""
        full = self.options.lambda_adv_main if level == "main" else self.options.lambda_adv_aux
        return self.options.ramped(full, step)

    def representation(self, prediction: Prediction, logits: dict[str, Tensor], level: str) -> Tensor:
        """What the discriminator sees: the softmax output at image size, B×2×H×W."""
        return logits[level].softmax(dim=1)

    def discriminator_channels(self, level: str) -> int:
        return CLASSES


def _shrunk(maps: Tensor, side: int) -> Tensor:
    """Means over squares of ``side`` px (cut off at the right and lower edge), B×C×⌈H/side⌉×⌈W/side⌉.

    A discriminator's cost falls with the square of ``side``; its receptive field on the image grows by it.
    """
    return maps if side == 1 else F.avg_pool2d(maps, side, ceil_mode=True)


def _as_released(segmenter: Segmenter) -> Iterator[nn.Parameter]:
    if not isinstance(segmenter, DeepLabV2):
        what = (
            "duplicate_params reproduces a quirk of the released DeepLab-v2 training; this segmenter has no such list."
        )
        fix = "leave duplicate_params out, or choose --architecture deeplab-v2."
        raise UsageError("E_METHOD_OPTION", what, fix=fix)
    return segmenter.duplicated_backbone_parameters()


class FeatureGrid(StrEnum):
    """Where the feature discriminator looks."""

    IMAGE = "image"  # features resized to image size, as the authors describe their baseline
    NATIVE = "native"  # the features' own grid: less memory; give the discriminator fewer layers


class AdaptSegNetFeatureOptions(AdaptSegNetOptions):
    grid: FeatureGrid = FeatureGrid.IMAGE


class AdaptSegNetFeature(AdaptSegNet):
    """The paper's feature-space baseline (no code exists): the same game on what each level's classifier sees."""

    name = "adaptsegnet-feature"
    title = "AdaptSegNet (feature space)"
    paper = "Tsai et al., CVPR 2018 (the paper's baseline)"
    Options = AdaptSegNetFeatureOptions
    options: AdaptSegNetFeatureOptions

    def representation(self, prediction: Prediction, logits: dict[str, Tensor], level: str) -> Tensor:
        features = prediction.features[level]
        if self.options.grid is FeatureGrid.NATIVE:
            return features
        return to_image_size(features, *logits[level].shape[-2:])

    def discriminator_channels(self, level: str) -> int:
        return self.segmenter.feature_channels[level]

"""FCNs in the Wild: global alignment by domain confusion, then category-specific size constraints.

Hoffman, Wang, Yu, Darrell, "FCNs in the Wild: Pixel-level Adversarial and Constraint-based Adaptation", 2016
(arXiv 1612.02649; no published code). R is a cell of the feature grid, D its probability of being source.

    L       = L_seg(source) + λ_adv · L_conf + λ_size · L_mi(target)
    L_D     = mean over source cells of −log D(R) + mean over target cells of −log (1 − D(R))
    L_conf  = ½ [L_D + L_Dinv], L_Dinv with swapped labels: domain confusion, on both domains
    alternating: D takes a step down L_D, then the segmenter one down L with the new D
    L_mi    = KL to the nearest prediction whose polyp size the source has; from ``size_start`` on

Symbols are the paper's; its equation numbers could not be verified and are left out. The paper sums over cells and
gives neither weights nor the discriminator: here stand means and an explicit λ_adv, with the discriminator and λ_adv of
the same laboratory's later FCN + ADDA code.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field
from torch import Tensor, nn

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.methods.adversary import (
    DISCRIMINATOR,
    AdversaryOptions,
    confusion_loss,
    discriminator_player,
    discriminator_term,
)
from polypda.methods.contract import SEGMENTER, Domain, Losses, LossTerm, Method, Player, Preparation, StepNow
from polypda.methods.segmentation import image_size_logits, segmenter_optimizer, supervised_terms
from polypda.methods.size_priors import PRIORS, FrameGroups, SizeOptions, SizePriors, learn_sizes, size_loss
from polypda.networks.discriminators import GridDiscriminator
from polypda.networks.segmenter import Segmenter, to_image_size
from polypda.networks.taps import FeatureTap, read_tap, tap_width


class FCNWildOptions(AdversaryOptions, SizeOptions):
    """The published maths; weights and discriminator are those of the authors' later code where the paper has none."""

    tap: FeatureTap = Field(FeatureTap.BOTTLENECK, description="grid that is aligned: bottleneck, decoder or logits")
    lambda_adv: float = Field(0.1, ge=0, description="weight of the confusion loss (mean over cells)")
    discriminator_width: int = Field(1024, ge=2, description="channels of its first layer; the second has half of it")
    discriminator_dropout: float = Field(0.5, ge=0, lt=1)


class FCNWild(Method):
    """The discriminator steps first; then the segmenter steps against the discriminator as it is by then."""

    name = "fcn-wild"
    title = "FCNs in the Wild"
    paper = "Hoffman et al., arXiv 1612.02649"
    Options = FCNWildOptions
    options: FCNWildOptions

    def __init__(self, segmenter: Segmenter, options: FCNWildOptions, *, steps: int) -> None:
        super().__init__(segmenter, options, steps=steps)
        width = options.discriminator_width
        channels = tap_width(segmenter, options.tap)
        self.discriminator = GridDiscriminator(channels, (width, width // 2), options.discriminator_dropout)
        self.priors = SizePriors(FrameGroups(options.frame_groups))
        self.size_start = steps // 2 if options.size_start is None else options.size_start
        self._players = [
            Player(SEGMENTER, segmenter_optimizer(segmenter, options), options.schedule(steps)),
            discriminator_player(DISCRIMINATOR, self.discriminator, options, steps),
        ]

    def modules(self) -> dict[str, nn.Module]:
        return super().modules() | {DISCRIMINATOR: self.discriminator, PRIORS: self.priors}

    def prepare(self, data: Preparation) -> None:
        """Learn the sizes of the source's polyps. Raises: DataError E_PRIOR_EMPTY, E_PRIOR_GROUP, E_TARGET_FRAMES."""
        learn_sizes(self.priors, data, self.options)

    def play(self, source: LabelledBatch, target: UnlabelledBatch | None, step: int) -> Iterator[Losses | StepNow]:
        assert target is not None  # plays_on_target
        predictions = self.segmenter(source.images), self.segmenter(target.images)
        cells = [read_tap(prediction, self.options.tap) for prediction in predictions]
        # The segmenter's graphs outlive the discriminator's step: they are cut here, and used below.
        for domain, grid in zip(Domain, cells, strict=True):
            yield {DISCRIMINATOR: [discriminator_term(self.discriminator(grid.detach()), domain)]}
        yield StepNow((DISCRIMINATOR,))

        logits = image_size_logits(predictions[Domain.SOURCE], source)
        terms = supervised_terms(logits, source, self.options)
        terms += [self._confusion(cells[domain], domain, step) for domain in Domain]
        if self.constrains(step):
            main = to_image_size(predictions[Domain.TARGET].logits["main"], *target.images.shape[-2:])
            terms.append(LossTerm("size", size_loss(main, target, self.priors, self.options), self.options.lambda_size))
        yield {SEGMENTER: terms}

    def constrains(self, step: int) -> bool:
        """Whether sizes are constrained at this step: only once the alignment has begun to work."""
        return self.options.lambda_size > 0 and step >= self.size_start

    def _confusion(self, grid: Tensor, domain: Domain, step: int) -> LossTerm:
        loss = confusion_loss(self.discriminator(grid))
        return LossTerm(f"confusion_{domain.name.lower()}", loss, self.options.ramped(self.options.lambda_adv, step))

"""LSD-seg's options: how its cross-entropies are reduced, who sees whose new weights, and the published weights.

Sankaranarayanan et al., "Learning from Synthetic Data", CVPR 2018; values as released.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from polypda.methods.segmentation import SupervisedOptions

SUM_WEIGHT = 0.1  # released λ_adv and λ_aux
GRID_SHARE = 1 / 64  # cells of D's grid per pixel


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
    adversary_rate: float = Field(1e-4, gt=0, description="constant rate of D and G")
    generator_width: int = Field(64, ge=1, description="channels of G's finest stage; 32 needs about a quarter")
    discriminator_width: int = Field(128, ge=1, description="channels of D")

    def mapping_weight(self, given: float | None) -> float:
        """λ_adv or λ_aux in this reduction."""
        usual = SUM_WEIGHT * (GRID_SHARE if self.reduction is Reduction.MEAN else 1.0)
        return usual if given is None else given


_F = {"optimizer": "adamw", "weight_decay": 0.0, "rate": 1e-5, "head_factor": 1.0, "poly_power": 0.0}
PUBLISHED: dict[str, dict[str, object]] = {
    "released": {**_F, "reduction": "sum", "adversary_rate": 1e-4},  # for 100,000 steps of one frame per domain
    "paper": {**_F, "reduction": "sum", "adversary_rate": 2e-4},  # for 10,000 steps, according to a reader's note
}
"""AdamW without decay is Adam. Left out: the released F's biases learn twice as fast, and its rate falls tenfold every
eight passes over the smaller cohort."""

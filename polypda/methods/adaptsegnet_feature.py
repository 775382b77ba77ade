"""AdaptSegNet's feature-space baseline: the paper's own control for output-space alignment.

Tsai et al., CVPR 2018; no official code exists, the authors describe it in their answers to readers.
"""

from __future__ import annotations

from enum import StrEnum

from torch import Tensor

from polypda.methods.adaptsegnet import AdaptSegNet, AdaptSegNetOptions
from polypda.methods.segmentation import to_image_size
from polypda.networks.segmenter import Prediction


class FeatureGrid(StrEnum):
    """Where the feature discriminator looks."""

    IMAGE = "image"  # features resized to image size, as the authors describe their baseline
    NATIVE = "native"  # the features' own grid: less memory; give the discriminator fewer layers


class AdaptSegNetFeatureOptions(AdaptSegNetOptions):
    grid: FeatureGrid = FeatureGrid.IMAGE


class AdaptSegNetFeature(AdaptSegNet):
    """The paper's feature-space baseline: the same game on what each level's classifier sees."""

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

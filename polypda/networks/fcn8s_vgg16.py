"""FCN-8s on VGG-16, the segmenter of LSD-seg as released: for parity, and as a reminder of what its generator undoes.

Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015: 100 px of padding before
the first layer, pooling that rounds up, scores on pool3, pool4 and fc7, fixed bilinear up-sampling, crops 9, 5 and 31.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polypda.networks.segmenter import CLASSES, InputNormalisation, Prediction, Segmenter, check_input_size

BGR_MEAN = (104.00698793, 116.66876762, 122.67891434)
BLOCKS = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
"""Width factor and number of 3×3 convolutions of VGG-16's five blocks."""
PADDING_PX = 100
CROP_POOL4, CROP_POOL3, CROP_IMAGE = 5, 9, 31


class FCN8sVGG16(Segmenter):
    """B×3×H×W RGB in [0, 1], H and W multiples of 32 → logits B×classes×H×W; encoder maps (pool3, pool4, fc7).

    The score layers start at zero, so a fresh network answers every class alike. The up-sampling weights are fixed.

    Args: width: channels of the first block (published 64). fc_width: of fc6 and fc7 (published 4096).
    """

    stride = 32

    def __init__(self, classes: int = CLASSES, *, width: int = 64, fc_width: int = 4096) -> None:
        super().__init__()
        self.normalisation = InputNormalisation(BGR_MEAN, scale=255.0, bgr=True, persistent=False)
        blocks: list[nn.Module] = []
        before = 3
        for factor, convolutions in BLOCKS:
            blocks.append(_block(before, factor * width, convolutions, padding=1 if blocks else PADDING_PX))
            before = factor * width
        self.blocks = nn.ModuleList(blocks)
        self.fc = nn.Sequential(
            *(nn.Conv2d(before, fc_width, 7), nn.ReLU(inplace=True), nn.Dropout2d()),
            *(nn.Conv2d(fc_width, fc_width, 1), nn.ReLU(inplace=True), nn.Dropout2d()),
        )
        self.score_fc7, self.score_pool4, self.score_pool3 = (
            _zero_score(channels, classes) for channels in (fc_width, 8 * width, 4 * width)
        )
        self.up_fc7, self.up_pool4 = (_bilinear(classes, kernel=4, stride=2) for _ in range(2))
        self.up_pool3 = _bilinear(classes, kernel=16, stride=8)
        self.encoder_channels: tuple[int, int, int] = (4 * width, 8 * width, fc_width)
        self.feature_channels = {"main": classes}

    def forward(self, images: Tensor) -> Prediction:
        """Segment. Raises: UsageError E_INPUT_SIZE."""
        check_input_size(images, self.stride)
        height, width = images.shape[-2:]
        x, pooled = self.normalisation(images), []
        for block in self.blocks:
            x = block(x)
            pooled.append(x)
        pool3, pool4 = pooled[2], pooled[3]
        fc7 = self.fc(x)
        score = self.up_fc7(self.score_fc7(fc7))
        score = self.up_pool4(score + _crop(self.score_pool4(pool4), CROP_POOL4, *score.shape[-2:]))
        score = score + _crop(self.score_pool3(pool3), CROP_POOL3, *score.shape[-2:])
        logits = _crop(self.up_pool3(score), CROP_IMAGE, height, width)
        return Prediction({"main": logits}, {"main": score}, (pool3, pool4, fc7))

    def encoder_modules(self) -> tuple[nn.Module, ...]:
        """VGG-16's blocks, fc6 and fc7."""
        return (*self.blocks, self.fc)

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the weights and biases of the blocks, fc6 and fc7."""
        for module in self.encoder_modules():
            yield from module.parameters()

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the score layers' parameters; the up-sampling is not trained."""
        for layer in (self.score_fc7, self.score_pool4, self.score_pool3):
            yield from layer.parameters()


def _block(before: int, width: int, convolutions: int, *, padding: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number in range(convolutions):
        layers.append(nn.Conv2d(width if number else before, width, 3, padding=1 if number else padding))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers, nn.MaxPool2d(2, stride=2, ceil_mode=True))


def _zero_score(channels: int, classes: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, classes, 1)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _bilinear(classes: int, *, kernel: int, stride: int) -> nn.ConvTranspose2d:
    """A transposed convolution that interpolates each class bilinearly and is not trained."""
    layer = nn.ConvTranspose2d(classes, classes, kernel, stride=stride, bias=False)
    ramp = 1 - (torch.arange(kernel) - (kernel - 1) / 2).abs() / stride
    with torch.no_grad():
        layer.weight.zero_()
        for one in range(classes):
            layer.weight[one, one] = torch.outer(ramp, ramp)
    return layer.requires_grad_(False)


def _crop(x: Tensor, offset: int, height: int, width: int) -> Tensor:
    return F.pad(x, (-offset, offset + width - x.shape[-1], -offset, offset + height - x.shape[-2]))

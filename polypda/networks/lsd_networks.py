"""The networks of LSD-seg: its segmenter as released, the generator that shows what a feature holds, the discriminator.

Sankaranarayanan, Balaji, Jain, Lim, Chellappa, "Learning from Synthetic Data: Addressing Domain Shift for Semantic
Segmentation", CVPR 2018; block structure as released. Convolutions of G and D start from N(0, 0.02).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polypda.errors import UsageError
from polypda.networks.segmenter import BGR_MEAN, CLASSES, InputNormalisation, Prediction, Segmenter, check_input_size
from polypda.networks.taps import EncoderTap, deepest_per_stride, encoder_taps

BLOCKS = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
"""Width factor and number of 3×3 convolutions of VGG-16's five blocks."""
PADDING_PX = 100
CROP_POOL4, CROP_POOL3, CROP_IMAGE = 5, 9, 31


class FCN8sVGG16(Segmenter):
    """FCN-8s on VGG-16, for parity: B×3×H×W, H and W multiples of 32 → logits B×classes×H×W; maps (pool3, pool4, fc7).

    Long, Shelhamer, Darrell, CVPR 2015: 100 px of padding before the first layer, pooling that rounds up, scores that
    start at zero, fixed bilinear up-sampling, crops 9, 5 and 31.

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
        return (*self.blocks, self.fc)

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        for module in self.encoder_modules():
            yield from module.parameters()

    def head_parameters(self) -> Iterator[nn.Parameter]:
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


DOMAIN_LABELS = 4
"""Source and target, real and generated."""
INITIAL_STD = 0.02
DROPOUT = 0.5
"""Also the generator's only noise: it takes no noise vector."""
LEAK = 0.2
LEAST_INPUT_PX = 16
"""Below this the discriminator's instance-norm would see a single pixel."""
RESIDUAL_BLOCKS = 2
SKIPS = 2
"""The generator sees the deepest map and two finer ones (published: fc7, pool4, pool3)."""


class Residual(nn.Module):
    """x + dropout(activation(instance-norm(3×3 convolution of x))).

    bias: does nothing before the norm; the released discriminator has it, the generator has not.
    """

    def __init__(self, width: int, activation: nn.Module, *, bias: bool) -> None:
        super().__init__()
        convolution = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        self.body = nn.Sequential(convolution, nn.InstanceNorm2d(width), activation, nn.Dropout(DROPOUT))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _stage(before: int, width: int, **geometry: int) -> nn.Sequential:
    """A transposed convolution with instance-norm and ReLU, then two residual blocks."""
    return nn.Sequential(
        nn.ConvTranspose2d(before, width, bias=False, **geometry),  # type: ignore[arg-type]
        nn.InstanceNorm2d(width),
        nn.ReLU(inplace=True),
        *(Residual(width, nn.ReLU(inplace=True), bias=False) for _ in range(RESIDUAL_BLOCKS)),
    )


class PublishedGenerator(nn.Module):
    """G for FCN-8s on VGG-16: (pool3, pool4, fc7) → B×3×H×W image in [0, 1], H and W multiples of 32.

    The last padding undoes the 100 px that FCN-8s pads its input with. 64,221,187 parameters at the published sizes.

    Args: width: channels of the finest stage (published 64; the others are 2, 4, 4 and 8 times as wide).
        channels: of pool3, pool4 and fc7.
    """

    def __init__(self, width: int = 64, channels: tuple[int, int, int] = (256, 512, 4096)) -> None:
        super().__init__()
        pool3, pool4, fc7 = channels
        self.from_fc7 = nn.Sequential(
            _stage(fc7, 4 * width, kernel_size=7), _stage(4 * width, 8 * width, kernel_size=3, stride=2, padding=1)
        )
        self.from_pool4 = _stage(8 * width + pool4, 4 * width, kernel_size=3, stride=2, padding=1)
        self.from_pool3 = nn.Sequential(
            _stage(4 * width + pool3, 2 * width, kernel_size=5, stride=2, padding=2),
            _stage(2 * width, width, kernel_size=5, stride=2, padding=2),
        )
        self.to_image = nn.Sequential(nn.ConvTranspose2d(width, 3, 8, stride=2, padding=100), nn.Sigmoid())
        initialise(self)

    def forward(self, maps: Sequence[Tensor], height: int, width: int) -> Tensor:
        """(pool3, pool4, fc7) of H×W images → B×3×H×W. Raises: UsageError E_INPUT_SIZE for other sizes."""
        if height % 32 or width % 32:
            what = f"images of {width}×{height} px; the published generator fits multiples of 32 only"
            raise UsageError("E_INPUT_SIZE", what, fix="choose a size divisible by 32.")
        pool3, pool4, fc7 = maps
        x = torch.cat([self.from_fc7(fc7), pool4], dim=1)
        x = torch.cat([self.from_pool4(x), pool3], dim=1)
        return self.to_image(self.from_pool3(x))


class EncoderGenerator(nn.Module):
    """G for any encoder: the published stages laid over the encoder's strides; B×3×H×W image in [0, 1].

    A stem at the deepest map, then one doubling per halving of the encoder (widths 8, 4, 2 and 1 times ``width``,
    aligned at the image's end; the last doubling makes the image), joined after a doubling by the encoder's map of that
    stride, at most two of them. Maps are resized bilinearly where a network's grid is not an exact power of two.

    Args: taps: the encoder's maps, finest first (:func:`polypda.networks.taps.encoder_taps`).
    """

    def __init__(self, taps: tuple[EncoderTap, ...], width: int = 64) -> None:
        super().__init__()
        by_stride = deepest_per_stride(taps)
        self.deepest = by_stride[max(by_stride)]
        skips = sorted((stride for stride in by_stride if 1 < stride < max(by_stride)), reverse=True)[:SKIPS]
        self.stem = _stage(taps[self.deepest].channels, 4 * width, kernel_size=3, padding=1)
        doublings = max(by_stride).bit_length() - 1
        factors = ([8] * max(0, doublings - 5) + [8, 4, 2, 1])[-(doublings - 1) :] if doublings > 1 else []
        before, stride = 4 * width, max(by_stride)
        self.doublings = nn.ModuleList()
        self.skips: list[int | None] = []
        for factor in factors:
            stride //= 2
            self.doublings.append(_stage(before, factor * width, kernel_size=4, stride=2, padding=1))
            self.skips.append(by_stride[stride] if stride in skips else None)
            before = factor * width + (taps[by_stride[stride]].channels if stride in skips else 0)
        self.to_image = nn.Sequential(nn.ConvTranspose2d(before, 3, 4, stride=2, padding=1), nn.Sigmoid())
        initialise(self)

    def forward(self, maps: Sequence[Tensor], height: int, width: int) -> Tensor:
        """The encoder's maps of H×W images → B×3×H×W.

        Raises: UsageError E_INPUT_SIZE when the deepest map is a single pixel, which instance-norm would erase.
        """
        deepest = maps[self.deepest]
        if deepest.shape[-1] * deepest.shape[-2] == 1:
            what = f"images of {width}×{height} px leave the encoder's deepest map a single pixel to generate from"
            raise UsageError("E_INPUT_SIZE", what, fix="use images of at least twice the encoder's stride.")
        x = self.stem(deepest)
        for doubling, skip in zip(self.doublings, self.skips, strict=True):
            x = doubling(x)
            if skip is not None:
                x = torch.cat([_sized(x, maps[skip].shape[-2], maps[skip].shape[-1]), maps[skip]], dim=1)
        return _sized(self.to_image(x), height, width)


def _sized(x: Tensor, height: int, width: int) -> Tensor:
    if x.shape[-2:] == (height, width):
        return x
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)


class FourWayDiscriminator(nn.Module):
    """D: image B×3×H×W in [0, 1] → (B×4×h×w domain logits, B×classes×h×w segmentation logits), h = H/8, w = W/8.

    1,341,446 parameters for two classes at the published width. Takes images of at least 16×16 px.
    """

    def __init__(self, classes: int = CLASSES, width: int = 128) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=2), nn.InstanceNorm2d(width), nn.LeakyReLU(LEAK, inplace=True)
        )
        body: list[nn.Module] = []
        for halving in range(3):
            body += [nn.MaxPool2d(2)] if halving else []
            body += [Residual(width, nn.LeakyReLU(LEAK, inplace=True), bias=True) for _ in range(3)]
        self.body = nn.Sequential(*body)
        self.domain = nn.Conv2d(width, DOMAIN_LABELS, 3, padding=1)
        self.segmentation = nn.Conv2d(width, classes, 3, padding=1)
        initialise(self)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The two maps of images. Raises: UsageError E_DISCRIMINATOR_INPUT below 16×16 px."""
        if min(images.shape[-2:]) < LEAST_INPUT_PX:
            what = f"images of {images.shape[-1]}×{images.shape[-2]} px are too small for LSD-seg's discriminator"
            raise UsageError("E_DISCRIMINATOR_INPUT", what, fix=f"use at least {LEAST_INPUT_PX} px a side.")
        features = self.body(self.stem(images))
        return self.domain(features), self.segmentation(features)


def generator_for(segmenter: Segmenter, width: int) -> PublishedGenerator | EncoderGenerator:
    """The published G for the published FCN-8s, the encoder's for any other segmenter.

    Raises: UsageError E_FEATURE_TAP where the segmenter does not show its encoder's maps.
    """
    if isinstance(segmenter, FCN8sVGG16):
        return PublishedGenerator(width, segmenter.encoder_channels)
    return EncoderGenerator(encoder_taps(segmenter), width)


def initialise(network: nn.Module) -> None:
    """Draw all convolution weights from N(0, 0.02); biases keep the library's start."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, INITIAL_STD)

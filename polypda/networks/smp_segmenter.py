"""Segmenters from segmentation_models_pytorch: any architecture, any encoder, one or two output levels.

Main logits lie on the network's own grid: what the last convolution of the segmentation head gives, before the library
resizes it to the image (DeepLabV3+ and FPN H/4, DeepLabV3 and PSPNet H/8, U-Net H). The caller resizes, so that every
segmenter is treated alike.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Literal

from torch import Tensor, nn

from polypda.errors import UsageError, nearest
from polypda.networks.batch_norm import batch_norm_layers
from polypda.networks.encoder_weights import EncoderWeights, load_encoder_weights
from polypda.networks.segmenter import CLASSES, InputNormalisation, Prediction, Segmenter, check_input_size, trainable
from polypda.networks.smp_library import find_architecture, find_encoder, import_smp, quiet_deprecations
from polypda.networks.taps import aux_tap, decode_with_tap, tap_channels

STATISTICS_MOMENTUM = 0.1
"""PyTorch's own: after 50 batches a running statistic is 99.5 % of what these batches showed (with 0.01: 39 %)."""


class SmpSegmenter(Segmenter):
    """An architecture of segmentation_models_pytorch behind the segmenter's contract.

    Input mean and standard deviation are part of the state dict, because they belong to the encoder's weights: a
    checkpoint read into a network built without weights predicts the same.
    """

    def __init__(
        self, network: nn.Module, architecture: str, *, levels: Literal[1, 2], weights: EncoderWeights
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder_weights = weights
        self.levels = ("main",) if levels == 1 else ("main", "aux")
        self.encoder = network.get_submodule("encoder")
        self.decoder = network.get_submodule("decoder")
        self.segmentation_head = network.get_submodule("segmentation_head")
        self.stride = int(network.encoder.output_stride)  # type: ignore[union-attr, arg-type]
        self.normalisation = InputNormalisation(weights.mean, weights.std)
        self.feature_channels = {"main": self._classifier.in_channels}
        self.aux_head: nn.Conv2d | None = None
        if levels == 2:
            channels = tap_channels(self.encoder, self.decoder, architecture, self.stride)
            self.feature_channels["aux"] = channels
            self.aux_head = nn.Conv2d(channels, CLASSES, kernel_size=1)
            nn.init.xavier_uniform_(self.aux_head.weight)  # as the library starts its own heads
            nn.init.zeros_(self.aux_head.bias)  # type: ignore[arg-type]

    @property
    def _classifier(self) -> nn.Conv2d:
        return [part for part in self.segmentation_head.modules() if isinstance(part, nn.Conv2d)][-1]

    def forward(self, images: Tensor) -> Prediction:
        """Segment B×3×H×W, RGB in [0, 1], H and W divisible by ``stride``.

        Raises: UsageError E_INPUT_SIZE, or E_BATCH_TOO_SMALL when a batch is too small for batch-norm in training.
        """
        check_input_size(images, self.stride)
        try:
            return self._predict(self.normalisation(images))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            batch, _, height, width = images.shape
            what = (
                f"{self.architecture} normalises a map that is pooled to one pixel by the batch's statistics, "
                f"which a batch of {batch} ({width}×{height} px) does not have"
            )
            fix = "use at least 2 images per batch, or batch-norm policy `frozen`."
            raise UsageError("E_BATCH_TOO_SMALL", what, fix=fix) from error

    def _predict(self, images: Tensor) -> Prediction:
        tap = aux_tap(self.decoder, self.architecture) if self.aux_head is not None else None
        encoded = self.encoder(images)
        decoded, tapped = decode_with_tap(self.decoder, tap, encoded)
        features = decoded
        classifier = self._classifier
        for part in self._before_classifier():
            features = part(features)
        logits = {"main": classifier(features)}
        seen = {"main": features}
        if self.aux_head is not None and tapped is not None:
            logits["aux"] = self.aux_head(tapped)
            seen["aux"] = tapped
        return Prediction(logits, seen, _encoder_maps(encoded, images))

    def _before_classifier(self) -> list[nn.Module]:
        """The head's layers before its last convolution: none in most architectures, a block in DPT."""
        nested = getattr(self.segmentation_head, "head", None)  # DPT keeps its layers one level deeper
        layers = list((nested if isinstance(nested, nn.Sequential) else self.segmentation_head).children())
        return layers[: next(index for index, layer in enumerate(layers) if layer is self._classifier)]

    def describe_initial_weights(self) -> dict[str, object]:
        return asdict(self.encoder_weights)

    def encoder_modules(self) -> tuple[nn.Module, ...]:
        return (self.encoder,)

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        yield from trainable(self.encoder, self.decoder)

    def head_parameters(self) -> Iterator[nn.Parameter]:
        yield from trainable(self.segmentation_head, *([] if self.aux_head is None else [self.aux_head]))


def build_smp_segmenter(
    architecture: str,
    encoder: str,
    *,
    encoder_weights: str = "none",
    levels: Literal[1, 2] = 1,
    decoder: Mapping[str, Any] | None = None,
) -> SmpSegmenter:
    """Build a segmenter; names in any case. Reproducible under a torch seed.

    encoder_weights: "none", "bundled", "imagenet" (downloads) or the path of a safetensors file.
    decoder: the library's keyword arguments of this architecture's decoder ("decoder_…"); None: its defaults.

    The encoder's running statistics follow their batches by at least :data:`STATISTICS_MOMENTUM`: with TensorFlow's
    0.01 they would lag behind the weights in a training of a few hundred steps.

    Raises: UsageError E_ARCHITECTURE_UNKNOWN, E_ENCODER_UNKNOWN, E_NETWORK_COMBINATION, E_LEVELS, E_AUX_LEVEL,
        E_SEGMENTER_OPTION for a decoder setting that the architecture does not have, and what
        :func:`polypda.networks.encoder_weights.load_encoder_weights` raises.
    """
    if levels not in (1, 2):
        raise UsageError("E_LEVELS", f"a segmenter has 1 or 2 output levels, not {levels}", fix="choose 1 or 2.")
    architecture = find_architecture(architecture)
    encoder = find_encoder(encoder)
    settings = dict(decoder or {})
    _check_decoder(architecture, settings)
    with quiet_deprecations():
        try:
            create = import_smp().create_model
            network = create(architecture, encoder, encoder_weights=None, classes=CLASSES, **settings)
        except (ValueError, RuntimeError, LookupError, TypeError, AttributeError) as error:
            what = f"{architecture} cannot be built on encoder {encoder} ({error})"
            fix = "choose another encoder for this architecture (resnet34 goes with all but dpt, which wants tu-vit…)."
            raise UsageError("E_NETWORK_COMBINATION", what, fix=fix) from error
    for layer in batch_norm_layers(network.encoder):
        if layer.momentum is not None:  # None: the cumulative average
            layer.momentum = max(layer.momentum, STATISTICS_MOMENTUM)
    weights = load_encoder_weights(network.encoder, encoder, encoder_weights)
    return SmpSegmenter(network, architecture, levels=levels, weights=weights)


def _check_decoder(architecture: str, settings: Mapping[str, Any]) -> None:
    """The library takes any keyword in silence: refuse those that its architecture does not name."""
    if not settings:
        return
    known = inspect.signature(import_smp().MODEL_ARCHITECTURES_MAPPING[architecture].__init__).parameters
    named = [name for name in known if name.startswith("decoder_")]
    for name in settings:
        if name not in named:
            what = f"the decoder of {architecture} has no setting '{name}'.{nearest(name, named)}"
            raise UsageError("E_SEGMENTER_OPTION", what, fix=f"choose from {', '.join(named)}.")


def _encoder_maps(encoded: object, images: Tensor) -> tuple[Tensor, ...]:
    """An encoder's maps, finest first: without the image itself, empty placeholders and prefix tokens."""
    maps = encoded[0] if isinstance(encoded, tuple) else encoded  # transformers give (maps, tokens)
    assert isinstance(maps, list)
    return tuple(found for found in maps if found is not images and found.shape[1])

"""What batch normalisation does while a network is adapted: three policies, and AdaBN.

A comparison of an adapted with a source-only network is fair only under the same policy: with statistics of the batch,
the running statistics drift to a mixture of both cohorts, which is an adaptation of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from polypda.errors import DataError
from polypda.networks.segmenter import evaluating


class BatchNormPolicy(StrEnum):
    """How batch-norm layers behave in training.

    TRAIN: statistics of the batch normalise, running statistics move, affine parameters learn.
    FROZEN: running statistics normalise and stay, affine parameters stay: each frame is treated alone.
    AFFINE_FROZEN: statistics of the batch normalise, running statistics move, affine parameters stay (AdaptSegNet).
    """

    TRAIN = "train"
    FROZEN = "frozen"
    AFFINE_FROZEN = "affine-frozen"


def batch_norm_layers(module: nn.Module) -> tuple[_BatchNorm, ...]:
    """Every batch-norm layer inside, those that segmentation and timm encoders derive included."""
    return tuple(layer for layer in module.modules() if isinstance(layer, _BatchNorm))


def apply_policy(module: nn.Module, policy: BatchNormPolicy) -> None:
    """Put all batch-norm layers of a module under a policy.

    Call it after every ``.train()``, which would undo FROZEN, and before an optimiser gets its parameters, because it
    decides which of them train. Layers without running statistics cannot be frozen to them and keep those of the batch.
    """
    policy = BatchNormPolicy(policy)
    for layer in batch_norm_layers(module):
        layer.train(policy is not BatchNormPolicy.FROZEN)
        for parameter in layer.parameters(recurse=False):
            parameter.requires_grad_(policy is BatchNormPolicy.TRAIN)


def recompute_statistics(segmenter: nn.Module, image_batches: Iterable[Tensor]) -> int:
    """AdaBN: replace the running statistics by those of other images; return the number of batches seen.

    image_batches: B×3×H×W, RGB in [0, 1]. Every batch counts alike (the cumulative average of batch means and unbiased
    batch variances), so give batches of one size. Other layers work as in evaluation (no dropout) meanwhile.

    Raises: DataError E_ADABN_EMPTY when there is no batch; the statistics are then, as after any error, the old ones.
    """
    layers = [layer for layer in batch_norm_layers(segmenter) if layer.track_running_stats]
    before = [{name: value.clone() for name, value in layer.named_buffers(recurse=False)} for layer in layers]
    momenta = [layer.momentum for layer in layers]
    batches = 0
    try:
        with evaluating(segmenter):
            for layer in layers:
                layer.reset_running_stats()
                layer.momentum = None  # PyTorch's sign for a cumulative average
                layer.training = True
            for images in image_batches:
                segmenter(images)
                batches += 1
        if not batches:
            fix = "give the target cohort's training frames."
            raise DataError("E_ADABN_EMPTY", "no images to compute batch-norm statistics from", fix=fix)
    except BaseException:
        for layer, old in zip(layers, before, strict=True):
            for name, value in layer.named_buffers(recurse=False):
                value.copy_(old[name])
        raise
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    return batches

"""Source features in place of source frames: what may leave a centre whose frames may not.

ADDA's second stage needs of the source only the model and features of its frames. They are kept per frame with the
cells of its field of view, in one safetensors file that says which weights and which tap they come from.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from polypda.data.batches import UnlabelledBatch
from polypda.errors import DataError
from polypda.methods.adversary import cells_in_view
from polypda.networks.segmenter import Segmenter, evaluating
from polypda.networks.taps import FeatureTap, read_tap
from polypda.networks.weights import read_safetensors, save_module, training_identity

FORMAT = "1"


class SourceFeatures(nn.Module):
    """Features of N source frames at one tap: float32 N×C×h×w, and bool N×h×w, True inside the field of view."""

    features: Tensor
    cells: Tensor

    def __init__(self, features: Tensor, cells: Tensor) -> None:
        super().__init__()
        self.register_buffer("features", features)
        self.register_buffer("cells", cells)

    def __len__(self) -> int:
        return len(self.features)

    def draw(self, count: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Features and cells of ``count`` frames, drawn with torch's generator, on the device and in the type of
        ``like``."""
        indices = torch.randint(len(self), (count,))
        return self.features[indices].to(like), self.cells[indices].to(like.device)


def save_source_features(
    segmenter: Segmenter, batches: Iterable[UnlabelledBatch], path: Path, tap: FeatureTap = FeatureTap.BOTTLENECK
) -> int:
    """Write the features of every frame in ``batches``; return the number of frames.

    The segmenter, which must be as it was read from its file, works in evaluation mode; its modes are put back.
    Raises: DataError E_SOURCE_FEATURES for no frame at all or frames of different sizes; what
    :func:`polypda.networks.weights.save_module` raises. UsageError E_FEATURE_TAP.
    """
    features, cells = [], []
    with evaluating(segmenter):
        for batch in batches:
            found = read_tap(segmenter(batch.images), tap)
            features.append(found.float().cpu())
            cells.append(cells_in_view(batch.valid, found).cpu())
    sizes = {found.shape[1:] for found in features}
    if len(sizes) != 1:
        what = "frames of different sizes give features of different sizes" if sizes else "there is no source frame"
        raise DataError("E_SOURCE_FEATURES", f"{what}.", where=path.name, fix="give frames at one network size.")
    bank = SourceFeatures(torch.cat(features), torch.cat(cells))
    facts = {"format": FORMAT, "tap": tap.value, "segmenter": training_identity(segmenter), "frames": str(len(bank))}
    save_module(bank, path, facts)
    return len(bank)


def load_source_features(path: Path, segmenter: Segmenter, tap: FeatureTap) -> SourceFeatures:
    """Read what :func:`save_source_features` wrote with the same weights at the same tap.

    Raises: DataError E_SOURCE_FEATURES when it is of other weights, of another tap, no such file, or not finite; what
    :func:`polypda.networks.weights.read_safetensors` raises.
    """
    tensors, facts = read_safetensors(path, finite=False)  # said below, of features
    if set(tensors) != {"features", "cells"} or facts.get("format") != FORMAT:
        what = "is no file of source features"
    elif facts["tap"] != tap.value:
        what = f"holds features of the tap '{facts['tap']}', not '{tap.value}'"
    elif facts["segmenter"] != training_identity(segmenter):
        what = "holds features of another model than the one this stage starts from"
    elif not torch.isfinite(tensors["features"]).all():
        what = "holds values that are not finite"
    else:
        return SourceFeatures(tensors["features"], tensors["cells"])
    fix = "write the features again with the model that this stage starts from."
    raise DataError("E_SOURCE_FEATURES", f"{what}.", where=path.name, fix=fix)

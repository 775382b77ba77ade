"""Predictions at a frame's own resolution, by any number of models in one pass over the frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from polypda.cohorts.field_of_view import FieldOfView
from polypda.cohorts.frames import Frame, LabelState
from polypda.data.cache import NativeFrame, NetworkGrid, load_native
from polypda.data.loading import image_tensor
from polypda.data.references import read_reference
from polypda.methods.segmentation import to_image_size
from polypda.networks.segmenter import POLYP, Segmenter


@dataclass(frozen=True)
class NativePrediction:
    """What the models say of one frame, on the frame's own grid.

    image: uint8 H×W×3, RGB. view: the field of view. reference: uint8 H×W, 0/1; None where the frame has no mask: it is
    annotated with boxes (``frame.boxes``), or not at all. ignored: bool H×W, pixels that do not count; None for none.
    probabilities: model name → float32 H×W, P(polyp) in [0, 1], 0 outside the crop that the network saw.
    missing: models without a prediction for this frame, whose map is empty because the user asked for that.
    """

    frame: Frame
    image: NDArray[np.uint8]
    view: FieldOfView
    reference: NDArray[np.uint8] | None
    probabilities: dict[str, NDArray[np.float32]]
    missing: frozenset[str] = frozenset()
    ignored: NDArray[np.bool_] | None = None

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Where pixels count, bool H×W: inside the field of view, and not ignored."""
        return self.view.mask if self.ignored is None else self.view.mask & ~self.ignored


def reference_mask(frame: Frame, image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The mask to score a frame (image: H×W×3) by; None for one that has boxes instead.

    Raises: what reading the mask raises.
    """
    return None if frame.label_state is LabelState.BOX else read_reference(frame, image)


def predict_native(
    models: Mapping[str, Segmenter],
    frames: Sequence[Frame],
    grid: NetworkGrid,
    device: torch.device,
    *,
    scored: bool = True,
) -> Iterator[NativePrediction]:
    """Predict frames with every model, in order; reads each frame once.

    scored: False for frames that are only looked at: no reference is read. Raises: what reading the reference raises.

    The probability map is resampled bilinearly from the network's grid to native pixels; thresholding comes after.
    """
    for model in models.values():
        model.eval().to(device)
    for frame in frames:
        native = load_native(frame, grid)
        yield NativePrediction(
            frame,
            native.image,
            native.view,
            reference_mask(frame, native.image) if scored else None,
            {name: native_probability(model, native, device) for name, model in models.items()},
            ignored=native.ignored,
        )


@torch.no_grad()
def native_probability(model: Segmenter, native: NativeFrame, device: torch.device) -> NDArray[np.float32]:
    """P(polyp), float32 H×W, of one frame by a model in evaluation mode."""
    images = image_tensor(native.geometry.image_to_network(native.image)).to(device)
    logits = to_image_size(model(images).logits["main"], *images.shape[-2:])
    probability = logits.softmax(dim=1)[0, POLYP].float().cpu().numpy()
    return np.clip(native.geometry.to_native(probability), 0.0, 1.0)

"""Predictions at a frame's own resolution, by any number of models in one pass over the frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.field_of_view import FieldOfView
from polypda.cohorts.frames import Frame, LabelState
from polypda.data.cache import load_native
from polypda.data.labels import read_reference
from polypda.networks.averaged_prediction import Asked
from polypda.networks.segmenter import Segmenter


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
    asked: Asked,
    *,
    scored: bool = True,
) -> Iterator[NativePrediction]:
    """Predict frames with every model, in order; reads each frame once.

    asked: the network's grid, and how every model is asked. scored: False for frames that are only looked at: no
    reference is read. Raises: what reading the reference raises.

    The probability map is resampled bilinearly from the network's grid to native pixels; thresholding comes after.
    """
    for model in models.values():
        model.eval().to(asked.device)
    for frame in frames:
        native = load_native(frame, asked.grid)
        yield NativePrediction(
            frame,
            native.image,
            native.view,
            reference_mask(frame, native.image) if scored else None,
            {name: asked.native_probability(model, native) for name, model in models.items()},
            ignored=native.ignored,
        )

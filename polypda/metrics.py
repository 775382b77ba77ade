"""How good a prediction is, for arrays and tensors: the figures of `polypda-metrics v1`, frame by frame.

>>> import numpy as np
>>> from polypda import metrics
>>> reference = np.zeros((64, 64), np.uint8)
>>> reference[16:48, 16:48] = 1
>>> prediction = np.roll(reference, 8, axis=1)
>>> metrics.dice(prediction, reference), round(metrics.iou(prediction, reference), 3)
(0.75, 0.6)
>>> metrics.hd95(prediction, reference)  # px
8.0
>>> metrics.dice(np.stack([prediction, reference]), np.stack([reference, reference]))
array([0.75, 1.  ])

Every function takes one frame or a batch of them (numpy arrays, torch tensors of any device, nested lists):

    prediction  H×W, B×H×W or B×1×H×W: probabilities of a polyp in [0, 1] (not logits), or a mask of bool or 0 and 1
    reference   of the same shape: the true mask, bool or 0 and 1
    valid       of the same shape, or H×W for every frame of a batch: bool, where pixels count; None: everywhere
    threshold   in (0, 1]: a pixel is polyp from this probability on

and answers with a float for one frame, or float64 [B] for a batch. There is no smoothing term: where the reference is
empty Dice, IoU, HD95 and NSD have no value and are NaN, whatever was predicted (``numpy.nanmean`` passes over them; how
often something is marked on frames without a polyp is another question: ``frame_metrics(…).fp_components``).

Raises everywhere: UsageError E_THRESHOLD_RANGE; DataError E_METRIC_SIZE (shapes differ, or are no frames),
E_PROBABILITY_RANGE, E_PROBABILITY_NAN, E_REFERENCE_NOT_BINARY, E_METRIC_TYPE, E_VALID_AREA_EMPTY.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polypda.errors import DataError

if TYPE_CHECKING:
    from polypda.evaluation.scoring.metrics import FrameMetrics

__all__ = ["dice", "frame_metrics", "hd95", "iou", "nsd"]

Score = float | NDArray[np.float64]
"""Of one frame, or of every frame of a batch."""
Frame = tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]


def dice(prediction: Any, reference: Any, valid: Any = None, *, threshold: float = 0.5) -> Score:
    """Dice coefficient, 2·TP / (2·TP + FP + FN), in [0, 1]; 0 for a missed polyp, NaN without one.

    Arguments, batches and errors: see :mod:`polypda.metrics`.
    """
    return _scores("dice", prediction, reference, valid, threshold)


def iou(prediction: Any, reference: Any, valid: Any = None, *, threshold: float = 0.5) -> Score:
    """Intersection over union (Jaccard index), TP / (TP + FP + FN), in [0, 1]; NaN without a polyp.

    Arguments, batches and errors: see :mod:`polypda.metrics`.
    """
    return _scores("iou", prediction, reference, valid, threshold)


def hd95(prediction: Any, reference: Any, valid: Any = None, *, threshold: float = 0.5) -> Score:
    """95th percentile of the Hausdorff distance between the outlines, px; the larger of both directions.

    A missed polyp costs the diagonal of the valid area's bounding box; NaN without a polyp. Arguments, batches and
    errors: see :mod:`polypda.metrics`.
    """
    return _scores("hd95_px", prediction, reference, valid, threshold)


def nsd(prediction: Any, reference: Any, valid: Any = None, *, threshold: float = 0.5) -> Score:
    """Normalised surface distance: fraction of both outlines near the other one, in [0, 1].

    Near: within 1 % of the larger side of the valid area's bounding box, at least 2 px. 0 for a missed polyp, NaN
    without one. Arguments, batches and errors: see :mod:`polypda.metrics`.
    """
    return _scores("nsd", prediction, reference, valid, threshold)


def frame_metrics(
    prediction: Any, reference: Any, valid: Any = None, *, threshold: float = 0.5
) -> FrameMetrics | list[FrameMetrics]:
    """Every figure of a frame (one object), or of each frame of a batch (a list).

    Beside Dice, IoU, HD95 and NSD: sensitivity, PPV, specificity, F2, mean absolute error, pixel counts, lesions found
    and wrongly marked, calibration; see :class:`~polypda.evaluation.scoring.metrics.FrameMetrics`. Arguments and
    errors: see :mod:`polypda.metrics`.

    >>> import numpy as np
    >>> from polypda import metrics
    >>> empty, marked = np.zeros((64, 64), bool), np.zeros((64, 64))
    >>> marked[:32, :32] = 0.9
    >>> found = metrics.frame_metrics(marked, empty)
    >>> found.dice, found.fp_components, found.specificity
    (nan, 1, 0.75)
    """
    found = _each(prediction, reference, valid, threshold)
    return found if np.ndim(reference) > 2 else found[0]


def _scores(name: str, prediction: Any, reference: Any, valid: Any, threshold: float) -> Score:
    values = [getattr(found, name) for found in _each(prediction, reference, valid, threshold)]
    return np.array(values, np.float64) if np.ndim(reference) > 2 else float(values[0])


def _each(prediction: Any, reference: Any, valid: Any, threshold: float) -> list[FrameMetrics]:
    from polypda.evaluation.scoring.metrics import frame_metrics as scored

    frames = _frames(_plain(prediction), _plain(reference), None if valid is None else _plain(valid))
    return [
        scored(probability, mask, area, threshold, frame=f"frame {number}" if len(frames) > 1 else "")
        for number, (probability, mask, area) in enumerate(frames)
    ]


def _frames(prediction: NDArray[Any], reference: NDArray[Any], valid: NDArray[Any] | None) -> list[Frame]:
    """The frames of a batch, or the only one."""
    if prediction.shape != reference.shape or reference.ndim not in (2, 3) or not reference.size:
        raise DataError(
            "E_METRIC_SIZE",
            f"prediction {prediction.shape}, reference {reference.shape}.",
            fix="both H×W, or both B×H×W (or B×1×H×W), at the reference's own resolution.",
        )
    if valid is None:
        valid = np.ones(reference.shape[-2:], bool)
    if valid.shape not in (reference.shape, reference.shape[-2:]):
        raise DataError(
            "E_METRIC_SIZE",
            f"valid area {valid.shape}, reference {reference.shape}.",
            fix="give one H×W for all frames, or one for each.",
        )
    if not np.issubdtype(prediction.dtype, np.floating):
        prediction = prediction.astype(np.float32)
    if np.issubdtype(reference.dtype, np.floating) and np.isin(reference, (0, 1)).all():
        reference = reference.astype(bool)  # as masks come out of a data loader
    if reference.ndim == 2:
        return [(prediction, reference, valid)]
    areas = np.broadcast_to(valid, reference.shape)
    return list(zip(prediction, reference, areas, strict=True))


def _plain(values: Any) -> NDArray[Any]:
    """A numpy array of a tensor, an array or lists; a channel of one is taken out."""
    if hasattr(values, "detach"):  # a torch tensor, without importing torch for others
        values = values.detach().cpu()
        values = (values.float() if values.is_floating_point() else values).numpy()
    array = np.asarray(values)
    return array[:, 0] if array.ndim == 4 and array.shape[1] == 1 else array

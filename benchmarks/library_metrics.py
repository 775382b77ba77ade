"""Other libraries' metrics under one signature, each called as its documentation says for one binary frame.

None of them knows a field of view, so masks and probabilities are cleared outside the valid area before they are handed
over; only torchmetrics' classification functions can leave pixels out (``ignore_index``), and are asked to. Where a
function takes probabilities and a threshold, it gets them; otherwise it gets the thresholded mask.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypda.networks.smp_library import import_torchvision


@dataclass(frozen=True)
class FrameMaps:
    """One frame for a library: bool H×W masks and float H×W probabilities in [0, 1], all cleared outside ``valid``."""

    reference: NDArray[np.bool_]
    prediction: NDArray[np.bool_]
    probability: NDArray[np.float64]
    valid: NDArray[np.bool_]
    threshold: float
    tolerance_px: float


Metric = Callable[[FrameMaps], float]
SetMetric = Callable[[list[FrameMaps]], float]


@dataclass(frozen=True)
class Library:
    """``load`` and ``load_means`` give its functions by metric name; they raise ImportError where it is missing."""

    name: str
    distribution: str
    load: Callable[[], Mapping[str, Metric]]
    load_means: Callable[[], Mapping[str, SetMetric]] = dict


def torchmetrics_metrics() -> dict[str, Metric]:
    import torch

    import_torchvision()
    whole = importlib.import_module("torchmetrics.functional")
    classes = importlib.import_module("torchmetrics.functional.classification")
    masks = importlib.import_module("torchmetrics.functional.segmentation")
    layout = {"num_classes": 2, "include_background": False, "input_format": "index"}

    def of_masks(function: Callable[..., Any]) -> Metric:
        def measure(frame: FrameMaps) -> float:
            prediction, reference = (torch.from_numpy(m)[None].long() for m in (frame.prediction, frame.reference))
            return float(function(prediction, reference, **layout))

        return measure

    def of_pixels(function: Callable[..., Any], **options: float) -> Metric:
        def measure(frame: FrameMaps) -> float:
            reference = torch.from_numpy(np.where(frame.valid, frame.reference, -1).astype(np.int64))
            probability = torch.from_numpy(frame.probability)
            return float(function(probability, reference, threshold=frame.threshold, ignore_index=-1, **options))

        return measure

    def mae(frame: FrameMaps) -> float:
        probability, reference = (torch.from_numpy(m[frame.valid]) for m in (frame.probability, frame.reference))
        return float(whole.mean_absolute_error(probability, reference.double()))

    return {
        "dice": of_masks(masks.dice_score),
        "iou": of_masks(masks.mean_iou),
        "sensitivity": of_pixels(classes.binary_recall),
        "ppv": of_pixels(classes.binary_precision),
        "specificity": of_pixels(classes.binary_specificity),
        "f2": of_pixels(classes.binary_fbeta_score, beta=2.0),
        "mae": mae,
        "hausdorff_px": of_masks(masks.hausdorff_distance),
    }


def torchmetrics_means() -> dict[str, SetMetric]:
    import torch

    import_torchvision()
    masks = importlib.import_module("torchmetrics.segmentation")
    layout = {"num_classes": 2, "include_background": False, "input_format": "index"}

    def mean_of(metric: Callable[..., Any]) -> SetMetric:
        def measure(frames: list[FrameMaps]) -> float:
            running = metric(**layout)
            for frame in frames:
                prediction, reference = (torch.from_numpy(m)[None].long() for m in (frame.prediction, frame.reference))
                running.update(prediction, reference)
            return float(running.compute())

        return measure

    return {"dice": mean_of(masks.DiceScore), "iou": mean_of(masks.MeanIoU)}


def _monai_pair(frame: FrameMaps) -> tuple[Any, Any]:
    import torch

    prediction, reference = (torch.from_numpy(m)[None, None].float() for m in (frame.prediction, frame.reference))
    return prediction, reference


def monai_metrics() -> dict[str, Metric]:
    import_torchvision()
    monai = importlib.import_module("monai.metrics")

    def of_masks(function: Callable[..., Any], **options: Any) -> Metric:
        return lambda frame: float(function(*_monai_pair(frame), include_background=True, **options))

    def of_counts(name: str) -> Metric:
        def measure(frame: FrameMaps) -> float:
            counts = monai.get_confusion_matrix(*_monai_pair(frame), include_background=True)
            return float(monai.compute_confusion_matrix_metric(name, counts))

        return measure

    def nsd(frame: FrameMaps) -> float:
        return of_masks(monai.compute_surface_dice, class_thresholds=[frame.tolerance_px])(frame)

    return {
        "dice": of_masks(monai.compute_dice),
        "iou": of_masks(monai.compute_iou),
        "sensitivity": of_counts("sensitivity"),
        "ppv": of_counts("precision"),
        "specificity": of_counts("specificity"),
        "hd95_px": of_masks(monai.compute_hausdorff_distance, percentile=95),
        "hausdorff_px": of_masks(monai.compute_hausdorff_distance),
        "nsd": nsd,
    }


def monai_means() -> dict[str, SetMetric]:
    import_torchvision()
    monai = importlib.import_module("monai.metrics")

    def mean_of(metric: Callable[..., Any], **options: Any) -> SetMetric:
        def measure(frames: list[FrameMaps]) -> float:
            running = metric(include_background=True, **options)
            for frame in frames:
                running(*_monai_pair(frame))
            return float(running.aggregate())

        return measure

    return {
        "dice": mean_of(monai.DiceMetric),
        "iou": mean_of(monai.MeanIoU),
        "hd95_px": mean_of(monai.HausdorffDistanceMetric, percentile=95),
        "nsd": mean_of(monai.SurfaceDiceMetric, class_thresholds=[2.0]),
    }


def surface_distance_metrics() -> dict[str, Metric]:
    surface = importlib.import_module("surface_distance")

    def distances(frame: FrameMaps) -> Any:
        return surface.compute_surface_distances(frame.reference, frame.prediction, (1.0, 1.0))

    return {
        "dice": lambda frame: float(surface.compute_dice_coefficient(frame.reference, frame.prediction)),
        "hd95_px": lambda frame: float(surface.compute_robust_hausdorff(distances(frame), 95)),
        "hausdorff_px": lambda frame: float(surface.compute_robust_hausdorff(distances(frame), 100)),
        "nsd": lambda frame: float(surface.compute_surface_dice_at_tolerance(distances(frame), frame.tolerance_px)),
    }


def pysodmetrics_means() -> dict[str, SetMetric]:
    sod = importlib.import_module("py_sod_metrics")
    once = {"with_dynamic": False, "with_adaptive": False, "with_binary": True, "sample_based": True}

    def images(frame: FrameMaps) -> dict[str, NDArray[np.uint8]]:
        grey = np.rint(frame.probability * 255).astype(np.uint8)
        return {"pred": grey, "gt": frame.reference.astype(np.uint8) * np.uint8(255)}

    def mean_of(handler: Callable[..., Any], **options: Any) -> SetMetric:
        def measure(frames: list[FrameMaps]) -> float:
            running = sod.FmeasureV2(metric_handlers={"it": handler(**once, **options)})
            for frame in frames:
                running.step(**images(frame))
            return float(running.get_results()["it"]["binary"])

        return measure

    def mae(frames: list[FrameMaps]) -> float:
        running = sod.MAE()
        for frame in frames:
            running.step(**images(frame))
        return float(running.get_results()["mae"])

    return {
        "dice": mean_of(sod.DICEHandler),
        "iou": mean_of(sod.IOUHandler),
        "sensitivity": mean_of(sod.RecallHandler),
        "ppv": mean_of(sod.PrecisionHandler),
        "specificity": mean_of(sod.SpecificityHandler),
        "f2": mean_of(sod.FmeasureHandler, beta=4),  # its beta is the square of the usual one
        "mae": mae,
    }


def pysodmetrics_metrics() -> dict[str, Metric]:
    def alone(mean: SetMetric) -> Metric:
        return lambda frame: mean([frame])

    return {name: alone(mean) for name, mean in pysodmetrics_means().items()}


LIBRARIES = (
    Library("torchmetrics", "torchmetrics", torchmetrics_metrics, torchmetrics_means),
    Library("MONAI", "monai", monai_metrics, monai_means),
    Library("surface-distance", "surface-distance", surface_distance_metrics),
    Library("pysodmetrics", "pysodmetrics", pysodmetrics_metrics, pysodmetrics_means),
)


def measured(metric: Callable[[Any], float], frames: Any) -> float | str:
    """The library's answer, or the kind of error that it raises."""
    try:
        return metric(frames)
    except Exception as error:  # the comparison goes on whatever a library raises: that is a finding
        return f"raises {type(error).__name__}"


def agrees(answer: float, got: float | str) -> bool:
    """Equal to single precision, in which several libraries compute; NaN equals NaN."""
    if isinstance(got, str):
        return False
    return (math.isnan(answer) and math.isnan(got)) or math.isclose(answer, got, rel_tol=1e-5, abs_tol=1e-5)

"""Which architectures and encoders segmentation_models_pytorch offers, by name in any case or punctuation.

The library needs torchvision, which is imported even where its compiled part was built for another torch: a CPU build
of torch beside a CUDA build of torchvision cannot load torchvision's compiled operators; its Python part then fails at
import, because it registers shape functions for two operators nobody declared. Declaring both is enough: segmentation
encoders use torchvision's Python layers only, never its compiled operators.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterable
from functools import cache
from types import ModuleType

from polypda.errors import UsageError, nearest

_UNDECLARED = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_declarations: list[object] = []  # a torch Library undeclares its operators when it is collected


def import_torchvision() -> ModuleType:
    """Import torchvision; call this before segmentation_models_pytorch or timm are imported.

    A matching pair imports as it is: nothing is declared for it. Calling again costs nothing.

    Raises RuntimeError as torchvision does, when the failure is another one than the undeclared operators.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    _declare_missing_operators()
    for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
        del sys.modules[name]
    return importlib.import_module("torchvision")


def _declare_missing_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in _UNDECLARED.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
    _declarations.append(library)


TIMM_PREFIX = "tu-"


def import_smp() -> ModuleType:
    """Import segmentation_models_pytorch (takes seconds; needs torchvision)."""
    import_torchvision()
    import segmentation_models_pytorch

    return segmentation_models_pytorch


@cache
def architectures() -> tuple[str, ...]:
    """Return the names of all architectures: "unet", "deeplabv3plus", …"""
    return tuple(import_smp().MODEL_ARCHITECTURES_MAPPING)


@cache
def encoders() -> tuple[str, ...]:
    """Return the names of all encoders: the library's own, and timm's with the prefix "tu-"."""
    smp = import_smp()
    import timm

    return (*smp.encoders.get_encoder_names(), *(f"{TIMM_PREFIX}{name}" for name in timm.list_models()))


def find_architecture(name: str, others: Iterable[str] = ()) -> str:
    """Return the library's name of an architecture: "DeepLabV3+", "deeplab-v3-plus" → "deeplabv3plus".

    others: what else there is to choose from, for the error.

    Raises UsageError E_ARCHITECTURE_UNKNOWN, with the nearest name.
    """
    plain = plain_architecture(name)
    if plain not in architectures():
        known = (*architectures(), *others)
        what = f"there is no segmentation architecture '{name}'.{nearest(plain, known)}"
        raise UsageError("E_ARCHITECTURE_UNKNOWN", what, fix=f"choose one of {', '.join(known)}.")
    return plain


def plain_architecture(name: str) -> str:
    """Lower the case, spell out "+", drop hyphens, underscores and blanks."""
    return name.lower().replace("+", "plus").translate(str.maketrans("", "", "-_ "))


def find_encoder(name: str) -> str:
    """Return the library's name of an encoder, whatever its case; a timm encoder may carry a weights tag after a dot.

    Raises UsageError E_ENCODER_UNKNOWN, with the nearest name.
    """
    known = {encoder.lower(): encoder for encoder in encoders()}
    asked = name.strip().lower()
    if asked in known:
        return known[asked]
    bare, dot, tag = asked.partition(".")
    if dot and bare.startswith(TIMM_PREFIX) and bare in known:
        return f"{known[bare]}.{tag}"
    hint = nearest(asked, known) or nearest(f"{TIMM_PREFIX}{asked}", known)
    fix = (
        "name one of segmentation_models_pytorch's encoders (resnet34, mobilenet_v2, mit_b0, …) or tu-NAME for timm's."
    )
    raise UsageError("E_ENCODER_UNKNOWN", f"there is no encoder '{name}'.{hint}", fix=fix)


def is_timm_encoder(name: str) -> bool:
    """Say whether an encoder is one of timm's, taken through the library's universal wrapper."""
    return name.startswith(TIMM_PREFIX)


def quiet_deprecations() -> warnings.catch_warnings:
    """Return a context in which the libraries' warnings about their own old names are not shown."""
    context: warnings.catch_warnings = warnings.catch_warnings(action="ignore", category=DeprecationWarning)
    return context

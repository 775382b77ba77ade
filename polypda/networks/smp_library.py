"""What segmentation_models_pytorch offers: its architectures and encoders by name, and ImageNet weights to download.

A machine without a network hears soon that a download fails: the hub client retries for half a minute before it gives
up, so its host is tried first for a few seconds; when it does not answer, only the client's local cache is looked into.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from torch import Tensor, nn

from polypda.errors import DataError, UsageError, nearest
from polypda.networks.segmenter import IMAGENET_MEAN, IMAGENET_STD

TIMM_PREFIX = "tu-"
PATIENCE_S = 3.0
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_UNDECLARED = {name: f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms")}
_declarations: list[object] = []  # a torch Library undeclares its operators when it is collected


def import_torchvision() -> ModuleType:
    """Import torchvision; call this before segmentation_models_pytorch or timm are imported.

    A torchvision built for another torch fails at import, because it registers shape functions for two operators that
    its unloadable compiled part should have declared. Declaring both is enough: encoders use its Python layers only.
    Raises: RuntimeError as torchvision does, when the failure is another one.
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


def import_smp() -> ModuleType:
    """Import segmentation_models_pytorch (takes seconds; needs torchvision)."""
    import_torchvision()
    import segmentation_models_pytorch

    return segmentation_models_pytorch


@cache
def architectures() -> tuple[str, ...]:
    """The names of all architectures: "unet", "deeplabv3plus", …"""
    return tuple(import_smp().MODEL_ARCHITECTURES_MAPPING)


@cache
def encoders() -> tuple[str, ...]:
    """The names of all encoders: the library's own, and timm's with the prefix "tu-"."""
    smp = import_smp()
    import timm

    return (*smp.encoders.get_encoder_names(), *(f"{TIMM_PREFIX}{name}" for name in timm.list_models()))


def find_architecture(name: str, others: Iterable[str] = ()) -> str:
    """The library's name of an architecture: "DeepLabV3+", "deeplab-v3-plus" → "deeplabv3plus".

    others: what else there is to choose from, for the error. Raises: UsageError E_ARCHITECTURE_UNKNOWN.
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
    """The library's name of an encoder, whatever its case; a timm encoder may carry a weights tag after a dot.

    Raises: UsageError E_ENCODER_UNKNOWN, with the nearest name.
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
    """Whether an encoder is one of timm's, taken through the library's universal wrapper."""
    return name.startswith(TIMM_PREFIX)


def quiet_deprecations() -> warnings.catch_warnings:
    """A context in which the libraries' warnings about their own old names are not shown."""
    context: warnings.catch_warnings = warnings.catch_warnings(action="ignore", category=DeprecationWarning)
    return context


def download_encoder(encoder: nn.Module, name: str) -> dict[str, Tensor]:
    """The state dict of the ImageNet-pretrained twin of an encoder, from the hub or its local cache.

    Raises: UsageError E_WEIGHTS_IMAGENET when nobody publishes such weights; DataError E_WEIGHTS_DOWNLOAD when they
        cannot be fetched.
    """
    smp = import_smp()
    _check_published(name)
    options = {"depth": getattr(encoder, "_depth", 5), "output_stride": getattr(encoder, "_output_stride", 32)}
    weights: object = True if is_timm_encoder(name) else "imagenet"
    with _fetching(name), quiet_deprecations():
        twin = smp.encoders.get_encoder(name, weights=weights, **options)
    return dict(twin.state_dict())


def downloaded_normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of RGB in [0, 1] that an encoder's ImageNet weights expect.

    timm's encoders carry their record with them; the others' is a small file beside their weights.
    """
    import_smp()
    record: Any
    if is_timm_encoder(name):
        import timm

        record = timm.models.get_pretrained_cfg(name.removeprefix(TIMM_PREFIX), allow_unregistered=True)
        return (IMAGENET_MEAN, IMAGENET_STD) if record is None else (tuple(record.mean), tuple(record.std))
    from segmentation_models_pytorch.encoders import get_preprocessing_params

    with _fetching(name):
        record = get_preprocessing_params(name, "imagenet")
    if record["input_space"] != "RGB":
        what = f"encoder {name} wants {record['input_space']}"
        raise DataError("E_WEIGHTS_INPUT", what, fix="choose another encoder.")
    largest = float(record["input_range"][1])
    return tuple(value / largest for value in record["mean"]), tuple(value / largest for value in record["std"])


def _check_published(name: str) -> None:
    smp = import_smp()
    if is_timm_encoder(name):
        import timm

        published = timm.models.is_model_pretrained(name.removeprefix(TIMM_PREFIX))
    else:
        published = "imagenet" in smp.encoders.encoders.get(name, {}).get("pretrained_settings", {"imagenet": None})
    if not published:
        fix = "choose another encoder, a local file, or `none`."
        raise UsageError("E_WEIGHTS_IMAGENET", f"no ImageNet weights are published for encoder {name}", fix=fix)


@contextmanager
def _fetching(name: str) -> Iterator[None]:
    """From the hub, or from its local cache where the host is not reached. Raises: DataError E_WEIGHTS_DOWNLOAD."""
    from huggingface_hub import constants

    behind_proxy = any(os.environ.get(proxy) for proxy in _PROXIES)
    offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = offline or not (behind_proxy or _answers(constants.ENDPOINT))
    try:
        yield
    except Exception as error:  # the hub's client raises a dozen kinds, by version and transport
        if isinstance(error, MemoryError):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        what = f"the ImageNet weights of encoder {name} could not be fetched ({reason})"
        fix = (
            "connect this machine, or pass the weights as a local file (--encoder-weights FILE.safetensors), "
            "or train without (--encoder-weights none)."
        )
        raise DataError("E_WEIGHTS_DOWNLOAD", what, fix=fix) from error
    finally:
        constants.HF_HUB_OFFLINE = offline


def _answers(endpoint: str) -> bool:
    """Whether a host accepts a connection within PATIENCE_S, looking up its name included."""
    parts = urlsplit(endpoint)
    host, port = parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)
    answered = threading.Event()

    def knock() -> None:
        try:
            socket.create_connection((host, port), timeout=PATIENCE_S).close()
        except OSError:
            return
        answered.set()

    # In a thread, because looking up a name has no time limit of its own.
    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return answered.is_set()

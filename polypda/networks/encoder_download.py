"""Download an ImageNet encoder, only ever called when the user asks for one; a machine without a network hears soon.

The hub client retries for half a minute before it gives up. So its host is tried first for a few seconds; when it does
not answer, the client is told to look into its local cache only.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from torch import Tensor, nn

from polypda.errors import DataError, UsageError
from polypda.networks.normalisation import IMAGENET_MEAN, IMAGENET_STD
from polypda.networks.smp_names import TIMM_PREFIX, import_smp, is_timm_encoder, quiet_deprecations

PATIENCE_S = 3.0
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_OFFLINE_FIX = (
    "connect this machine, or pass the weights as a local file (--encoder-weights FILE.safetensors), "
    "or train without (--encoder-weights none)."
)


def download_encoder(encoder: nn.Module, name: str) -> dict[str, Tensor]:
    """Return the state dict of the ImageNet-pretrained twin of an encoder, from the hub or its local cache.

    Raises UsageError E_WEIGHTS_IMAGENET when nobody publishes such weights, DataError E_WEIGHTS_DOWNLOAD when they
    cannot be fetched.
    """
    smp = import_smp()
    _check_published(name)
    options = {"depth": getattr(encoder, "_depth", 5), "output_stride": getattr(encoder, "_output_stride", 32)}
    weights: object = True if is_timm_encoder(name) else "imagenet"
    with _cache_only_when_unreachable(), quiet_deprecations():
        try:
            twin = smp.encoders.get_encoder(name, weights=weights, **options)
        except (KeyboardInterrupt, MemoryError):
            raise
        except Exception as error:  # the hub's client raises a dozen kinds, by version and transport
            raise _failed(name, error) from error
    return dict(twin.state_dict())


def downloaded_normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of RGB in [0, 1] that an encoder's ImageNet weights expect.

    timm's encoders carry their record with them; the others' is a small file beside their weights.
    """
    import_smp()
    if is_timm_encoder(name):
        import timm

        record = timm.models.get_pretrained_cfg(name.removeprefix(TIMM_PREFIX), allow_unregistered=True)
        if record is None:
            return IMAGENET_MEAN, IMAGENET_STD
        return tuple(record.mean), tuple(record.std)
    from segmentation_models_pytorch.encoders import get_preprocessing_params

    with _cache_only_when_unreachable():
        try:
            record = get_preprocessing_params(name, "imagenet")
        except (KeyboardInterrupt, MemoryError):
            raise
        except Exception as error:
            raise _failed(name, error) from error
    if record["input_space"] != "RGB":
        raise DataError(
            "E_WEIGHTS_INPUT", f"encoder {name} wants {record['input_space']}", fix="choose another encoder."
        )
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


def _failed(name: str, error: Exception) -> DataError:
    reason = str(error).strip().splitlines()
    what = (
        f"the ImageNet weights of encoder {name} could not be fetched ({reason[0] if reason else type(error).__name__})"
    )
    return DataError("E_WEIGHTS_DOWNLOAD", what, fix=_OFFLINE_FIX)


@contextmanager
def _cache_only_when_unreachable() -> Iterator[None]:
    from huggingface_hub import constants

    behind_proxy = any(os.environ.get(name) for name in _PROXIES)
    if constants.HF_HUB_OFFLINE or behind_proxy or _answers(constants.ENDPOINT):
        yield
        return
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = False


def _answers(endpoint: str) -> bool:
    """Say whether a host accepts a connection within PATIENCE_S, looking up its name included."""
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

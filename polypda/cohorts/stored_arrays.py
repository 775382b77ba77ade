"""Masks that lie in files as arrays: NumPy's ``.npy``, and MATLAB's ``.mat`` up to version 7."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from polypda.cohorts.image_kinds import Kind
from polypda.cohorts.stored_pixels import MOST_PIXELS, StoredPixels
from polypda.errors import DataError

NPY = Kind("NumPy array", (".npy",))
MAT = Kind("MATLAB file", (".mat",))
ARRAY_SUFFIXES = (*NPY.suffixes, *MAT.suffixes)
NPY_MAGIC, MAT_MAGIC = b"\x93NUMPY", b"MATLAB 5.0 MAT-file"
FIX = "save one array of the frame's height and width, of 0 (no polyp) and 1 (polyp)."


def is_array(data: bytes) -> bool:
    """Whether a file begins as an array that is read here; version 7.3 of MATLAB's files does not."""
    return data.startswith((NPY_MAGIC, MAT_MAGIC))


def decode_array(data: bytes, where: str) -> StoredPixels:
    """The one array of two dimensions in a file, H×W, truth values as 0 and 1.

    Raises: DataError E_MASK_UNREADABLE, E_MASK_ARRAY (not one such array), E_MASK_TOO_LARGE.
    """
    kind = NPY if data.startswith(NPY_MAGIC) else MAT
    try:
        found = _arrays(data, kind)
    except Exception as error:  # a reader that is fed damaged bytes raises anything
        what = f"the {kind.name} cannot be read ({type(error).__name__})."
        raise DataError("E_MASK_UNREADABLE", what, where=where, fix=FIX) from error
    flat = [array for array in found if array.ndim == 2 and min(array.shape) > 1 and array.dtype.kind in "buif"]
    if len(flat) != 1:
        told = ", ".join("×".join(map(str, array.shape)) or "a single value" for array in found) or "nothing"
        raise DataError("E_MASK_ARRAY", f"it holds {told}, not one array of two dimensions.", where=where, fix=FIX)
    if flat[0].size > MOST_PIXELS:
        raise DataError("E_MASK_TOO_LARGE", "more pixels than any frame has.", where=where, fix=FIX)
    pixels = flat[0].astype(np.uint8) if flat[0].dtype.kind == "b" else flat[0]
    return StoredPixels(np.ascontiguousarray(pixels), kind, "grey")


def _arrays(data: bytes, kind: Kind) -> list[NDArray[Any]]:
    if kind is NPY:
        return [np.load(io.BytesIO(data), allow_pickle=False)]
    held = loadmat(io.BytesIO(data)).items()
    return [value for name, value in held if not name.startswith("__") and isinstance(value, np.ndarray)]

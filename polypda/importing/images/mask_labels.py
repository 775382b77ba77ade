"""Mask files of other tools as labels: 0/1, of their upright image's size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.mask_files import mask_size_error
from polypda.cohorts.picture_kinds import Kind
from polypda.cohorts.polyp_values import PolypValues
from polypda.cohorts.stored_masks import FellowMasks, decode_mask, mask_of
from polypda.importing.contract import MaskLabel, MaskPixels, SourceTree
from polypda.importing.images.orientation import turned


def source_masks(tree: SourceTree, paths: Iterable[str]) -> FellowMasks:
    """All masks of a source, asked where a mask alone does not tell what its values mean. Nothing is opened."""
    return FellowMasks(tuple(paths), tree.read)


def mask_label(
    tree: SourceTree, paths: Sequence[str], fellows: FellowMasks, polyp: PolypValues | None = None
) -> MaskLabel:
    """The label of one frame that lies in one mask file, or in several (one per lesion or class) that are joined."""

    def read(size: tuple[int, int]) -> MaskPixels:
        masks = [read_mask_file(tree, path, size, polyp, fellows) for path in paths]
        return np.maximum.reduce(masks)

    return MaskLabel(read, paths[0])


def read_mask_file(
    tree: SourceTree,
    path: str,
    size: tuple[int, int],
    polyp: PolypValues | None = None,
    fellows: FellowMasks | None = None,
) -> MaskPixels:
    """Read a mask for an image of (height, width). fellows: all masks of its source.

    Raises: DataError E_MASK_SIZE, and what :func:`decode_mask` and :func:`mask_of` raise.
    """
    stored = decode_mask(tree.read(path), path)
    height, width = turned(stored.values, stored.orientation).shape[:2]
    if (height, width) != size:
        raise mask_size_error(path, (size[1], size[0]), (width, height))
    return np.ascontiguousarray(turned(mask_of(stored, path, polyp, fellows), stored.orientation))


def mask_values(tree: SourceTree, path: str) -> tuple[NDArray[np.uint8], Kind]:
    """A mask file's values as uint8 H×W or H×W×3, upright, and what kind of file holds them.

    Raises: as :func:`decode_mask`.
    """
    stored = decode_mask(tree.read(path), path)
    return turned(stored.values, stored.orientation), stored.kind
